"""What is known of each step up to now: measured in the run, or of the history before it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.exogenous import Exogenous
from cosim.model.site import Site
from cosim.model.state import Measurement


class Seen(NamedTuple):
    """What a forecast is made of, at one step.

    Attributes:
        demand_kw, demand_kvar: per load.
        available_kw: per device.
        price_per_kwh: the price.
    """

    demand_kw: FloatArray
    demand_kvar: FloatArray
    available_kw: FloatArray
    price_per_kwh: float


State = dict[int, tuple[FloatArray, FloatArray, FloatArray, float]]


class Past:
    """Steps that were measured, by their number; negative numbers are steps of the history.

    Args:
        site: loads and devices.
        history: series of the steps before the run, the last one that before step 0; None: there is none.
        steps: measured steps that are kept.
    """

    def __init__(self, site: Site, history: Exogenous | None, steps: int) -> None:
        self._site, self._history, self._most = site, history, steps
        self._measured: State = {}

    def take(self, measurement: Measurement) -> None:
        """Remember a measurement; the oldest ones go."""
        self._measured[measurement.step] = (
            measurement.demand_kw,
            measurement.demand_kvar,
            measurement.available_kw,
            measurement.price_per_kwh,
        )
        for old in [step for step in self._measured if step <= measurement.step - self._most]:
            del self._measured[old]

    def at(self, step: int) -> Seen | None:
        """What is known of a step; None where that is nothing."""
        if step in self._measured:
            return Seen(*self._measured[step])
        history = self._history
        if history is None or not -history.steps <= step < 0:
            return None
        row = history.steps + step
        kw, kvar, _, price = history.value_at(row)
        seen = history.irradiance_at(len(self._site.devices), row, row + 1)
        return Seen(kw, kvar, np.asarray(self._site.available_kw(seen, kw)), price)

    def state(self) -> State:
        """What was measured, see :class:`cosim.model.roles.Resumable`."""
        return dict(self._measured)

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` gave."""
        self._measured = dict(state)
