"""A planner of a user's own with an option of its own: one file is all that knows the option."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.options import PlannerOptions
from cosim.opf.planners import copper_plate
from cosim.plugins import Options, needs, options


class CautiousOptions(Options):
    """How cautious a plan is."""

    share: float = Field(description="of the powers of copper_plate", ge=0.0, le=1.0)


@needs()
@options(CautiousOptions)
class CautiousPlanner:
    """Plans a share of what copper_plate plans."""

    def __init__(
        self,
        site: Site,
        horizon: Horizon,
        common: PlannerOptions,
        _open_twin: object,
        *,
        options: CautiousOptions,
    ) -> None:
        self._bold, self._share = copper_plate(site, horizon, common), options.share

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        plan = self._bold.plan(measurement, forecast)
        return plan if isinstance(plan, NoPlan) else replace(plan, p_kw=self._share * plan.p_kw)
