"""Taylor: first-order expansion of the power flow with a trust region, successive linear programming.

Sources: step acceptance and radius after Nocedal and Wright, 2006, Algorithm 4.1 and eq. 4.4; successive
linear programming with an exact penalty function after Fletcher and Sainz de la Maza, 1989.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, PositiveFloat, PositiveInt

from cosim.model.site import Site
from cosim.model.timegrid import Horizon
from cosim.model.twin import OpenTwin
from cosim.opf.options import PlannerOptions
from cosim.plugins import Options, needs, options

if TYPE_CHECKING:
    from cosim.opf.linear_models.relinearised import RelinearisedPlanner


class TaylorOptions(Options):
    """What a scenario may ask of this planner alone."""

    radius: PositiveFloat = Field(
        0.25, description="of the trust region at its first use, share of each device's rating"
    )
    linearisation_limit: PositiveInt = Field(40, description="linear programs of one search, at most")


@needs("twin")
@options(TaylorOptions)
def taylor(
    site: Site, horizon: Horizon, common: PlannerOptions, twin: OpenTwin, *, options: TaylorOptions
) -> RelinearisedPlanner:
    """Successive linear programs on the exact power flow, for every feeder the twin covers."""
    from cosim.opf.linear_models.relinearised import RelinearisedPlanner
    from cosim.opf.linear_models.steps import TrustRegion

    return RelinearisedPlanner(
        "taylor",
        site,
        horizon,
        common,
        twin(),
        TrustRegion(options.radius),
        limit=options.linearisation_limit,
        shows_exact=True,
    )
