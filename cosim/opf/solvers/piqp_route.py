"""Linear and quadratic programs with PIQP, an interior-point method.

On the areas of IEEE 123 a solve takes 0.02 to 0.04 s, with Clarabel 0.06 to 0.11 s.

Source: after Schwan, Jiang, Kuhn and Jones, 2023, "PIQP: a proximal interior-point quadratic programming
solver", doi 10.1109/CDC49753.2023.10383915.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np
import piqp
from cvxpy.reductions.solution import Solution

from cosim.model.arrays import FloatArray, Matrix
from cosim.opf.program import Program
from cosim.opf.solvers.route import Answer, Route
from cosim.opf.solvers.squares import with_squares

GAP = 1e-8
"""Relative, as Clarabel's. PIQP's own 1e-9 is below what prices of soft limits (1e5) let it reach."""


class PiqpRoute:
    """Keeps the compiled program and the solver; only data change between solves. Every solve starts anew.

    The data are those that cvxpy (1.9.3) makes for Clarabel: for PIQP itself it makes a dense matrix of
    objective variables by parameters, 45 GiB for half of the 8500-node feeder and 24 periods.

    Args:
        affine: the program without squares, in cvxpy.
        program: what is to be solved; it has no cones and no binaries.
        fallback: solves a program, also anew, that PIQP does not solve. PIQP calls some programs with large
            prices unbounded or infeasible that are neither, so its verdict is checked by a second solver.
    """

    def __init__(self, affine: cp.Problem, program: Program, fallback: Route) -> None:
        self._affine, self._program, self._fallback = affine, program, fallback
        self._solver: Any = None
        self._shape: tuple[tuple[bytes, bytes], ...] = ()

    def solve(self) -> Answer:
        """Solve with the present data."""
        data, chain, inverse = self._affine.get_problem_data(cp.CLARABEL, enforce_dpp=True, solver_opts={})
        linear, square = with_squares(data["c"], self._program.squares, data["param_prob"].var_id_to_col)
        equalities, rows, ends = data["dims"].zero, data["A"].tocsr(), data["b"]
        equal, below = rows[:equalities].tocsc(), rows[equalities:].tocsc()
        solver = self._set_up(square, linear, equal, ends[:equalities], below, ends[equalities:])
        solved, result = solver.solve() == piqp.PIQP_SOLVED, solver.result
        iterations = int(result.info.iter)
        if not solved:
            self._fallback.forget()
            answer = self._fallback.solve()
            return replace(answer, iterations=iterations + answer.iterations)
        # PIQP gives a view of its memory, which the next solve overwrites.
        self._unpack(np.array(result.x), chain, inverse)
        return Answer(cp.OPTIMAL, iterations, float(np.nan))

    def _set_up(
        self,
        square: Matrix,
        linear: FloatArray,
        equal: Matrix,
        at: FloatArray,
        below: Matrix,
        most: FloatArray,
    ) -> Any:
        """The solver of ``x' square x / 2 + linear' x`` where ``equal x = at`` and ``below x <= most``."""
        shape = tuple(
            (matrix.indptr.tobytes(), matrix.indices.tobytes()) for matrix in (square, equal, below)
        )
        if self._solver is not None and shape == self._shape:
            self._solver.update(P=square, c=linear, A=equal, b=at, G=below, h_u=most)
        else:
            self._solver, self._shape = piqp.SparseSolver(), shape
            self._solver.settings.eps_duality_gap_rel = GAP
            self._solver.setup(square, linear, equal, at, below, None, most)
        return self._solver

    def _unpack(self, values: FloatArray, chain: Any, inverse: list[Any]) -> None:
        """Write values of the solver's variables back into those of the program."""
        solution = Solution(cp.OPTIMAL, 0.0, {inverse[-1][chain.solver.VAR_ID]: values}, {}, {})
        for reduction, kept in zip(reversed(chain.reductions[:-1]), reversed(inverse[:-1]), strict=True):
            solution = reduction.invert(solution, kept)
        self._affine.unpack(solution)

    def forget(self) -> None:
        """Begin anew: the solver is dropped."""
        self._solver = None
