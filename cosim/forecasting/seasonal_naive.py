"""The forecast that repeats yesterday, or the same weekday of last week, from before the run on."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from cosim.forecasting.past import Past, Seen, State
from cosim.forecasting.periods import period_means, steps_ahead
from cosim.model.exogenous import Exogenous
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.plugins import Options, needs, options

DAY_S = 86_400
SEASONS_S = {"day": (DAY_S,), "week": (7 * DAY_S, DAY_S)}
"""How far back it looks, in order."""


class SeasonalNaiveOptions(Options):
    """Which earlier time is repeated."""

    season: Literal["day", "week"] = Field(
        "day", description="the same clock time yesterday, or on the same weekday last week"
    )


@needs("history")
@options(SeasonalNaiveOptions)
class SeasonalNaiveForecaster:
    """The value of the same clock time one season ago, from the history or from what was measured.

    A season is 24 hours or seven times that, so a night in which clocks change shifts by an hour. A time of
    last week that is not known gives way to yesterday, and that to the last measurement (persistence). The
    present step is as measured, the voltage of the sources stays as measured.

    Source: seasonal naive method, Hyndman and Athanasopoulos, *Forecasting: Principles and Practice*, 3rd
    edition, section 5.2.

    Args:
        site: the time grid.
        history: series before the run; None: only what is measured.
        options: the season.
    """

    def __init__(self, site: Site, *, history: Exogenous | None, options: SeasonalNaiveOptions) -> None:
        self._step_s = site.grid.step_s
        self._seasons = [max(season // self._step_s, 1) for season in SEASONS_S[options.season]]
        self._past = Past(site, history, max(self._seasons) + 1)

    def state(self) -> State:
        """See :class:`cosim.model.roles.Resumable`."""
        return self._past.state()

    def restore(self, state: State) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._past.restore(state)

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        """Means over the periods of what was one season earlier."""
        self._past.take(measurement)
        now, ahead = measurement.step, steps_ahead(horizon, self._step_s)
        seen = [self._believed(now, now + lead) for lead in range(ahead)]
        kw, kvar, offered, price = (
            period_means(np.array(part), horizon, self._step_s) for part in zip(*seen, strict=True)
        )
        return Forecast(horizon, kw, kvar, offered, price)

    def _believed(self, now: int, step: int) -> Seen:
        lead = step - now
        if lead:
            for season in self._seasons:
                found = self._past.at(step - season * -(-lead // season))
                if found is not None:
                    return found
        present = self._past.at(now)
        assert present is not None
        return present
