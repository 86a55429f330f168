"""Tap changers and capacitor banks: acceptance, plant, twin, record, planners that leave them at rest."""

from __future__ import annotations

from math import nan
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cosim.devices.tap_changer import TapChanger
from cosim.errors import ScenarioError
from cosim.model.state import Setpoints
from cosim.report.html import write_report
from cosim.run.assembly import Assembly
from cosim.run.execute import execute, execute_baseline
from cosim.run.record import Record, read_record
from cosim.run.study import open_study
from tests.conftest import ROOT, small_scenario
from tests.timeline.test_two_drivers import CLOCKED, same

MOVED = "tests.controllers:MovingController"
DEVICES = [
    {"kind": "tap_changer", "name": "t_a", "transformer": "reg1_a", "dead_time_s": 1800},
    {"kind": "capacitor_bank", "name": "c", "capacitor": "c675"},
]


def changer(**changes) -> TapChanger:
    values = {"lowest": -16, "highest": 16, "dead_time_s": 900.0, "winding": 2}
    return TapChanger("t", "reg", **(values | changes))


@given(st.one_of(st.just(nan), st.floats(-40, 40)), st.integers(-16, 16), st.integers(0, 3600))
def test_a_position_is_whole_in_range_and_rests_through_the_dead_time(asked, now, since_s):
    accepted, reason = changer().accept(asked, float(now), since_s)
    assert accepted == round(accepted)
    assert -16 <= accepted <= 16
    if since_s < 900 or np.isnan(asked):
        assert accepted == now
    elif abs(asked) <= 16 and asked == round(asked):
        assert (accepted, reason) == (asked, "")
    if not np.isnan(asked) and abs(accepted - asked) > 1e-6:
        assert reason


def test_the_reasons_name_value_and_bound():
    assert changer().accept(20, 3.0, np.inf) == (16.0, "positions -16 .. 16")
    assert changer().accept(2.4, 3.0, np.inf) == (2.0, "positions are whole numbers, asked was 2.4")
    accepted = changer().accept(4, 3.0, 300.0)
    assert accepted == (3.0, "dead time: moved 300 s ago, 900 s between moves")
    assert changer().accept(3, 3.0, 300.0) == (3.0, "")


@pytest.fixture
def opened(scenario_file):
    def open_(devices=DEVICES, **changes) -> Assembly:
        return Assembly(open_study(scenario_file(devices=devices, **changes)), {"twin", "network"})

    return open_


def test_taps_and_banks_follow_setpoints_and_the_twin_follows_them(opened):
    """OpenDSS is the truth: at every position the twin's voltages are the plant's."""
    with opened() as assembly:
        feeder, twin = assembly.feeder, assembly.knowledge.open_twin()
        idle = Setpoints.idle(feeder.site)
        assert [device.name for device in feeder.site.network_devices] == ["c", "t_a"]
        seen = []
        for step, position in enumerate([(nan, nan), (0, 12), (0, -3), (1, -3), (nan, -16)]):
            measured = feeder.measure(step)
            twin.set_forecast(measured, (measured.demand_kw + 1j * measured.demand_kvar)[None, :])
            device = (measured.p_kw + 1j * measured.q_kvar)[None, :]
            flow = twin.flow(device, twin.at_rest(1))
            assert np.abs(flow.voltage_pu[:, 0] - measured.voltage_pu).max() < 1e-6, step
            applied = feeder.apply(Setpoints(idle.p_kw, idle.q_kvar, np.array(position, dtype=float)))
            result = feeder.commit()
            assert not result.events
            assert np.array_equal(result.position, applied.setpoints.position)
            seen.append((measured, applied, result))
        start = seen[0][0].position
        positions = np.array([result.position for _, _, result in seen])
        # The tap moved at step 1 and must rest for two steps; the request of step 2 comes too early.
        assert positions[:, 0].tolist() == [start[0], 0, 0, 1, 1]
        assert positions[:, 1].tolist() == [start[1], 12, 12, -3, -3]
        assert seen[2][1].position_reason == ("", "dead time: moved 900 s ago, 1800 s between moves")
        operations = np.array([result.operations for _, _, result in seen])
        assert operations[:, 0].tolist() == [0, 1, 0, 1, 0]
        assert operations[:, 1].tolist() == [0, 12 - start[1], 0, 15, 0]
        reg1_a = feeder.site.regulators.index("reg1_a")
        assert seen[1][2].tap[reg1_a] == pytest.approx(1.0 + 12 * 0.00625)


def test_a_transformer_without_a_control_of_its_own_has_taps_too(opened):
    device = {"kind": "tap_changer", "name": "sub", "transformer": "xfm1"}
    with opened([device]) as assembly:
        feeder, twin = assembly.feeder, assembly.knowledge.open_twin()
        assert "xfm1" in feeder.site.regulators
        idle = Setpoints.idle(feeder.site)
        for step, position in enumerate((5.0, nan)):
            measured = feeder.measure(step)
            feeder.apply(Setpoints(idle.p_kw, idle.q_kvar, np.array([position])))
            feeder.commit()
        twin.set_forecast(measured, (measured.demand_kw + 1j * measured.demand_kvar)[None, :])
        flow = twin.flow((measured.p_kw + 1j * measured.q_kvar)[None, :], twin.at_rest(1), held=True)
        # Regulators have not reacted to the measured state yet; held, they are where they were measured.
        assert np.abs(flow.voltage_pu[:, 0] - measured.voltage_pu).max() < 1e-6


def test_what_the_feeder_does_not_have_is_refused_by_name(opened):
    wrong = [
        {"kind": "tap_changer", "name": "a", "transformer": "reg9"},
        {"kind": "tap_changer", "name": "b", "transformer": "reg1_a", "winding": 1},
        {"kind": "capacitor_bank", "name": "d", "capacitor": "c6"},
        {"kind": "capacitor_bank", "name": "e", "capacitor": "c675"},
        {"kind": "capacitor_bank", "name": "f", "capacitor": "c675"},
    ]
    with pytest.raises(ScenarioError) as refused:
        opened(wrong)
    text = "\n".join(refused.value.problems)
    for part in (
        "devices.0: the feeder has no transformer 'reg9'; nearest: reg",
        "devices.1: the regulator control of transformer reg1_a moves winding 2, not 1",
        "devices.2: the feeder has no capacitor 'c6'; nearest: c6",
        "devices.4: c675 is moved by e already",
    ):
        assert part in text


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> dict[str, Record]:
    """A controller that moves everything, over both drivers, and the baseline."""
    folder: Path = tmp_path_factory.mktemp("network_devices")
    file = folder / "scenario.yaml"
    scenario = small_scenario(devices=DEVICES, control={"horizon_s": 3600, "type": MOVED})
    file.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    study = open_study(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        for over in ("local", "helics"):
            execute(study, folder / over, over=over, overwrite=False, progress=lambda _done: None)
    execute_baseline(study, folder / "local", progress=lambda _done: None)
    return {name: read_record(folder / name) for name in ("local", "helics", "local/baseline")}


def test_both_drivers_move_alike(records):
    local, helics = records["local"], records["helics"]
    assert list(local.steps.columns) == list(helics.steps.columns)
    for column in set(local.steps.columns) - CLOCKED:
        for step, (one, other) in enumerate(zip(local.steps[column], helics.steps[column], strict=True)):
            assert same(one, other), f"{column} of step {step}"
    assert local.vector("tap_changer_operations").sum() > 3
    assert local.vector("capacitor_bank_operations").sum() == 6


def test_the_baseline_has_the_feeders_own_controls(records):
    baseline = records["local/baseline"]
    reasons = {text for row in baseline.steps.tap_changer_reason for text in row}
    assert reasons == {"not commanded: as the master says"}
    ratio = baseline.vector("tap")[:, baseline.site.regulators.index("reg1_a")]
    assert baseline.vector("tap_changer_position")[:, 0] == pytest.approx((ratio - 1.0) / 0.00625)


def test_the_report_shows_positions_and_operations(records):
    folder = records["local"].folder
    write_report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    for text in ("Positions of network devices", "taps moved", "switching operations"):
        assert text in page


@pytest.mark.parametrize("planner", ["tangent", "lindistflow"])
def test_planners_leave_them_at_rest(scenario_file, tmp_path, planner):
    control = {"horizon_s": 3600, "planner": {"type": planner}}
    study = open_study(scenario_file(devices=DEVICES, control=control, baseline=False), steps=3)
    execute(study, tmp_path / "run", over="local", overwrite=False, progress=lambda _done: None)
    record = read_record(tmp_path / "run")
    assert not record.vector("tap_changer_operations").any()
    assert np.isnan(record.vector("requested_tap_changer_position")).all()
    assert set(record.steps.source) == {"PLAN"}
