"""Who acts when: rounds of messages between areas, their number agreed beforehand.

A round consists of slots. The areas of a slot act at the same time and do not hear each other. With order
``jacobi`` a round is one slot in which all areas act. With ``gauss_seidel`` the areas furthest from the
substation act first, and then their neighbours upstream.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal

from cosim.model.forecast import Forecast
from cosim.model.roles import ResumesAsParts
from cosim.model.state import Measurement
from cosim.opf.distributed.areas import Areas
from cosim.opf.distributed.messages import AreaAgent, AreaAnswer, Message, Slot

Order = Literal["jacobi", "gauss_seidel"]


def _all_at_once(areas: Areas) -> list[tuple[int, ...]]:
    return [tuple(range(len(areas.areas)))]


def _from_the_ends(areas: Areas) -> list[tuple[int, ...]]:
    depths = areas.depths
    return [
        tuple(position for position, depth in enumerate(depths) if depth == level)
        for level in range(max(depths), -1, -1)
    ]


ORDERS: dict[Order, Callable[[Areas], list[tuple[int, ...]]]] = {
    "jacobi": _all_at_once,
    "gauss_seidel": _from_the_ends,
}


def slots_of(areas: Areas, order: Order, rounds: int) -> tuple[Slot, ...]:
    """The slots of a plan in their order."""
    return tuple(Slot(number, here) for number in range(1, rounds + 1) for here in ORDERS[order](areas))


def opening_slots(areas: Areas) -> tuple[Slot, ...]:
    """Slots of round 0, from the ends to the substation: what is drawn now gets to every area upstream."""
    return tuple(Slot(0, here) for here in _from_the_ends(areas))


def exchange(agents: Sequence[AreaAgent], slots: Sequence[Slot]) -> list[AreaAnswer | None]:
    """Let agents of one process exchange their messages; what they answer after the last slot.

    An answer is None where an area is silent.
    """
    waiting: dict[str, dict[str, Message]] = defaultdict(dict)
    for slot in slots:
        sent = [
            (agents[area].name, agents[area].round(slot.round, waiting.pop(agents[area].name, {})))
            for area in slot.areas
        ]
        for sender, messages in sent:
            for receiver, message in messages.items():
                waiting[receiver][sender] = message
    return [agent.answer(waiting.pop(agent.name, {})) for agent in agents]


class AreasInProcess(ResumesAsParts):
    """Answers of areas that plan in this process, one after the other.

    Args:
        agents: of the areas, in their order.
        slots: when they act.

    Attributes:
        last: answers of the last plan.
    """

    def __init__(self, agents: Sequence[AreaAgent], slots: Sequence[Slot]) -> None:
        self._agents = self._parts = agents
        self._slots = slots
        self.last: Sequence[AreaAnswer | None] = ()

    def __call__(self, measurement: Measurement, forecast: Forecast) -> Sequence[AreaAnswer | None]:
        """See :class:`AnswersOfAreas`."""
        for agent in self._agents:
            agent.begin(measurement, forecast)
        self.last = exchange(self._agents, self._slots)
        return self.last
