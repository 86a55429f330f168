"""A step whose power flow has no solution: it ends the run with all that helps, or is held and counted."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.errors import FeederError
from cosim.experiments.metrics import measure_report
from cosim.model.state import NOT_SOLVED, Setpoints
from cosim.report.verdict_text import headline
from cosim.run.assembly import Assembly
from cosim.run.disk import write_text
from cosim.run.execute import execute, execute_baseline, resume
from cosim.run.manifest import read_manifest
from cosim.run.record import read_record
from cosim.run.same_steps import CLOCKED, same
from cosim.run.study import open_study
from tests.conftest import a_feeder, shipped_master

# The planner's own model overflows under such a load; outside tests that is no error.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
STEPS = 6
HELD = [2, 3]
TANGENT = {"horizon_s": 3600, "forecast": "persistence", "planner": {"type": "tangent"}}


@pytest.fixture
def overloaded(scenario_file, tmp_path):
    """Sixty times the load in two steps."""
    rows = [
        f"2024-06-21T{12 + i // 4}:{15 * (i % 4):02d}:00+00:00,{60.0 if i in HELD else 1.0}"
        for i in range(12)
    ]
    (tmp_path / "load.csv").write_text("\n".join(["time,load", *rows]) + "\n")

    def study(on: str):
        inputs = {
            "irradiance": {"constant": 0.6},
            "price": {"constant": 0.2},
            "load": {"multiplier": {"file": "load.csv", "column": "load"}},
        }
        feeder = {"model": "ieee13", "on_no_convergence": on}
        path = scenario_file(inputs=inputs, feeder=feeder, control=TANGENT, baseline=False)
        return open_study(path, steps=STEPS)

    return study


def run(study, folder, over):
    execute(study, folder, over=over, overwrite=False, progress=lambda _done: None)
    return read_record(folder)


def test_it_ends_the_run_and_says_where_and_what_changed(overloaded, tmp_path):
    with pytest.raises(FeederError) as caught:
        run(overloaded("stop"), tmp_path / "run", "local")
    said = str(caught.value)
    assert "did not converge in 100 iterations (step 2, as it is measured)" in said
    assert said.count(" pu (before ") == 3
    assert "Since the last solution (step 1, under the new set-points): load 3466.0 to 207960.0 kW" in said
    assert "on_no_convergence: hold" in said
    assert list(read_record(tmp_path / "run").steps.step) == [0, 1]


def test_held_steps_repeat_the_one_before_and_both_drivers_agree(overloaded, tmp_path):
    study = overloaded("hold")
    local, helics = (run(study, tmp_path / over, over) for over in ("local", "helics"))
    for column in set(local.steps.columns) - CLOCKED:
        pairs = zip(local.steps[column], helics.steps[column], strict=True)
        assert all(same(a, b) for a, b in pairs), column
    assert np.flatnonzero(~local.solved()).tolist() == HELD
    voltage_pu, stored_kwh = local.vector("voltage_pu"), local.vector("stored_kwh")
    for step in HELD:
        assert np.array_equal(voltage_pu[step], voltage_pu[1])
        assert np.array_equal(stored_kwh[step], stored_kwh[1]), "no energy moves by a power nobody knows"
        events = list(local.steps.events[step])
        assert all(event.startswith(NOT_SOLVED) for event in events)
        assert f"(step {step}, " in events[0]
        assert "did not converge in 100 iterations" in events[0]
    assert list(local.steps.events[4]) == [], "the feeder comes back to life"


def test_after_held_steps_the_feeder_is_where_it_was(overloaded):
    """Taps and voltages of the steps after do not depend on how the search went astray."""
    with Assembly(overloaded("hold").without_control()) as assembly:
        feeder, results = assembly.feeder, []
        for step in range(STEPS):
            feeder.measure(step)
            feeder.apply(Setpoints.idle(feeder.site))
            results.append(feeder.commit())
    assert np.array_equal(results[4].tap, results[1].tap)
    assert results[4].voltage_pu == pytest.approx(results[1].voltage_pu, abs=1e-7)


def test_a_run_with_held_steps_never_looks_good(overloaded, tmp_path):
    study, folder = overloaded("hold"), tmp_path / "run"
    record = run(study, folder, "local")
    execute_baseline(study, folder, progress=lambda _done: None)
    report = measure_report(record, read_record(folder / "baseline"))
    assert report.verdict.soundness.unsolved_steps == len(HELD)
    assert not report.verdict.soundness.sound
    assert report.run.steps == report.baseline.steps == STEPS - len(HELD)
    assert report.run.hours == 1.0
    assert report.finished
    shown = headline(report)
    assert shown.state in {"unjudged", "fail"}
    assert shown.state == "fail" or "NO POWER FLOW in 2 of 6 steps" in shown.headline
    assert report.control.lead_errors[0].periods <= STEPS - len(HELD)


def test_a_run_with_held_steps_is_carried_on(overloaded, tmp_path):
    study, folder = overloaded("hold"), tmp_path / "run"
    whole = run(study, tmp_path / "whole", "local").steps
    run(study, folder, "local")
    manifest = (folder / "manifest.json").read_text().replace('"complete"', '"aborted"')
    write_text(folder / "manifest.json", manifest)
    assert read_manifest(folder)["status"] == "aborted"
    resume(folder, progress=lambda _done: None, opened=Assembly(study), repeats=lambda _text: None)
    again = read_record(folder).steps
    for column in set(whole.columns) - CLOCKED:
        assert all(same(a, b) for a, b in zip(whole[column], again[column], strict=True)), column


def test_it_says_which_taps_stand_elsewhere_than_before():
    with a_feeder(shipped_master("ieee13")) as feeder:
        feeder.measure(0)
        feeder.apply(Setpoints.idle(feeder.site))
        before = feeder.commit().tap
        feeder.taps.write(np.concatenate([[before[0] + 0.00625], before[1:]]))
        feeder.engine.command("set maxiterations=1 tolerance=1e-12")
        with pytest.raises(FeederError) as caught:
            feeder.measure(1)
    name = feeder.site.regulators[0]
    assert f"tap of {name} {before[0]:.5g} to {before[0] + 0.00625:.5g}" in str(caught.value)
