"""One forecaster each for load, sun and price."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosim.model.forecast import Forecast
from cosim.model.forecast_errors import ForecastErrors
from cosim.model.roles import Forecaster, ResumesAsParts
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon


class ForecasterByQuantity(ResumesAsParts):
    """Takes each quantity from the forecaster of that quantity.

    Devices that see the sun are offered what the forecaster of the irradiance says, all others (flexible
    loads) what the forecaster of the load says. The voltage of the sources comes with the load. Each
    forecaster is asked once per step, also where it serves several quantities.

    Args:
        site: tells which devices see the sun.
        load, irradiance, price: the forecasters; they may be the same object.
    """

    _parts: list[Forecaster]

    def __init__(self, site: Site, load: Forecaster, irradiance: Forecaster, price: Forecaster) -> None:
        self._sees_sun = site.sun_kw() > 0
        self._load, self._irradiance, self._price = load, irradiance, price
        self._parts = list({id(one): one for one in (load, irradiance, price)}.values())

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        """Each quantity as its forecaster says."""
        made = {id(one): one.forecast(measurement, horizon) for one in self._parts}
        load, sun, price = (made[id(one)] for one in (self._load, self._irradiance, self._price))
        return replace(
            load,
            available_kw=np.where(self._sees_sun, sun.available_kw, load.available_kw),
            available_quantiles=sun.available_quantiles,
            price_per_kwh=price.price_per_kwh,
            price_quantiles=price.price_quantiles,
            errors=_errors(load.errors, sun.errors, price.errors),
        )


def _errors(
    load: ForecastErrors | None, sun: ForecastErrors | None, price: ForecastErrors | None
) -> ForecastErrors | None:
    """What each forecaster says about the errors of its own quantity; None where nobody says anything."""
    known = [errors for errors in (load, sun, price) if errors is not None]
    if not known:
        return None
    return replace(
        known[0],
        load=None if load is None else load.load,
        sun=None if sun is None else sun.sun,
        price=None if price is None else price.price,
    )
