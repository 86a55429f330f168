"""The forecast that believes in yesterday, and in now while there is no yesterday."""

from __future__ import annotations

import numpy as np

from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.plugins import needs

DAY_S = 86_400


@needs()
class PersistenceForecaster:
    """Same time yesterday where it was measured, else the last measurement.

    Prices are a tariff known in advance by nobody here: they persist like everything else.

    Args:
        site: the time grid.
    """

    def __init__(self, site: Site) -> None:
        self._step_s = site.grid.step_s
        self._history: list[Measurement] = []

    def state(self) -> list[Measurement]:
        """See :class:`cosim.model.roles.Resumable`."""
        return list(self._history)

    def restore(self, state: list[Measurement]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._history = state

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        """Means over the periods of what was measured a day earlier, or of the present."""
        self._history.append(measurement)
        day = DAY_S // self._step_s
        del self._history[: -day - 1]
        oldest = measurement.step - len(self._history) + 1
        kw, kvar, offered, price, source = [], [], [], [], []
        for start_s, length_s in zip(horizon.starts_s, horizon.period_s, strict=True):
            first = measurement.step + int(start_s) // self._step_s
            believed = [
                self._believed(step, measurement.step, oldest, day)
                for step in range(first, first + length_s // self._step_s)
            ]
            kw.append(np.mean([m.demand_kw for m in believed], axis=0))
            kvar.append(np.mean([m.demand_kvar for m in believed], axis=0))
            offered.append(np.mean([m.available_kw for m in believed], axis=0))
            price.append(np.mean([m.price_per_kwh for m in believed]))
            source.append(np.mean([m.source_ratio for m in believed]))
        return Forecast(
            horizon, np.array(kw), np.array(kvar), np.array(offered), np.array(price), np.array(source)
        )

    def _believed(self, step: int, now: int, oldest: int, day: int) -> Measurement:
        if step <= now or day == 0:
            return self._history[-1]
        yesterday = step - day
        while yesterday > now:
            yesterday -= day
        if yesterday >= oldest:
            return self._history[yesterday - oldest]
        return self._history[-1]
