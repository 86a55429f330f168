"""The true series with errors of a stated size, for studies of how much a forecast error costs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, GetJsonSchemaHandler, NonNegativeFloat, PositiveFloat, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from cosim.forecasting.periods import period_means, steps_ahead
from cosim.model.arrays import FloatArray
from cosim.model.exogenous import Exogenous
from cosim.model.forecast import Forecast
from cosim.model.forecast_errors import IRRADIANCE, LOAD, PRICE, ErrorLaw, ForecastErrors
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.plugins import Options, needs, options, seeded, tells_errors

Level = Literal["none", "low", "medium", "high"]


class ErrorOptions(Options):
    """Errors of one quantity, as parts of its true value; a level stands for its standard deviation."""

    std_of: ClassVar[dict[Level, float]] = {"none": 0.0, "low": 0.0, "medium": 0.0, "high": 0.0}

    std: NonNegativeFloat = Field(0.0, description="standard deviation that long lead times come to")
    bias: float = Field(0.0, gt=-1.0, description="mean error of every lead time but the present step")
    correlation_s: PositiveFloat = Field(
        10_800.0, description="lead time over which the correlation of errors falls to 1/e"
    )
    common: float = Field(
        0.5, ge=0.0, le=1.0, description="correlation between loads, or devices: 1 one error for all"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_level(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in cls.std_of:
            raise ValueError(f"give one of {', '.join(cls.std_of)}, or a mapping with 'std'")
        return {"std": cls.std_of[value]}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A level or a mapping."""
        mapping = handler(schema)
        return {"anyOf": [{"enum": list(cls.std_of)}, mapping]}


class LoadErrors(ErrorOptions):
    """Errors of the demand: normal."""

    std_of: ClassVar[dict[Level, float]] = {"none": 0.0, "low": 0.03, "medium": 0.06, "high": 0.12}


class SunErrors(ErrorOptions):
    """Errors of the irradiance: Laplace, which has more small and more large errors."""

    std_of: ClassVar[dict[Level, float]] = {"none": 0.0, "low": 0.1, "medium": 0.2, "high": 0.4}


class PriceErrors(ErrorOptions):
    """Errors of the price: normal."""

    std_of: ClassVar[dict[Level, float]] = {"none": 0.0, "low": 0.05, "medium": 0.1, "high": 0.2}


class NoisyOptions(Options):
    """How wrong the forecast is."""

    load: LoadErrors = Field(LoadErrors(std=0.06), description="a level, or numbers; default medium")
    irradiance: SunErrors = Field(SunErrors(std=0.2), description="a level, or numbers; default medium")
    price: PriceErrors = Field(PriceErrors(), description="a level, or numbers; default none")
    quantiles: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = Field(
        (), description="levels of quantiles that the record keeps, rising, e.g. [0.05, 0.5, 0.95]"
    )

    @model_validator(mode="after")
    def _rising(self) -> NoisyOptions:
        if any(low >= high for low, high in pairwise(self.quantiles)):
            raise ValueError(f"{list(self.quantiles)} do not rise; give each level once, in order")
        return self


class ErrorProcess:
    """Relative errors of several series by lead time, AR(1) along the lead time.

    With innovations ``n`` that belong to the *target* step, the error of the forecast that is issued at
    step t is::

        e(t, t) = 0,    e(t, t + k) = phi e(t, t + k - 1) + n(t + k)

    so its standard deviation is ``std sqrt(1 - phi^(2 k))``: nothing now, ``std`` far ahead. As forecasts
    of several issue times share the innovations, a later forecast of the same moment is the earlier one
    less the innovations that have come to light: ``e(t, m) - e(t + 1, m) = phi^(m - t - 1) n(t + 1)``.

    An innovation depends on seed, quantity and target step alone, so there is no state.

    Sources: AR(1) errors per issue time, normal and Laplace, in levels: BOPTEST, ``forecast/
    error_emulator.py`` of ibpsa/project1-boptest, which draws anew at each issue time. Innovations that
    later forecasts share: Heath and Jackson, *Modeling the evolution of demand forecasts*, IIE Transactions
    26(3), 1994.

    Args:
        errors: size and correlation.
        seed: of the scenario.
        quantity: which one, part of the seed.
        count: how many series.
        step_s: length of a step.
    """

    def __init__(self, errors: ErrorOptions, seed: int, quantity: int, count: int, step_s: int) -> None:
        self._errors, self._seed, self._quantity, self._count = errors, seed, quantity, count
        self._step_s, self._phi = step_s, self.law.phi(step_s)
        self._drawn: dict[int, FloatArray] = {}

    def factors(self, now: int, ahead: int) -> FloatArray:
        """What true values are multiplied by: 1 for the present step, never negative.

        Args:
            now: step of the issue.
            ahead: how many steps, the present one included.

        Returns:
            Shape (step, series).
        """
        found = np.ones((ahead, self._count))
        error = np.zeros(self._count)
        for lead in range(1, ahead):
            error = self._phi * error + self._innovation(now + lead)
            found[lead] = np.maximum(1.0 + self._errors.bias + error, 0.0)
        for past in [step for step in self._drawn if step <= now]:
            del self._drawn[past]
        return found

    @property
    def law(self) -> ErrorLaw:
        """Of the errors, as scenarios need it; the bias is left out."""
        errors = self._errors
        return ErrorLaw(errors.std, errors.correlation_s, errors.common, self._quantity == IRRADIANCE)

    def _innovation(self, step: int) -> FloatArray:
        if step not in self._drawn:
            random = np.random.default_rng([self._seed, self._quantity, step])
            self._drawn[step] = self.law.innovations(random, (self._count,), self._step_s)
        return self._drawn[step]


@needs("truth")
@tells_errors
@options(NoisyOptions)
@seeded
class NoisyForecaster:
    """The true series times one plus an error, see :class:`ErrorProcess`.

    Errors are parts of the value, so the sun stays zero at night, and no value changes its sign. What is
    measured already (the present step) is exact. kvar of a load have the error of its kW. The voltage of
    the sources has no error. The forecast carries the law of its errors, for scenarios and quantiles: their
    errors are drawn anew, so that they tell nothing about the true series.

    Args:
        site: order of loads and devices.
        exogenous: the true series.
        options: size of the errors.
        seed: of the scenario.
    """

    def __init__(self, site: Site, exogenous: Exogenous, *, options: NoisyOptions, seed: int) -> None:
        self._site, self._exogenous, step_s = site, exogenous, site.grid.step_s
        self._seed, self._levels = seed, np.array(options.quantiles)
        self._load = ErrorProcess(options.load, seed, LOAD, len(site.loads), step_s)
        self._sun = ErrorProcess(options.irradiance, seed, IRRADIANCE, len(site.devices), step_s)
        self._price = ErrorProcess(options.price, seed, PRICE, 1, step_s)

    def state(self) -> None:
        """See :class:`cosim.model.roles.Resumable`: it has none."""

    def restore(self, state: None) -> None:
        """See :class:`cosim.model.roles.Resumable`."""

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        """Means of the true series with errors over the periods.

        Raises:
            SeriesError: the horizon reaches beyond the series.
        """
        site, truth, step_s, now = self._site, self._exogenous, self._site.grid.step_s, measurement.step
        ahead = steps_ahead(horizon, step_s)
        steps = range(now, now + ahead)
        demand = [truth.demand_kw(step, step + 1) for step in steps]
        load = self._load.factors(now, ahead)
        kw = period_means(load * np.array([kw for kw, _ in demand]), horizon, step_s)
        kvar = period_means(load * np.array([kvar for _, kvar in demand]), horizon, step_s)
        seen = np.array([truth.irradiance_at(len(site.devices), step, step + 1) for step in steps])
        seen = period_means(self._sun.factors(now, ahead) * seen, horizon, step_s)
        price = np.array([truth.mean_price(step, step + 1) for step in steps])
        price = period_means(self._price.factors(now, ahead)[:, 0] * price, horizon, step_s)
        source = np.array([truth.mean_source_ratio(step, step + 1) for step in steps])
        offered = [site.available_kw(sun, row) for sun, row in zip(seen, kw, strict=True)]
        found = Forecast(
            horizon=horizon,
            demand_kw=kw,
            demand_kvar=kvar,
            available_kw=np.array(offered, dtype=np.float64).reshape(len(horizon), -1),
            price_per_kwh=price,
            source_ratio=period_means(source, horizon, step_s),
            errors=ForecastErrors(now, step_s, self._seed, self._load.law, self._sun.law, self._price.law),
        )
        if not len(self._levels):
            return found
        load_spread, sun_spread, price_spread = found.quantiles(self._levels, site)
        return replace(
            found,
            load_quantiles=load_spread,
            available_quantiles=sun_spread,
            price_quantiles=price_spread,
        )
