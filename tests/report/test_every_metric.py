"""Every metric of the table on one record of three half hours, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.experiments.metric_table import GROUPS
from cosim.experiments.metrics import measure_report
from tests.report.records import PLANS, record_of, step

FACTS = {
    "demand_charge_per_kw": 3.0,
    "demand_windows": [{"name": "night", "per_kw": 4.0, "hours": [[0, 1]]}],
    "meters": [{"name": "m", "element": "line.x"}],
    "transformer_kva": 50.0,
    "ambient_c": 30.0,
}
BY_HAND = {
    # Half hours at prices 0.1, 0.2 and 0.6: import 10, -4 and 6 kW; stored 10, 13, 13, 11 kWh.
    "energy_cost": 1.9, "adjusted_cost": 1.6, "stored_change_value": 0.3, "import_payment": 2.3,
    "export_revenue": 0.4,
    # The highest import is in the window too.
    "demand_windows_charge": 4 * 10.0, "demand_charge": 3 * 10.0 + 40.0,
    # The meter reads 4, -2 and 2 kW.
    "metered_cost": 0.5 * (4 * 0.1 - 2 * 0.2 + 2 * 0.6),
    "steps": 3, "hours": 1.5, "import_kwh": 8.0, "export_kwh": 2.0, "peak_import_kw": 10.0, "losses_kwh": 3.0,
    "storage_throughput_kwh": 5.0, "stored_change_kwh": 1.0, "pv_available_kwh": 6.5, "pv_curtailed_kwh": 0.5,
    # a.1 has 1.05, 1.00 and 0.99 pu, b.1 has 1.00, 1.06 and 0.93 pu.
    "lowest_pu": 0.93, "highest_pu": 1.06, "undervoltage_node_h": 0.5, "overvoltage_node_h": 0.5,
    "violation_node_h": 1.0, "worst_excess_pu": 0.02, "nodes_in_violation": 1, "ansi_range_a_node_h": 1.0,
    "ansi_range_b_node_h": 0.5, "en50160_share": None, "highest_unbalance_percent": 2.5, "unbalanced_h": 0.5,
    "highest_loading": 1.2, "overloaded_h": 0.5, "tap_operations": 3, "tap_changes": 2, "reverse_power_h": 0.5,
    # 50 kVA in all steps: rated load.
    "transformer_hottest_c": 110.0, "transformer_loss_of_life_percent": 100 * 1.5 / 180_000,
    "highest_transformer_loading": 1.1, "transformer_overloaded_h": 1.0, "capacitor_operations": 1,
    # Half cycles of 3 and 2 of 20 kWh.
    "storage_full_cycles_mean": 0.125, "storage_full_cycles_max": 0.125, "storage_deepest_cycle": 0.15,
    "storage_ageing_percent": 100 * (0.125 / 5000 + 1.5 / (15 * 8766)),
    "curtailment_jain": 1.0, "curtailment_gini": 0.0, "unserved_kwh": None, "discomfort_cost": None,
    # 9 kW are asked for in the last step, 4 kW are accepted and delivered.
    "tracking_error_kw": 5 / 3, "setpoints_cut": 1, "not_delivered_kwh": 2.5, "safe_state_steps": 1,
    # The first plan takes 0.5 + 1 s, the second 1799.5 + 2 s, of steps of 1800 s.
    "plans": 2, "decision_p95_s": 1.5 + 0.95 * 1800, "decision_max_s": 1801.5, "solve_median_s": 1.5,
    "solve_p95_s": 1.95, "solve_max_s": 2.0, "build_median_s": 900.0, "late_plans": 1,
    "computational_time_ratio": (1.5 + 0.95 * 1800) / 1800, "computational_time_ratio_max": 1801.5 / 1800,
    "computational_time_ratio_mean": 901.5 / 1800,
    "fallback_decisions": 1, "fallback_share": 1 / 3, "highest_simultaneous_kw": 3.0,
    "worst_primal_residual": 2e-9, "highest_slack_pu": 0.01, "inexact_plans": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def found():
    rows = [
        step(
            k,
            planned=PLANS[k],
            import_kvar=(50.0**2 - (10.0, -4.0, 6.0)[k] ** 2) ** 0.5,
            meter_kw=np.array([(4.0, -2.0, 2.0)[k]]),
            unbalance_percent=(1.0, 2.5, 2.0)[k],
            transformer_loading=(1.0, 1.1, 1.05)[k],
            capacitor_closed=np.array([(1.0, 0.0, 0.0)[k]]),
        )
        for k in range(3)
    ]
    rows[0] |= {"plan_simultaneous_kw": 3.0}
    rows[1] |= {"plan_build_s": 1799.5, "plan_slack_pu": 0.01, "plan_status": "time_limit"}
    rows[2] |= {"source": "FALLBACK", "reason": "no plan", "why_safe": "set-points are old"}
    rows[2] |= {"requested_storage_kw": np.array([9.0]), "storage_reason": ["energy"]}
    record = record_of(rows, metrics=FACTS, meter_tariffs=[None])
    return {name: figure.run for name, figure in measure_report(record, None).figures.items()}


def test_the_record_has_every_metric(found):
    assert set(BY_HAND) == set(found)


@pytest.mark.parametrize("name", BY_HAND)
def test_its_value_is_that_by_hand(found, name):
    expected = BY_HAND[name]
    assert found[name] == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-12))


def test_every_metric_says_what_it_is_and_where_it_comes_from():
    for metric in (metric for group in GROUPS.values() for metric in group):
        assert metric.definition, metric.name
        assert metric.source, metric.name
