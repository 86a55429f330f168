"""Any solver cvxpy knows, through its modelling layer: the way to mixed-integer programs."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np

from cosim.opf.program import Program
from cosim.opf.solvers.route import STOPPED, Answer, without_accuracy_warnings

PROVING = ("HIGHS", "SCIP")
CLOSED_GAP = 1e-9
"""Of mixed-integer programs; by default HiGHS stops at 1e-4."""


class ModelledRoute:
    """Hands the whole program to cvxpy.

    Args:
        affine: the program without squares, cones and binaries.
        program: what is to be solved.
        solver: cvxpy's name of the solver.
        seconds: time limit of a solve, for HiGHS and SCIP.
    """

    def __init__(self, affine: cp.Problem, program: Program, solver: str, seconds: float | None) -> None:
        self._solver = solver
        self._options = _options(solver, seconds)
        # With parameters, cvxpy (1.9.3) keeps cones and squares as dense variables x parameters
        # matrices, gigabytes for IEEE 123. So these are built at every solve.
        self._rebuild = bool(program.squares or program.cones)
        self._roots = [
            (cp.Parameter(part.weight.shape, nonneg=True), cp.Parameter(part.weight.shape), part)
            for part in program.squares
        ]
        cost = affine.objective.expr + sum(
            cp.sum_squares(cp.multiply(root, part.variable) - shift) for root, shift, part in self._roots
        )
        constraints = affine.constraints + [cones.relaxed() for cones in program.cones]
        constraints += [binary == cp.Variable(binary.shape, boolean=True) for binary in program.binaries]
        self._whole = cp.Problem(cp.Minimize(cost), constraints)

    def solve(self) -> Answer:
        """Solve with the present parameter values."""
        for root, shift, part in self._roots:
            root.value = np.sqrt(part.counted)
            shift.value = root.value * part.center
        with without_accuracy_warnings():
            self._whole.solve(
                solver=self._solver,
                warm_start=not self._rebuild,
                enforce_dpp=not self._rebuild,
                ignore_dpp=self._rebuild,
                **self._options,
            )
        status = str(self._whole.status)
        stats = self._whole.solver_stats
        iterations = int(stats.num_iters or 0) if stats is not None else 0
        if status == cp.USER_LIMIT and self._solver == "HIGHS" and np.isfinite(stats.extra_stats.mip_gap):
            return Answer(STOPPED, iterations, float(self._whole.value) - _above_bound(stats.extra_stats))
        proven = status == cp.OPTIMAL and self._solver in PROVING
        bound = float(self._whole.value) if proven else float(np.nan)
        return Answer(status, iterations, bound)

    def forget(self) -> None:
        """Nothing can be dropped here: what cvxpy keeps of a solver is its own."""


def _above_bound(info: Any) -> float:
    """Objective above the proven bound; HiGHS leaves out the constant that cvxpy adds to both."""
    return float(info.objective_function_value - info.mip_dual_bound)


def _options(solver: str, seconds: float | None) -> dict[str, Any]:
    limit = float("inf") if seconds is None else seconds
    if solver == "HIGHS":
        return {"mip_rel_gap": CLOSED_GAP, "time_limit": limit}
    if solver == "SCIP":
        return {"scip_params": {"limits/gap": CLOSED_GAP, "limits/time": min(limit, 1e20)}}
    return {}
