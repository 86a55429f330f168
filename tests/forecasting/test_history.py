"""Forecasters that look back or learn: what they know of the time before the run, and nothing of the time after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cosim.errors import ScenarioError
from cosim.forecasting.features import Table, rows_of, targets_of
from cosim.forecasting.learned import LearnedForecaster, LearnedOptions
from cosim.forecasting.seasonal_naive import SeasonalNaiveForecaster, SeasonalNaiveOptions
from cosim.model.exogenous import Exogenous
from cosim.model.timegrid import Horizon, TimeGrid
from cosim.run.assembly import Assembly
from cosim.run.sources import sources_of
from cosim.run.study import open_study
from tests.conftest import START, a_feeder, shipped_master
from tests.report.records import PV

HORIZON = Horizon((900, 900, 1800))
DAY = 96


@pytest.fixture(scope="module")
def measured():
    with a_feeder(shipped_master("ieee13"), devices=(replace(PV, bus="671", phases=(1,)),)) as feeder:
        yield feeder.site, feeder.measure(0)


def series(site, multiplier, sun, price) -> Exogenous:
    count = len(site.loads)
    ones, which = np.ones(count), np.zeros(count, dtype=np.int64)
    return Exogenous(900, 10 * ones, 5 * ones, np.asarray(multiplier)[:, None], which, sun, price)


def ramp(site, steps: int) -> Exogenous:
    """Step -1 has the value -1 in price, and 1000 - 1 in load."""
    step = np.arange(-steps, 0.0)
    return series(site, 1000.0 + step, np.full(steps, 0.5), step)


def at(first, step: int, price: float):
    return replace(first, step=step, time_s=900.0 * step, price_per_kwh=price)


# --- seasonal naive -------------------------------------------------------------------------------


def naive(site, history, season="day") -> SeasonalNaiveForecaster:
    return SeasonalNaiveForecaster(site, history=history, options=SeasonalNaiveOptions(season=season))


def test_yesterday_comes_from_the_history_and_later_from_the_run(measured):
    site, first = measured
    forecaster = naive(site, ramp(site, DAY))
    made = forecaster.forecast(at(first, 0, 7.0), HORIZON)
    # Present; step 1 is -95; steps 2 and 3 are -94 and -93.
    assert made.price_per_kwh.tolist() == [7.0, -95.0, -93.5]
    assert made.demand_kw[:, 0] == pytest.approx([first.demand_kw[0], 9050.0, 9065.0])
    assert made.available_kw[1, -1] == pytest.approx(0.5 * PV.kw)
    for step in range(1, DAY + 1):
        made = forecaster.forecast(at(first, step, float(step)), HORIZON)
    assert made.price_per_kwh.tolist() == [96.0, 1.0, 2.5]


def test_last_week_gives_way_to_yesterday_and_that_to_the_present(measured):
    site, first = measured
    week = naive(site, ramp(site, 7 * DAY), "week").forecast(at(first, 0, 7.0), HORIZON)
    assert week.price_per_kwh.tolist() == [7.0, 1.0 - 672, 2.5 - 672]
    short = naive(site, ramp(site, DAY), "week").forecast(at(first, 0, 7.0), HORIZON)
    assert short.price_per_kwh.tolist() == [7.0, -95.0, -93.5]
    none = naive(site, None, "week").forecast(at(first, 0, 7.0), HORIZON)
    assert none.price_per_kwh.tolist() == [7.0, 7.0, 7.0]


def test_two_days_ahead_repeat_the_last_day_that_is_known(measured):
    site, first = measured
    made = naive(site, ramp(site, DAY)).forecast(at(first, 0, 7.0), Horizon((86_400, 86_400, 900)))
    # The last period is step 192, the same clock time as now, and now is known.
    assert made.price_per_kwh[2] == 7.0


def test_a_lost_measurement_is_not_known(measured):
    site, first = measured
    forecaster = naive(site, None)
    for step in (0, 1, 3):
        forecaster.forecast(at(first, step, float(step)), HORIZON)
    made = forecaster.forecast(at(first, 97, 97.0), HORIZON)
    # Step 2 was lost, so step 98 is as now; step 99 is step 3, step 100 was not measured yesterday.
    assert made.price_per_kwh.tolist() == [97.0, 97.0, 50.0]


# --- history from files ---------------------------------------------------------------------------


def write_series(path: Path, start: str, rows: int, minutes: int = 15, **columns) -> None:
    times = pd.date_range(start, periods=rows, freq=f"{minutes}min", tz="UTC")
    table = pd.DataFrame({"time": [stamp.isoformat() for stamp in times], **columns})
    table.to_csv(path, index=False)


def history_of(path: Path, needs=("history",)):
    with Assembly(open_study(path), needs) as assembly:
        return assembly.knowledge.history, assembly.truth


def inputs(length_s: int, file: str = "s.csv", **changes):
    column = {"file": file, "column": "m", **changes}
    return {"load": {"multiplier": column}, "history": {"length_s": length_s}}


def test_the_history_ends_where_the_run_begins(scenario_file, tmp_path):
    """The file goes through the start of the run (12:00): rows from there on are not in the history."""
    write_series(tmp_path / "s.csv", "2024-06-21T10:00", 40, m=0.125 * np.arange(40))
    history, truth = history_of(scenario_file(inputs=inputs(3600)))
    assert history.steps == 4
    assert history.profile[:, 0].tolist() == [0.5, 0.625, 0.75, 0.875]
    assert truth.profile[0, 0] == 1.0


@pytest.mark.parametrize("gaps", [None, {"rule": "interpolate", "up_to": 4}])
def test_nothing_of_the_run_reaches_the_history_by_resampling_or_by_gaps(scenario_file, tmp_path, gaps):
    """Another future after the start gives the same history, where lines are drawn towards it."""
    found = []
    for future in (0.0, 500.0):
        values = np.concatenate([np.arange(4.0), np.full(8, future)])
        if gaps:
            values[2] = np.nan
        write_series(tmp_path / "s.csv", "2024-06-21T10:00", 12, 30, m=values)
        changes = {"resample": "linear"} | ({"gaps": gaps} if gaps else {})
        found.append(history_of(scenario_file(inputs=inputs(3600, **changes)))[0].profile[:, 0])
    assert np.array_equal(*found)
    assert found[0].max() <= 3.0


def test_a_row_that_tells_of_the_run_as_well_is_left_out(scenario_file, tmp_path):
    """The hour from 11:30 reaches into the run, so the history is too short; it is not made up."""
    write_series(tmp_path / "s.csv", "2024-06-21T08:30", 12, 60, m=np.arange(12.0))
    with pytest.raises(
        ScenarioError,
        match=r"inputs\.history\.load\.multiplier: s\.csv covers .* to 2024-06-21 11:30:00\+00:00, the history needs",
    ):
        history_of(scenario_file(inputs=inputs(3600, resample="hold")))


def test_a_history_of_its_own_files_is_on_record_by_hash(scenario_file, tmp_path):
    write_series(tmp_path / "old.csv", "2024-06-21T10:00", 8, m=np.arange(8.0), p=0.5 + np.arange(8.0))
    entries = {
        "history": {
            "length_s": 1800,
            "load": {"multiplier": {"file": "old.csv", "column": "m"}},
            "price": {"file": "old.csv", "column": "p"},
        }
    }
    path = scenario_file(inputs={"price": {"constant": 0.2}, **entries})
    history, truth = history_of(path)
    assert history.profile[:, 0].tolist() == [6.0, 7.0]
    assert history.price_per_kwh.tolist() == [6.5, 7.5]
    assert (truth.profile == 1.0).all()
    assert set(sources_of(open_study(path)).inputs) == {"old.csv"}


def test_a_history_that_nobody_needs_is_not_read(scenario_file):
    path = scenario_file(inputs={"history": {"length_s": 900, "price": {"file": "no.csv", "column": "p"}}})
    assert history_of(path, ())[0] is None
    with pytest.raises(ScenarioError, match=r"inputs\.history\.price: .*no\.csv does not exist"):
        history_of(path)


def test_the_length_of_a_history_is_whole_steps(scenario_file):
    with pytest.raises(
        ScenarioError, match=r"inputs\.history\.length_s: 1000 is not a multiple of time\.step_s 900"
    ):
        open_study(scenario_file(inputs={"history": {"length_s": 1000}}))


# --- learned --------------------------------------------------------------------------------------


def daily(site, days: int) -> Exogenous:
    """The same day again and again: load and sun follow the clock, the price is a tariff of two hours."""
    step = np.arange(days * DAY)
    hour = (step % DAY) / 4.0
    load = 1.0 + 0.5 * np.sin(2 * np.pi * hour / 24)
    sun = np.maximum(np.sin(2 * np.pi * (hour - 6) / 24), 0.0)
    return series(site, load, sun, np.where(hour < 12, 0.1, 0.3))


def learned(site, history, seed=0, **options) -> LearnedForecaster:
    return LearnedForecaster(
        site, history=history, options=LearnedOptions(most_examples=2000, trees=40, **options), seed=seed
    )


def measurement(site, first, truth: Exogenous, step: int):
    row = step % truth.steps
    kw, kvar, _, price = truth.value_at(row)
    offered = site.available_kw(truth.irradiance_at(len(site.devices), row, row + 1), kw)
    return replace(
        first,
        step=step,
        time_s=900.0 * step,
        demand_kw=kw,
        demand_kvar=kvar,
        available_kw=offered,
        price_per_kwh=price,
    )


AHEAD = Horizon((3600,) * 6)


def test_it_learns_a_day_that_repeats(measured):
    site, first = measured
    truth = daily(site, 7)
    made = learned(site, truth).forecast(measurement(site, first, truth, 0), AHEAD)
    kw = np.array([truth.demand_kw(4 * i, 4 * i + 4)[0].sum() for i in range(6)])
    assert made.demand_kw.sum(axis=1) == pytest.approx(kw, rel=0.03)
    assert made.price_per_kwh == pytest.approx(np.full(6, 0.1), abs=0.01)
    noon = learned(site, truth)
    for step in range(40, 41):
        made = noon.forecast(measurement(site, first, truth, step), AHEAD)
    sun = np.array([truth.mean_irradiance(40 + 4 * i, 44 + 4 * i) for i in range(6)])
    assert made.available_kw[:, -1] == pytest.approx(PV.kw * sun, abs=0.06 * PV.kw)


def test_without_a_day_to_learn_from_totals_stay_as_measured(measured):
    site, first = measured
    truth = daily(site, 1)
    made = learned(site, None).forecast(measurement(site, first, truth, 30), AHEAD)
    assert made.demand_kw == pytest.approx(np.tile(truth.demand_kw(30, 31)[0], (6, 1)))
    assert made.price_per_kwh.tolist() == [0.1] * 6


def test_short_of_two_days_it_is_the_day_before(measured):
    """Hours that no example has had yet must not follow examples of another kind."""
    site, first = measured
    truth = daily(site, 2)
    for steps in (DAY + 48, 2 * DAY):
        part = replace(
            truth,
            profile=truth.profile[-steps:],
            irradiance=truth.irradiance[-steps:],
            price_per_kwh=truth.price_per_kwh[-steps:],
        )
        made = learned(site, part).forecast(measurement(site, first, truth, 0), Horizon((3600,) * 20))
        assert made.price_per_kwh == pytest.approx([0.1] * 12 + [0.3] * 8, abs=1e-6)
        kw = [truth.demand_kw(4 * i, 4 * i + 4)[0].sum() for i in range(20)]
        assert made.demand_kw.sum(axis=1) == pytest.approx(kw, rel=1e-6)


def test_the_seed_alone_chooses(measured):
    site, first = measured
    truth = daily(site, 7)
    truth = replace(
        truth, profile=truth.profile * np.random.default_rng(1).uniform(0.8, 1.2, truth.profile.shape)
    )
    now = measurement(site, first, truth, 0)
    one, same, other = (learned(site, truth, seed).forecast(now, AHEAD).demand_kw for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_it_goes_on_from_its_state_to_the_last_bit(measured):
    site, first = measured
    truth = daily(site, 3)
    whole, cut = (learned(site, truth, retrain_s=3600) for _ in range(2))
    for step in range(7):
        now = measurement(site, first, truth, step)
        whole.forecast(now, AHEAD)
        cut.forecast(now, AHEAD)
    state = cut.state()
    assert state["trained_at"] == 4, "step 4 is an hour after step 0"
    resumed = learned(site, truth, retrain_s=3600)
    resumed.restore(state)
    for step in range(7, 10):
        now = measurement(site, first, truth, step)
        one, other = whole.forecast(now, AHEAD), resumed.forecast(now, AHEAD)
        for name in ("demand_kw", "available_kw", "price_per_kwh"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), (name, step)


def test_quantiles_rise_and_the_median_is_what_is_planned_with(measured):
    site, first = measured
    truth = daily(site, 7)
    factor = np.random.default_rng(2).uniform(0.7, 1.3, truth.profile.shape)
    truth = replace(truth, profile=truth.profile * factor)
    made = learned(site, truth, quantiles=True).forecast(measurement(site, first, truth, 0), AHEAD)
    spread = made.load_quantiles
    assert spread.level.tolist() == [0.1, 0.5, 0.9]
    assert (np.diff(spread.value, axis=0) >= 0).all()
    assert spread.value[1] == pytest.approx(made.demand_kw.sum(axis=1))
    assert (spread.value[2] - spread.value[0])[1:].min() > 0.1 * spread.value[1].min()
    assert made.available_quantiles.value.shape == (3, 6)


def test_no_feature_reads_after_the_issue():
    """Whatever comes after the issue, the features are the same; the target is what came."""
    grid = TimeGrid(START, 900, 10)
    steps = 8 * DAY
    totals = np.random.default_rng(0).normal(size=(steps, 3))
    issue = np.array([20, 100, 700])
    lead = np.array([3, 40, 60])
    table = Table(totals, steps - 10, grid)
    rows = rows_of(table, 0, issue, lead)
    for i in range(3):
        other = totals.copy()
        other[issue[i] + 1 :] = 1e6
        again = rows_of(Table(other, steps - 10, grid), 0, issue, lead)
        assert np.array_equal(rows[i], again[i], equal_nan=True)
    assert targets_of(table, 0, issue, lead).tolist() == totals[issue + lead, 0].tolist()
    # Step 0 of the run is Friday, midnight; row 100 + 40 is 638 - 10 steps earlier.
    clock = [(steps - 10 - row) * 900 for row in issue + lead]
    assert rows[:, 0] == pytest.approx([(-second % 86_400) / 3600 for second in clock])
    assert rows[:, 1].tolist() == [(4 + (-second) // 86_400) % 7 for second in clock]
    assert rows[0, 3] == totals[20, 0]
    assert np.isnan(rows[0, 4]), "the day before row 23 is not known"
    assert rows[1, 4] == totals[140 - DAY, 0]


def test_examples_end_at_the_present_and_are_as_many_as_allowed():
    table = Table(np.zeros((50, 3)), 50, TimeGrid(START, 900, 10))
    issue, lead = table.examples(10, 5, 1000, [0, 0])
    assert (issue + lead).max() == 49
    assert (issue + lead).min() == 40
    assert set(lead.tolist()) == {1, 2, 3, 4}
    assert len(issue) == 40
    assert len(table.examples(10, 5, 7, [0, 0])[0]) == 7
