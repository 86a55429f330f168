"""What a policy believes about the coming periods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
        source_ratio: voltage of the sources over what the master says, shape (period,); None: as measured.
    """

    horizon: Horizon
    demand_kw: FloatArray
    demand_kvar: FloatArray
    available_kw: FloatArray
    price_per_kwh: FloatArray
    source_ratio: FloatArray | None = None

    def source_ratio_from(self, measured: float) -> FloatArray:
        """Voltage of the sources in each period, that of now where nothing is forecast."""
        return np.full(len(self.horizon), measured) if self.source_ratio is None else self.source_ratio
