"""A run that was cut short is carried on: the record is that of one run without a break."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pyarrow import parquet

from cosim.errors import RecordError
from cosim.run.assembly import Assembly
from cosim.run.checkpoint import Checkpoints
from cosim.run.execute import execute, resume
from cosim.run.manifest import read_manifest
from cosim.run.record import read_record
from cosim.run.repeat import open_recorded
from cosim.run.run_folder import in_use
from cosim.run.same_steps import CLOCKED, same
from cosim.run.study import open_study
from tests.conftest import small_scenario
from tests.faults.test_faults import federates_of, finish, start, wait_for_step

STEPS = 8
NETWORK = [{"kind": "capacitor_bank", "name": "c", "capacitor": "c675"}]
FLEXIBLE = [
    {"kind": "shiftable_load", "name": "s", "bus": "671", "share": 0.3, "comfort_cost_per_kwh": 0.01}
]
SENSING = {
    "voltage": {"noise": 0.01},
    "demand": {"noise": 0.05, "every_s": 1800, "delay_s": 900},
    "estimator": "twin_wls",
    "seed": 5,
}


def scenario(scenario_file, planner: str = "tangent", **changes) -> Path:
    return scenario_file(**values(planner, **changes))


def values(planner: str = "tangent", **changes) -> dict[str, Any]:
    time = {"start": "2024-06-21T12:00:00+00:00", "step_s": 900, "steps": STEPS}
    name, _, solver = planner.partition("_")
    chosen = {"type": name, "solver": solver or "auto", "inverter": "polygon"}
    control = {"horizon_s": 3600, "forecast": "persistence", "planner": chosen}
    return {"time": time, "control": control, "baseline": False, **changes}


class Stopped(Exception):
    """Raised in the middle of a run by a test."""


def run_until(path: Path, folder: Path, last_step: int, over: str = "local") -> None:
    """Run, and fail once a step is on record."""

    def fail(done: int) -> None:
        if done > last_step:
            raise Stopped

    with pytest.raises(Stopped):
        execute(open_study(path), folder, over=over, overwrite=False, progress=fail)
    assert read_manifest(folder)["status"] == "aborted"


def resumed(folder: Path) -> str:
    """Carry a run on; what was told."""
    told: list[str] = []
    study = open_recorded(folder)
    resume(folder, progress=lambda _done: None, opened=Assembly(study), repeats=told.append)
    return told[0]


def assert_same_record(folder: Path, whole: Path) -> None:
    one, other = read_record(folder), read_record(whole)
    assert list(one.steps.columns) == list(other.steps.columns)
    assert list(one.steps.step) == list(range(STEPS))
    for name in set(one.steps.columns) - CLOCKED:
        for step, (a, b) in enumerate(zip(one.steps[name], other.steps[name], strict=True)):
            assert same(a, b), f"{name} of step {step}"


def whole_run(path: Path, folder: Path) -> Path:
    execute(open_study(path), folder, over="local", overwrite=False, progress=lambda _done: None)
    return folder


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """The scenario of the tests that need no other one."""
    path = tmp_path_factory.mktemp("resumed") / "scenario.yaml"
    path.write_text(yaml.safe_dump(small_scenario(**values())), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(path) -> Path:
    """Its run without a break, which is only read."""
    return whole_run(path, path.parent / "whole")


@pytest.fixture(scope="module")
def cut_short(path) -> Path:
    """Its run until step 5."""
    run_until(path, path.parent / "cut", 5)
    return path.parent / "cut"


@pytest.fixture
def cut(cut_short, tmp_path) -> Path:
    """A copy of this run, to be carried on or damaged."""
    return shutil.copytree(cut_short, tmp_path / "run")


@pytest.mark.parametrize(
    ("planner", "changes", "at"),
    [
        ("tangent", {"devices": [*NETWORK, *FLEXIBLE]}, 4),
        ("tangent", {"sensing": SENSING, "feedback": {"delay_s": 1800}}, 4),
        ("lindistflow", {}, 4),
        ("lindistflow_highs", {}, 0),
    ],
)
def test_a_failed_run_goes_on_to_the_same_record(scenario_file, tmp_path, planner, changes, at):
    path = scenario(scenario_file, planner, **changes)
    whole = whole_run(path, tmp_path / "whole")
    run_until(path, tmp_path / "run", 3)
    # Writing states is skipped while it would take too large a share; not so in this test.
    text = resumed(tmp_path / "run")
    assert "steps are on record" in text
    manifest = read_manifest(tmp_path / "run")
    assert manifest["status"] == "complete"
    (again,) = manifest["resumed"]
    assert again["finished_steps"] == 4
    if at:
        assert again["at_step"] > 0
    else:
        assert again["at_step"] == 0
        assert "no state to go on with" in text
    assert_same_record(tmp_path / "run", whole)


def test_states_are_written_after_every_step_that_allows_it(cut):
    states = Checkpoints(cut)
    last = states.latest(5)
    assert last is not None
    assert states.read(last)[2] is not None, "the plan in force belongs to the state"


@pytest.mark.parametrize(
    "victim", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("controller", "feeder")), "all"]
)
def test_a_run_over_helics_that_was_killed_goes_on(path, whole, tmp_path, victim):
    process = start(path, tmp_path / "run")
    wait_for_step(process, tmp_path / "run", 3)
    members = federates_of(process)
    if victim == "all":
        process.send_signal(signal.SIGKILL)
    for role, member in members.items():
        if victim in {role, "all"} and member.is_running():
            os.kill(member.pid, signal.SIGKILL)
    finish(process)
    assert read_manifest(tmp_path / "run")["status"] == ("running" if victim == "all" else "aborted")
    resumed(tmp_path / "run")
    assert_same_record(tmp_path / "run", whole)


@pytest.mark.parametrize("over", ["local", "helics"])
def test_a_run_that_was_killed_after_its_last_step_goes_on(path, whole, tmp_path, over):
    """The record is whole, but nobody was left to say so."""
    execute(open_study(path), tmp_path / "run", over=over, overwrite=False, progress=lambda _done: None)
    manifest = tmp_path / "run" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"status": "complete"', '"status": "running"'))
    resumed(tmp_path / "run")
    assert read_manifest(tmp_path / "run")["status"] == "complete"
    assert_same_record(tmp_path / "run", whole)


def test_steps_behind_a_damaged_one_are_made_again_and_compared(cut, whole):
    steps = cut / "steps"
    (old,) = steps.iterdir()
    table = parquet.read_table(old)
    old.unlink()
    parquet.write_table(table.slice(0, 2), steps / "part-0000000.parquet")
    (steps / "step-0000002.parquet").write_bytes(b"PAR1")
    parquet.write_table(table.slice(3), steps / "part-0000003.parquet")
    assert "2 steps are on record" in resumed(cut)
    assert list(read_record(cut).steps.step) == list(read_record(whole).steps.step)


def test_steps_that_cannot_be_read_are_no_reason_to_begin_anew(cut):
    (cut / "site.json").write_text("{}")
    with pytest.raises(RecordError, match="holds no site"):
        resumed(cut)
    assert len(list((cut / "steps").iterdir())) == 1


def test_a_damaged_state_gives_way_to_an_earlier_one(cut, whole):
    states = sorted((cut / "checkpoint").glob("*.state"))
    states[-1].write_bytes(states[-1].read_bytes()[:-7])
    resumed(cut)
    assert_same_record(cut, whole)


def test_a_record_that_the_plant_does_not_repeat_is_refused(cut):
    record = read_record(cut)
    table = record.steps
    table.at[0, "import_kw"] += 1.0
    for old in (cut / "steps").iterdir():
        old.unlink()
    table.to_parquet(cut / "steps" / "part-0000000.parquet")
    with pytest.raises(RecordError, match="does not repeat step 0 of the record: import_kw is"):
        resumed(cut)


def test_a_folder_belongs_to_one_run_at_a_time(scenario_file, tmp_path):
    run_until(scenario(scenario_file), tmp_path / "run", 2)
    with in_use(tmp_path / "run"), pytest.raises(RecordError, match="another run is writing to"):
        resumed(tmp_path / "run")


class Hostile:
    def __reduce__(self):
        return os.system, ("echo executed > hostile.txt",)


@pytest.mark.parametrize("state", [Hostile(), np.random.default_rng, execute])
def test_reading_a_state_executes_nothing(tmp_path, state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    states = Checkpoints(tmp_path)
    states.keep(3, {"inner": [1.0, state]})
    with pytest.raises(RecordError, match="is no part of a state"):
        states.read(3)
    assert not (tmp_path / "hostile.txt").exists()


def test_plain_values_and_arrays_survive(tmp_path):
    states = Checkpoints(tmp_path)
    values = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": (1, "x", None, 2 + 3j),
        "c": {frozenset({1, 2}): True},
    }
    for step in range(5):
        states.keep(step, values)
    assert len(list((tmp_path / "checkpoint").iterdir())) == 3
    back = states.read(4)
    assert np.array_equal(back.pop("a"), values["a"])
    assert pickle.dumps(back) == pickle.dumps({key: values[key] for key in "bc"})
    assert states.latest(3) == 3
    assert states.latest(1) is None
