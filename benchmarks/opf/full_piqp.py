"""The whole program of planner lindistflow, with every node, by PIQP, which keeps its set-up between steps.

On its way to a solver of quadratic programs cvxpy makes a matrix dense that 130 000 rows do not allow.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cvxpy as cp
import numpy as np
import piqp
import scipy.sparse as sp

from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.program import Program
from cosim.opf.solvers.route import Answer

ACCURACY = 1e-7
FREE = 1e30
"""A bound that is none."""
STATUS = {
    piqp.PIQP_SOLVED: "Solved",
    piqp.PIQP_PRIMAL_INFEASIBLE: "PrimalInfeasible",
    piqp.PIQP_DUAL_INFEASIBLE: "DualInfeasible",
}
"""In the words of Clarabel."""


class FullPiqpRoute:
    """Solves the compiled program as it is; only data change between solves.

    Args:
        affine: the program in cvxpy, without squares and cones.
        program: of the planner.

    Raises:
        ValueError: the program has squares or cones.
    """

    def __init__(self, affine: cp.Problem, program: Program) -> None:
        if program.squares or program.cones:
            raise ValueError("the whole program by PIQP is linear: price no losses and use polygons")
        self._affine = affine
        self._solver: Any = None

    def solve(self) -> Answer:
        """See :class:`cosim.opf.solvers.route.Route`."""
        data, chain, inverse = self._affine.get_problem_data(cp.CLARABEL, enforce_dpp=True, solver_opts={})
        top = int(data["dims"].zero)
        matrix, bound = sp.csc_matrix(data["A"]), np.asarray(data["b"], dtype=np.float64)
        scale = float(np.abs(data["c"]).max())
        vectors = {"c": data["c"] / scale, "b": bound[:top], "h_u": bound[top:]}
        matrices = {"A": sp.csc_matrix(matrix[:top]), "G": sp.csc_matrix(matrix[top:])}
        if self._solver is None:
            self._solver = piqp.SparseSolver()
            settings = self._solver.settings
            settings.eps_abs = settings.eps_rel = ACCURACY
            settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = ACCURACY
            no_curvature = sp.csc_matrix((matrix.shape[1], matrix.shape[1]))
            lower = np.full(len(bound) - top, -FREE)
            self._solver.setup(P=no_curvature, h_l=lower, **matrices, **vectors)
        else:
            self._solver.update(**matrices, **vectors)
        status = STATUS.get(self._solver.solve(), "NumericalError")
        result = self._solver.result
        # In the words of Clarabel, whose form the program has, so that cvxpy takes it apart.
        answer = SimpleNamespace(
            status=status,
            obj_val=float(data["c"] @ result.x),
            x=result.x,
            z=scale * np.concatenate([result.y, result.z_u]),
            solve_time=0.0,
            iterations=int(result.info.iter),
        )
        self._affine.unpack_results(answer, chain, inverse)
        return Answer(str(self._affine.status), answer.iterations, float("nan"))

    def forget(self) -> None:
        """See :class:`cosim.opf.solvers.route.Route`."""
        self._solver = None


def use_piqp(planner: DispatchPlanner) -> DispatchPlanner:
    """Let a planner solve its program so."""
    problem = planner.problem
    problem._route = FullPiqpRoute(problem.affine, problem._program)
    return planner
