"""How a search by candidates went: its anytime history and its Pareto front."""

from __future__ import annotations

from dataclasses import dataclass

from cosim.model.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class SearchDetails:
    """What is kept of a search beside its plan. It is part of the plan, not of the record.

    Attributes:
        evaluations: candidates evaluated so far, after each generation, shape (generation,).
        cpu_s: CPU seconds of the process since the search began, shape (generation,).
        best_cost: of the best candidate so far by Deb's rules, currency, shape (generation,).
        best_violation: of the same candidate, 0 where it keeps all limits, shape (generation,).
        objectives: names and units of the columns of ``front``; one where there is no front.
        front: objective values of the candidates that none dominates, shape (candidate, objective).
        chosen: row of ``front`` whose dispatch is the plan.
        rule: by which it was chosen.
    """

    evaluations: IntArray
    cpu_s: FloatArray
    best_cost: FloatArray
    best_violation: FloatArray
    objectives: tuple[str, ...]
    front: FloatArray
    chosen: int
    rule: str
