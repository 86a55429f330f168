"""From totals of the feeder at the coming steps to a forecast of every load and device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cosim.forecasting.periods import available_from, period_means, scaled_demand, steps_ahead
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon


@dataclass(frozen=True)
class Totals:
    """What is said of the steps after the present one, each of shape (step,); NaN where nothing is.

    Attributes:
        load_kw: of all loads together; None: they stay as measured.
        irradiance: that all devices see, kW/m²; None: what the sun offers stays as measured.
        price_per_kwh: the price; None: it stays as measured.
    """

    load_kw: FloatArray | None
    irradiance: FloatArray | None
    price_per_kwh: FloatArray | None


OnGap = Callable[[str, int], None]
"""Called with the name of a quantity and the first step, counted from the present one, of which nothing is
said; it raises where gaps are refused."""


def forecast_of_totals(
    site: Site, measurement: Measurement, horizon: Horizon, totals: Totals, on_gap: OnGap
) -> Forecast:
    """Means over the periods; the present step is as measured, and a gap repeats the value before it.

    The demand of all loads is shared out in the proportions of now; all devices see one irradiance. The
    voltage of the sources stays as measured.

    Args:
        site: loads, devices and the time grid.
        measurement: of the present step.
        horizon: the periods.
        totals: of the steps after the present one, as far as the horizon.
        on_gap: hears of each quantity that has a gap.
    """
    periods, step_s = len(horizon), site.grid.step_s
    kw = np.tile(measurement.demand_kw, (periods, 1))
    kvar = np.tile(measurement.demand_kvar, (periods, 1))
    if totals.load_kw is not None:
        now_kw = float(measurement.demand_kw.sum())
        total = _filled("load", now_kw, totals.load_kw, on_gap)
        kw, kvar = scaled_demand(site, measurement, period_means(total, horizon, step_s))
    sees_sun = site.sun_kw() > 0
    seen = np.zeros(steps_ahead(horizon, step_s))
    if totals.irradiance is not None and sees_sun.any():
        now_seen = measurement.available_kw[sees_sun].sum() / site.sun_kw().sum()
        seen = _filled("irradiance", now_seen, totals.irradiance, on_gap)
    offered = available_from(site, measurement, horizon, seen, kw)
    if totals.irradiance is None:
        offered[:, sees_sun] = measurement.available_kw[sees_sun]
    price = np.full(periods, measurement.price_per_kwh)
    if totals.price_per_kwh is not None:
        at_steps = _filled("price", measurement.price_per_kwh, totals.price_per_kwh, on_gap)
        price = period_means(at_steps, horizon, step_s)
    return Forecast(horizon, kw, kvar, offered, price)


def _filled(quantity: str, present: float, later: FloatArray, on_gap: OnGap) -> FloatArray:
    """One value per step of the horizon; the first is the present one."""
    values = np.concatenate([[present], later])
    missing = np.flatnonzero(np.isnan(values))
    if missing.size:
        on_gap(quantity, int(missing[0]))
    at = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
    return np.asarray(values[at])
