"""Objectives that a search by candidates can have, and how one point of a Pareto front is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.opf.metaheuristics.evaluation import Evaluated
from cosim.opf.metaheuristics.search import Found

ObjectiveName = Literal["cost", "losses", "voltage_deviation", "peak"]
Choice = Literal["first", "compromise"]
"""``first``: the point with the least first objective. ``compromise``: the point nearest to the ideal one,
each objective scaled by its range over the front."""


@dataclass(frozen=True)
class SearchObjective:
    """An objective.

    Attributes:
        label: name and unit.
        of: its value for each candidate.
    """

    label: str
    of: Callable[[Evaluated], FloatArray]


OBJECTIVES: dict[ObjectiveName, SearchObjective] = {
    "cost": SearchObjective("cost, currency", lambda told: told.cost),
    "losses": SearchObjective("losses, kWh", lambda told: told.losses_kwh),
    "voltage_deviation": SearchObjective("mean voltage deviation, pu", lambda told: told.deviation_pu),
    "peak": SearchObjective("peak import, kW", lambda told: told.peak_kw),
}


def chosen(choice: Choice, found: Found) -> int:
    """Row of the front that becomes the plan; candidates that violate limits are out where others do not.

    Source of the compromise: nearest point to the ideal point, Zeleny, 1973.
    """
    front = found.front
    least, most = front.min(axis=0), front.max(axis=0)
    scaled = (front - least) / np.maximum(most - least, 1e-12)
    distance = np.linalg.norm(scaled, axis=1) if choice == "compromise" else scaled[:, 0]
    return int(np.lexsort((distance, found.front_violation))[0])
