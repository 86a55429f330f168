"""Any solver cvxpy knows, through its modelling layer: the way to mixed-integer programs."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from cosim.errors import ProgramTooLarge
from cosim.opf.program import Program
from cosim.opf.solvers.route import Answer

LARGEST_DENSE_GIB = 4.0


class ModelledRoute:
    """Hands the whole program to cvxpy.

    Args:
        affine: the program without squares, cones and binaries.
        program: what is to be solved.
        solver: cvxpy's name of the solver.

    Raises:
        ProgramTooLarge: cvxpy would need more memory than is sensible.
    """

    def __init__(self, affine: cp.Problem, program: Program, solver: str) -> None:
        self._affine, self._solver = affine, solver
        self._refuse_dense(program)
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

    def _refuse_dense(self, program: Program) -> None:
        if not (program.squares or program.cones):
            return
        variables = sum(variable.size for variable in self._affine.variables())
        parameters = sum(parameter.size for parameter in self._affine.parameters())
        needed_gib = 8.0 * variables * parameters / 2**30
        if needed_gib > LARGEST_DENSE_GIB:
            raise ProgramTooLarge(
                f"the quadratic terms of the program would take {needed_gib:.0f} GiB with solver "
                f"{self._solver.lower()} ({variables} variables, {parameters} parameters); use "
                "solver clarabel with complementarity relaxed or repair, or a linear formulation with "
                "losses_per_kwh and voltage_deviation_per_pu2_h 0 and inverter polygon"
            )

    def solve(self) -> Answer:
        """Solve with the present parameter values."""
        for root, shift, part in self._roots:
            root.value = np.sqrt(part.weight)
            shift.value = root.value * part.center
        self._whole.solve(solver=self._solver, warm_start=True, enforce_dpp=True)
        status = str(self._whole.status)
        stats = self._whole.solver_stats
        iterations = int(stats.num_iters or 0) if stats is not None else 0
        bound = float(self._whole.value) if status == cp.OPTIMAL else float(np.nan)
        return Answer(status, iterations, bound)
