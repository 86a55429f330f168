"""Owners that hide their answers in processes of their own: the same record as in one process."""

from __future__ import annotations

import pytest
import yaml

from tests.conftest import small_scenario
from tests.timeline.test_two_drivers import CLOCKED, run_over, same

PVS = [{"name": "p1", "bus": "680", "kw": 300}, {"name": "p2", "bus": "634", "kw": 100}]
CUTS = ["l632_632q", "l671_684"]
STEPS, ROUNDS = 1, 2


@pytest.mark.slow
def test_encrypted_sums_leave_the_same_record_over_both_drivers(tmp_path):
    """A slot for the key, then three slots in each round: owners, collector, aggregator."""
    planner = {"type": "dual_price", "options": {"cuts": CUTS, "rounds": ROUNDS, "privacy": "paillier"}}
    scenario = small_scenario(
        pvs=PVS,
        control={"horizon_s": 3600, "planner": planner},
        baseline=False,
        federates=[
            *({"role": role, "name": role} for role in ("feeder", "controller", "recorder")),
            *({"role": "area", "name": f"owner{place}"} for place in range(3)),
        ],
    )
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    local, helics = (run_over(over, path, tmp_path, STEPS).steps for over in ("local", "helics"))
    assert local.plan_messages.tolist() == [2 + 4 * ROUNDS] * STEPS
    for column in set(local.columns) - CLOCKED:
        pairs = zip(local[column], helics[column], strict=True)
        assert all(same(one, other) for one, other in pairs), column
