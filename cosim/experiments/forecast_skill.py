"""How good the forecasts of a run were, by quantity and lead time: pure functions of a record.

A run keeps what was forecast where its scenario says ``record.forecasts``. A period counts where all its
steps are on record; what came is the mean of what was measured in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cosim.devices.registry import by_kind
from cosim.model.arrays import FloatArray
from cosim.run.record import Record

NEGLIGIBLE = 1e-9
"""A root mean square error of persistence below this is none; no skill is measured against it."""


@dataclass(frozen=True)
class Quantity:
    """What is forecast.

    Attributes:
        name: in the figures.
        unit: of its errors.
        column: of the forecast in the record.
        spread: stem of the columns of its quantiles.
        outcome: what was measured at each step on record, shape (step,).
    """

    name: str
    unit: str
    column: str
    spread: str
    outcome: Callable[[Record], FloatArray]


def _load_kw(record: Record) -> FloatArray:
    return record.steps["demand_kw"].to_numpy(dtype=np.float64)


def _sun_kw(record: Record) -> FloatArray:
    """What the sun offered all devices that see it."""
    sees_sun, total = record.site.sun_kw() > 0, np.zeros(len(record.steps))
    for kind, place, _ in by_kind(record.site.devices):
        if sees_sun[place].any():
            total += record.vector(kind.columns["available_kw"])[:, sees_sun[place]].sum(axis=1)
    return total


def _price(record: Record) -> FloatArray:
    return record.steps["price_per_kwh"].to_numpy(dtype=np.float64)


QUANTITIES = (
    Quantity("load", "kW", "forecast_load_kw", "forecast_load", _load_kw),
    Quantity("sun", "kW", "forecast_available_kw", "forecast_available", _sun_kw),
    Quantity("price", "1/kWh", "forecast_price_per_kwh", "forecast_price", _price),
)


@dataclass(frozen=True)
class ForecastSkill:
    """Forecasts of one quantity that look equally far ahead. Errors are forecast minus outcome.

    Attributes:
        quantity: ``load`` (kW of all loads), ``sun`` (kW offered to all devices that see it), ``price``.
        unit: of the errors.
        lead_s: start of the period after the issue.
        periods: how many were compared.
        mae, rmse, bias: mean absolute error, root mean square error, mean error.
        skill: see :func:`skill_score`; None where persistence makes no error.
        pinball: mean over all levels of :func:`pinball_loss`; None without quantiles.
        coverage: share of outcomes between the lowest and the highest quantile; None without quantiles.
        nominal_coverage: what it should be.
    """

    quantity: str
    unit: str
    lead_s: float
    periods: int
    mae: float
    rmse: float
    bias: float
    skill: float | None
    pinball: float | None = None
    coverage: float | None = None
    nominal_coverage: float | None = None


def forecast_skill(record: Record) -> tuple[ForecastSkill, ...]:
    """Figures by quantity and lead time; empty where the record keeps no forecasts."""
    if "forecast_period_s" not in record.steps:
        return ()
    issues = record.steps[record.steps["forecast_period_s"].notna()]
    if not len(issues):
        return ()
    return tuple(figures for quantity in QUANTITIES for figures in _by_lead(record, issues, quantity))


def skill_score(rmse: float, reference_rmse: float) -> float | None:
    """One minus the error over that of a reference: 1 is perfect, 0 as good as it, negative worse.

    The reference is persistence: every period is like the step of the issue.

    Source: Yang et al., *Verification of deterministic solar forecasts*, Solar Energy 210, 2020.
    """
    return None if reference_rmse < NEGLIGIBLE else 1.0 - rmse / reference_rmse


def pinball_loss(outcome: FloatArray, quantile: FloatArray, level: FloatArray) -> FloatArray:
    """Loss of quantiles: ``level (y - q)`` where outcome y is above q, else ``(1 - level) (q - y)``.

    Source: Koenker and Bassett, *Regression quantiles*, Econometrica 46(1), 1978; as a score, Hong et al.,
    *Probabilistic energy forecasting: GEFCom2014*, International Journal of Forecasting 32(3), 2016.

    Args:
        outcome: shape (period,).
        quantile: shape (period, level).
        level: shape (level,).

    Returns:
        Shape (period, level).
    """
    above = outcome[:, None] - quantile
    return np.maximum(level * above, (level - 1.0) * above)


def _by_lead(record: Record, issues: pd.DataFrame, quantity: Quantity) -> Iterator[ForecastSkill]:
    """Figures of one quantity; all forecasts of a run have the same periods."""
    step_s = record.site.grid.step_s
    step = issues["step"].to_numpy(dtype=np.int64)
    known = np.full(int(record.steps["step"].max()) + 1, np.nan)
    known[record.steps["step"].to_numpy(dtype=np.int64)] = quantity.outcome(record)
    forecast = np.array(issues[quantity.column].tolist(), dtype=np.float64)
    level, spread = _quantiles(issues, quantity)
    begin = 0
    for period, length_s in enumerate(issues["forecast_period_s"].iloc[0]):
        end = begin + int(length_s) // step_s
        whole = step + end <= len(known)
        rows = step[whole, None] + np.arange(begin, end)
        outcome = known[rows].mean(axis=1)
        there = np.isfinite(outcome)
        if there.any():
            made = _figures(
                quantity,
                float(begin * step_s),
                forecast[whole, period][there],
                outcome[there],
                known[step[whole]][there],
            )
            own = spread[whole, :, period][there]
            yield _with_quantiles(made, outcome[there], own, level) if level.size else made
        begin = end


def _quantiles(issues: pd.DataFrame, quantity: Quantity) -> tuple[FloatArray, FloatArray]:
    """Levels, shape (level,), and quantiles, shape (issue, level, period); no level where none are."""
    levels = issues[f"{quantity.spread}_level"]
    if levels.isna().any():
        return np.zeros(0), np.zeros((len(issues), 0, len(issues["forecast_period_s"].iloc[0])))
    level = np.asarray(levels.iloc[0], dtype=np.float64)
    flat = np.array(issues[f"{quantity.spread}_quantiles"].tolist(), dtype=np.float64)
    return level, flat.reshape(len(issues), len(level), -1)


def _figures(
    quantity: Quantity, lead_s: float, forecast: FloatArray, outcome: FloatArray, persistence: FloatArray
) -> ForecastSkill:
    error, rmse = forecast - outcome, _rms(forecast - outcome)
    return ForecastSkill(
        quantity=quantity.name,
        unit=quantity.unit,
        lead_s=lead_s,
        periods=len(error),
        mae=float(np.abs(error).mean()),
        rmse=rmse,
        bias=float(error.mean()),
        skill=skill_score(rmse, _rms(persistence - outcome)),
    )


def _with_quantiles(
    made: ForecastSkill, outcome: FloatArray, quantile: FloatArray, level: FloatArray
) -> ForecastSkill:
    inside = (quantile[:, 0] <= outcome) & (outcome <= quantile[:, -1])
    return replace(
        made,
        pinball=float(pinball_loss(outcome, quantile, level).mean()),
        coverage=float(inside.mean()),
        nominal_coverage=float(level[-1] - level[0]),
    )


def _rms(error: FloatArray) -> float:
    return float(np.sqrt(np.mean(error**2)))
