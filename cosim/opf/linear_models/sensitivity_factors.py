"""Sensitivity factors: voltages, import and losses affine in P and Q of the devices, exact slopes.

Class of method, after the loss-sensitivity linearised optimal power flow of Vaishya, Abhyankar and Kumar;
their text was not available, so this is no reproduction. Here the factors are the exact derivatives of the
unbalanced three-phase power flow at the operating point, by adjoints of the twin (implicit function
theorem), where such methods usually take those of an approximate flow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from cosim.model.site import Site
from cosim.model.timegrid import Horizon
from cosim.model.twin import OpenTwin
from cosim.opf.options import PlannerOptions
from cosim.plugins import Options, needs, options

if TYPE_CHECKING:
    from cosim.opf.linear_models.relinearised import RelinearisedPlanner

Rhythm = Literal["once", "each_plan", "converged"]


class SensitivityOptions(Options):
    """What a scenario may ask of this planner alone."""

    relinearise: Rhythm = Field(
        "converged",
        description="slopes are taken at the first plan, at every plan, or until they agree with the flow",
    )
    linearisation_limit: PositiveInt = Field(
        30, description="linearisations of one search with converged, at most"
    )


@needs("twin")
@options(SensitivityOptions)
def sensitivity_factors(
    site: Site, horizon: Horizon, common: PlannerOptions, twin: OpenTwin, *, options: SensitivityOptions
) -> RelinearisedPlanner:
    """Linear in the device powers by exact sensitivities, for every feeder the twin covers."""
    from cosim.opf.linear_models.relinearised import RelinearisedPlanner
    from cosim.opf.linear_models.steps import MoveLimits, OneStep

    repeats = options.relinearise == "converged"
    return RelinearisedPlanner(
        "sensitivity_factors",
        site,
        horizon,
        common,
        twin(),
        MoveLimits() if repeats else OneStep(),
        limit=options.linearisation_limit if repeats else 1,
        once=options.relinearise == "once",
    )
