"""A run against its baseline, and figures as plain values."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cosim.experiments.metrics import measure_report, metrics_to_dict, same_steps


def test_a_comparison_is_run_minus_baseline(planned, unplanned):
    dearer = replace(unplanned, steps=unplanned.steps.assign(price_per_kwh=[0.2, 0.4, 1.2]))
    report = measure_report(planned, dearer)
    cost = report.comparison.differences["energy_cost"]
    assert cost.absolute == pytest.approx(-1.9)  # 1.9 - 3.8
    assert cost.relative == pytest.approx(-0.5)


def test_nothing_is_relative_to_a_baseline_of_zero(planned, unplanned):
    free = replace(unplanned, steps=unplanned.steps.assign(price_per_kwh=0.0))
    assert measure_report(planned, free).comparison.differences["energy_cost"].relative is None


def test_a_baseline_is_cut_to_the_steps_of_an_aborted_run(planned, unplanned):
    aborted = replace(planned, steps=planned.steps.iloc[:2])
    assert same_steps(unplanned, aborted).steps["step"].tolist() == [0, 1]
    assert same_steps(aborted, unplanned) is None


def test_metrics_are_plain_json_with_units(planned):
    report = measure_report(planned, None)
    unknown = replace(report, run=replace(report.run, lowest_pu=float("nan")))
    plain = json.loads(json.dumps(metrics_to_dict(unknown), allow_nan=False))
    assert plain["run"]["lowest_pu"] is None
    assert plain["run"]["energy_cost_currency"] == pytest.approx(1.9)
    assert plain["control"]["lead_errors"][1]["lead_s"] == 1800.0
    assert plain["baseline"] is None
