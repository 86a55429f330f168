"""Network devices that a controller may move: tap changers, capacitor banks, and what else has positions.

A set-point is a position, a whole number. A network device injects no power of its own.
"""

from __future__ import annotations

import math
from abc import ABC
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from cosim.model.arrays import FloatArray

WHOLE = 1e-6
"""A requested position this near to a whole number is taken for it."""


class AcceptedPosition(NamedTuple):
    """What a network device will do with a request.

    Attributes:
        position: in force for the step.
        reason: why it differs from the request, empty if it does not.
    """

    position: float
    reason: str


@dataclass(frozen=True)
class NetworkDevice(ABC):
    """An element of the network with positions that a controller sets; its own control is off.

    Attributes:
        kind: name of its kind in the registry ``cosim.devices``.
        name: of the device, lower case.
        element: name of the element in the circuit, without its class.
        lowest, highest: positions it can take.
        dead_time_s: shortest time from one move to the next.
        operation_cost: what planners charge for one operation, currency.
        operations_per_day: most operations that planners ask for in a day of the run; None is no limit.
    """

    kind: ClassVar[str]

    name: str
    element: str
    lowest: int
    highest: int
    dead_time_s: float
    operation_cost: float = field(default=0.0, kw_only=True)
    operations_per_day: int | None = field(default=None, kw_only=True)

    def accept(self, position: float, now: float, since_move_s: float) -> AcceptedPosition:
        """The position of a step.

        Args:
            position: requested; NaN leaves the device where it is.
            now: position at the start of the step.
            since_move_s: time since the start of the step of the last move, infinite before the first.
        """
        if math.isnan(position):
            return AcceptedPosition(now, "")
        reasons: list[str] = []
        wanted = float(round(position))
        if abs(wanted - position) > WHOLE:
            reasons.append(f"positions are whole numbers, asked was {position:g}")
        within = float(max(self.lowest, min(self.highest, wanted)))
        if within != wanted:
            reasons.append(f"positions {self.lowest} .. {self.highest}")
        if within != now and since_move_s < self.dead_time_s:
            reasons.append(f"dead time: moved {since_move_s:g} s ago, {self.dead_time_s:g} s between moves")
            within = now
        return AcceptedPosition(within, "; ".join(reasons))

    def operations(self, before: float, after: float) -> float:
        """How many operations a move takes: one per position."""
        return abs(after - before)


def positions_of(position: FloatArray, count: int) -> FloatArray:
    """One position per network device; an empty vector leaves all of them where they are."""
    return position if position.size else np.full(count, np.nan)
