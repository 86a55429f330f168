"""A point of the search for a plan, and how the search goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from cosim.model.twin import TwinFlow
from cosim.opf.structured_qp.step_program import EnergyDevices, SourceDevices
from cosim.opf.tangent.device_dispatch import Dispatch

End = Literal["optimal", "settled", "stopped"]
"""How a search ended: see :class:`SearchLog`."""


@dataclass(frozen=True)
class Iterate:
    """A dispatch, its exact flow and what it costs.

    Attributes:
        dispatch: the plan.
        flow: exact, regulators and capacitors at rest unless they were held.
        cost: of devices and network, currency, without limits of voltages and lines.
        given_back: what held taps will add to that once they follow, to first order.
    """

    dispatch: Dispatch
    flow: TwinFlow
    cost: float
    given_back: float


@dataclass(frozen=True)
class Devices:
    """What the devices of a plan can do: see :class:`StepProgram`."""

    energy: EnergyDevices
    sources: SourceDevices


@dataclass
class SearchLog:
    """How the search for one plan went.

    Attributes:
        most_programs: at which it ends, whatever was found.
        soon_again: another plan follows in a step, and mends what is far away.
        deadline: of ``time.perf_counter``, likewise; None for none.
        parts_s: seconds by part.
        programs, solvers, residual: of the quadratic programs.
        end: ``optimal`` if the last program said what the flow does and no control moved after it,
            ``settled`` if another program would have gained little, or what is left to gain is left to
            the next plan, ``stopped`` otherwise.
    """

    most_programs: int
    soon_again: bool
    deadline: float | None
    parts_s: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("flows", "slopes", "programs"), 0.0)
    )
    programs: int = 0
    solvers: tuple[str, ...] = ()
    residual: float = 0.0
    end: End = "stopped"

    @property
    def out_of_time(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.perf_counter() > self.deadline
