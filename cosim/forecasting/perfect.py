"""The forecast that knows the future: the yardstick for all others."""

from __future__ import annotations

import numpy as np

from cosim.model.exogenous import Exogenous
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.plugins import needs


@needs("truth")
class PerfectForecaster:
    """Reads the very series the plant will meet.

    Args:
        site: order of loads and devices.
        exogenous: the series.
    """

    def __init__(self, site: Site, exogenous: Exogenous) -> None:
        self._site, self._exogenous = site, exogenous

    def state(self) -> None:
        """See :class:`cosim.model.roles.Resumable`: it has none."""

    def restore(self, state: None) -> None:
        """See :class:`cosim.model.roles.Resumable`."""

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        """Means of the true series over the periods."""
        kw, kvar, offered, price, source = [], [], [], [], []
        for start_s, length_s in zip(horizon.starts_s, horizon.period_s, strict=True):
            first = measurement.step + int(start_s) // self._exogenous.step_s
            last = first + length_s // self._exogenous.step_s
            demand_kw, demand_kvar = self._exogenous.demand_kw(first, last)
            irradiance = self._exogenous.irradiance_at(len(self._site.devices), first, last)
            kw.append(demand_kw)
            kvar.append(demand_kvar)
            offered.append(self._site.available_kw(irradiance, demand_kw))
            price.append(self._exogenous.mean_price(first, last))
            source.append(self._exogenous.mean_source_ratio(first, last))
        return Forecast(
            horizon=horizon,
            demand_kw=np.array(kw),
            demand_kvar=np.array(kvar),
            available_kw=np.array(offered, dtype=np.float64).reshape(len(horizon), -1),
            price_per_kwh=np.array(price),
            source_ratio=np.array(source),
        )
