"""Both drivers tell the same story, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosim.run.execute import execute
from cosim.run.record import Record, read_record
from cosim.run.shipped import find_scenario
from cosim.run.study import open_study

CLOCKED = {"plan_build_s", "plan_solve_s"}
"""Seconds on the wall are the only columns that may differ."""


def run_over(over: str, scenario: Path, folder: Path, steps: int) -> Record:
    study = open_study(scenario, steps=steps)
    execute(study, folder / over, over=over, overwrite=False, progress=lambda _done: None)
    return read_record(folder / over)


def same(one, other) -> bool:
    """Equal to the last bit; nothing equals nothing."""
    numbers = np.asarray(one).dtype.kind == "f"
    return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=numbers))


@pytest.mark.parametrize(("name", "steps"), [("ieee13", 8), ("ieee123", 6)])
def test_local_and_helics_records_are_identical(tmp_path, name, steps):
    local = run_over("local", find_scenario(name), tmp_path, steps)
    helics = run_over("helics", find_scenario(name), tmp_path, steps)
    assert list(local.steps.columns) == list(helics.steps.columns)
    assert len(local.steps) == len(helics.steps) == steps
    for column in set(local.steps.columns) - CLOCKED:
        for step, (one, other) in enumerate(zip(local.steps[column], helics.steps[column], strict=True)):
            assert same(one, other), f"{column} of step {step}"
    assert local.steps.plan_status.isin(["optimal", "settled", "stopped"]).all()
    assert local.vector("storage_kw").any(), "a run in which nothing happens proves nothing"


NOISY = "tests.forecasters:NoisyTruth"


@pytest.mark.usefixtures("importable_tests")
def test_a_forecaster_of_ones_own_with_options_and_a_seed_is_the_same_over_both_drivers(
    tmp_path, scenario_file
):
    forecast = {"type": NOISY, "options": {"demand_error": 0.2}}
    records = {}
    for seed in (0, 7):
        scenario = scenario_file(
            control={"horizon_s": 3600, "forecast": forecast, "seed": seed},
            limits={"import_max_kw": 3300, "power_penalty_per_kwh": 1.0},
        )
        records["local", seed] = run_over("local", scenario, tmp_path / str(seed), 4)
    # The scenario of the last seed, which is not the default.
    records["helics", seed] = run_over("helics", scenario, tmp_path / str(seed), 4)
    local, helics = (records[over, seed].steps for over in ("local", "helics"))
    for column in set(local.columns) - CLOCKED:
        pairs = zip(local[column], helics[column], strict=True)
        assert all(same(one, other) for one, other in pairs), column
    objectives = [records["local", seed].steps.plan_objective.tolist() for seed in (0, 7)]
    assert objectives[0] != objectives[1], "another seed is another forecast"


def test_the_same_run_twice_is_the_same_run(tmp_path):
    one = run_over("local", find_scenario("ieee13"), tmp_path / "one", 3)
    other = run_over("local", find_scenario("ieee13"), tmp_path / "other", 3)
    for column in ("voltage_pu", "stored_kwh", "accepted_storage_kw", "import_kw"):
        assert np.array_equal(one.vector(column), other.vector(column))
