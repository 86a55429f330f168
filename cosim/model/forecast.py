"""What a policy believes about the coming periods."""

from __future__ import annotations

from dataclasses import dataclass

from cosim.model.arrays import FloatArray
from cosim.model.timegrid import Horizon


@dataclass(frozen=True)
class Forecast:
    """Mean values over the periods of a horizon.

    Attributes:
        horizon: the periods.
        demand_kw, demand_kvar: per load at rated voltage, shape (period, load).
        pv_available_kw: before curtailment, shape (period, PV system).
        price_per_kwh: shape (period,).
    """

    horizon: Horizon
    demand_kw: FloatArray
    demand_kvar: FloatArray
    pv_available_kw: FloatArray
    price_per_kwh: FloatArray
