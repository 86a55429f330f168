"""Links between areas on which messages are lost, late or old, by a seed.

What happens to a message follows from the seed, the time of the plan, the round, sender and receiver
alone, so that it is the same in one process and over HELICS. A message that has not arrived at the end of a
plan is lost, because the next plan has other periods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cosim.model.forecast import Forecast
from cosim.model.roles import ResumesAsInner
from cosim.model.state import Measurement
from cosim.opf.distributed.area_setting import AreaSetting
from cosim.opf.distributed.messages import AreaAgent, AreaAnswer, Message
from cosim.opf.distributed.planner_options import AreasOptions, LinkOptions


@dataclass(frozen=True)
class _UnderWay:
    """A message on its way.

    Attributes:
        sent: round in which it would arrive over a perfect link.
        due: round in which it arrives.
        message: what arrives.
    """

    sent: int
    due: int
    message: Message


class AreaLink:
    """Messages from one neighbour during a plan.

    Args:
        chosen: what happens to messages.
        key: seed of the draws, without time and round.

    Attributes:
        heard: whether one has arrived in this plan.
    """

    def __init__(self, chosen: LinkOptions, key: tuple[int, ...]) -> None:
        self._chosen, self._key = chosen, key
        self.begin(0)

    def begin(self, time_s: int) -> None:
        """Begin a plan: what is still under way is of no use."""
        self._time_s, self._under_way = time_s, list[_UnderWay]()
        self._before: Message | None = None
        self._last_sent, self._dropped, self.heard = -1, 0, False

    @property
    def lost(self) -> int:
        """Messages of this plan that were lost, or have not arrived."""
        return self._dropped + len(self._under_way)

    def pass_on(self, number: int, sent: Message | None) -> Message | None:
        """The newest message that arrives in a round and was not overtaken.

        Args:
            number: of the round.
            sent: what a perfect link would bring in this round; None where nothing was sent.
        """
        if sent is not None and self._chosen.perfect:
            self.heard = True
            return sent
        if sent is not None:
            self._take_in(number, sent)
        there = [item for item in self._under_way if item.due <= number]
        self._under_way = [item for item in self._under_way if item.due > number]
        newest = max(there, key=lambda item: item.sent, default=None)
        if newest is None or newest.sent <= self._last_sent:
            return None
        self._last_sent, self.heard = newest.sent, True
        return newest.message

    def _take_in(self, number: int, sent: Message) -> None:
        """Decide what happens to a message."""
        chosen = self._chosen
        lost, old, late = np.random.default_rng([*self._key, self._time_s, number]).random(3)
        carried = self._before if self._before is not None and old < chosen.stale else sent
        self._before = sent
        if lost < chosen.loss:
            self._dropped += 1
            return
        delay = chosen.delay_rounds + int(late * (chosen.jitter_rounds + 1))
        self._under_way.append(_UnderWay(number, number + delay, carried))


class LinkedAgent(ResumesAsInner):
    """An area at the end of its links.

    Args:
        agent: of the area.
        setting: what it is made of.
    """

    _inner: AreaAgent

    def __init__(self, agent: AreaAgent, setting: AreaSetting[AreasOptions]) -> None:
        self._inner, self.name, self.neighbours = agent, agent.name, agent.neighbours
        names, chosen = setting.names, setting.chosen
        self._links = {
            sender: AreaLink(
                chosen.link(self.name, sender), (chosen.seed, setting.position, names.index(sender))
            )
            for sender in self.neighbours
        }
        self._number = 0

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        for link in self._links.values():
            link.begin(int(measurement.time_s))
        self._inner.begin(measurement, forecast)

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """See :class:`AreaAgent`."""
        self._number = number
        return self._inner.round(number, self._arrived(number, received))

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer | None:
        """See :class:`AreaAgent`; with what its links have done."""
        answer = self._inner.answer(self._arrived(self._number + 1, received))
        if answer is None:
            return None
        links = self._links.values()
        figures = replace(
            answer.figures,
            lost=float(sum(link.lost for link in links)),
            unheard=float(sum(not link.heard for link in links)),
        )
        return replace(answer, figures=figures)

    def _arrived(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """Messages that arrive in a round."""
        found = {sender: link.pass_on(number, received.get(sender)) for sender, link in self._links.items()}
        return {sender: message for sender, message in found.items() if message is not None}
