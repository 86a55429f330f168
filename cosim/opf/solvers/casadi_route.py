"""Exact nonlinear programs with IPOPT, and with Bonmin where binaries remain, through CasADi.

The affine part is the one cvxpy compiled; products enter as equalities where they are meant as such.
First and second derivatives are written down: all curvature is in squares and products.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import cvxpy as cp
import highspy  # noqa: F401  # before CasADi, which brings a second copy: the first one loaded wins
import numpy as np
import scipy.sparse as sp
from cvxpy.reductions.solution import Solution

from cosim.errors import SolverMissing
from cosim.model.arrays import FloatArray, IntArray, Matrix
from cosim.opf.program import Factor, Program
from cosim.opf.solvers.route import Answer

STATUS = {
    "Solve_Succeeded": cp.OPTIMAL,
    "SUCCESS": cp.OPTIMAL,
    "Solved_To_Acceptable_Level": cp.OPTIMAL_INACCURATE,
    "Infeasible_Problem_Detected": cp.INFEASIBLE,
    "INFEASIBLE": cp.INFEASIBLE,
    "Maximum_Iterations_Exceeded": cp.USER_LIMIT,
    "Maximum_WallTime_Exceeded": cp.USER_LIMIT,
    "LIMIT_EXCEEDED": cp.USER_LIMIT,
}
IPOPT_OPTIONS: dict[str, Any] = {
    "ipopt.print_level": 0,
    "ipopt.sb": "yes",
    "ipopt.tol": 1e-9,
    "ipopt.acceptable_tol": 1e-7,
    "ipopt.max_iter": 500,
    # A bound on slack that is moved by 1e-8 and costs 2e4 would show in the objective.
    "ipopt.bound_relax_factor": 0.0,
    "print_time": False,
}
BONMIN_OPTIONS: dict[str, Any] = {"print_time": False}


class CasadiRoute:
    """Keeps the nonlinear program; it is built again only where the affine coefficients change.

    The start is the present values of the variables, zero where they have none.

    Args:
        affine: the program without squares, cones and binaries.
        program: what is to be solved.
        solver: ``ipopt`` or ``bonmin``.
        seconds: time limit of a solve.

    Raises:
        SolverMissing: CasADi is not installed.
    """

    def __init__(self, affine: cp.Problem, program: Program, solver: str, seconds: float | None) -> None:
        try:
            import casadi
        except ImportError as error:
            raise SolverMissing(
                f"solver {solver} comes with CasADi, which is not installed; "
                'pip install "cosim-opf[nlp]", or choose planner branch_flow_soc'
            ) from error
        self._casadi = casadi
        self._affine, self._program, self._solver = affine, program, solver
        self._options = dict(IPOPT_OPTIONS if solver == "ipopt" else BONMIN_OPTIONS)
        if seconds is not None:
            self._options["ipopt.max_wall_time" if solver == "ipopt" else "bonmin.time_limit"] = seconds
        self._matrix: Matrix = None
        self._function: Any = None

    def solve(self) -> Answer:
        """Solve the nonlinear program to a local optimum."""
        data, chain, inverse = self._affine.get_problem_data(cp.CLARABEL, enforce_dpp=True, solver_opts={})
        columns = data["param_prob"].var_id_to_col
        matrix = sp.csc_matrix(data["A"])
        if self._function is None or not _same(matrix, self._matrix):
            self._matrix = matrix
            # An inequality on one variable is a bound: the solver then needs no row for it.
            lengths = np.diff(matrix.tocsr().indptr)
            self._single = (lengths == 1) & (np.arange(len(lengths)) >= data["dims"].zero)
            general = matrix.tocsr()[~self._single].tocsc()
            self._function = self._build(general, data["c"].size, columns)
        with _silenced_output() if self._solver == "bonmin" else nullcontext():
            found = self._function(
                x0=self._start(data["c"].size, columns),
                p=self._parameters(data["c"], columns),
                **self._bounds(matrix, data),
            )
        stats = self._function.stats()
        status = STATUS.get(str(stats["return_status"]), cp.SOLVER_ERROR)
        answer = Answer(status, int(stats.get("iter_count", 0)), float("nan"))
        if status not in cp.settings.SOLUTION_PRESENT:
            return answer
        x = np.asarray(found["x"]).ravel()
        offset = float(inverse[-1][cp.settings.OFFSET])
        values = {inverse[-1][chain.solver.VAR_ID]: x}
        solution = Solution(status, float(data["c"] @ x) + offset, values, {}, {})
        for reduction, memory in reversed(list(zip(chain.reductions[:-1], inverse[:-1], strict=True))):
            solution = reduction.invert(solution, memory)
        self._affine.unpack(solution)
        return answer

    def forget(self) -> None:
        """Nothing is kept but the compiled program."""

    def _parameters(self, c: FloatArray, columns: dict[int, int]) -> FloatArray:
        """Linear cost, squares multiplied out, and their curvature."""
        linear = c.copy()
        for part in self._program.squares:
            linear[_places(part.variable, columns)] += part.slope()
        return np.concatenate([linear, *(part.curvature() for part in self._program.squares)])

    def _bounds(self, matrix: Matrix, data: dict[str, Any]) -> dict[str, FloatArray]:
        """Bounds of the variables, of the other affine rows, and of ``p² + q² - first · second``."""
        zero, b = data["dims"].zero, data["b"]
        rows = matrix.tocsr()
        single = self._single
        at = rows.indices[rows.indptr[:-1][single]]
        coefficient = rows.data[rows.indptr[:-1][single]]
        lower_x, upper_x = np.full(matrix.shape[1], -np.inf), np.full(matrix.shape[1], np.inf)
        limit = b[single] / coefficient
        np.minimum.at(upper_x, at[coefficient > 0], limit[coefficient > 0])
        np.maximum.at(lower_x, at[coefficient < 0], limit[coefficient < 0])
        upper = b[~single]
        lower = np.where(np.arange(b.size) < zero, b, -np.inf)[~single]
        curved = [np.zeros(cones.size) for cones in self._program.cones]
        open_side = [
            np.zeros(cones.size) if cones.tight else np.full(cones.size, -np.inf)
            for cones in self._program.cones
        ]
        return {
            "lbx": lower_x,
            "ubx": upper_x,
            "lbg": np.concatenate([lower, *open_side]),
            "ubg": np.concatenate([upper, *curved]),
        }

    def _start(self, width: int, columns: dict[int, int]) -> FloatArray:
        x = np.zeros(width)
        for variable in self._affine.variables():
            if variable.id in columns and variable.value is not None:
                at = columns[variable.id]
                x[at : at + variable.size] = np.asarray(variable.value).ravel(order="F")
        return x

    def _build(self, matrix: Matrix, width: int, columns: dict[int, int]) -> Any:
        casadi = self._casadi
        squares = _positions([part.variable for part in self._program.squares], columns)
        x, data = casadi.MX.sym("x", width), casadi.MX.sym("p", width + squares.size)
        curved = [
            (
                _places(cones.p, columns),
                _places(cones.q, columns),
                _factor(casadi, x, cones.first, columns),
                _factor(casadi, x, cones.second, columns),
            )
            for cones in self._program.cones
        ]
        affine = casadi.DM(matrix)
        f = casadi.dot(data[:width], x)
        if squares.size:
            f += casadi.dot(data[width:], x[squares.tolist()] ** 2)
        g = casadi.vertcat(
            affine @ x,
            *[x[p.tolist()] ** 2 + x[q.tolist()] ** 2 - first * second for p, q, first, second in curved],
        )
        options = dict(self._options)
        options["hess_lag"] = self._hessian(x, data, g.shape[0], matrix.shape[0], squares, columns)
        if self._solver == "bonmin":
            discrete = np.zeros(width, dtype=bool)
            discrete[_positions(self._program.binaries, columns)] = True
            options["discrete"] = discrete.tolist()
        return casadi.nlpsol("program", self._solver, {"x": x, "p": data, "f": f, "g": g}, options)

    def _hessian(
        self, x: Any, data: Any, rows: int, first_row: int, squares: IntArray, columns: dict[int, int]
    ) -> Any:
        """Upper triangle of the Hessian of the Lagrangian: constant pattern, linear in the multipliers."""
        casadi = self._casadi
        scale, multipliers = casadi.MX.sym("s"), casadi.MX.sym("m", rows)
        total = casadi.MX(x.shape[0], x.shape[0])
        if squares.size:
            total += _entries(casadi, x.shape[0], squares, squares, 2 * scale * data[x.shape[0] :])
        for cones in self._program.cones:
            weight = multipliers[first_row : first_row + cones.size]
            first_row += cones.size
            for variable in (cones.p, cones.q):
                at = _places(variable, columns)
                total += _entries(casadi, x.shape[0], at, at, 2 * weight)
            if not isinstance(cones.first, np.ndarray) and not isinstance(cones.second, np.ndarray):
                one, two = _places(cones.first, columns), _places(cones.second, columns)
                total += _entries(casadi, x.shape[0], np.minimum(one, two), np.maximum(one, two), -weight)
        return casadi.Function(
            "hessian",
            [x, data, scale, multipliers],
            [total],
            ["x", "p", "lam_f", "lam_g"],
            ["hess_gamma_x_x"],
        )


@contextmanager
def _silenced_output() -> Iterator[None]:
    """Close the C standard output: Bonmin prints every node there, whatever its log levels say."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _entries(casadi: Any, width: int, row: IntArray, column: IntArray, values: Any) -> Any:
    """A sparse matrix with the given entries; CasADi orders them by column."""
    order = np.lexsort((row, column))
    pattern = casadi.Sparsity.triplet(width, width, row[order].tolist(), column[order].tolist())
    return casadi.MX(pattern, casadi.MX(values)[order.tolist()])


def _places(variable: cp.Variable, columns: dict[int, int]) -> IntArray:
    return np.asarray(columns[variable.id] + np.arange(variable.size), dtype=np.int64)


def _positions(variables: list[cp.Variable], columns: dict[int, int]) -> IntArray:
    parts = [_places(variable, columns) for variable in variables]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _factor(casadi: Any, x: Any, factor: Factor, columns: dict[int, int]) -> Any:
    if isinstance(factor, np.ndarray):
        return casadi.DM(factor.ravel(order="F"))
    return x[_places(factor, columns).tolist()]


def _same(one: Matrix, other: Matrix) -> bool:
    return bool(
        other is not None
        and one.nnz == other.nnz
        and np.array_equal(one.indptr, other.indptr)
        and np.array_equal(one.indices, other.indices)
        and np.array_equal(one.data, other.data)
    )
