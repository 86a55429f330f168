"""A dispatch problem: compiled once, updated at every step, solved, certified."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

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
    """A parametrised convex program: linear cost plus squares of some variables.

    The squares are kept apart because cvxpy (1.9.3) stores the linear part of a quadratic objective
    as a dense variables x parameters matrix: 4 GiB for IEEE 123 and 24 periods. For Clarabel the
    program is therefore compiled with its linear cost, and the squares join as the matrix P when the
    solver is called. Other solvers get the quadratic objective from cvxpy, if it fits into memory.

    Args:
        cost: linear or piecewise linear.
        constraints: all constraints.
        squares: variables whose squares are added to the cost.
        solver: name of an installed cvxpy solver.

    Raises:
        SolverMissing: the solver is not installed; the message lists those that are.
        ProgramTooLarge: the quadratic objective would not fit into memory.
        ValueError: the program is not DPP and would be rebuilt at every step.
    """

    def __init__(
        self,
        cost: cp.Expression,
        constraints: list[cp.Constraint],
        *,
        squares: list[cp.Variable],
        solver: str,
    ) -> None:
        self._solver = check_solver(solver)
        self._squares = squares if self._solver == cp.CLARABEL else []
        if squares and not self._squares:
            cost = cost + sum(cp.sum_squares(square) for square in squares)
        self.program = cp.Problem(cp.Minimize(cost), constraints)
        if not self.program.is_dcp(dpp=True):
            raise ValueError("the program is not DPP: a product of parameters is left in it")
        if squares and not self._squares:
            self._refuse_dense_objective()
        self._quadratic: sp.csc_array | None = None
        self._solver_cache: dict[str, Any] = {}

    def _refuse_dense_objective(self) -> None:
        variables = sum(variable.size for variable in self.program.variables())
        parameters = sum(parameter.size for parameter in self.program.parameters())
        needed_gib = 8.0 * variables * parameters / 2**30
        if needed_gib > LARGEST_DENSE_GIB:
            raise ProgramTooLarge(
                f"the quadratic terms of the objective would take {needed_gib:.0f} GiB with solver "
                f"{self._solver.lower()} ({variables} variables, {parameters} parameters); use "
                "solver clarabel, or set losses_per_kwh and voltage_deviation_per_pu2_h to 0"
            )

    def solve(self) -> Solved:
        """Solve with the present parameter values. Infeasible is a result."""
        started = time.perf_counter()
        try:
            if self._squares:
                self._solve_with_squares()
            else:
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
        # cvxpy's value counts the linear cost only.
        objective = float(self.program.value) + sum(float(np.sum(s.value**2)) for s in self._squares)
        return Solved(found, status, objective, residual, iterations, elapsed)

    def _solve_with_squares(self) -> None:
        data, chain, inverse_data = self.program.get_problem_data(
            cp.CLARABEL, enforce_dpp=True, solver_opts={}
        )
        if self._quadratic is None:
            columns = data["param_prob"].var_id_to_col
            diagonal = np.zeros(data["c"].size)
            for square in self._squares:
                at = columns[square.id]
                diagonal[at : at + square.size] = 2.0  # the solver minimises x'Px / 2
            self._quadratic = sp.csc_array(sp.diags_array(diagonal))
        data["P"] = self._quadratic
        raw = chain.solver.solve_via_data(
            data, warm_start=True, verbose=False, solver_opts={}, solver_cache=self._solver_cache
        )
        self.program.unpack_results(raw, chain, inverse_data)

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
