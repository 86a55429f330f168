"""What nobody commands is as its master says: a plant without commands equals plain OpenDSS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.as_the_master_says import apart
from cosim.errors import FeederError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.plant import Feeder
from cosim.model.state import NOT_DELIVERED, Setpoints
from cosim.run.check import check_study
from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.study import open_study
from tests.conftest import ROOT, a_feeder, a_storage, published_feeder, setpoints, shipped_master

CASES = ROOT.parent / "shared" / "cases"
PUBLISHED = (
    "13Bus/IEEE13Nodeckt.dss",
    "34Bus/ieee34Mod1.dss",
    "34Bus/ieee34Mod2.dss",
    "37Bus/ieee37.dss",
    "123Bus/IEEE123Master.dss",
    "8500-Node/Master.dss",
)
SOLVED_CASES = (
    "bases_move", "expcontrol", "generator_load_level", "growth_year", "kvarmax", "open_conductor_base",
    "pv_curves", "pv_of_master_discover_false", "pv_power_factor", "setkvbase_lost", "setkvbase_overruled",
)  # fmt: skip
OWN_PV = (
    "new pvsystem.roof bus1=680 kv=4.16 phases=3 pmpp=300 kva=330 pf=0.9 irradiance=1",
    "new storage.own bus1=675 kv=4.16 kwrated=80 kva=90 kwhrated=300 %stored=60 state=discharging kw=30",
    "new xycurve.vv npts=4 yarray=[1 1 -1 -1] xarray=[0.5 0.95 1.0 1.5]",
    "new invcontrol.i mode=voltvar vvc_curve1=vv",
)


def case(name: str) -> Path:
    path = CASES / name
    if not path.is_dir():
        pytest.skip(f"no case {name}: the collection of small inputs is not at hand")
    return path


def assert_as_plain(master: Path, **devices) -> None:
    found = apart(master, **devices)
    assert found.voltage_pu < 1e-6, f"{found.voltage_pu:.2g} pu at {found.node}"
    assert found.import_part < 1e-6


@pytest.mark.parametrize("name", ["ads10_1ph", "ieee13", "ieee123", "ieee123_1ph"])
def test_shipped_feeders(name):
    assert_as_plain(shipped_master(name))


@pytest.mark.parametrize("relative", PUBLISHED)
def test_published_feeders(relative):
    assert_as_plain(published_feeder(relative))


@pytest.mark.parametrize("name", SOLVED_CASES)
def test_cases(name):
    assert_as_plain(next(case(name).glob("m*.dss")))


def test_devices_of_the_master_keep_their_settings_beside_those_that_are_added(tmp_path):
    """Power factor, dispatch and a volt-var control without a list, which must not reach for our battery."""
    master = tmp_path / "m.dss"
    master.write_text("\n".join([f'redirect "{shipped_master("ieee13")}"', *OWN_PV]))
    assert_as_plain(master, devices=(a_storage(bus="671"),))


def test_bases_are_those_of_the_master():
    model = FeederModel(case("bases_move") / "m.dss")
    bases = dict(zip(model.nodes, model.engine.node_base_kv(), strict=True))
    assert bases["s.1"] == pytest.approx(0.416 / np.sqrt(3))
    with a_feeder(case("bases_move") / "m.dss", devices=(a_storage(bus="b"),), steps=1) as feeder:
        at = feeder.site.nodes.index("s.1")
        assert feeder.measure(0).voltage_pu[at] == pytest.approx(1.015, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("device_kv_line_to_neutral", ("storage.bat has kv=0.277", "bus lv needs 0.48 kV")),
        ("voltagebase_level_missing", ("bus lv", "add 0.48 to 'set voltagebases'")),
        ("battery_on_dead_bus", ("'isle2.1' has no voltage", "storages.0.bus")),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(name, words):
    problems, site = check_study(open_study(case(name) / "s.yaml"))
    assert site is None
    for word in words:
        assert word in " ".join(problems)


def run_case(name: str, tmp_path: Path):
    execute(
        open_study(case(name) / "s.yaml"), tmp_path, over="local", overwrite=False, progress=lambda _d: None
    )
    return read_record(tmp_path)


def test_reactive_limits_of_the_master_are_planned_accepted_and_delivered(tmp_path):
    record = run_case("kvarmax", tmp_path / "run")
    assert record.vector("requested_pv_kvar").min() >= -40.0 - 1e-6
    assert record.vector("pv_kvar")[0] == pytest.approx([-40.0], abs=1e-3)
    assert record.vector("storage_kvar")[0] == pytest.approx([-30.0], abs=1e-3)
    assert not any(len(events) for events in record.steps["events"])


def test_a_request_beyond_the_reactive_limit_is_cut_with_its_reason():
    model_path = case("kvarmax") / "m.dss"
    with a_feeder(model_path, irradiance=0.8, steps=1) as feeder:
        feeder.measure(0)
        applied = feeder.apply(setpoints([0.0], [-110.0], [200.0], [-200.0]))
        assert applied.setpoints.q_kvar[1] == -40.0
        assert applied.setpoints.q_kvar[0] == -30.0
        assert "kvarmaxabs 40" in applied.reason[1]
        assert "kvarmaxabs 30" in applied.reason[0]


def test_every_control_that_could_overrule_set_points_is_silenced(tmp_path):
    record = run_case("expcontrol", tmp_path / "run")
    assert np.abs(record.vector("pv_kvar") - record.vector("accepted_pv_kvar")).max() < 1e-3


def test_what_is_accepted_and_not_delivered_is_an_event(tmp_path):
    """An inverter that follows its panels gives no reactive power at night."""
    master = tmp_path / "m.dss"
    own = "new pvsystem.roof bus1=680 kv=4.16 phases=3 pmpp=300 kva=330 irradiance=1 varfollowinverter=yes"
    master.write_text(f'redirect "{shipped_master("ieee13")}"\n{own}\n')
    with a_feeder(master, irradiance=0.0, steps=1) as feeder:
        feeder.measure(0)
        feeder.apply(setpoints(pv_kw=[300.0], pv_kvar=[-100.0]))
        events = [event for event in feeder.commit().events if event.startswith(NOT_DELIVERED)]
    assert len(events) == 1
    assert "pvsystem.roof delivers" in events[0]
    assert "-100.000 kvar" in events[0]
    assert "VarFollowInverter" in events[0]


def test_a_feeder_refuses_a_device_of_the_master_on_a_dead_bus(tmp_path):
    master = tmp_path / "m.dss"
    lines = (
        "new line.sw bus1=680 bus2=isle switch=yes",
        "new pvsystem.far bus1=isle kv=4.16 phases=3 pmpp=30 kva=33",
        "calcvoltagebases",
        "open line.sw 1",
    )
    master.write_text("\n".join([f'redirect "{shipped_master("ieee13")}"', *lines]))
    with pytest.raises(
        FeederError, match=r"pvsystem.far is connected to node isle\.1, which has no voltage"
    ):
        a_feeder(master, steps=1)


def test_the_plant_without_commands_writes_nothing(tmp_path):
    master = tmp_path / "m.dss"
    master.write_text("\n".join([f'redirect "{shipped_master("ieee13")}"', OWN_PV[0]]))
    model = FeederModel(master, commanded=False)
    with a_feeder(master, irradiance=1.0, steps=1) as commanded:
        grid, exogenous = commanded._grid, commanded.inputs.exogenous
    with Feeder(model, devices=model.found, exogenous=exogenous, grid=grid) as feeder:
        feeder.measure(0)
        applied = feeder.apply(Setpoints.idle(feeder.site))
        assert applied.reason == ("not commanded: as the master says",)
        assert feeder.commit().q_kvar[0] == pytest.approx(300.0 * np.tan(np.arccos(0.9)), rel=0.02)
