"""The exact storage law along a plan: what every planner checks its energy with."""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.ratings import StorageRating
from cosim.model.state import Plan
from cosim.model.timegrid import Horizon

ROUNDING = 1e-3
"""Up to this part of the rated power a step outside the energy window counts as the solver's rounding."""


def expected_drain_kwh(
    ratings: tuple[StorageRating, ...], horizon: Horizon, earlier: Plan | None, time_s: float
) -> FloatArray:
    """Idling losses out of the cells where an earlier plan lets batteries work, shape (period, battery).

    Idling loss leaves the cell only while the battery works, which is not known before solving.
    """
    drain = np.zeros((len(horizon), len(ratings)))
    idling = np.array([rating.idling_kw for rating in ratings])
    if earlier is None or not idling.any():
        return drain
    out = idling / np.array([rating.efficiency_discharge for rating in ratings])
    into = idling * np.array([rating.efficiency_charge for rating in ratings])
    for period, (offset_s, hours) in enumerate(zip(horizon.starts_s, horizon.hours, strict=True)):
        then = earlier.period_at(time_s + float(offset_s))
        if then is not None:
            kw = earlier.storage_kw[then]
            drain[period] = hours * (np.where(kw > 0, out, 0.0) + np.where(kw < 0, into, 0.0))
    return drain


def within_window(
    ratings: tuple[StorageRating, ...], horizon: Horizon, stored_kwh: FloatArray, kw: FloatArray
) -> FloatArray:
    """A plan without what a solver's tolerance puts beyond the energy window.

    More than a tolerance is left as it is: it must be seen.

    Args:
        ratings: the batteries.
        horizon: the periods.
        stored_kwh: at the start, shape (battery,).
        kw: planned, shape (period, battery).
    """
    fitted = kw.copy()
    for i, rating in enumerate(ratings):
        stored = float(stored_kwh[i])
        for period, hours in enumerate(horizon.hours):
            wanted = float(kw[period, i])
            fits, _, _ = rating.accept(wanted, 0.0, stored_kwh=stored, step_h=float(hours))
            if abs(fits - wanted) <= ROUNDING * rating.kw:
                fitted[period, i] = fits
            stored = rating.next_stored_kwh(stored, float(fitted[period, i]), float(hours))
    return fitted


def roll_out(
    ratings: tuple[StorageRating, ...], horizon: Horizon, stored_kwh: FloatArray, kw: FloatArray
) -> FloatArray:
    """Stored energy along a plan by the exact storage law, shape (period + 1, battery)."""
    stored = np.empty((kw.shape[0] + 1, len(ratings)))
    stored[0] = stored_kwh
    for period, hours in enumerate(horizon.hours):
        for i, rating in enumerate(ratings):
            stored[period + 1, i] = rating.next_stored_kwh(
                float(stored[period, i]), float(kw[period, i]), float(hours)
            )
    return stored
