"""What a policy believes about the coming periods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.site import Site
from cosim.model.timegrid import Horizon


@dataclass(frozen=True)
class Quantiles:
    """How sure a forecast is.

    Attributes:
        level: probabilities that the outcome is not above the value, rising, shape (level,).
        value: in the unit of the quantity, shape (level, period).
    """

    level: FloatArray
    value: FloatArray


@dataclass(frozen=True)
class Outlook:
    """A forecast of the whole feeder, for the record.

    Attributes:
        period_s: length of each period, shape (period,).
        load_kw: of all loads at rated voltage, shape (period,).
        available_kw: of all devices that see the sun, shape (period,).
        price_per_kwh: shape (period,).
        load_quantiles, available_quantiles, price_quantiles: of the same; None where there are none.
    """

    period_s: FloatArray
    load_kw: FloatArray
    available_kw: FloatArray
    price_per_kwh: FloatArray
    load_quantiles: Quantiles | None = None
    available_quantiles: Quantiles | None = None
    price_quantiles: Quantiles | None = None


@dataclass(frozen=True)
class Forecast:
    """Mean values over the periods of a horizon.

    Attributes:
        horizon: the periods.
        demand_kw, demand_kvar: per load at rated voltage, shape (period, load).
        available_kw: of the devices, see :class:`cosim.model.state.Measurement`, shape (period, device).
        price_per_kwh: shape (period,).
        source_ratio: voltage of the sources over what the master says, shape (period,); None: as measured.
            For an area of a feeder, whose heads differ, shape (period, head).
        load_quantiles: of the demand of all loads in kW.
        available_quantiles: of what the sun offers all devices in kW.
        price_quantiles: of the price. Plans do not read quantiles; the record keeps them.
    """

    horizon: Horizon
    demand_kw: FloatArray
    demand_kvar: FloatArray
    available_kw: FloatArray
    price_per_kwh: FloatArray
    source_ratio: FloatArray | None = None
    load_quantiles: Quantiles | None = None
    available_quantiles: Quantiles | None = None
    price_quantiles: Quantiles | None = None

    def source_ratio_from(self, measured: float) -> FloatArray:
        """Voltage of the sources in each period, that of now where nothing is forecast."""
        return np.full(len(self.horizon), measured) if self.source_ratio is None else self.source_ratio

    def outlook(self, site: Site) -> Outlook:
        """Sums over the loads, and over the devices that see the sun."""
        return Outlook(
            period_s=np.asarray(self.horizon.period_s, dtype=np.float64),
            load_kw=np.asarray(self.demand_kw.sum(axis=1)),
            available_kw=np.asarray(self.available_kw[:, site.sun_kw() > 0].sum(axis=1)),
            price_per_kwh=np.asarray(self.price_per_kwh, dtype=np.float64),
            load_quantiles=self.load_quantiles,
            available_quantiles=self.available_quantiles,
            price_quantiles=self.price_quantiles,
        )
