"""What a policy believes about the coming periods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray
from cosim.model.forecast_errors import IRRADIANCE, LOAD, PRICE, ForecastErrors
from cosim.model.site import Site
from cosim.model.timegrid import Horizon

QUANTILE_SAMPLE = 200
"""Scenarios that quantiles are taken from."""


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
class Scenarios:
    """Futures that a forecast holds for possible, equally probable.

    Attributes:
        demand_kw, demand_kvar: see :class:`Forecast`, shape (scenario, period, load).
        available_kw: shape (scenario, period, device).
        price_per_kwh: shape (scenario, period).
    """

    demand_kw: FloatArray
    demand_kvar: FloatArray
    available_kw: FloatArray
    price_per_kwh: FloatArray

    def __len__(self) -> int:
        return len(self.price_per_kwh)


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
        errors: law of the errors, for scenarios; None: the forecaster says nothing about them.
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
    errors: ForecastErrors | None = None

    def scenarios(self, count: int, sun_kw: FloatArray) -> Scenarios:
        """Scenarios around this forecast, by the law of its errors: see :class:`ForecastErrors`.

        A factor of a period is the mean of those of its steps. kvar of a load follow its kW. What flexible
        loads are offered and the voltage of the sources have no error. The sun offers no device more than
        ``sun_kw``, or than is forecast where that is more.

        Args:
            count: how many.
            sun_kw: of each device at 1 kW/m², 0 where it does not see the sun, shape (device,).

        Raises:
            ContractError: more than one is asked for and the forecaster says nothing about its errors.
        """
        if self.errors is None:
            if count > 1:
                raise ContractError(
                    f"{count} scenarios are asked of a forecast that says nothing about its errors; "
                    "use a forecaster that does (noisy), or planner.uncertainty: null"
                )
            every = (self.demand_kw, self.demand_kvar, self.available_kw, self.price_per_kwh)
            return Scenarios(*(np.asarray(part)[None] for part in every))
        load, sun, price = (
            self._period_factors(self.errors, quantity, count, series)
            for quantity, series in ((LOAD, self.demand_kw.shape[1]), (IRRADIANCE, len(sun_kw)), (PRICE, 1))
        )
        offered = np.minimum(sun * self.available_kw, np.maximum(sun_kw, self.available_kw))
        return Scenarios(
            demand_kw=load * self.demand_kw,
            demand_kvar=load * self.demand_kvar,
            available_kw=np.where(sun_kw > 0.0, offered, self.available_kw),
            price_per_kwh=price[:, :, 0] * self.price_per_kwh,
        )

    def _period_factors(self, errors: ForecastErrors, quantity: int, count: int, series: int) -> FloatArray:
        """Factors of each period, shape (scenario, period, series)."""
        ahead = self.horizon.length_s // errors.step_s
        by_step = errors.factors(quantity, count, series, ahead)
        firsts = np.asarray(self.horizon.starts_s) // errors.step_s
        counts = np.asarray(self.horizon.period_s) // errors.step_s
        parts = [by_step[:, at : at + n].mean(axis=1) for at, n in zip(firsts, counts, strict=True)]
        return np.stack(parts, axis=1)

    def quantiles(self, level: FloatArray, site: Site) -> tuple[Quantiles, Quantiles, Quantiles]:
        """Quantiles of load, of what the sun offers, and of the price, see :class:`Outlook`.

        They are those of a sample of scenarios.

        Args:
            level: rising, between 0 and 1, shape (level,).
            site: tells which devices see the sun.
        """
        drawn = self.scenarios(QUANTILE_SAMPLE, site.sun_kw())
        totals = (
            drawn.demand_kw.sum(axis=2),
            drawn.available_kw[:, :, site.sun_kw() > 0].sum(axis=2),
            drawn.price_per_kwh,
        )
        load, sun, price = (Quantiles(level, np.quantile(total, level, axis=0)) for total in totals)
        return load, sun, price

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
