"""Warm start of a receding horizon: match each period of the new horizon to one of the earlier horizon."""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import FloatArray, IntArray
from cosim.model.forecast import Forecast


def matching_periods(now: Forecast, before: Forecast, passed_s: float) -> IntArray:
    """Index of the earlier period that supplies the warm start of each new period, shape (new period,).

    A new period inside the earlier horizon takes the period of the same time. A new period beyond the end
    of the earlier horizon takes the most similar period: the one with the nearest total demand, available
    device power and price. If several are equally near, it takes the last one. For a horizon of one day
    this is usually the same hour of the day before.

    Args:
        now: forecast over the new horizon.
        before: forecast over the earlier horizon, for the same loads and devices.
        passed_s: time from the start of the earlier horizon to the start of the new one, in seconds.
    """
    same_time = [before.horizon.period_at(int(start + passed_s)) for start in now.horizon.starts_s]
    earlier_features, features = _features(before), _features(now)
    spread = np.ptp(earlier_features, axis=0)
    # A feature that is constant over the earlier horizon (PV power at night) gets no weight: its scale
    # is infinite.
    constant = spread <= 1e-9 * np.abs(earlier_features).max(axis=0)
    scale = np.where(constant, np.inf, spread)
    last = len(earlier_features) - 1
    found = np.empty(len(features), dtype=np.int64)
    for period, earlier_period in enumerate(same_time):
        if earlier_period is not None:
            found[period] = earlier_period
        else:
            distance = (((earlier_features - features[period]) / scale) ** 2).sum(axis=1)
            # argmin returns the first minimum; the reversed array makes it the last one.
            found[period] = last - int(np.argmin(distance[::-1]))
    return found


def _features(forecast: Forecast) -> FloatArray:
    """Features that measure similarity of periods, shape (period, 4).

    They are total demand in kW, total demand in kvar, total available device power in kW, and price.
    """
    parts = (forecast.demand_kw, forecast.demand_kvar, forecast.available_kw)
    totals = [part.sum(axis=1) for part in parts]
    return np.stack([*totals, forecast.price_per_kwh], axis=1)
