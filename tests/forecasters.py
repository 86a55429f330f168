"""A forecaster of a user's own, as a scenario names it: ``tests.forecasters:NoisyTruth``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field

from cosim.forecasting.perfect import PerfectForecaster
from cosim.model.exogenous import Exogenous
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.plugins import Options, needs, options, seeded


class NoiseOptions(Options):
    """How wrong the forecast is."""

    demand_error: float = Field(0.05, ge=0.0, description="standard deviation, as a part of the demand")


@needs("truth")
@options(NoiseOptions)
@seeded
class NoisyTruth:
    """What the plant will meet, each load and period with an error of its own."""

    def __init__(self, site: Site, truth: Exogenous, *, options: NoiseOptions, seed: int) -> None:
        self._perfect = PerfectForecaster(site, truth)
        self._error, self._random = options.demand_error, np.random.default_rng(seed)

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        perfect = self._perfect.forecast(measurement, horizon)
        factor = 1.0 + self._error * self._random.standard_normal(perfect.demand_kw.shape)
        return replace(
            perfect, demand_kw=factor * perfect.demand_kw, demand_kvar=factor * perfect.demand_kvar
        )
