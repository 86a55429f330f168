"""Faults of the controllers of areas that a scenario asks for."""

from __future__ import annotations

from collections.abc import Mapping

from cosim.model.forecast import Forecast
from cosim.model.roles import ResumesAsInner
from cosim.model.state import Measurement
from cosim.opf.distributed.messages import AreaAgent, AreaAnswer, Message
from cosim.run.injected import AreaLate, AreaOutage, Schedule


class InjectedAgent(ResumesAsInner):
    """The controller of an area that is silent in some steps.

    Args:
        agent: the controller.
        schedule: of the faults.
    """

    _inner: AreaAgent

    def __init__(self, agent: AreaAgent, schedule: Schedule) -> None:
        self._inner, self._schedule = agent, schedule
        self.name, self.neighbours = agent.name, agent.neighbours
        self._is_out, self._is_late = False, False

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        out, late = (
            any(fault.area == self.name for fault in self._schedule.striking(measurement.step, kind))
            for kind in (AreaOutage, AreaLate)
        )
        self._is_out, self._is_late = out, late
        if not out:
            self._inner.begin(measurement, forecast)

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """See :class:`AreaAgent`."""
        sent = {} if self._is_out else self._inner.round(number, received)
        return {} if self._is_late else sent

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer | None:
        """See :class:`AreaAgent`."""
        answer = None if self._is_out else self._inner.answer(received)
        return None if self._is_late else answer
