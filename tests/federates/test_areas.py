"""Areas in federates of their own: the same record as in one process, and nothing published but boundaries."""

from __future__ import annotations

import pytest

from federates.area import MOST_SLOTS
from federates.area_codec import ANSWER, to_neighbour
from tests.timeline.test_two_drivers import CLOCKED, run_over, same

FEDERATES = [{"role": role, "name": role} for role in ("feeder", "controller", "recorder")]


@pytest.mark.parametrize(
    ("order", "cuts"), [("jacobi", ["l632_632q"]), ("gauss_seidel", ["l632_632q", "sw671_692"])]
)
def test_areas_over_helics_and_in_one_process_leave_the_same_record(tmp_path, scenario_file, order, cuts):
    areas = [{"role": "area", "name": f"owner{number}"} for number in range(len(cuts) + 1)]
    path = scenario_file(
        pvs=[{"name": "p1", "bus": "680", "kw": 300}, {"name": "p2", "bus": "634", "kw": 100}],
        control={
            "horizon_s": 3600,
            "planner": {"type": "enapp", "options": {"cuts": cuts, "order": order, "rounds": 4}},
        },
        federates=[*FEDERATES, *areas],
        baseline=False,
    )
    local, helics = (run_over(over, path, tmp_path, 3).steps for over in ("local", "helics"))
    assert local.plan_messages.tolist() == [2 * len(cuts) * 4] * 3
    for column in set(local.columns) - CLOCKED:
        pairs = zip(local[column], helics[column], strict=True)
        assert all(same(one, other) for one, other in pairs), column


def test_an_area_has_no_publication_for_load_cost_or_stored_energy():
    names = {quantity.name for quantity in (*ANSWER, to_neighbour("area2"))}
    assert names == {
        "to_area2", "answer_step", "answer_found", "answer_reason", "answer_p_kw", "answer_q_kvar",
        "answer_voltage_pu", "answer_import_kw", "answer_import_kvar", "answer_losses_kw", "answer_figures",
    }  # fmt: skip


def test_fifteen_slots_fit_before_a_decision():
    # The answer of S slots comes at tick 2 S + 1, the decision at tick 32.
    assert MOST_SLOTS == 15
