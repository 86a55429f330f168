"""A campaign of closed loops: kept row by row, resumed, one failure among them, the same as a run here."""

from __future__ import annotations

import json

import pytest

from cosim.experiments.executor import ROWS, Budget
from cosim.experiments.loop_case import CLOSED_LOOPS, loop_case, run_loop_case
from cosim.run.record import Record
from cosim.run.study import open_study

BUDGET = Budget(120.0)


def steps_of(record: Record) -> dict[str, float]:
    return {"steps_in_the_record": float(len(record.steps))}


@pytest.fixture
def cases(scenario_file):
    study = open_study(scenario_file(), steps=2)
    broken = open_study(scenario_file(control={"horizon_s": 3600, "type": "tests.controllers:Missing"}))
    return [
        loop_case("controlled", study, "tests.experiments.test_closed_loops:steps_of"),
        loop_case("broken", broken),
        loop_case("idle", study.without_control()),
    ]


def quiet(done: int, total: int, key: str) -> None:
    pass


@pytest.mark.usefixtures("importable_tests")
def test_closed_loops_are_kept_resumed_and_the_same_as_here(cases, tmp_path):
    seen: list[str] = []
    rows = CLOSED_LOOPS.campaign(cases[:2], tmp_path, BUDGET, lambda _done, _total, key: seen.append(key))
    assert seen == ["controlled", "broken", ""]
    assert rows["controlled"].status == "complete"
    assert rows["controlled"].decisions == {"PLAN": 2}
    assert rows["controlled"].figures == {"steps_in_the_record": 2.0}
    assert rows["broken"].status.startswith("failed: ")
    assert "Missing" in rows["broken"].status
    assert rows["broken"].run == {}
    again = CLOSED_LOOPS.campaign(cases, tmp_path, BUDGET, quiet)
    written = [json.loads(line)["key"] for line in (tmp_path / ROWS).read_text().splitlines()]
    # What is complete is not run again; what failed is.
    assert written == ["controlled", "broken", "broken", "idle"]
    assert again["controlled"] == rows["controlled"]
    here = run_loop_case(cases[0])
    assert here.run == rows["controlled"].run
    assert again["idle"].run["energy_cost"] != here.run["energy_cost"]


def test_another_question_under_the_same_name_is_asked_again(cases, tmp_path, scenario_file):
    CLOSED_LOOPS.campaign(cases[2:], tmp_path, BUDGET, quiet)
    longer = loop_case("idle", open_study(scenario_file(), steps=3).without_control())
    rows = CLOSED_LOOPS.campaign([longer], tmp_path, BUDGET, quiet)
    assert rows["idle"].run["steps"] == 3


def test_a_loop_that_takes_too_long_says_so(cases, tmp_path):
    rows = CLOSED_LOOPS.campaign(cases[:1], tmp_path, Budget(0.1), quiet)
    assert rows["controlled"].status == "time limit of 0.1 s"
