"""From values at steps to means over the periods of a horizon."""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon


def steps_ahead(horizon: Horizon, step_s: int) -> int:
    """How many steps a horizon covers, the present one included."""
    return horizon.length_s // step_s


def period_means(values: FloatArray, horizon: Horizon, step_s: int) -> FloatArray:
    """Means over the periods.

    Args:
        values: of each step from the present one on, first axis (step,).
        horizon: the periods.
        step_s: length of a step.

    Returns:
        First axis (period,), the others as in ``values``.
    """
    firsts = horizon.starts_s // step_s
    counts = np.asarray(horizon.period_s) // step_s
    return np.array([values[at : at + n].mean(axis=0) for at, n in zip(firsts, counts, strict=True)])


def available_from(
    site: Site, measurement: Measurement, horizon: Horizon, irradiance: FloatArray, demand_kw: FloatArray
) -> FloatArray:
    """What devices are offered in each period; the present step is as measured.

    Args:
        site: its devices.
        measurement: of the present step.
        horizon: the periods.
        irradiance: kW/m² that all devices see at each step, shape (step,); the first value is not read.
        demand_kw: of the loads in each period, shape (period, load).

    Returns:
        Shape (period, device).
    """
    step_s, count = site.grid.step_s, len(site.devices)
    later = irradiance.copy()
    in_first = horizon.period_s[0] // step_s
    later[0] = later[1:in_first].mean() if in_first > 1 else 0.0
    seen = period_means(later, horizon, step_s)
    offered = np.array(
        [site.available_kw(np.full(count, one), kw) for one, kw in zip(seen, demand_kw, strict=True)],
        dtype=np.float64,
    ).reshape(len(horizon), count)
    offered[0] = (measurement.available_kw + (in_first - 1) * offered[0]) / in_first
    return offered


def scaled_demand(
    site: Site, measurement: Measurement, total_kw: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Demand of each load where only that of all is forecast: in the proportions of now.

    Where nothing is drawn now, in the proportions of the nominal demand.

    Args:
        site: nominal demand.
        measurement: of the present step.
        total_kw: of all loads, shape (period,).

    Returns:
        kW and kvar, shape (period, load).
    """
    kw, kvar = measurement.demand_kw, measurement.demand_kvar
    if kw.sum() == 0.0:
        kw, kvar = site.load_kw, site.load_kvar
    if kw.sum() == 0.0:
        return np.tile(kw, (len(total_kw), 1)), np.tile(kvar, (len(total_kw), 1))
    share = total_kw / kw.sum()
    return np.outer(share, kw), np.outer(share, kvar)
