"""What a master may bring along without spoiling the plant."""

from __future__ import annotations

import pytest

from cosim.devices.pv import PvRating
from cosim.feeder.compiled import FeederModel
from cosim.run.sources import feeder_files
from tests.conftest import a_feeder, setpoints, shipped_master

OWN = (
    "new storage.own bus1=675 kv=4.16 kwrated=80 kva=90 kwhrated=300 %stored=60",
    "new pvsystem.roof bus1=680 kv=4.16 pmpp=100 kva=110 irradiance=1",
)


def master_with(tmp_path, *lines):
    path = tmp_path / "master.dss"
    path.write_text("\n".join([f'redirect "{shipped_master("ieee13")}"', *lines]))
    return path


def test_its_load_multiplier_is_part_of_the_nominal_demand(tmp_path):
    with a_feeder(shipped_master("ieee13"), steps=1) as feeder:
        full = feeder.measure(0)
    with a_feeder(master_with(tmp_path, "set loadmult=0.5"), steps=1) as feeder:
        half = feeder.measure(0)
    assert half.demand_kw.sum() == pytest.approx(full.demand_kw.sum() / 2)
    assert half.import_kw == pytest.approx(full.import_kw / 2, rel=0.1)


def test_its_inverter_controls_do_not_overrule_the_set_points(tmp_path):
    master = master_with(
        tmp_path,
        *OWN,
        "new xycurve.vv npts=4 yarray=[1 1 -1 -1] xarray=[0.5 0.95 1.0 1.5]",
        "new invcontrol.i mode=voltvar vvc_curve1=vv derlist=[pvsystem.roof]",
    )
    with a_feeder(master, steps=1, irradiance=0.5) as feeder:
        feeder.measure(0)
        feeder.apply(setpoints([0.0], [0.0], [100.0], [0.0]))
        assert feeder.commit().q_kvar[1] == pytest.approx(0.0, abs=1e-3)


def test_devices_that_are_not_discovered_are_left_alone(tmp_path):
    model = FeederModel(master_with(tmp_path, *OWN), discover=False)
    assert model.found == ()
    assert model.taken_names["storage"] == {"own"}
    assert float(model.engine.command("? pvsystem.roof.irradiance")) == 1.0


def test_panels_give_no_more_than_their_rating_in_bright_sun():
    pv = PvRating("p1", "680", (1, 2, 3), False, 300.0, 330.0)
    with a_feeder(shipped_master("ieee13"), devices=(pv,), irradiance=1.08, steps=1) as feeder:
        available = feeder.measure(0).available_kw[0]
        feeder.apply(setpoints(pv_kw=[300.0], pv_kvar=[0.0]))
        assert feeder.commit().p_kw[0] == pytest.approx(available, abs=1e-3) == pytest.approx(300.0)


def test_the_hash_covers_every_file_the_master_leads_to(tmp_path):
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "loads.dss").write_text("! loads\nnew loadshape.s csvfile=shape.csv\n")
    (tmp_path / "deeper" / "shape.csv").write_text("1\n")
    (tmp_path / "unrelated.txt").write_text("no part of it")
    (tmp_path / "xy.csv").write_text("a,1,2\n")
    master = tmp_path / "m.dss"
    master.write_text("new circuit.x\nRedirect deeper/loads.dss ! why\nBuscoords xy.csv\n")
    assert {path.name for path in feeder_files(master)} == {"m.dss", "loads.dss", "shape.csv", "xy.csv"}


def test_the_shipped_feeders_are_hashed_whole():
    names = {path.name for path in feeder_files(shipped_master("ieee123"))}
    assert {"master.dss", "lines.dss", "loads.dss", "devices.dss", "linecodes.dss", "buses.csv"} == names
