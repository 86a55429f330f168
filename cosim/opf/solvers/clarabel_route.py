"""Convex programs with Clarabel: affine part from cvxpy, squares and cones joined at its door."""

from __future__ import annotations

import copy
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from cosim.model.arrays import FloatArray, IntArray, Matrix
from cosim.opf.program import Factor, Program, RotatedCones
from cosim.opf.solvers.route import Answer, without_accuracy_warnings
from cosim.opf.solvers.squares import with_squares

PRODUCT_OPTIONS = {"tol_gap_rel": 1e-9, "tol_gap_abs": 1e-9, "tol_feas": 1e-9}
"""Tighter than the default: a product met to 1e-8 shows in the sixth digit of the losses."""

PROVEN_RESIDUAL = 1e-7
"""Relative; a dual value that is less feasible is no bound."""


class ClarabelRoute:
    """Keeps the compiled program and the solver; only data change between solves.

    Args:
        affine: the program without squares and cones, in cvxpy.
        program: what is to be solved.
        seconds: time limit of a solve.
    """

    def __init__(self, affine: cp.Problem, program: Program, seconds: float | None) -> None:
        self._affine, self._program = affine, program
        self._joined = False
        self._cone_rows: Matrix | None = None
        self._cone_data = np.zeros(0)
        self._cone_sizes: list[int] = []
        self._cache: dict[str, Any] = {}
        self._anew = False
        products = any(isinstance(cones.first, cp.Variable) for cones in program.cones)
        self._options = dict(PRODUCT_OPTIONS) if products else {}
        if seconds is not None:
            self._options["time_limit"] = seconds

    def solve(self) -> Answer:
        """Solve the convex program (of an equality between products, its relaxation)."""
        data, chain, inverse = self._affine.get_problem_data(cp.CLARABEL, enforce_dpp=True, solver_opts={})
        columns, width = data["param_prob"].var_id_to_col, data["c"].size
        if not self._joined:
            self._join(columns, width)
        data["c"], data["P"] = with_squares(data["c"], self._program.squares, columns)
        if self._cone_sizes:
            below: Matrix = self._cone_rows
            data["A"] = sp.vstack([data["A"], below], format="csc")
            data["b"] = np.concatenate([data["b"], self._cone_data])
            # On a copy: cvxpy keeps its own dimensions for the next solve.
            data["dims"] = copy.copy(data["dims"])
            data["dims"].soc = self._cone_sizes
        if self._anew:
            # Nothing is updated in place, so parameters that are zero need no entry.
            data["A"] = sp.csc_array(data["A"])
            data["A"].eliminate_zeros()
        raw = chain.solver.solve_via_data(
            data, warm_start=True, verbose=False, solver_opts=self._options, solver_cache=self._cache
        )
        with without_accuracy_warnings():
            self._affine.unpack_results(raw, chain, inverse)
        offset = float(inverse[-1][cp.settings.OFFSET])
        offset += sum(part.constant() for part in self._program.squares)
        proven = max(raw.r_prim, raw.r_dual) <= PROVEN_RESIDUAL
        bound = float(raw.obj_val_dual) + offset if proven else float("nan")
        return Answer(str(self._affine.status), int(raw.iterations), bound)

    def forget(self) -> None:
        """Begin anew: the solver, and with it the scaling of the first program, is dropped."""
        self._cache, self._anew = {}, True

    def _join(self, columns: dict[int, int], width: int) -> None:
        """Rows of the cones, on the columns that cvxpy gave the variables."""
        self._joined = True
        parts = [cone_rows(cones, columns, width) for cones in self._program.cones]
        if parts:
            self._cone_rows = sp.vstack([rows for rows, _ in parts], format="csc")
            self._cone_data = np.concatenate([constant for _, constant in parts])
            self._cone_sizes = [4] * sum(cones.size for cones in self._program.cones)


def cone_rows(cones: RotatedCones, columns: dict[int, int], width: int) -> tuple[Matrix, FloatArray]:
    """Rows of ``b - A x`` in the cone ``|(2p, 2q, first - second)| <= first + second``.

    Returns:
        A of shape (4 cones, width) and b of shape (4 cones,).
    """
    rows = 4 * np.arange(cones.size)
    parts: list[tuple[IntArray, IntArray, FloatArray]] = []
    constant = np.zeros(4 * cones.size)
    entries: tuple[tuple[int, Factor, float], ...] = (
        (0, cones.first, 1.0),
        (0, cones.second, 1.0),
        (1, cones.p, 2.0),
        (2, cones.q, 2.0),
        (3, cones.first, 1.0),
        (3, cones.second, -1.0),
    )
    for offset, factor, coefficient in entries:
        if isinstance(factor, np.ndarray):
            constant[rows + offset] += coefficient * factor.ravel(order="F")
        else:
            at = columns[factor.id] + np.arange(cones.size)
            values = np.full(cones.size, -coefficient)
            parts.append((rows + offset, at, values))
    row, column, value = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return sp.csc_array((value, (row, column)), shape=(4 * cones.size, width)), constant
