"""An area that is silent: the others go on, then its devices rest, and the record says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
import yaml

from cosim.errors import FederationError, ScenarioError
from cosim.run.area_part import area_problems
from cosim.run.execute import execute
from cosim.run.manifest import read_manifest
from cosim.run.record import Record, read_record
from cosim.run.same_steps import CLOCKED, same
from cosim.run.study import open_study
from tests.conftest import small_scenario
from tests.faults.hanging_area import HANGS_AT
from tests.faults.test_resume import Stopped, resumed

PVS = [{"name": "p1", "bus": "680", "kw": 300}, {"name": "p2", "bus": "634", "kw": 100}]
STEP_S, HOLD_STEPS, DIES_AT, STEPS = 900, 2, 2, 6
ROLES = ("feeder", "controller", "recorder", "area", "area")
NAMES = ("feeder", "controller", "recorder", "north", "south")
LINKS = {"loss": 0.2, "delay_rounds": 1}
LOW_VALUE = {"type": "value", "per_kwh": 0.05}
"""Energy is dearer, so batteries discharge."""
OUT = {"kind": "area_outage", "area": "area2", "from_step": DIES_AT, "steps": STEPS}


def values(planner: str = "admm", faults: tuple[dict, ...] = (), **chosen: object) -> dict:
    options = {"cuts": ["l632_632q"], "rounds": 4, "hold_s": HOLD_STEPS * STEP_S} | chosen
    return small_scenario(
        pvs=PVS,
        control={
            "horizon_s": 4 * STEP_S,
            "planner": {"type": planner, "terminal": LOW_VALUE, "options": options},
        },
        baseline=False,
        faults={"inject": list(faults)},
        federates=[{"role": role, "name": name} for role, name in zip(ROLES, NAMES, strict=True)],
    )


def run(folder: Path, scenario: dict, over: str = "local", progress=lambda _done: None) -> Record:
    path = folder / f"{over}.yaml"
    path.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    execute(open_study(path, steps=STEPS), folder / over, over=over, overwrite=False, progress=progress)
    return read_record(folder / over)


def sources(record: Record, area: int) -> list[str]:
    return [found[area] for found in record.steps.plan_area_source]


def assert_same(one: Record, other: Record) -> None:
    for column in set(one.steps.columns) - CLOCKED:
        for step, pair in enumerate(zip(one.steps[column], other.steps[column], strict=True)):
            assert same(*pair), f"{column} of step {step}"


@pytest.fixture(scope="module")
def silent(tmp_path_factory) -> Record:
    """Area 2 is out of service from step 2 on; the messages of the others are lost and late, too."""
    return run(tmp_path_factory.mktemp("silent"), values(faults=(OUT,), **LINKS))


def test_the_others_go_on_with_the_last_values_and_then_the_area_rests(silent):
    last_values = ["EARLIER_PLAN"] * HOLD_STEPS
    assert sources(silent, 1) == ["PLAN"] * DIES_AT + last_values + ["FALLBACK"] * (
        STEPS - DIES_AT - HOLD_STEPS
    )
    assert sources(silent, 0) == ["PLAN"] * STEPS
    steps = silent.steps
    assert steps.source.tolist() == ["PLAN"] * STEPS
    assert steps.reason.tolist()[:DIES_AT] == [""] * DIES_AT
    who = "area2 is silent since second 1800, and its devices"
    assert steps.reason[DIES_AT] == f"{who} follow its plan of second 900"
    assert steps.reason[STEPS - 1] == f"{who} rest"
    assert (steps.plan_status[DIES_AT:] == "stopped").all()
    assert (steps.plan_messages_lost[:DIES_AT] > 0).all()


def test_devices_follow_the_last_plan_of_the_area_and_then_the_safe_state(silent):
    """Batteries b1 and b2 are in area 2."""
    asked = silent.vector("decided_storage_kw")
    last = silent.steps.plan_storage_kw[DIES_AT - 1].reshape(-1, asked.shape[1])
    for later in range(HOLD_STEPS):
        assert asked[DIES_AT + later].tolist() == last[1 + later].tolist()
    assert (asked[DIES_AT + HOLD_STEPS :] == 0.0).all()
    assert abs(asked[:DIES_AT]).max() > 1.0, "a run in which nothing happens proves nothing"


@pytest.mark.parametrize("planner", ["enapp", "dual_price"])
def test_the_other_planners_go_on_too(tmp_path, planner):
    record = run(tmp_path, values(planner, (OUT,), **LINKS))
    assert sources(record, 1)[DIES_AT - 1 :][:2] == ["PLAN", "EARLIER_PLAN"]
    assert sources(record, 1)[-1] == "FALLBACK"


def test_without_the_aggregator_there_is_no_plan(tmp_path):
    out = OUT | {"area": "area1", "steps": 1}
    record = run(tmp_path, values("dual_price", (out,)))
    assert record.steps.source.tolist() == ["PLAN"] * 2 + ["EARLIER_PLAN"] + ["PLAN"] * 3
    assert "area1 is silent, and there is no plan without it" in record.steps.reason[DIES_AT]


def test_a_late_area_is_back_when_it_is_in_time(tmp_path):
    late = {"kind": "area_late", "area": "area2", "from_step": DIES_AT, "steps": 1}
    record = run(tmp_path, values(faults=(late,)))
    assert sources(record, 1) == ["PLAN"] * 2 + ["EARLIER_PLAN"] + ["PLAN"] * 3


@pytest.mark.slow
def test_over_helics_such_a_run_leaves_the_same_record_also_where_it_was_carried_on(silent, tmp_path):
    def stop(done: int) -> None:
        if done > DIES_AT + 1:
            raise Stopped

    with pytest.raises(Stopped):
        run(tmp_path, values(faults=(OUT,), **LINKS), "helics", stop)
    assert "then the controller goes on at step" in resumed(tmp_path / "helics")
    assert_same(silent, read_record(tmp_path / "helics"))


def test_a_killed_area_is_on_record_and_the_run_ends_well(tmp_path):
    def kill(done: int) -> None:
        if done == DIES_AT:
            children = psutil.Process().children()
            next(child for child in children if {"area", "south"} <= {*child.cmdline()}).kill()

    record = run(tmp_path, values(), "helics", kill)
    manifest = read_manifest(tmp_path / "helics")
    assert manifest["status"] == "complete"
    assert "was killed by signal 9 (SIGKILL)" in manifest["lost_federates"]["south"]
    found = sources(record, 1)
    # The process dies in step 2 or 3, before or after it has answered.
    silent = [step for step, source in enumerate(found) if source != "PLAN"]
    assert silent
    assert DIES_AT <= silent[0] <= DIES_AT + 2
    assert silent == list(range(silent[0], STEPS))
    assert found[-1] == ("FALLBACK" if silent[0] + HOLD_STEPS < STEPS else "EARLIER_PLAN")
    assert sources(record, 0) == ["PLAN"] * STEPS


HANG_LIMIT_S = 5.0
HANGING = [
    sys.executable,
    str(Path(__file__).with_name("hanging_area.py")),
    "{core}",
    "{port}",
    "{key}",
    "{name}",
    "{study}",
]


def run_hanging(folder: Path, **chosen: object) -> Record:
    """A run over HELICS in which the process of the second area sleeps from step 2 on."""
    scenario = values(**chosen)
    if chosen.get("hold_s", HOLD_STEPS) is None:
        scenario["control"]["hang_limit_s"] = HANG_LIMIT_S
    scenario["federates"][-1]["command"] = HANGING
    with patch.dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2])):
        return run(folder, scenario, "helics")


def test_an_area_that_hangs_is_given_up_and_the_others_go_on(tmp_path):
    record = run_hanging(tmp_path, hang_limit_s=HANG_LIMIT_S)
    manifest = read_manifest(tmp_path / "helics")
    assert manifest["status"] == "complete"
    assert set(manifest["lost_federates"]) == {"south"}
    assert manifest["lost_federates"]["south"].startswith(
        f"at step {HANGS_AT}: has not moved for {HANG_LIMIT_S:g} s"
    )
    last_values = ["EARLIER_PLAN"] * HOLD_STEPS
    rest = ["FALLBACK"] * (STEPS - HANGS_AT - HOLD_STEPS)
    assert sources(record, 1) == ["PLAN"] * HANGS_AT + last_values + rest
    assert sources(record, 0) == ["PLAN"] * STEPS
    assert record.steps.reason[HANGS_AT].startswith("area2 is silent since second 1800")


def test_where_nobody_may_be_silent_an_area_that_hangs_ends_the_run(tmp_path):
    with pytest.raises(
        FederationError, match=rf"see control.hang_limit_s .*south \(plan, step {HANGS_AT}\)"
    ):
        run_hanging(tmp_path, hold_s=None)
    manifest = read_manifest(tmp_path / "helics")
    assert manifest["status"] == "aborted"
    assert "south (plan, step 2)" in manifest["reason"]


def test_a_fault_of_an_area_needs_the_time_for_which_its_values_count(tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(values(faults=(OUT,), hold_s=None)), encoding="utf-8")
    assert any("hold_s" in problem for problem in area_problems(open_study(path)))
    wrong = values(faults=(OUT | {"area": "area9"},))
    with pytest.raises(ScenarioError, match="no area is called area9; there are area1, area2"):
        run(tmp_path, wrong)
