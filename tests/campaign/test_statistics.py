"""Means, intervals, paired differences, the front: against figures known otherwise."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cosim.experiments.campaign.statistics import differences, mean_of, means, on_front
from cosim.experiments.campaign.verdicts import verdict_rows


def table(**costs: list[float]) -> pd.DataFrame:
    """One complete run per variant and seed."""
    return pd.DataFrame(
        [
            {"variant": variant, "seed": seed, "status": "complete", "sound": True, "cost": cost}
            for variant, values in costs.items()
            for seed, cost in enumerate(values)
        ]
    )


def test_the_interval_of_many_values_is_that_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(10.0, 2.0, 400)
    found = mean_of(values)
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)
    assert mean_of(values) == found


def test_one_value_has_no_interval_and_none_has_no_mean():
    one, none = mean_of(np.array([3.0])), mean_of(np.array([math.nan]))
    assert (one.value, one.count) == (3.0, 1)
    assert math.isnan(one.low)
    assert math.isnan(none.value)
    equal = mean_of(np.array([2.0, 2.0, 2.0]))
    assert (equal.low, equal.value, equal.high) == (2.0, 2.0, 2.0)


def test_differences_are_taken_seed_by_seed():
    # Far apart between seeds, always 1 apart within them.
    base = [100.0, 200.0, 300.0, 400.0, 500.0, 600.0]
    found = differences(table(a=[b - 1 for b in base], b=base), "cost", {"a": "b", "c": "b"})
    assert set(found) == {"a"}
    assert (found["a"].mean.value, found["a"].mean.low, found["a"].mean.high) == (-1.0, -1.0, -1.0)
    assert (found["a"].lower, found["a"].higher) == (6, 0)
    assert found["a"].p_value == pytest.approx(2 / 2**6)


def test_failed_runs_and_seeds_without_a_partner_are_left_out():
    runs = table(a=[1.0, 2.0, 9.0], b=[2.0, 2.0])
    runs.loc[0, "status"] = "failed"
    assert means(runs, "cost")["a"].count == 2
    found = differences(runs, "cost", {"a": "b"})["a"]
    assert (found.mean.count, found.lower, found.higher) == (1, 0, 0)
    assert math.isnan(found.p_value)


def test_the_front_is_what_nothing_beats_in_both():
    points = np.array([[1.0, 5.0], [2.0, 2.0], [3.0, 3.0], [5.0, 1.0], [5.0, 1.0], [1.0, 6.0]])
    assert on_front(points).tolist() == [True, True, False, True, True, False]


def test_statements_about_all_runs():
    runs = table(a=[1.0, 2.0], b=[1.0, 2.0]).assign(accepted=None, rejected_for=None)
    assert [row.state for row in verdict_rows(runs, 4)] == ["pass", "pass"]
    assert verdict_rows(runs, 5)[0].state == "fail"
    runs.loc[0, "sound"] = False
    assert [row.state for row in verdict_rows(runs, 4)] == ["pass", "note"]
    runs.loc[0, "status"] = "failed"
    first = verdict_rows(runs, 4)[0]
    assert (first.state, first.found) == ("fail", "3 of 4 complete, 1 failed, 0 not computed")
