"""A run with areas that was cut short is carried on: the record is that of one run without a break."""

from __future__ import annotations

import pytest

from tests.faults.test_areas import PVS
from tests.faults.test_resume import assert_same_record, resumed, run_until, values, whole_run

LINKS = {"cuts": ["l632_632q"], "rounds": 4, "loss": 0.2, "seed": 3}
OPTIONS = {"admm": LINKS, "enapp": LINKS, "dual_price": LINKS | {"loss": 0.1}}


def areas(planner: str) -> dict:
    found = values(pvs=PVS)
    found["control"]["planner"] = {"type": planner, "options": OPTIONS[planner]}
    return found


@pytest.mark.parametrize("planner", OPTIONS)
def test_areas_in_one_process_are_carried_on(scenario_file, tmp_path, planner):
    path = scenario_file(**areas(planner))
    run_until(path, tmp_path / "cut", 4)
    assert "then the controller goes on at step" in resumed(tmp_path / "cut")
    assert_same_record(tmp_path / "cut", whole_run(path, tmp_path / "whole"))
