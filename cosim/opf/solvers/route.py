"""What every way to a solver offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """A solver's word; the values are in the variables.

    Attributes:
        status: in cvxpy's words.
        iterations: of the solver.
        bound: a value that no point of the (relaxed) program can be below, NaN where none is proven.
    """

    status: str
    iterations: int
    bound: float


class Route(Protocol):
    """Solves one compiled program with the present parameter values."""

    def solve(self) -> Answer:
        """Solve. Infeasible is a status."""
        ...

    def forget(self) -> None:
        """Drop what is kept of earlier solves, where that can be dropped."""
        ...
