"""A dispatch problem: compiled once, updated at every step, solved, certified."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from cvxpy.reductions.solvers.defines import SOLVER_MAP_CONIC

from cosim.errors import SolverMissing, SolverUnsuited
from cosim.opf.program import Program
from cosim.opf.program_size import ProgramSize
from cosim.opf.solvers.casadi_route import CasadiRoute
from cosim.opf.solvers.clarabel_route import ClarabelRoute
from cosim.opf.solvers.modelled_route import ModelledRoute
from cosim.opf.solvers.piqp_route import PiqpRoute
from cosim.opf.solvers.route import STOPPED, Route

log = logging.getLogger(__name__)

ACCEPTED = (cp.OPTIMAL, cp.OPTIMAL_INACCURATE, STOPPED)
ACCEPTED_RESIDUAL = 1e-4
"""An answer that is not ``optimal`` counts only if its own constraints hold to this."""

NONLINEAR = ("ipopt", "bonmin")
INTEGER = ("highs", "scip", "bonmin")


@dataclass(frozen=True)
class Solved:
    """Outcome of one solve.

    Attributes:
        found: whether the answer may be used.
        status: the solver's word.
        objective: value without the constant part.
        bound: what no point can be below, without the constant part; NaN where nothing is proven.
        primal_residual: largest violated constraint, recomputed from the variables.
        iterations: of the solver.
        solve_s: seconds.
    """

    found: bool
    status: str
    objective: float
    bound: float
    primal_residual: float
    iterations: int
    solve_s: float


class DispatchProblem:
    """A parametrised program: affine part plus squares, cones and binaries.

    Args:
        program: all blocks together.
        solver: ``auto`` or the name of a solver.
        seconds: time limit of a solve; None is none.

    Raises:
        SolverMissing: the solver is not installed; the message lists those that are.
        SolverUnsuited: the solver cannot solve this kind of program.
        ValueError: the program is not DPP and would be rebuilt at every step.
    """

    def __init__(self, program: Program, *, solver: str, seconds: float | None = None) -> None:
        self._seconds = seconds
        self.solver = suitable_solver(solver, program)
        self._program = program
        self.affine = cp.Problem(cp.Minimize(program.cost), program.constraints)
        if not self.affine.is_dcp(dpp=True):
            raise ValueError("the program is not DPP: a product of parameters is left in it")
        self._route = self._choose_route()

    def _choose_route(self) -> Route:
        if self.solver in NONLINEAR:
            return CasadiRoute(self.affine, self._program, self.solver, self._seconds)
        if self.solver == "clarabel":
            return ClarabelRoute(self.affine, self._program, self._seconds)
        if self.solver == "piqp":
            fallback = ClarabelRoute(self.affine, self._program, self._seconds)
            return PiqpRoute(self.affine, self._program, fallback)
        return ModelledRoute(self.affine, self._program, self.solver.upper(), self._seconds)

    def solve(self) -> Solved:
        """Solve with the present parameter values. Infeasible is a result."""
        started = time.perf_counter()
        try:
            answer = self._route.solve()
        except cp.SolverError as error:
            elapsed = time.perf_counter() - started
            nothing = float("nan")
            log.warning("%s: %s", self.solver, error)
            return Solved(False, "solver_error", nothing, nothing, nothing, 0, elapsed)
        elapsed = time.perf_counter() - started
        if answer.status not in ACCEPTED:
            nothing = float("nan")
            return Solved(False, answer.status, nothing, nothing, nothing, answer.iterations, elapsed)
        residual = self._primal_residual()
        found = answer.status == cp.OPTIMAL or residual <= ACCEPTED_RESIDUAL
        return Solved(
            found, answer.status, self.objective(), answer.bound, residual, answer.iterations, elapsed
        )

    def forget(self) -> None:
        """Let the next solve depend on its data alone, where the solver keeps something of the last."""
        self._route.forget()

    @property
    def size(self) -> ProgramSize:
        """Of the affine part."""
        variables = sum(variable.size for variable in self.affine.variables())
        rows = sum(constraint.size for constraint in self.affine.constraints)
        return ProgramSize(int(variables), int(rows))

    @property
    def exact(self) -> bool:
        """Whether products are met as equalities."""
        return self._program.tight and self.solver in NONLINEAR

    def objective(self) -> float:
        """Cost at the present values of the variables."""
        squares = sum(squares.value() for squares in self._program.squares)
        return float(self._program.cost.value) + squares

    def _primal_residual(self) -> float:
        worst = 0.0
        for constraint in self.affine.constraints:
            violation = np.asarray(constraint.violation())
            if violation.size:
                worst = max(worst, float(np.max(violation)))
        for cones in self._program.cones:
            gap = cones.gap()
            off = np.abs(gap) if self.exact and cones.tight else -gap
            worst = max(worst, float(np.max(off, initial=0.0)))
        return worst


def suitable_solver(asked: str, program: Program) -> str:
    """The solver for a program: the one asked for, or the best one known for its kind.

    Raises:
        SolverMissing: it is not installed.
        SolverUnsuited: it cannot solve this kind of program; the message says what can.
    """
    curved, integer = bool(program.cones or program.squares), bool(program.binaries)
    if program.tight:
        chosen = ("bonmin" if integer else "ipopt") if asked == "auto" else asked.lower()
        if chosen not in NONLINEAR:
            raise SolverUnsuited(
                f"solver {asked} cannot solve the nonlinear program; use ipopt (bonmin with "
                "complementarity binary), or planner branch_flow_soc for its convex relaxation"
            )
    elif asked == "auto":
        chosen = "clarabel" if not integer else ("scip" if curved else "highs")
    else:
        chosen = asked.lower()
    if integer and chosen not in INTEGER:
        raise SolverUnsuited(
            f"solver {chosen} knows no binary variables; use highs (linear programs), scip (with cones "
            "or squares), or complementarity repair"
        )
    if chosen == "highs" and curved:
        raise SolverUnsuited(
            "solver highs is for linear programs here: set inverter polygon, losses_per_kwh 0 and "
            "voltage_deviation_per_pu2_h 0, or use solver clarabel (scip with binaries)"
        )
    if chosen in NONLINEAR:
        return chosen
    name = check_solver(chosen)
    knows = getattr(SOLVER_MAP_CONIC.get(name), "SUPPORTED_CONSTRAINTS", ())
    if program.cones and cp.SOC not in knows:
        raise SolverUnsuited(f"solver {chosen} knows no cones; use clarabel, or set inverter polygon")
    return name.lower()


def check_solver(name: str) -> str:
    """The name cvxpy knows a solver by.

    Raises:
        SolverMissing: it is not installed.
    """
    if name in ("auto", *NONLINEAR):
        return name.upper()
    installed = cp.installed_solvers()
    if name.upper() not in installed:
        raise SolverMissing(
            f"solver {name!r} is not installed; installed are {', '.join(sorted(installed)).lower()}; "
            'scip, ipopt and bonmin come with pip install "cosim-opf[nlp]"'
        )
    return name.upper()
