"""A forecast that is learned from what was seen so far: gradient boosting on the calendar and on lags."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from pydantic import Field, PositiveInt

from cosim.forecasting.features import Table, day_before, rows_of, targets_of
from cosim.forecasting.periods import available_from, period_means, scaled_demand, steps_ahead
from cosim.forecasting.trees import LEVELS, Trees, fitted
from cosim.model.arrays import FloatArray
from cosim.model.exogenous import Exogenous
from cosim.model.forecast import Forecast, Quantiles
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.plugins import Options, needs, options, seeded

DAY_S, LEAST_DAYS = 86_400, 2
LOAD, SUN, PRICE = 0, 1, 2
"""Columns of the totals."""


class LearnedOptions(Options):
    """When and from what it learns."""

    retrain_s: PositiveInt = Field(DAY_S, description="it learns again after this time")
    window_s: PositiveInt = Field(28 * DAY_S, description="how far back it looks for examples")
    quantiles: bool = Field(
        False, description="also quantiles 0.1, 0.5 and 0.9; the median is what is planned with"
    )
    trees: PositiveInt = Field(100, description="rounds of boosting for each quantity")
    most_examples: PositiveInt = Field(20_000, description="examples of a training, chosen by the seed")


class LearnedState(TypedDict):
    """What later forecasts depend on: the totals that were measured, and the last training."""

    first: int
    totals: list[tuple[float, float, float]]
    trained_at: int | None
    ahead: int


@needs("history")
@options(LearnedOptions)
@seeded
class LearnedForecaster:
    """Totals of load, sun and price, each by gradient boosted trees, shared out over loads and devices.

    One model per quantity gives, for every lead time, the difference from the value of the day before. Its
    features are the clock time and the weekday of the target, the lead time, the last value, the values of
    the same clock time one day and one week earlier as far as they are known at the issue, and how far the
    last value is from that of a day before. Examples are all pairs of issue and target up to the moment of
    training, in the history and in the run, for which the day before is known; nothing later is ever read.
    Until two days are known, so that each clock time has been met, totals are those of the day before, or
    where that is not known the last ones.

    The demand of all loads is shared out in the proportions of now. The sun is learned as one irradiance,
    the offered power over the power at 1 kW/m²; all devices see the same. The present step is as measured,
    so is the voltage of the sources. Training uses one thread: sums of several threads depend on their
    order in the last digit.

    Sources: direct multi-step forecasts, Ben Taieb et al., *Expert Systems with Applications* 39(8), 2012;
    trees, ``HistGradientBoostingRegressor`` of scikit-learn, after Ke et al., *LightGBM*, NeurIPS 2017.

    Args:
        site: loads, devices and the time grid.
        history: series before the run; None: only what is measured.
        options: see :class:`LearnedOptions`.
        seed: chooses examples.
    """

    def __init__(
        self, site: Site, *, history: Exogenous | None, options: LearnedOptions, seed: int
    ) -> None:
        self._site, self._options, self._seed = site, options, seed
        self._sun_kw = float(site.sun_kw().sum())
        self._before = self._of_history(history)
        self._first = 0
        self._totals: list[tuple[float, float, float]] = []
        self._trained_at: int | None = None
        self._ahead = 0
        self._models: list[Trees | None] = [None, None, None]

    def state(self) -> LearnedState:
        """See :class:`cosim.model.roles.Resumable`: not the trees, which are grown again."""
        return {
            "first": self._first,
            "totals": list(self._totals),
            "trained_at": self._trained_at,
            "ahead": self._ahead,
        }

    def restore(self, state: LearnedState) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._first, self._totals = state["first"], list(state["totals"])
        if state["trained_at"] is not None:
            self._train(state["trained_at"], state["ahead"])

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        """Means over the periods of what the trees say."""
        site, step_s, now = self._site, self._site.grid.step_s, measurement.step
        self._take(measurement)
        ahead = steps_ahead(horizon, step_s)
        if self._is_time(now, ahead):
            self._train(now, ahead)
        table = self._table(now)
        means, spreads = [], []
        for column in (LOAD, SUN, PRICE):
            at_steps = self._at_steps(table, column, ahead)
            spread = [period_means(row, horizon, step_s) for row in at_steps]
            means.append(at_steps[len(at_steps) // 2])
            spreads.append(Quantiles(np.array(LEVELS), np.array(spread)) if len(spread) > 1 else None)
        kw, kvar = scaled_demand(site, measurement, period_means(means[LOAD], horizon, step_s))
        sun = spreads[SUN]
        return Forecast(
            horizon,
            kw,
            kvar,
            available_from(site, measurement, horizon, means[SUN], kw),
            period_means(means[PRICE], horizon, step_s),
            load_quantiles=spreads[LOAD],
            available_quantiles=None if sun is None else Quantiles(sun.level, self._sun_kw * sun.value),
            price_quantiles=spreads[PRICE],
        )

    # --- what is known ---

    def _of_history(self, history: Exogenous | None) -> FloatArray:
        """Totals of the steps before the run, shape (step, 3)."""
        if history is None:
            return np.zeros((0, 3))
        rows = []
        for step in range(history.steps):
            kw, _, _, price = history.value_at(step)
            seen = history.irradiance_at(len(self._site.devices), step, step + 1)
            rows.append(self._total(kw, self._site.available_kw(seen, kw), price))
        return np.array(rows, dtype=np.float64).reshape(-1, 3)

    def _total(
        self, demand_kw: FloatArray, available_kw: FloatArray, price: float
    ) -> tuple[float, float, float]:
        sees_sun = self._site.sun_kw() > 0
        offered = float(available_kw[sees_sun].sum())
        return float(demand_kw.sum()), offered / self._sun_kw if self._sun_kw else 0.0, price

    def _take(self, measurement: Measurement) -> None:
        if not self._totals:
            self._first = measurement.step
        lost = measurement.step - self._first - len(self._totals)
        self._totals += [(np.nan, np.nan, np.nan)] * lost
        measured = self._total(measurement.demand_kw, measurement.available_kw, measurement.price_per_kwh)
        self._totals.append(measured)

    def _table(self, last: int) -> Table:
        """Totals up to a step."""
        run = np.full((last + 1, 3), np.nan)
        known = self._totals[: last + 1 - self._first]
        run[self._first :] = np.array(known).reshape(-1, 3)
        return Table(np.vstack([self._before, run]), len(self._before), self._site.grid)

    # --- learning ---

    def _is_time(self, now: int, ahead: int) -> bool:
        step_s, since = self._site.grid.step_s, self._trained_at
        known_s = (len(self._before) + now - self._first) * step_s
        due = since is None or ahead > self._ahead or (now - since) * step_s >= self._options.retrain_s
        return ahead > 1 and due and known_s >= LEAST_DAYS * DAY_S

    def _train(self, now: int, ahead: int) -> None:
        """Grow the trees from what was known at a step."""
        self._trained_at, self._ahead = now, ahead
        table, options = self._table(now), self._options
        window = max(options.window_s // self._site.grid.step_s, ahead)
        issue, lead = table.examples(window, ahead, options.most_examples, [self._seed, now])
        self._models = [
            fitted(
                rows_of(table, column, issue, lead),
                targets_of(table, column, issue, lead) - day_before(table, column, issue, lead),
                trees=options.trees,
                seed=self._seed,
                quantiles=options.quantiles,
            )
            for column in (LOAD, SUN, PRICE)
        ]

    def _at_steps(self, table: Table, column: int, ahead: int) -> FloatArray:
        """Values of one quantity at the steps of the horizon, shape (1 or level, step)."""
        last = len(table.totals) - 1
        present = table.totals[last, column]
        models = self._models[column]
        rows = len(LEVELS) if self._options.quantiles else 1
        lead = np.arange(1, ahead)
        issue = np.full(ahead - 1, last)
        before = day_before(table, column, issue, lead)
        found = np.tile(np.where(np.isfinite(before), before, present), (rows, 1))
        if models is not None and ahead > 1:
            more = models.predict(rows_of(table, column, issue, lead))
            found += np.where(np.isfinite(before), more, 0.0)
        if column == SUN:
            found = np.maximum(found, 0.0)
        return np.hstack([np.full((rows, 1), present), found])
