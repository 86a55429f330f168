"""The OpenDSS model is the feeder, number for number."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.feeder.compiled import FeederModel
from cosim.networks.dss_text import write_model
from cosim.networks.sweep import power_flow
from cosim.networks.synthetic import synthetic_feeder
from cosim.networks.tables import read_tables
from tests.conftest import a_feeder, shipped_master
from tests.networks.feeders import largest_difference_pu, shipped_tables

SMALL = ("ads10_1ph", "ieee123_1ph")


def feeder_called(name):
    return synthetic_feeder(500, 7) if name == "synthetic" else shipped_tables(name)


@pytest.mark.parametrize("irradiance", [0.0, 1.0])
@pytest.mark.parametrize("name", [*SMALL, "synthetic"])
def test_opendss_and_the_sweep_agree(name, irradiance, tmp_path):
    # Measured 6e-10 pu, which is what the source's own reactance takes.
    assert largest_difference_pu(feeder_called(name), tmp_path, irradiance=irradiance) < 1e-9


@pytest.mark.parametrize("name", [*SMALL, "synthetic"])
def test_import_and_losses_agree(name, tmp_path):
    feeder = feeder_called(name)
    flow = power_flow(feeder, *feeder.peak_demand())
    with a_feeder(write_model(feeder, tmp_path), steps=1, tolerance=1e-10) as plant:
        found = plant.measure(0)
    assert found.import_kw == pytest.approx(flow.import_kw, abs=1e-4)
    # The reactive power of a source as stiff as this carries rounding errors.
    assert found.import_kvar == pytest.approx(flow.import_kvar, abs=1e-2)
    assert found.losses_kw == pytest.approx(flow.losses_kw, abs=1e-4)


@pytest.mark.parametrize("name", [*SMALL, "synthetic"])
def test_devices_are_found_with_their_ratings(name, tmp_path):
    feeder = feeder_called(name)
    model = FeederModel(write_model(feeder, tmp_path))
    pvs, storages = feeder.pvs, feeder.storages
    assert [pv.name for pv in model.found if pv.kind == "pv"] == [
        f"pv_{feeder.buses[at]}" for at in pvs.bus
    ]
    assert [s.name for s in model.found if s.kind == "storage"] == [
        f"bess_{feeder.buses[at]}" for at in storages.bus
    ]
    exact = {"rel": 1e-14}
    assert [pv.kw for pv in model.found if pv.kind == "pv"] == pytest.approx(pvs.kw.tolist(), **exact)
    assert [pv.kva for pv in model.found if pv.kind == "pv"] == pytest.approx(pvs.kva.tolist(), **exact)
    for at, found in enumerate(item for item in model.found if item.kind == "storage"):
        kwh = storages.kwh[at]
        assert (found.phases, found.delta, found.idling_kw) == ((1,), False, 0.0)
        assert (found.kw, found.kva, found.kwh) == pytest.approx(
            (storages.kw[at], storages.kva[at], kwh), **exact
        )
        assert (found.min_kwh, found.initial_kwh) == pytest.approx((0.3 * kwh, 0.625 * kwh), **exact)
        assert (found.efficiency_charge, found.efficiency_discharge) == (0.95, 0.95)


@pytest.mark.parametrize("name", SMALL)
def test_the_shipped_model_is_written_from_its_tables(name, tmp_path):
    shipped = shipped_master(name).parent
    title = (shipped / "master.dss").read_text().splitlines()[0].removeprefix("! ")
    feeder = read_tables(shipped, name=name, title=title, base_kv=2.4018, source_pu=1.03)
    write_model(feeder, tmp_path)
    for path in tmp_path.iterdir():
        if path.suffix == ".dss":
            assert path.read_text() == (shipped / path.name).read_text(), path.name


def test_text_is_lower_case_and_ends_with_a_newline(tmp_path):
    write_model(synthetic_feeder(34, 0), tmp_path)
    for path in tmp_path.glob("*.dss"):
        text = path.read_text()
        assert text.endswith("\n")
        assert all(line == line.lower() for line in text.splitlines() if not line.startswith("!"))


def test_the_network_read_back_from_opendss_is_the_tree(tmp_path):
    feeder = shipped_tables("ieee123_1ph")
    with a_feeder(write_model(feeder, tmp_path), steps=1) as plant:
        network = plant.site.network
    assert network is not None
    assert network.size == feeder.size
    position = {f"{bus}.1": i for i, bus in enumerate(feeder.buses)}
    at = np.array([position[node] for node in network.nodes])
    drop = dict(zip(at[network.drop.row], network.drop.real + 1j * network.drop.imaginary, strict=True))
    for branch, bus in enumerate(feeder.branches.to_bus):
        ohm = drop[bus] * feeder.base_kv**2 * 1e3
        expected = feeder.branches.r_ohm[branch] + 1j * feeder.branches.x_ohm[branch]
        assert ohm == pytest.approx(expected, rel=1e-6)
