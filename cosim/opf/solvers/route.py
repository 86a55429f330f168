"""What every way to a solver offers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

STOPPED = "stopped"
"""Of a mixed-integer program at its time limit: a feasible point, and a bound that does not meet it."""


@dataclass(frozen=True)
class Answer:
    """A solver's word; the values are in the variables.

    Attributes:
        status: in cvxpy's words, or :data:`STOPPED`.
        iterations: of the solver.
        bound: a value that no point of the (relaxed) program can be below, NaN where none is proven.
    """

    status: str
    iterations: int
    bound: float


@contextmanager
def without_accuracy_warnings() -> Iterator[None]:
    """Suppress cvxpy's warning of an inaccurate solution: the answer's status and residual say so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Solution may be inaccurate", UserWarning)
        yield


class Route(Protocol):
    """Solves one compiled program with the present parameter values."""

    def solve(self) -> Answer:
        """Solve. Infeasible is a status."""
        ...

    def forget(self) -> None:
        """Drop what is kept of earlier solves, where that can be dropped."""
        ...
