"""Somebody who joins a federation without being asked does not end it, or is named."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.resume import differing
from benchmarks.rogue_joins import heard_by, join, rogue_of
from cosim.run.execute import execute
from cosim.run.record import Record, read_record
from cosim.run.study import open_study
from tests.conftest import small_scenario
from tests.faults.test_faults import finish, start, wait_for_step

STEPS = 16
SCENARIO: dict[str, Any] = {
    "control": {"type": "tests.controllers:SlowController"},
    "time": {"start": "2024-06-21T12:00:00+00:00", "step_s": 900, "steps": STEPS},
}
LATE = "already in initialization mode"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Record:
    """In process and without a wait in each step: both tell the same story."""
    folder = tmp_path_factory.mktemp("undisturbed")
    path = folder / "scenario.yaml"
    path.write_text(
        yaml.safe_dump(
            small_scenario(**SCENARIO | {"control": {"type": "tests.controllers:EchoController"}})
        ),
        encoding="utf-8",
    )
    execute(open_study(path), folder / "run", over="local", overwrite=False, progress=lambda _done: None)
    return read_record(folder / "run")


def assert_unharmed(run: subprocess.Popen[str], out: Path, undisturbed: Record) -> None:
    code, output = finish(run)
    assert code == 0, output
    assert differing(read_record(out), undisturbed) == []


@pytest.mark.parametrize("key", [pytest.param("wrong", marks=pytest.mark.slow), "none"])
def test_who_joins_without_the_key_is_refused_and_the_run_goes_on(
    scenario_file, tmp_path, undisturbed, key
):
    out = tmp_path / "run"
    run = start(scenario_file(**SCENARIO), out)
    # Two while it starts: the second must not find the place of the first one empty.
    early = [rogue_of(run.pid, key)]
    join(early[0])
    early.append(rogue_of(run.pid, key))
    join(early[1])
    late = [rogue_of(run.pid, key), rogue_of(run.pid, key)]
    for rogue, step in zip(late, (0, 3), strict=True):
        wait_for_step(run, out, step)
        join(rogue)
    assert_unharmed(run, out, undisturbed)
    heard = [heard_by(rogue) for rogue in (*early, *late)]
    assert "broker key does not match" in heard[0]
    # HELICS may leave one that joins a running federation without an answer.
    assert "refused" in heard[1]
    assert all(LATE in said for said in heard[2:] if said), heard


@pytest.mark.slow
def test_who_comes_late_with_the_right_key_is_refused_and_the_run_goes_on(
    scenario_file, tmp_path, undisturbed
):
    out = tmp_path / "run"
    run = start(scenario_file(**SCENARIO), out)
    rogue = rogue_of(run.pid, "right")
    wait_for_step(run, out, 3)
    join(rogue)
    assert_unharmed(run, out, undisturbed)
    assert LATE in heard_by(rogue)


def test_who_joins_uninvited_while_the_federation_starts_is_named(scenario_file, tmp_path):
    out = tmp_path / "run"
    run = start(scenario_file(**SCENARIO), out)
    rogue = rogue_of(run.pid, "right")
    join(rogue)
    code, output = finish(run)
    assert code == 1
    assert "failed: rogue joined with this federation's key while it started" in output
    assert "none of the scenario's federates" in " ".join(output.split())
    assert "rogue joined with this federation's key" in heard_by(rogue)
    assert json.loads((out / "manifest.json").read_text())["status"] == "aborted"
