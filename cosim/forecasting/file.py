"""The forecast of somebody else, from a file of vintages."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from cosim.errors import SeriesError
from cosim.forecasting.periods import steps_ahead
from cosim.forecasting.totals import Totals, forecast_of_totals
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.model.vintages import Vintages, VintageSeries
from cosim.plugins import Options, needs, options


class FileOptions(Options):
    """What to do where no vintage says anything."""

    gaps: Literal["refuse", "hold"] = Field(
        "refuse",
        description="a time that no vintage covers ends the run, or repeats the value before it",
    )


@needs("vintages")
@options(FileOptions)
class FileForecaster:
    """Reads ``inputs.vintages``: each time from the newest vintage that was issued by then and covers it.

    A vintage that comes late is used as late as it came; until then the one before it holds. The present
    step is as measured. A quantity without a file, and the voltage of the sources, stay as measured. The
    demand of all loads is shared out in the proportions of now; all devices see one irradiance.

    Args:
        site: loads, devices and the time grid.
        vintages: of the scenario; None: there are none.
        options: what to do in gaps.

    Raises:
        SeriesError: no quantity has a file.
    """

    def __init__(self, site: Site, *, vintages: Vintages | None, options: FileOptions) -> None:
        if vintages is None or vintages.empty:
            raise SeriesError(
                "forecaster 'file' has no vintages; give a file of load, irradiance or price in "
                "'inputs.vintages'"
            )
        self._site, self._vintages, self._holds = site, vintages, options.gaps == "hold"

    def state(self) -> None:
        """See :class:`cosim.model.roles.Resumable`: it has none."""

    def restore(self, state: None) -> None:
        """See :class:`cosim.model.roles.Resumable`."""

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        """Means over the periods of what the vintages say.

        Raises:
            SeriesError: a time is not covered, and gaps are refused.
        """
        grid, now = self._site.grid, measurement.step
        now_s, ahead = grid.second(now), steps_ahead(horizon, grid.step_s)
        targets = now_s + grid.step_s * np.arange(1, ahead, dtype=np.int64)

        def said(series: VintageSeries | None) -> FloatArray | None:
            return None if series is None else series.values(now_s, targets)

        def on_gap(quantity: str, first: int) -> None:
            if not self._holds:
                raise SeriesError(
                    f"inputs.vintages.{quantity}: at {grid.timestamp(now).isoformat()} no known vintage "
                    f"says anything of {grid.timestamp(now + first).isoformat()}; complete the file, "
                    "shorten 'control.horizon_s', or give the forecaster 'options: {gaps: hold}'"
                )

        known = self._vintages
        totals = Totals(said(known.load_kw), said(known.irradiance), said(known.price_per_kwh))
        return forecast_of_totals(self._site, measurement, horizon, totals, on_gap)
