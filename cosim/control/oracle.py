"""One plan over the whole run, made with what nobody can know: the bound for all controllers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from pydantic import Field

from cosim.control.best_of import PlanOrRest
from cosim.control.decentralised import AlonePlanner
from cosim.control.planning import FollowingController, Planning, periods_until
from cosim.control.receding_horizon import Rhythm
from cosim.model.exogenous import Exogenous
from cosim.model.forecast import Forecast
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon, TimeGrid
from cosim.model.twin import Twin
from cosim.opf.options import Capability, Objective, PlannerOptions, Terminal
from cosim.plugins import Options, is_bound, needs, options, plans_its_own_horizons

CLAIM = "oracle: whole run, true series, twin without errors"


class OracleOptions(Options):
    """With what the one plan is made."""

    planner: str = Field("tangent", description="an installed planner, or module:Class")
    inverter: Capability = Field(
        "polygon", description="shape of the inverter limit; tangent knows polygon"
    )


@dataclass(frozen=True)
class OnceRhythm(Rhythm):
    """One plan, at the first step.

    Attributes:
        grid: of the run.
    """

    grid: TimeGrid = field(kw_only=True)

    def is_due(self, time_s: float) -> bool:
        """At the start only."""
        return time_s == 0.0

    def horizon_at(self, time_s: float) -> Horizon:
        """The whole run at its start; one step later on."""
        return self.horizon if self.is_due(time_s) else Horizon((self.grid.step_s,))


class ClaimingPlanner:
    """A planner whose plans say that they know the future.

    Args:
        planner: makes the plans.
    """

    def __init__(self, planner: PlanOrRest) -> None:
        self._planner = planner

    def state(self) -> None:
        """See :class:`cosim.model.roles.Resumable`: it is not asked again after its one plan."""

    def restore(self, state: None) -> None:
        """See :class:`cosim.model.roles.Resumable`."""

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """See :class:`cosim.model.roles.Planner`."""
        outcome = self._planner.plan(measurement, forecast)
        if isinstance(outcome, NoPlan):
            return outcome
        proof = outcome.certificate
        return replace(outcome, certificate=replace(proof, claim=f"{CLAIM}; {proof.claim}"))


def bound_options(
    options: PlannerOptions, mean_price_per_kwh: float, inverter: Capability
) -> PlannerOptions:
    """Options under which a plan's cost is the cost that runs are compared by.

    That is energy cost less the change of stored energy at the mean price of the run, and the demand
    charge of the scenario. All small costs that keep plans tidy are left out, and the devices may do all
    that their ratings allow, because another controller may.
    """
    return replace(
        options,
        objective=Objective(peak_per_kw=options.objective.peak_per_kw),
        terminal=Terminal("value", None, mean_price_per_kwh),
        complementarity="repair",
        capability=inverter,
        storage_reactive=True,
        pv_reactive=True,
        pv_curtail=True,
        storage_loss_cost_per_kwh=0.0,
        throughput_cost_per_kwh=0.0,
        curtailment_cost_per_kwh=0.0,
        reactive_cost_per_kvarh=0.0,
    )


@needs("twin", "truth", "exact_twin")
@options(OracleOptions)
@plans_its_own_horizons(planner_option="planner", forecaster="perfect")
@is_bound
class OracleController(FollowingController):
    """Plans once over the whole run with the true series and the true model of the feeder: the bound.

    Measures: the state at the start, and stored energy at each step. Knows: the series that the plant will
    meet, and the twin without the errors of ``control.twin``. Its plan has the least energy cost within
    the limits of the scenario, stored energy valued at the mean price of the run. It is as good as its
    planner: planner ``tangent`` finds a local optimum of the exact power flow; rest is taken where that is
    cheaper. ``control.forecast``, the objective and ``control.horizon_s`` mean nothing here.

    Args:
        planning: makes the planner.
        twin: judges the plan, see :mod:`cosim.control.best_of`.
        truth: the series.
        options: which planner.
    """

    def __init__(self, planning: Planning, *, twin: Twin, truth: Exogenous, options: OracleOptions) -> None:
        grid, given = planning.site.grid, planning.rhythm
        horizon = periods_until(grid.steps * grid.step_s, grid.step_s)
        mean_price = float(np.mean(truth.price_per_kwh[: grid.steps]))
        asked = bound_options(planning.options, mean_price, options.inverter)
        planner = PlanOrRest(
            planning.site,
            planning.planner_for(horizon, asked),
            asked,
            twin,
            starts=(AlonePlanner(planning.site, asked),),
        )
        rhythm = OnceRhythm(
            horizon,
            horizon.length_s,
            given.acts_after_s,
            given.deadline_s,
            given.stops_on_error,
            grid=grid,
        )
        super().__init__(planning.forecaster, ClaimingPlanner(planner), rhythm)
