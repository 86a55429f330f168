"""A dispatch problem: compiled once, updated at every step, solved, certified."""

from __future__ import annotations

import time
from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from cosim.errors import ProgramTooLarge, SolverMissing

ACCEPTED = (cp.OPTIMAL, cp.OPTIMAL_INACCURATE)
ACCEPTED_RESIDUAL = 1e-4
"""An ``optimal_inaccurate`` answer counts only if its own constraints hold to this."""

LARGEST_DENSE_GIB = 4.0


@dataclass(frozen=True)
class Solved:
    """Outcome of one solve.

    Attributes:
        found: whether the answer may be used.
        status: the solver's word.
        objective: value without the constant part.
        primal_residual: largest violated constraint, recomputed from the variables.
        iterations: of the solver.
        solve_s: seconds.
    """

    found: bool
    status: str
    objective: float
    primal_residual: float
    iterations: int
    solve_s: float


class DispatchProblem:
    """A parametrised convex program.

    Args:
        cost: convex expression.
        constraints: all constraints.
        solver: name of an installed cvxpy solver.

    Raises:
        SolverMissing: the solver is not installed; the message lists those that are.
        ValueError: the program is not DPP and would be rebuilt at every step.
    """

    def __init__(self, cost: cp.Expression, constraints: list[cp.Constraint], solver: str) -> None:
        self._solver = check_solver(solver)
        self.program = cp.Problem(cp.Minimize(cost), constraints)
        if not self.program.is_dcp(dpp=True):
            raise ValueError("the program is not DPP: a product of parameters is left in it")
        self._refuse_dense_objective()

    def _refuse_dense_objective(self) -> None:
        """A quadratic objective beside many parameters is stored densely by cvxpy (1.9.3)."""
        if self.program.objective.expr.is_pwl():
            return
        variables = sum(variable.size for variable in self.program.variables())
        parameters = sum(parameter.size for parameter in self.program.parameters())
        needed_gib = 8.0 * variables * parameters / 2**30
        if needed_gib > LARGEST_DENSE_GIB:
            raise ProgramTooLarge(
                f"the quadratic terms of the objective would take {needed_gib:.0f} GiB at this size "
                f"({variables} variables, {parameters} parameters); set losses_per_kwh and "
                "voltage_deviation_per_pu2_h to 0, or shorten the horizon"
            )

    def solve(self) -> Solved:
        """Solve with the present parameter values. Infeasible is a result."""
        started = time.perf_counter()
        try:
            self.program.solve(solver=self._solver, warm_start=True, enforce_dpp=True)
            status = str(self.program.status)
        except cp.SolverError as error:
            status = f"solver_error: {error}"
        elapsed = time.perf_counter() - started
        if status not in ACCEPTED:
            return Solved(False, status, float("nan"), float("nan"), 0, elapsed)
        residual = self._primal_residual()
        found = status == cp.OPTIMAL or residual <= ACCEPTED_RESIDUAL
        iterations = int(self.program.solver_stats.num_iters or 0)
        return Solved(found, status, float(self.program.value), residual, iterations, elapsed)

    def _primal_residual(self) -> float:
        worst = 0.0
        for constraint in self.program.constraints:
            violation = np.asarray(constraint.violation())
            if violation.size:
                worst = max(worst, float(np.max(violation)))
        return worst


def check_solver(name: str) -> str:
    """The name cvxpy knows a solver by.

    Raises:
        SolverMissing: it is not installed.
    """
    installed = cp.installed_solvers()
    if name.upper() not in installed:
        raise SolverMissing(
            f"solver {name!r} is not installed; installed are {', '.join(sorted(installed)).lower()}"
        )
    return name.upper()
