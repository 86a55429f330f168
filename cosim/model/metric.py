"""A metric: one figure of a run, with everything a reader must know to use it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """One figure of a run.

    Attributes:
        name: in ``accept`` of a scenario, in ``metrics.json`` and in the documentation.
        unit: of its value; empty for a pure number.
        definition: what it is.
        source: columns of the record it is made of, or the literature that defines it.
        function: gives the value; None where the run has no such figure. It takes a
            :class:`cosim.experiments.measured.Measured`, a metric of a user's own a :class:`cosim.Run`.
    """

    name: str
    unit: str
    definition: str
    source: str
    function: Callable[[Any], float | None]


def metric_of(name: str, function: Callable[[Any], float | None]) -> Metric:
    """The metric that a user's function is; it may have an attribute ``unit``."""
    words = " ".join((function.__doc__ or "").strip().partition("\n\n")[0].split())
    return Metric(name, str(getattr(function, "unit", "")), words, function.__module__, function)
