"""Areas in federates of their own: the same record as in one process, and nothing published but boundaries."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from federates.area import MOST_SLOTS
from tests.timeline.test_two_drivers import CLOCKED, run_over, same

FEDERATES = [{"role": role, "name": role} for role in ("feeder", "controller", "recorder")]
PVS = [{"name": "p1", "bus": "680", "kw": 300}, {"name": "p2", "bus": "634", "kw": 100}]
LISTENER = str(Path(__file__).with_name("area_listener.py"))
PERIODS, STEPS = 4, 2


def federates(count: int) -> list[dict]:
    return [*FEDERATES, *({"role": "area", "name": f"owner{number}"} for number in range(count))]


def scenario(planner: str, options: dict, more: list[dict]) -> dict:
    control = {"horizon_s": 3600, "planner": {"type": planner, "options": options}}
    return {"pvs": PVS, "control": control, "federates": more, "baseline": False}


@pytest.mark.parametrize(
    ("planner", "options"),
    [
        ("enapp", {"cuts": ["l632_632q", "sw671_692"], "order": "gauss_seidel", "rounds": 4}),
        ("admm", {"cuts": ["l632_632q", "sw671_692"], "rounds": 12}),
    ],
)
def test_areas_over_helics_and_in_one_process_leave_the_same_record(
    tmp_path, scenario_file, planner, options
):
    path = scenario_file(**scenario(planner, options, federates(3)))
    local, helics = (run_over(over, path, tmp_path, STEPS).steps for over in ("local", "helics"))
    assert (local.plan_rounds > 1).all()
    for column in set(local.columns) - CLOCKED:
        pairs = zip(local[column], helics[column], strict=True)
        assert all(same(one, other) for one, other in pairs), column


@pytest.mark.usefixtures("importable_tests")
def test_on_the_wire_an_area_has_boundary_values_and_its_plan_only(tmp_path, scenario_file):
    """Names, number and length of all messages leave no room for loads, costs or stored energy."""
    out, rounds = tmp_path / "heard.json", 3
    slots = 2 + rounds
    command = [sys.executable, LISTENER, "{core}", "{port}", "{key}", "{name}", "{study}", str(slots)]
    curious = {"role": "observer", "name": "curious", "command": [*command, str(out)]}
    options = {"cuts": ["l632_632q"], "rounds": rounds}
    run_over(
        "helics",
        scenario_file(**scenario("admm", options, [*federates(2), curious])),
        tmp_path,
        STEPS,
    )
    found = json.loads(out.read_text(encoding="utf-8"))
    plan = {
        "answer_step", "answer_found", "answer_reason", "answer_p_kw", "answer_q_kvar",
        "answer_voltage_pu", "answer_import_kw", "answer_import_kvar", "answer_losses_kw", "answer_figures",
    }  # fmt: skip
    for area, other in (("owner0", "owner1"), ("owner1", "owner0")):
        expected = {f"{area}/{name}" for name in plan | {f"to_{other}"}}
        assert set(found["published"][area]) == expected
        assert len(found["heard"][area]) == STEPS * (1 + rounds)
    # Squared voltage, kW and kvar of 3 nodes; kW and kvar drawn now go upstream before them.
    values = 3 * 3 * PERIODS
    assert {len(message) for message in found["heard"]["owner0"]} == {values}
    assert {len(message) for message in found["heard"]["owner1"]} == {2 * 3 + values}
    voltage_pu2 = 1.0 + 0.01 * np.array(found["heard"]["owner0"][1])[: 3 * PERIODS]
    assert ((voltage_pu2 > 0.8) & (voltage_pu2 < 1.2)).all()


def test_ticks_for_all_slots_fit_before_a_decision():
    # The answer of S slots comes at tick 2 S + 1, the decision at tick 512.
    assert MOST_SLOTS == 255
