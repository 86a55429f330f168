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
        available_kw: of the devices, see :class:`cosim.model.state.Measurement`, shape (period, device).
        price_per_kwh: shape (period,).
    """

    horizon: Horizon
    demand_kw: FloatArray
    demand_kvar: FloatArray
    available_kw: FloatArray
    price_per_kwh: FloatArray
