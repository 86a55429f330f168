"""Linear and quadratic programs with OSQP, which starts from its last answer.

An operator-splitting method: less precise than an interior-point method, and faster where the same program
is solved again with other data.

Source: after Stellato, Banjac, Goulart, Bemporad and Boyd, 2020, "OSQP: an operator splitting solver for
quadratic programs", doi 10.1007/s12532-020-00179-2.
"""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np

from cosim.opf.program import Program
from cosim.opf.solvers.route import Answer
from cosim.opf.solvers.squares import with_squares

OPTIONS = {
    "eps_abs": 1e-5,
    "eps_rel": 1e-5,
    "max_iter": 20000,
    "polishing": False,
    # Counted in iterations, not in seconds: runs must repeat.
    "adaptive_rho_interval": 100,
}


class OsqpRoute:
    """Keeps the compiled program, its factors and the last answer.

    Args:
        affine: the program without squares, in cvxpy.
        program: what is to be solved; it has no cones and no binaries.
        seconds: time limit of a solve.
    """

    def __init__(self, affine: cp.Problem, program: Program, seconds: float | None) -> None:
        self._affine, self._program = affine, program
        self._options: dict[str, Any] = dict(OPTIONS)
        if seconds is not None:
            self._options["time_limit"] = seconds
        self._cache: dict[str, Any] = {}

    def solve(self) -> Answer:
        """Solve from the last answer."""
        data, chain, inverse = self._affine.get_problem_data(cp.OSQP, enforce_dpp=True, solver_opts={})
        columns = data["param_prob"].var_id_to_col
        data["q"], data["P"] = with_squares(data["q"], self._program.squares, columns)
        raw = chain.solver.solve_via_data(
            data, warm_start=True, verbose=False, solver_opts=dict(self._options), solver_cache=self._cache
        )
        self._affine.unpack_results(raw, chain, inverse)
        return Answer(str(self._affine.status), int(raw.info.iter), float(np.nan))

    def forget(self) -> None:
        """Begin anew: the solver and its last answer are dropped."""
        self._cache = {}
