"""Faults that a scenario asks for: seen where they strike, alike in both drivers, survived or ended clean."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.errors import CosimError, ScenarioError
from cosim.run.execute import execute
from cosim.run.injected import OUT_OF_SERVICE, MeasurementFrozen, Schedule
from cosim.run.record import read_record
from cosim.run.same_steps import CLOCKED, same
from cosim.run.study import open_study

STEPS = 6
TANGENT = {"horizon_s": 3600, "forecast": "persistence", "planner": {"type": "tangent"}}


def run(scenario_file, folder, faults, over="local", seed=0, **changes):
    changes = {"control": TANGENT, "baseline": False} | changes
    study = open_study(scenario_file(faults={"inject": faults, "seed": seed}, **changes), steps=STEPS)
    execute(study, folder, over=over, overwrite=False, progress=lambda _done: None)
    return read_record(folder)


def test_probability_window_and_seed():
    fault = MeasurementFrozen(kind="measurement_frozen", from_step=10, steps=1000, probability=0.25)
    struck = [s for s in range(1100) if next(Schedule([fault], 1).striking(s, MeasurementFrozen), None)]
    assert 10 <= min(struck) <= max(struck) < 1010
    assert len(struck) / 1000 == pytest.approx(0.25, abs=0.04)
    other = [s for s in range(1100) if next(Schedule([fault], 2).striking(s, MeasurementFrozen), None)]
    assert struck != other


def test_a_device_out_of_service_delivers_nothing(scenario_file, tmp_path):
    outage = {"kind": "device_outage", "device": "p1", "from_step": 2, "steps": 2}
    record = run(scenario_file, tmp_path / "run", [outage])
    pv_kw = record.vector("pv_kw")[:, 0]
    assert pv_kw[2:4] == pytest.approx([0.0, 0.0], abs=1e-3)
    assert min(pv_kw[[0, 1, 4, 5]]) > 100.0
    assert [row[0] for row in record.steps.pv_reason][2:4] == [OUT_OF_SERVICE] * 2
    assert list(record.steps.events[2]) == ["injected: p1 is out of service"]
    assert list(record.steps.events[4]) == []


@pytest.mark.parametrize("error", [False, True])
def test_no_plan_follows_the_earlier_one(scenario_file, tmp_path, error):
    fault = {"kind": "no_plan", "from_step": 2, "steps": 2, "error": error}
    record = run(scenario_file, tmp_path / "run", [fault])
    earlier = ["PLAN", "PLAN", "EARLIER_PLAN", "EARLIER_PLAN", "PLAN", "PLAN"]
    assert record.steps.source.tolist() == earlier
    assert ("InjectedError" in record.steps.reason[2]) == error


@pytest.mark.parametrize("quantity", ["voltage_pu", "demand_kw", "stored_kwh", "available_kw", "tap"])
def test_a_measurement_that_is_no_number_is_survived(scenario_file, tmp_path, quantity):
    fault = {"kind": "measurement_nan", "quantity": quantity, "from_step": 2, "steps": 2}
    record = run(scenario_file, tmp_path / "run", [fault])
    assert len(record.steps) == STEPS
    assert record.manifest["status"] == "complete"
    assert np.isfinite(record.vector("requested_storage_kw")).all()
    assert record.steps.source[5] == "PLAN"


def test_the_two_drivers_meet_the_same_faults_and_a_run_goes_on(scenario_file, tmp_path):
    faults = [
        {"kind": "measurement_frozen", "from_step": 1, "steps": 5, "probability": 0.5},
        {"kind": "setpoints_scaled", "from_step": 0, "steps": 6, "probability": 0.5, "factor": 3.0},
        {"kind": "device_outage", "device": "b1", "from_step": 0, "steps": 6, "probability": 0.5},
    ]
    local, helics = (
        run(scenario_file, tmp_path / over, faults, over, seed=4).steps for over in ("local", "helics")
    )
    for column in set(local.columns) - CLOCKED:
        assert all(same(a, b) for a, b in zip(local[column], helics[column], strict=True)), column
    assert 0 < sum("times 3" in event for events in local.events for event in events) < STEPS


def test_an_error_ends_the_run_and_a_wrong_device_does_not_begin_it(scenario_file, tmp_path):
    with pytest.raises(CosimError, match="controller failed at step 3: InjectedError"):
        run(scenario_file, tmp_path / "run", [{"kind": "controller_error", "from_step": 3}])
    assert list(read_record(tmp_path / "run").steps.step) == [0, 1, 2]
    with pytest.raises(ScenarioError, match="faults: no device is called 'p9'; there are b1, b2, p1"):
        run(scenario_file, tmp_path / "no", [{"kind": "device_outage", "device": "p9", "from_step": 0}])


def test_faults_of_the_controller_are_no_part_of_the_baseline(scenario_file):
    faults = [
        {"kind": "controller_error", "from_step": 1},
        {"kind": "no_plan", "from_step": 1},
        {"kind": "device_outage", "device": "p1", "from_step": 2},
    ]
    study = open_study(scenario_file(faults={"inject": faults, "seed": 1}), steps=STEPS)
    assert [fault.kind for fault in study.without_control().scenario.faults.inject] == ["device_outage"]
