"""Budget and anytime history of a search, and which of two candidates is better."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.search_details import SearchDetails


@dataclass(frozen=True)
class Budget:
    """When a search ends: at whichever comes first.

    Attributes:
        evaluations: of candidates.
        cpu_s: CPU seconds of the process; None is no limit. A search that this ends is not reproducible.
    """

    evaluations: int
    cpu_s: float | None = None


@dataclass
class Progress:
    """How far a search is; its anytime history.

    Attributes:
        budget: of the search.
        began_s: CPU time at its start.
        evaluations, cpu_s, best_cost, best_violation: one entry for each generation.
    """

    budget: Budget
    began_s: float = field(default_factory=time.process_time)
    evaluations: list[int] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    best_cost: list[float] = field(default_factory=list)
    best_violation: list[float] = field(default_factory=list)

    def share(self) -> float:
        """Part of the budget that is spent, at most 1."""
        done = self.evaluations[-1] if self.evaluations else 0
        parts = [done / self.budget.evaluations]
        if self.budget.cpu_s is not None:
            parts.append((time.process_time() - self.began_s) / self.budget.cpu_s)
        return min(max(parts), 1.0)

    def details(
        self, objectives: tuple[str, ...], front: FloatArray, chosen: int, rule: str
    ) -> SearchDetails:
        """The history, and a front of objective values with the row that was chosen by a rule."""
        return SearchDetails(
            evaluations=np.array(self.evaluations),
            cpu_s=np.array(self.cpu_s),
            best_cost=np.array(self.best_cost),
            best_violation=np.array(self.best_violation),
            objectives=objectives,
            front=front,
            chosen=chosen,
            rule=rule,
        )

    def note(self, evaluations: int, cost: float, violation: float) -> None:
        """Note the best candidate of a generation; the history keeps the best so far by Deb's rules."""
        before = self.evaluations[-1] if self.evaluations else 0
        if self.best_cost and not better((violation, cost), (self.best_violation[-1], self.best_cost[-1])):
            violation, cost = self.best_violation[-1], self.best_cost[-1]
        self.evaluations.append(before + evaluations)
        self.cpu_s.append(time.process_time() - self.began_s)
        self.best_cost.append(cost)
        self.best_violation.append(violation)


def better(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether a candidate is better than another by violation and cost.

    Source: Deb, 2000, section 3: feasible before infeasible, then lower cost; of infeasible ones the lower
    violation.
    """
    return one < other


def best_of(violation: FloatArray, cost: FloatArray) -> int:
    """Index of the best candidate by Deb's rules; the first of equals."""
    return int(np.lexsort((cost, violation))[0])
