"""What each period of a plan begins with: a period of the plan before."""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import FloatArray, IntArray
from cosim.model.forecast import Forecast


def ancestors(now: Forecast, before: Forecast, passed_s: float) -> IntArray:
    """Period of an earlier horizon that each period of one begun later takes its start from.

    It is the period of the same time. A period beyond the earlier horizon takes the one whose expected
    demand, sun and price are most like its own, the last of several: at a horizon of a day that is
    the same hour a day before, for which everything was already found.

    Args:
        now: the later forecast.
        before: the earlier one, for the same loads and PV systems.
        passed_s: from the start of the earlier horizon to that of the later.
    """
    overlap = [before.horizon.period_at(int(start + passed_s)) for start in now.horizon.starts_s]
    then, here = _expectation(before), _expectation(now)
    spread = np.ptp(then, axis=0)
    # What is the same in all periods, like the sun of a night, tells none of them apart.
    scale = np.where(spread > 1e-9 * np.abs(then).max(axis=0), spread, np.inf)
    last = len(then) - 1
    found = np.empty(len(here), dtype=np.int64)
    for period, same_time in enumerate(overlap):
        if same_time is not None:
            found[period] = same_time
        else:
            apart = (((then - here[period]) / scale) ** 2).sum(axis=1)
            found[period] = last - int(np.argmin(apart[::-1]))
    return found


def _expectation(forecast: Forecast) -> FloatArray:
    """What makes periods alike: total demand in kW and kvar, total sun in kW, price; shape (period, 4)."""
    parts = (forecast.demand_kw, forecast.demand_kvar, forecast.available_kw)
    totals = [part.sum(axis=1) for part in parts]
    return np.stack([*totals, forecast.price_per_kwh], axis=1)
