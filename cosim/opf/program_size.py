"""How large the program of a planner is, for planners that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class ProgramSize:
    """Size of an optimisation program.

    Attributes:
        variables: scalar variables.
        rows: scalar constraints; cones, squares and bounds that a solver gets apart are not counted.
    """

    variables: int
    rows: int


@runtime_checkable
class SizedPlanner(Protocol):
    """A planner that says how large its program is. A planner need not be one."""

    @property
    def program_size(self) -> ProgramSize | None:
        """Of the last program solved, or of the one compiled; None while there is none."""
        ...
