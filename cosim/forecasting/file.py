"""The forecast of somebody else, from a file of vintages."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from cosim.errors import SeriesError
from cosim.forecasting.periods import available_from, period_means, scaled_demand, steps_ahead
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
        vintages, periods, step_s = self._vintages, len(horizon), self._site.grid.step_s
        kw = np.tile(measurement.demand_kw, (periods, 1))
        kvar = np.tile(measurement.demand_kvar, (periods, 1))
        if vintages.load_kw is not None:
            now_kw = float(measurement.demand_kw.sum())
            total = self._at_steps("load", vintages.load_kw, measurement, horizon, now_kw)
            kw, kvar = scaled_demand(self._site, measurement, period_means(total, horizon, step_s))
        sees_sun = self._site.sun_kw() > 0
        seen = np.zeros(steps_ahead(horizon, step_s))
        if vintages.irradiance is not None and sees_sun.any():
            now_seen = measurement.available_kw[sees_sun].sum() / self._site.sun_kw().sum()
            seen = self._at_steps("irradiance", vintages.irradiance, measurement, horizon, now_seen)
        offered = available_from(self._site, measurement, horizon, seen, kw)
        if vintages.irradiance is None:
            offered[:, sees_sun] = measurement.available_kw[sees_sun]
        price = np.full(periods, measurement.price_per_kwh)
        if vintages.price_per_kwh is not None:
            series, now_price = vintages.price_per_kwh, measurement.price_per_kwh
            at_steps = self._at_steps("price", series, measurement, horizon, now_price)
            price = period_means(at_steps, horizon, step_s)
        return Forecast(horizon, kw, kvar, offered, price)

    def _at_steps(
        self,
        quantity: str,
        series: VintageSeries,
        measurement: Measurement,
        horizon: Horizon,
        present: float,
    ) -> FloatArray:
        """One value per step of the horizon; the first is the present one."""
        grid, now = self._site.grid, measurement.step
        now_s, ahead = grid.second(now), steps_ahead(horizon, grid.step_s)
        targets = now_s + grid.step_s * np.arange(1, ahead, dtype=np.int64)
        values = np.concatenate([[present], series.values(now_s, targets)])
        missing = np.flatnonzero(np.isnan(values))
        if missing.size and not self._holds:
            when = grid.timestamp(now + int(missing[0]))
            raise SeriesError(
                f"inputs.vintages.{quantity}: at {grid.timestamp(now).isoformat()} no known vintage "
                f"says anything of {when.isoformat()}; complete the file, shorten 'control.horizon_s', or "
                "give the forecaster 'options: {gaps: hold}'"
            )
        at = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
        return np.asarray(values[at])
