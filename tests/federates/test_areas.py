"""Areas in federates of their own: the same record as in one process, and nothing published but boundaries."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import yaml

from cosim.run.record import Record
from federates.area import MOST_SLOTS
from tests.conftest import ROOT, small_scenario
from tests.timeline.test_two_drivers import CLOCKED, run_over, same

PVS = [{"name": "p1", "bus": "680", "kw": 300}, {"name": "p2", "bus": "634", "kw": 100}]
OWN_AREA = str(Path(__file__).with_name("own_area.py"))
LISTENER = str(Path(__file__).with_name("area_listener.py"))
PERIODS, STEPS, ROUNDS, OPENING = 4, 2, 4, 2
OWNERS = ("owner0", "owner1")


@dataclass(frozen=True)
class Runs:
    """One scenario over both drivers, and what a curious federate heard."""

    local: Record
    helics: Record
    heard: dict[str, list[list[float]]]
    published: dict[str, list[str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    """Two areas, planner admm: two opening slots from the end to the substation, then rounds."""
    folder = tmp_path_factory.mktemp("areas")
    out = folder / "heard.json"
    slots = str(OPENING + ROUNDS)
    command = [
        sys.executable, LISTENER, "{core}", "{port}", "{key}", "{name}", "{study}", slots, str(out)
    ]  # fmt: skip
    planner = {"type": "admm", "options": {"cuts": ["l632_632q"], "rounds": ROUNDS}}
    # The area behind is run by a program of its owner, which does the same as the shipped one.
    own = [sys.executable, OWN_AREA, "{core}", "{port}", "{key}", "{name}", "{study}"]
    scenario = small_scenario(
        pvs=PVS,
        control={"horizon_s": 900 * PERIODS, "planner": planner},
        baseline=False,
        federates=[
            *({"role": role, "name": role} for role in ("feeder", "controller", "recorder")),
            {"role": "area", "name": OWNERS[0]},
            {"role": "area", "name": OWNERS[1], "command": own},
            {"role": "observer", "name": "curious", "command": command},
        ],
    )
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    with patch.dict(os.environ, PYTHONPATH=str(ROOT)):
        local, helics = (run_over(over, path, folder, STEPS) for over in ("local", "helics"))
    found = json.loads(out.read_text(encoding="utf-8"))
    return Runs(local, helics, found["heard"], found["published"])


def test_areas_over_helics_and_in_one_process_leave_the_same_record(runs):
    local, helics = runs.local.steps, runs.helics.steps
    assert local.plan_rounds.tolist() == [ROUNDS] * STEPS
    assert local.plan_messages.tolist() == [2 * (1 + ROUNDS)] * STEPS
    for column in set(local.columns) - CLOCKED:
        pairs = zip(local[column], helics[column], strict=True)
        assert all(same(one, other) for one, other in pairs), column


def test_on_the_wire_an_area_has_boundary_values_and_its_plan_only(runs):
    """Names, number and length of all messages leave no room for loads, costs or stored energy."""
    plan = {
        "answer_step", "answer_found", "answer_reason", "answer_p_kw", "answer_q_kvar",
        "answer_voltage_pu", "answer_import_kw", "answer_import_kvar", "answer_losses_kw", "answer_figures",
    }  # fmt: skip
    for area in OWNERS:
        to_others = {f"to_{other}" for other in OWNERS if other != area}
        assert set(runs.published[area]) == {f"{area}/{name}" for name in plan | to_others}
        assert len(runs.heard[area]) == STEPS * (1 + ROUNDS)
    # Squared voltage, kW and kvar of 3 nodes; kW and kvar drawn now go upstream before them.
    values = 3 * 3 * PERIODS
    assert {len(message) for message in runs.heard["owner0"]} == {values}
    assert {len(message) for message in runs.heard["owner1"]} == {2 * 3 + values}
    squared_pu = 1.0 + 0.01 * np.array(runs.heard["owner0"][1])[: 3 * PERIODS]
    assert ((squared_pu > 0.8) & (squared_pu < 1.2)).all()


def test_ticks_of_all_slots_fit_before_a_decision():
    # The answer of S slots comes at tick 2 S + 1, the decision at tick 512.
    assert MOST_SLOTS == 255
