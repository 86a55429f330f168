"""One search: an algorithm of pymoo asks for candidates until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pymoo.core.algorithm import Algorithm
from pymoo.core.evaluator import Evaluator
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.problems.static import StaticProblem

from cosim.model.arrays import FloatArray, IntArray
from cosim.opf.metaheuristics.budget import Progress, best_of, better


@dataclass(frozen=True)
class Judged:
    """What a generation is told.

    Attributes:
        x: decisions after repair, shape (candidate, decision).
        objectives: to be minimised, shape (candidate, objective).
        violation: shape (candidate, bound), 0 where a bound is kept.
        cost: of the whole objective, shape (candidate,).
    """

    x: FloatArray
    objectives: FloatArray
    violation: FloatArray
    cost: FloatArray


Judge = Callable[[FloatArray], Judged]


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        x: the decisions of the best candidate of all by Deb's rules.
        front_x, front: decisions and objectives of the candidates of the last population that none
            dominates; those with the least violation where none keeps the limits.
        front_violation: sum over bounds, shape (candidate,).
    """

    x: FloatArray
    front_x: FloatArray
    front: FloatArray
    front_violation: FloatArray


def search(
    algorithm: Algorithm,
    judge: Judge,
    shape: tuple[int, int, int],
    *,
    progress: Progress,
    seed: int,
) -> Found:
    """Run an algorithm on decisions in [-1, 1] until its budget is spent.

    Repaired decisions replace those that the algorithm asked for (Lamarckian repair).

    Args:
        algorithm: of pymoo, not set up yet.
        judge: evaluates candidates.
        shape: number of decisions, objectives and bounds.
        progress: holds the budget and keeps the history.
        seed: of the random numbers.
    """
    decisions, objectives, bounds = shape
    problem = Problem(n_var=decisions, n_obj=objectives, n_ieq_constr=bounds, xl=-1.0, xu=1.0)
    algorithm.setup(problem, termination=NoTermination(), seed=seed, verbose=False)
    best: tuple[tuple[float, float], FloatArray] | None = None
    while progress.share() < 1.0:
        asked = algorithm.ask()
        judged = judge(asked.get("X").astype(np.float64))
        asked.set("X", judged.x)
        static = StaticProblem(problem, F=judged.objectives, G=judged.violation)
        Evaluator().eval(static, asked)
        algorithm.tell(infills=asked)
        total = judged.violation.sum(axis=1)
        i = best_of(total, judged.cost)
        if best is None or better((total[i], judged.cost[i]), best[0]):
            best = (float(total[i]), float(judged.cost[i])), judged.x[i].copy()
        progress.note(len(judged.x), float(judged.cost[i]), float(total[i]))
    if best is None:
        raise ValueError("the budget of a search must allow one generation")
    front_x, front = np.atleast_2d(algorithm.opt.get("X")), np.atleast_2d(algorithm.opt.get("F"))
    violation = np.atleast_2d(algorithm.opt.get("G")).clip(min=0.0).sum(axis=1)
    order = _sorted(front)
    return Found(best[1], front_x[order], front[order], violation[order])


def _sorted(front: FloatArray) -> IntArray:
    """Order of a front by its first objective, then the others, without doubles."""
    _, first = np.unique(front, axis=0, return_index=True)
    return np.asarray(first, dtype=np.int64)
