"""The forecast that another federate publishes while the run goes on."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from cosim.errors import ContractError
from cosim.forecasting.periods import steps_ahead
from cosim.forecasting.totals import Totals, forecast_of_totals
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.published import Publisher
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.plugins import Options, needs, options


class FederateOptions(Options):
    """What to do where the horizon is longer than what was published."""

    gaps: Literal["refuse", "hold"] = Field(
        "refuse",
        description="a step of the horizon that no value was published for ends the run, or repeats the "
        "value before it",
    )


@needs("published")
@options(FederateOptions)
class FederateForecaster:
    """What a federate with role ``forecast`` published for the step that is decided.

    The present step is as measured, and so is a quantity of which nothing was published. The demand of all
    loads is shared out in the proportions of now; all devices see one irradiance.

    It has no state: a run that is continued asks the federate again from step 0.

    Args:
        site: loads, devices and the time grid.
        published: of the federate; None: there is nobody to listen to.
        options: what to do in gaps.
    """

    def __init__(self, site: Site, *, published: Publisher | None, options: FederateOptions) -> None:
        self._site, self._published, self._holds = site, published, options.gaps == "hold"

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        """Means over the periods of what was published.

        Raises:
            ContractError: nothing was published for this step, or too little.
        """
        publisher, step = self._published, measurement.step
        if publisher is None:
            raise ContractError(
                "the forecaster waits for a federate with role 'forecast', and this run has none: run over "
                "helics, or give this federate a 'stand_in' for runs in one process"
            )
        said, ahead = publisher.at(step), steps_ahead(horizon, self._site.grid.step_s) - 1

        def on_gap(quantity: str, first: int) -> None:
            if not self._holds:
                raise ContractError(
                    f"{publisher.name} published the {quantity} of {first - 1} steps after step {step}, "
                    f"the horizon has {ahead}; publish more, shorten 'control.horizon_s', or give the "
                    "forecaster 'options: {gaps: hold}'"
                )

        totals = Totals(
            _as_long(said.load_kw, ahead),
            _as_long(said.irradiance, ahead),
            _as_long(said.price_per_kwh, ahead),
        )
        return forecast_of_totals(self._site, measurement, horizon, totals, on_gap)


def _as_long(values: FloatArray, steps: int) -> FloatArray | None:
    """So many values, NaN where there are too few; None where there are none at all."""
    if not values.size:
        return None
    return np.concatenate([values[:steps], np.full(max(0, steps - values.size), np.nan)])
