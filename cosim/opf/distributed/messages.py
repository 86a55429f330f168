"""What areas tell each other, and what they tell the controller of the feeder.

To its neighbours an area sends vectors of boundary quantities and nothing else. With planner enapp:

- to the area that feeds it: active and reactive power that it draws at each node of the boundary;
- to an area that it feeds: squared voltage at each node of the boundary.

With planner admm both send their copies of all three, and to the area that feeds it an area also sends the
power that it draws now. With planner dual_price an owner and the aggregator send each other active and
reactive power of the owner's devices; where the owner hides its answer, it sends a sealed sum, and the
aggregator sends one price to all, see :mod:`cosim.opf.distributed.sum_agents`.

The controller of the feeder gets the schedule of the devices and what the area expects of its own nodes. No
message has a load, a cost, or the stored energy of a battery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.opf.options import PlannerOptions

Message = FloatArray
"""A vector of doubles."""
BYTES_PER_VALUE = 8


@dataclass(frozen=True)
class AreaAnswer:
    """The plan of one area, as the controller of the feeder gets it.

    Attributes:
        found: whether the area has a plan.
        p_kw, q_kvar: set-points of its devices, shape (period, device).
        voltage_pu: expected at its own nodes, shape (period, node).
        import_kva: its contribution to the import of the feeder, shape (period,): at the substation the
            import of the area, elsewhere losses that the areas upstream do not see.
        losses_kw: of its branches, shape (period,).
        figures: see :class:`Figures`.
        reason: why there is no plan.
    """

    found: bool
    p_kw: FloatArray
    q_kvar: FloatArray
    voltage_pu: FloatArray
    import_kva: ComplexArray
    losses_kw: FloatArray
    figures: Figures
    reason: str = ""


@dataclass(frozen=True)
class Figures:
    """Figures of the last solve of an area for the certificate of the plan.

    Attributes:
        primal_residual, simultaneous_kw, simultaneous_h, slack_pu, over_kw: see
            :class:`cosim.model.state.Certificate`.
        iterations: of all its solves.
        build_s, solve_s: of all its solves.
        last_round: last round in which it solved, from 1.
        mismatch: largest difference between what it last solved for and what neighbours said last: of
            squared voltage in per unit, of power as a part of the nominal power behind the boundary.
        messages, message_bytes: that it sent to neighbours, without headers.
        lost: messages to it that were lost on the way, or had not arrived at the end.
        unheard: neighbours of whom no message arrived.
    """

    primal_residual: float = 0.0
    simultaneous_kw: float = 0.0
    simultaneous_h: float = 0.0
    slack_pu: float = 0.0
    over_kw: float = 0.0
    iterations: float = 0.0
    build_s: float = 0.0
    solve_s: float = 0.0
    last_round: float = 0.0
    mismatch: float = 0.0
    messages: float = 0.0
    message_bytes: float = 0.0
    lost: float = 0.0
    unheard: float = 0.0


class AreaAgent(Protocol):
    """The controller of one area. It runs in the process of the planner, or in a federate of its own."""

    @property
    def name(self) -> str:
        """Of the area."""
        ...

    @property
    def neighbours(self) -> tuple[str, ...]:
        """Names of the areas that it exchanges messages with."""
        ...

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """Begin a plan; both arguments are of the whole feeder, and the agent takes its part."""
        ...

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """One round.

        Args:
            number: of the round, from 1.
            received: what neighbours sent since the last round of this agent, by their names.

        Returns:
            What it sends, by the names of the neighbours.
        """
        ...

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer | None:
        """The plan after the last round; None where the area is silent.

        Args:
            received: what neighbours sent since the last round of this agent.
        """
        ...


class AnswersOfAreas(Protocol):
    """Where the answers of areas come from that run in processes of their own."""

    def __call__(self, measurement: Measurement, forecast: Forecast) -> Sequence[AreaAnswer | None]:
        """The answers of all areas, in their order; None of an area that is silent.

        Areas of other processes make their own forecast.
        """
        ...


@dataclass(frozen=True)
class Slot:
    """A moment at which areas act.

    Attributes:
        round: number of the round, from 1.
        areas: positions of the areas that act.
    """

    round: int
    areas: tuple[int, ...]


@dataclass(frozen=True)
class AreaPart:
    """What a distributed planner does in the process of one area.

    Attributes:
        agent: the controller of the area.
        slots: of every plan, the same for all areas.
        names: of all areas by position.
    """

    agent: AreaAgent
    slots: tuple[Slot, ...]
    names: tuple[str, ...]


class PlannerOfAreas(Protocol):
    """A planner whose areas can run in processes of their own; it declares that it needs ``areas``."""

    def part_of(
        self, site: Site, horizon: Horizon, shared: PlannerOptions, position: int, *, options: Any
    ) -> AreaPart:
        """The part of one area.

        Args:
            site: facts of the plant.
            horizon: the periods of every plan.
            shared: options that planners share.
            position: of the area.
            options: of the planner.
        """
        ...


# --- vectors --------------------------------------------------------------------------------------


def of_power(power_kva: ComplexArray) -> Message:
    """A matrix of complex powers as a vector: all kW, then all kvar."""
    return np.concatenate([power_kva.real.ravel(), power_kva.imag.ravel()])


def to_power(message: Message, rows: int) -> ComplexArray:
    """The matrix that :func:`of_power` made a vector of."""
    kw, kvar = message.reshape(2, rows, -1)
    return np.asarray(kw + 1j * kvar)
