"""The metrics of the table, by hand: three steps of half an hour, prices 0.1, 0.2 and 0.6."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cosim.devices.pv import PvRating
from cosim.experiments.fairness import gini_index, jain_index
from cosim.experiments.metrics import measure_report, metrics_to_dict
from cosim.experiments.storage_life import full_cycles_of
from cosim.experiments.transformer_life import ageing_of
from cosim.model.timegrid import TimeGrid
from tests.report.records import PLANS, PV, SITE, START, STORAGE, record_of, step

ROWS = [step(k) for k in range(3)]


def values_of(rows, site=SITE, **manifest):
    record = replace(record_of(rows, **manifest), site=site)
    return {name: figure.run for name, figure in measure_report(record, None).figures.items()}


def test_cost_counts_what_is_stored_at_start_and_end():
    found = values_of(ROWS)
    # 10 kWh at the start, 11 at the end, mean price 0.3; import 10, -4, 6 kW.
    assert found["energy_cost"] == pytest.approx(1.9)
    assert found["adjusted_cost"] == pytest.approx(1.9 + 10 * 0.3 - 11 * 0.3)
    assert found["import_payment"] == pytest.approx((10 * 0.1 + 6 * 0.6) * 0.5)
    assert found["export_revenue"] == pytest.approx(4 * 0.2 * 0.5)
    assert found["import_payment"] - found["export_revenue"] == pytest.approx(found["energy_cost"])


def test_demand_charge_is_the_peak_times_its_price():
    assert values_of(ROWS, metrics={"demand_charge_per_kw": 3.0})["demand_charge"] == 30.0
    assert values_of(ROWS)["demand_charge"] == 0.0
    exporting = [step(k, import_kw=-5.0) for k in range(3)]
    assert values_of(exporting, metrics={"demand_charge_per_kw": 3.0})["demand_charge"] == 0.0


def test_reverse_power_is_counted_in_hours():
    assert values_of(ROWS)["reverse_power_h"] == 0.5
    assert values_of([step(k, import_kw=0.0) for k in range(3)])["reverse_power_h"] == 0.0


def test_the_ranges_of_ansi_c84_1():
    voltages = [(1.05, 0.95), (1.055, 0.92), (1.06, 0.91)]
    found = values_of([step(k, voltage_pu=np.array(voltages[k])) for k in range(3)])
    assert found["ansi_range_a_node_h"] == 4 * 0.5
    # 110/120 is 0.9167 and 127/120 is 1.0583.
    assert found["ansi_range_b_node_h"] == 2 * 0.5


def minutes(step_s, voltages):
    site = replace(SITE, grid=TimeGrid(START, step_s, len(voltages)))
    rows = [step(0, voltage_pu=np.array(pair)) | {"step": k} for k, pair in enumerate(voltages)]
    return values_of(rows, site=site, steps=len(rows))["en50160_share"]


def test_en_50160_takes_ten_minute_values():
    # Steps of 300 s: the first value of b.1 is sqrt((1.12^2 + 1.06^2) / 2) = 1.0904, inside.
    assert minutes(300, [(1.0, 1.12), (1.0, 1.06)]) == 1.0
    assert minutes(300, [(1.0, 1.12), (1.0, 1.09)]) == 0.0
    # Of three values of 600 s one is outside at b.1, none at a.1.
    assert minutes(600, [(1.0, 0.89), (1.0, 0.9), (1.1, 1.0)]) == pytest.approx(2 / 3)
    # The fifth step fills no value of its own.
    assert minutes(300, [(1.0, 1.0)] * 4 + [(1.0, 2.0)]) == 1.0
    assert minutes(1800, [(1.0, 1.0)] * 3) is None
    assert minutes(420, [(1.0, 1.0)] * 3) is None
    assert minutes(300, [(1.0, 1.0)]) is None


def test_each_week_of_en_50160_counts_by_itself():
    # A week inside, then half a day outside: the second week has none inside.
    assert minutes(600, [(1.0, 1.0)] * 1008 + [(1.0, 1.2)] * 72) == 0.0


def test_ageing_at_rated_load_is_that_of_normal_life():
    found = ageing_of(np.ones(3), 0.5, 30.0)
    assert found.hottest_c == pytest.approx(110.0)
    assert found.loss_of_life_percent == pytest.approx(100 * 1.5 / 180_000)


def test_ageing_of_three_steps_by_hand():
    # No load, then two steps of 1.5 times the rating.
    oil_0, oil_end = 45 * (1 / 5.5) ** 0.8, 45 * ((2.25 * 4.5 + 1) / 5.5) ** 0.8
    winding_end = 35 * 1.5**1.6
    hot = [30 + oil_0]
    for hours in (0.5, 1.0):
        oil = oil_end - (oil_end - oil_0) * math.exp(-hours / 3)
        hot.append(30 + oil + winding_end * (1 - math.exp(-hours * 12)))
    rates = [math.exp(15_000 / 383 - 15_000 / (one + 273)) for one in hot]
    found = ageing_of(np.array([0.0, 1.5, 1.5]), 0.5, 30.0)
    assert found.hottest_c == pytest.approx(hot[-1])
    assert found.loss_of_life_percent == pytest.approx(100 * sum(rates) * 0.5 / 180_000)


def test_the_transformer_carries_apparent_power():
    rows = [step(k, import_kw=30.0, import_kvar=40.0) for k in range(3)]
    found = values_of(rows, metrics={"transformer_kva": 50.0, "ambient_c": 20.0})
    assert found["transformer_hottest_c"] == pytest.approx(100.0)
    assert values_of(rows)["transformer_loss_of_life_percent"] is None
    assert values_of(ROWS, metrics={"transformer_kva": 50.0})["transformer_hottest_c"] is None


def test_cycles_by_rainflow():
    # 10, 13, 13, 11 of 20 kWh: a half cycle of 0.15 and one of 0.10.
    assert values_of(ROWS)["storage_full_cycles_max"] == pytest.approx(0.125)
    assert values_of(ROWS)["storage_full_cycles_mean"] == pytest.approx(0.125)
    assert values_of(ROWS)["storage_throughput_kwh"] == pytest.approx(5.0)
    # Within a half cycle of 1 down, one whole cycle of 0.2.
    assert full_cycles_of(np.array([1.0, 0.4, 0.6, 0.0])) == pytest.approx(0.5 + 0.2)
    assert full_cycles_of(np.array([0.5, 0.5])) == 0.0


def test_fairness_of_curtailment():
    second = PvRating(name="barn", bus="a", phases=(1,), delta=False, kw=8.0, kva=8.0)
    site = replace(SITE, devices=(STORAGE, PV, second))
    available = [(0.0, 0.0), (5.0, 4.0), (5.0, 4.0)]
    produced = [(0.0, 0.0), (5.0, 2.0), (5.0, 4.0)]

    def rows(given):
        columns = {
            f"{kind}_pv_{name}": np.zeros(2)
            for kind in ("requested", "accepted")
            for name in ("kw_limit", "kvar")
        }
        return [
            step(k, pv_available_kw=np.array(available[k]), pv_kw=np.array(given[k]), **columns)
            for k in range(3)
        ]

    found = values_of(rows(produced), site=site)
    # Shares produced 1 and 3/4, not produced 0 and 1/4.
    assert found["curtailment_jain"] == pytest.approx(1.75**2 / (2 * (1 + 0.5625)))
    assert found["curtailment_gini"] == pytest.approx(0.5)
    assert found["pv_curtailed_kwh"] == pytest.approx(1.0)
    free = values_of(rows(available), site=site)
    assert (free["curtailment_jain"], free["curtailment_gini"]) == (1.0, 0.0)
    assert jain_index(np.array([1.0, 0.0, 0.0, 0.0])) == 0.25
    assert gini_index(np.array([1.0, 0.0, 0.0, 0.0])) == 0.75
    dark = values_of([step(k, pv_available_kw=np.zeros(1)) for k in range(3)])
    assert dark["curtailment_jain"] is None


def test_decision_times_over_the_step_and_the_share_of_fallbacks():
    rows = [step(k, planned=PLANS[k]) for k in range(3)]
    rows[2] |= {"source": "FALLBACK", "reason": "late"}
    found = values_of(rows)
    # Build and solve take 1.5 s and 2.5 s of 1800 s.
    assert found["computational_time_ratio_mean"] == pytest.approx(2.0 / 1800)
    assert found["computational_time_ratio"] == pytest.approx(2.45 / 1800)
    assert found["computational_time_ratio_max"] == pytest.approx(2.5 / 1800)
    assert found["fallback_share"] == pytest.approx(1 / 3)
    assert found["fallback_decisions"] == 1
    assert values_of(ROWS)["computational_time_ratio_mean"] is None


def test_metrics_json_has_every_metric_with_its_unit():
    record = record_of(ROWS)
    plain = metrics_to_dict(measure_report(record, record))["metrics"]
    assert plain["energy_cost"] == {"run": 1.9, "baseline": 1.9, "unit": "currency"}
    assert plain["en50160_share"] == {"run": None, "baseline": None, "unit": ""}
    assert all(set(entry) == {"run", "baseline", "unit"} for entry in plain.values())
