"""Means, intervals, paired differences, the front: against figures known otherwise."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cosim.experiments.campaign.attribution import (
    COST,
    LINES,
    LOADING,
    VIOLATION,
    VOLTAGE,
    Ingredient,
    cheaper_than_bound,
    regrets,
    worths,
)
from cosim.experiments.campaign.regret_split import RegretChain, regret_split
from cosim.experiments.campaign.statistics import differences, mean_of, means, on_front
from cosim.experiments.campaign.verdicts import verdict_rows
from cosim.report.campaign.tables import regret_split_listing


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


def test_regret_score_and_the_worth_of_an_ingredient():
    runs = table(
        idle=[20.0, 30.0], oracle=[10.0, 10.0], whole=[11.0, 14.0], without=[13.0, 13.0]
    ).rename(columns={"cost": COST}).assign(**{VIOLATION: 0.0})  # fmt: skip
    bound, baseline = dict.fromkeys(("idle", "whole"), "oracle"), {"whole": "idle"}
    found = regrets(runs, bound, baseline)
    # 1 and 4 above the oracle, of 10 and 20 to gain: 90 and 80.
    assert found["whole"].regret.value == pytest.approx(2.5)
    assert found["whole"].score.value == pytest.approx(85.0)
    assert found["idle"].score.count == 0
    (worth, missing) = worths(
        runs, [Ingredient("x", "without", "whole"), Ingredient("y", "nobody", "whole")], COST
    )
    assert (worth.value, missing) == (pytest.approx(0.5), None)


def test_a_run_that_is_cheaper_than_its_bound_is_told():
    runs = table(oracle=[10.0, 10.0, 10.0], whole=[10.0 - 5e-6, 9.0, 9.5]).rename(columns={"cost": COST})
    kept = dict.fromkeys((VIOLATION, "worst_excess_pu", "overloaded_h"), 0.0) | {LOADING: 0.9}
    runs = runs.assign(**kept, accepted=None, rejected_for=None)
    runs.loc[5, VIOLATION] = 0.25
    cheaper = cheaper_than_bound(runs, {"whole": "oracle"})
    assert cheaper[["seed", "part"]].to_numpy().tolist() == [[1.0, 0.1], [2.0, 0.05]]
    verdict = verdict_rows(runs, 6, bound_of={"whole": "oracle"})[-1]
    assert verdict.state == "fail"
    assert verdict.found == (
        "1 of 3 runs are, 1 more that leave limits for longer or farther than the run of their bound "
        "(voltage: 1, lines: 0); most: whole, seed 1, by 0.1 of the bound"
    )
    assert verdict_rows(runs[runs["seed"] != 1], 4, bound_of={"whole": "oracle"})[-1].state == "pass"
    # A bound with the same violation is none.
    assert (
        verdict_rows(runs.assign(**{VIOLATION: 0.25}), 6, bound_of={"whole": "oracle"})[-1].state == "fail"
    )


@pytest.mark.parametrize(
    ("figure", "of_bound", "of_run", "excuses"),
    [
        ("worst_excess_pu", 0.01, 0.02, VOLTAGE),
        ("worst_excess_pu", 0.01, 0.01 + 1e-6, None),
        ("overloaded_h", 0.5, 1.0, LINES),
        ("overloaded_h", 1.0, 0.5, None),
        (LOADING, 1.02, 1.1, LINES),
        # Below the rating a higher loading is no overload.
        (LOADING, 0.5, 0.99, None),
    ],
)
def test_only_a_run_that_leaves_no_limit_more_than_its_bound_disproves_it(
    figure, of_bound, of_run, excuses
):
    runs = table(oracle=[10.0], whole=[9.0]).rename(columns={"cost": COST})
    kept = dict.fromkeys((VIOLATION, "worst_excess_pu", "overloaded_h"), 0.0) | {LOADING: 0.9}
    runs = runs.assign(**kept, accepted=None, rejected_for=None)
    runs[figure] = [of_bound, of_run]
    (row,) = cheaper_than_bound(runs, {"whole": "oracle"}).to_dict("records")
    assert (row[VOLTAGE], row[LINES]) == (excuses == VOLTAGE, excuses == LINES)
    verdict = verdict_rows(runs, 2, bound_of={"whole": "oracle"})[-1]
    assert verdict.state == ("fail" if excuses is None else "pass")


def test_the_parts_of_a_regret_by_hand():
    runs = table(
        noisy=[20.0, 30.0, 7.0], perfect=[16.0, 22.0], prompt=[15.0, 23.0], oracle=[10.0, 20.0]
    ).rename(columns={"cost": COST})  # fmt: skip
    chain = RegretChain("noisy", ("forecast", "delay"), ("perfect", "prompt"), "oracle")
    found = regret_split(runs, chain)
    # Seed 2 has no bound and counts nowhere. Without delay the second seed costs 1 more.
    assert [(part.cause, part.mean.value, part.share) for part in found] == [
        ("forecast", 6.0, 0.6), ("delay", 0.0, 0.0), ("rest", 4.0, 0.4), ("regret", 10.0, 1.0),
    ]  # fmt: skip
    assert [(part.mean.low, part.mean.high) for part in found[:2]] == [(4.0, 8.0), (-1.0, 1.0)]
    assert {part.mean.count for part in found} == {2}
    assert regret_split(runs[runs["variant"] != "prompt"], chain) == ()


def test_the_split_is_a_table_of_the_page():
    runs = table(noisy=[20.0, 30.0], perfect=[16.0, 22.0], oracle=[10.0, 20.0])
    chain = RegretChain("noisy", ("forecast",), ("perfect",), "oracle")
    listing = regret_split_listing(runs.rename(columns={"cost": COST}), [chain])
    assert listing.rows[0] == ["forecast", "noisy", "perfect", "6 [4, 8]", "60.0", "2"]
    assert [row[0] for row in listing.rows] == ["forecast", "rest", "regret"]
