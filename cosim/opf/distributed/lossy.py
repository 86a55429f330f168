"""Messages between areas that get lost, by a seed: the same ones in one process and over HELICS."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from cosim.model.forecast import Forecast
from cosim.model.state import Measurement
from cosim.opf.distributed.messages import AreaAgent, AreaAnswer, Message
from cosim.opf.distributed.planner_options import AreasOptions

AT_THE_END = 1_000_000
"""Number of the round for messages that arrive after the last one."""


class LossyOptions(AreasOptions):
    """Options of planners whose areas go on where a message is lost."""

    loss: float = Field(0.0, ge=0.0, lt=1.0, description="share of messages between areas that get lost")
    seed: int = Field(0, ge=0, description="of the messages that get lost")


class LossyAgent:
    """An area that does not hear every message.

    Whether a message is lost follows from the seed, the time of the plan, the round, sender and receiver.

    Args:
        agent: of the area.
        names: of all areas by position.
        loss: share of messages that get lost.
        seed: of the draws.
    """

    def __init__(self, agent: AreaAgent, names: tuple[str, ...], *, loss: float, seed: int) -> None:
        self._agent, self._loss, self._seed = agent, loss, seed
        self._place = {name: place for place, name in enumerate(names)}
        self._time_s = 0

    @property
    def name(self) -> str:
        """Of the area."""
        return self._agent.name

    @property
    def neighbours(self) -> tuple[str, ...]:
        """See :class:`AreaAgent`."""
        return self._agent.neighbours

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        self._time_s = int(measurement.time_s)
        self._agent.begin(measurement, forecast)

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """See :class:`AreaAgent`."""
        return self._agent.round(number, self._heard(number, received))

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer:
        """See :class:`AreaAgent`."""
        return self._agent.answer(self._heard(AT_THE_END, received))

    def _heard(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """Messages that are not lost."""
        return {
            sender: message for sender, message in received.items() if not self._is_lost(number, sender)
        }

    def _is_lost(self, number: int, sender: str) -> bool:
        key = [self._seed, self._time_s, number, self._place[self.name], self._place[sender]]
        return bool(np.random.default_rng(key).random() < self._loss)
