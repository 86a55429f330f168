"""The planners that come with the package.

Each takes the site, the horizon, the options that planners share and a function that opens the
controller's own model of the feeder, which these have no use for. Each imports what it needs when it is
asked for: cvxpy and its solvers take 70 MB that planner :mod:`cosim.opf.tangent.planner` does without.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from cosim.model.site import Site
from cosim.model.timegrid import Horizon
from cosim.model.twin import OpenTwin
from cosim.opf.options import PlannerOptions
from cosim.plugins import Options, needs, options, plans_many_futures

if TYPE_CHECKING:
    from cosim.opf.dispatch_planner import DispatchPlanner


@needs("network")
@plans_many_futures
def lindistflow(
    site: Site, horizon: Horizon, options: PlannerOptions, _twin: OpenTwin | None = None
) -> DispatchPlanner:
    """Linear, multi-phase, for every radial feeder."""
    from cosim.opf.dispatch_planner import DispatchPlanner
    from cosim.opf.formulations.lindistflow import LinDistFlowNetwork

    return DispatchPlanner("lindistflow", LinDistFlowNetwork, site, horizon, options)


class TapOptions(Options):
    """What a scenario may ask of planner lindistflow_taps alone."""

    reach: PositiveInt = Field(4, description="positions that a plan may move a device away from now")


@needs("network")
@options(TapOptions)
def lindistflow_taps(
    site: Site,
    horizon: Horizon,
    common: PlannerOptions,
    _twin: OpenTwin | None = None,
    *,
    options: TapOptions,
) -> DispatchPlanner:
    """LinDistFlow with taps and capacitor states as integers, for radial feeders with such devices."""
    from cosim.opf.formulations.lindistflow_taps import LinDistFlowTaps, LinDistFlowTapsPlanner

    formulation = partial(LinDistFlowTaps, reach=options.reach)
    return LinDistFlowTapsPlanner("lindistflow_taps", formulation, site, horizon, common)


@needs("network")
def branch_flow_soc(
    site: Site, horizon: Horizon, options: PlannerOptions, _twin: OpenTwin | None = None
) -> DispatchPlanner:
    """Second-order cone relaxation, with a certificate of global optimality, for balanced feeders."""
    return _branch_flow("branch_flow_soc", site, horizon, options, tight=False)


@needs("network")
def branch_flow_nl(
    site: Site, horizon: Horizon, options: PlannerOptions, _twin: OpenTwin | None = None
) -> DispatchPlanner:
    """The exact nonlinear program, for balanced feeders."""
    return _branch_flow("branch_flow_nl", site, horizon, options, tight=True)


def _branch_flow(
    name: str, site: Site, horizon: Horizon, options: PlannerOptions, *, tight: bool
) -> DispatchPlanner:
    from cosim.opf.dispatch_planner import DispatchPlanner
    from cosim.opf.formulations.branch_flow import BranchFlowNetwork

    return DispatchPlanner(name, partial(BranchFlowNetwork, tight=tight), site, horizon, options)


@needs()
def copper_plate(
    site: Site, horizon: Horizon, options: PlannerOptions, _twin: OpenTwin | None = None
) -> DispatchPlanner:
    """No network, for every feeder."""
    from cosim.opf.dispatch_planner import DispatchPlanner
    from cosim.opf.formulations.copper_plate import CopperPlate

    return DispatchPlanner("copper_plate", CopperPlate, site, horizon, options)
