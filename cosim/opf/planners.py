"""The planners that come with the package.

Each takes the site, the horizon, the options and a function that opens the controller's own model of
the feeder, which most have no use for.
"""

from __future__ import annotations

from functools import partial

from cosim.model.site import Site
from cosim.model.timegrid import Horizon
from cosim.model.twin import OpenTwin
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.formulations.branch_flow import BranchFlowNetwork
from cosim.opf.formulations.copper_plate import CopperPlate
from cosim.opf.formulations.lindistflow import LinDistFlowNetwork
from cosim.opf.options import PlannerOptions
from cosim.opf.tangent.planner import TangentPlanner


def lindistflow(
    site: Site, horizon: Horizon, options: PlannerOptions, _twin: OpenTwin | None = None
) -> DispatchPlanner:
    """Linear, multi-phase, for every radial feeder."""
    return DispatchPlanner("lindistflow", LinDistFlowNetwork, site, horizon, options)


def branch_flow_soc(
    site: Site, horizon: Horizon, options: PlannerOptions, _twin: OpenTwin | None = None
) -> DispatchPlanner:
    """Second-order cone relaxation, with a certificate of global optimality, for balanced feeders."""
    relaxed = partial(BranchFlowNetwork, tight=False)
    return DispatchPlanner("branch_flow_soc", relaxed, site, horizon, options)


def branch_flow_nl(
    site: Site, horizon: Horizon, options: PlannerOptions, _twin: OpenTwin | None = None
) -> DispatchPlanner:
    """The exact nonlinear program, for balanced feeders."""
    exact = partial(BranchFlowNetwork, tight=True)
    return DispatchPlanner("branch_flow_nl", exact, site, horizon, options)


def copper_plate(
    site: Site, horizon: Horizon, options: PlannerOptions, _twin: OpenTwin | None = None
) -> DispatchPlanner:
    """No network, for every feeder."""
    return DispatchPlanner("copper_plate", CopperPlate, site, horizon, options)


def tangent(site: Site, horizon: Horizon, options: PlannerOptions, twin: OpenTwin) -> TangentPlanner:
    """On exact flows, for every feeder the twin covers, unbalanced or meshed."""
    return TangentPlanner(site, horizon, options, twin())
