"""The tangent planner: multi-period dispatch on exact flows, any feeder the twin covers.

Each step takes the exact flow of the present plan, its exact slopes and the curvature of the losses,
solves a quadratic program in the devices alone, and looks at the exact flow of the answer. Limits enter
as rows where something is near one. Regulators and capacitors react in every flow, so that a plan's tap
schedule is that of the plan. Rows, slopes, plan and flow are carried to the next plan.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
from pydantic import Field, PositiveInt
from threadpoolctl import ThreadpoolController

from cosim.errors import FormulationRefused, SolverUnsuited
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.forecast import Forecast
from cosim.model.scenario_tree import ScenarioTree
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.model.twin import OpenTwin, Quantity, Twin, TwinFlow
from cosim.opf.options import PlannerOptions
from cosim.opf.program_size import ProgramSize
from cosim.opf.structured_qp.solve import ROUTES, SolverName
from cosim.opf.structured_qp.starting_point import Warm
from cosim.opf.tangent.active_limits import CURRENTS, ActiveLimits, bounds_of
from cosim.opf.tangent.chance_margins import chance_margins
from cosim.opf.tangent.device_dispatch import DeviceDispatch
from cosim.opf.tangent.network_cost import NetworkCost
from cosim.opf.tangent.node_forecast import NodeForecast, on_nodes
from cosim.opf.tangent.scenario_dispatch import ScenarioDispatch
from cosim.opf.tangent.scenario_risk import ScenarioRisk
from cosim.opf.tangent.search import Search
from cosim.opf.tangent.search_log import Devices, Iterate, SearchLog
from cosim.opf.tangent.warm_start import matching_periods
from cosim.opf.uncertainty import ChanceLimits, ScenarioPlanning, ScenarioWeights
from cosim.plugins import Options, needs, options, plans_many_futures

KEPT = 1e-4
"""A limit is kept if it is exceeded by no more than this, pu or share of a rating."""
MOST_REPAIRS = 5
JUST_BEFORE_S = 1.0
"""So long before a decision the earlier plan's period is the one that led to what is measured."""


class TangentOptions(Options):
    """What a scenario may ask of this planner alone."""

    iteration_limit: PositiveInt = Field(16, description="quadratic programs of a first plan, at most")
    warm_iteration_limit: PositiveInt = Field(
        8, description="quadratic programs of a plan that follows another, at most"
    )


class TangentPlanner:
    """See the module.

    Args:
        site: facts of the plant.
        horizon: the periods of every plan.
        options: see :class:`cosim.opf.options.PlannerOptions`.
        twin: the controller's model of the feeder.
        own: options that no other planner takes.

    Attributes:
        parts_s: seconds of the last plan by part: ``flows``, ``slopes``, ``programs``, ``other``.

    Raises:
        FormulationRefused: nothing to plan, or an option that this planner does not know.
        SolverUnsuited: the solver is none for these programs.
    """

    def __init__(
        self,
        site: Site,
        horizon: Horizon,
        options: PlannerOptions,
        twin: Twin,
        own: TangentOptions | None = None,
    ) -> None:
        _must_suit(site, options)
        self._horizon, self._options, self._twin = horizon, options, twin
        self._sun_kw, asked = site.sun_kw(), options.uncertainty
        planning = asked if isinstance(asked, ScenarioPlanning) else None
        self._chance = asked if isinstance(asked, ChanceLimits) else None
        self._tree = tree = ScenarioTree(len(horizon), planning.count if planning else 1)
        self._own = own or TangentOptions()
        self._threads = ThreadpoolController()
        self._dispatcher = (
            DeviceDispatch(site, horizon, options)
            if tree.branches == 1
            else ScenarioDispatch(site, horizon, options, tree)
        )
        self._cost = NetworkCost(options.objective, options.limits, horizon, twin)
        self._limits_in_force = ActiveLimits(
            bounds_of(options.limits, twin), twin, horizon, len(site.devices), tree
        )
        solver = cast("SolverName", options.solver)
        self._search = Search(
            horizon, twin, self._dispatcher, self._cost, self._limits_in_force, solver, tree
        )
        weights = ScenarioWeights(planning, tree.branches)
        parts = (self._dispatcher, self._cost, self._limits_in_force, self._search)
        self._risk = ScenarioRisk(weights, horizon, tree, *parts)
        self._earlier: Plan | None = None
        self._last: Iterate | None = None
        self._foreseen: Forecast | None = None
        self._foreseen_s = 0.0
        self._planned: Forecast | None = None
        self.parts_s: dict[str, float] = {}

    @property
    def program_size(self) -> ProgramSize | None:
        """Of the last quadratic program; None before the first plan."""
        return self._search.program_size

    def state(self) -> dict[str, Any]:
        """All that later plans depend on, see :class:`cosim.model.roles.Resumable`."""
        return {
            "twin": self._twin.state(),
            "limits": self._limits_in_force.state(),
            "cost": self._cost.state(),
            "warm": self._search.warm if isinstance(self._search.warm, Warm) else None,
            "share": self._risk.weights.share,
            "plans": (self._earlier, self._last, self._planned, self._foreseen, self._foreseen_s),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        self._twin.restore(state["twin"])
        self._limits_in_force.restore(state["limits"])
        self._cost.restore(state["cost"])
        self._search.warm, self._risk.weights.share = state["warm"], state["share"]
        self._earlier, self._last, self._planned, self._foreseen, self._foreseen_s = state["plans"]

    def begin_at(self, plan: Plan, forecast: Forecast) -> None:
        """See :class:`cosim.model.roles.BeginsAtPlan`."""
        self._earlier, self._last, self._planned = plan, None, forecast

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Plan from the measured state; see :class:`cosim.model.roles.Planner`."""
        # The matrices are small: more threads only wait for each other (measured: six times the CPU).
        with self._threads.limit(limits=1, user_api="blas"):
            return self._plan(
                measurement, forecast, time.perf_counter(), soon_again=self._earlier is not None
            )

    def _plan(
        self, measurement: Measurement, forecast: Forecast, started: float, *, soon_again: bool
    ) -> Plan | NoPlan:
        most_s = self._options.solver_seconds
        course = SearchLog(
            self._own.warm_iteration_limit if soon_again else self._own.iteration_limit,
            soon_again,
            None if most_s is None else started + most_s,
        )
        nodes = on_nodes(forecast, self._tree, self._sun_kw, measurement.source_ratio)
        self._twin.set_forecast(
            measurement, nodes.demand_kva, nodes.source_ratio, self._period_s, self._tree
        )
        self._cost.update(nodes.price_per_kwh, measurement.peak_import_kw)
        self._risk.weigh()
        devices = self._devices(measurement, nodes)
        point = self._start(measurement, forecast, devices, course)
        self._tighten(point, measurement, forecast)
        outcome = self._risk.least(
            self._search.run(point, devices, course), partial(self._devices, measurement, nodes), course
        )
        for _ in range(MOST_REPAIRS):
            if isinstance(outcome, NoPlan) or self._options.complementarity != "repair":
                break
            if not self._dispatcher.fix_directions(outcome.dispatch):
                break
            outcome = self._search.run(outcome, self._devices(measurement, nodes), course)
        self._dispatcher.free_directions()
        seconds = time.perf_counter() - started
        solve_s = course.parts_s["programs"]
        self.parts_s = {**course.parts_s, "other": seconds - sum(course.parts_s.values())}
        if isinstance(outcome, NoPlan):
            return replace(outcome, build_s=seconds - solve_s, solve_s=solve_s)
        self._limits_in_force.forget_slack(outcome.flow)
        plan = self._adopt(outcome, measurement, forecast, course, seconds)
        first, self._earlier, self._last = self._earlier is None, plan, outcome
        self._planned = forecast
        # Where a battery's idling loss falls is only known once there is a plan.
        if first and self._dispatcher.idles:
            return self._plan(measurement, forecast, started, soon_again=False)
        return plan

    def _devices(self, measurement: Measurement, nodes: NodeForecast) -> Devices:
        return Devices(*self._dispatcher.devices(measurement, nodes.available_kw, self._earlier))

    @property
    def _period_s(self) -> FloatArray:
        return np.asarray(self._horizon.period_s, dtype=np.float64)

    def _tighten(self, point: Iterate, measurement: Measurement, forecast: Forecast) -> None:
        """Margins of chance constraints about the start of the search."""
        if self._chance is not None and point.flow.converged.all():
            margins = chance_margins(
                *(self._twin, self._dispatcher, point, measurement, forecast),
                limits=self._chance,
                sun_kw=self._sun_kw,
                period_s=self._period_s,
            )
            self._limits_in_force.tighten(margins)

    # --- where a search begins ----------------------------------------------------------------------

    def _start(
        self, measurement: Measurement, forecast: Forecast, devices: Devices, course: SearchLog
    ) -> Iterate:
        """The earlier plan under the new forecast, or rest; rows of the earlier plan move along."""
        self._inherit(measurement.time_s, forecast)
        available_kw = devices.sources.available_kw
        if self._earlier is not None and self._planned is not None:
            passed_s = measurement.time_s - self._earlier.time_s
            origin = matching_periods(forecast, self._planned, passed_s)
            point = self._from_plan(self._earlier, origin, measurement, devices, course)
            if point.flow.converged.all():
                return point
        return self._search.evaluate(self._dispatcher.at_rest(available_kw), devices, None, course)

    def _from_plan(
        self, earlier: Plan, origin: IntArray, measurement: Measurement, devices: Devices, course: SearchLog
    ) -> Iterate:
        """A plan under the new forecast; its periods are ``origin``."""
        available_kw = devices.sources.available_kw
        if self._last is None:
            dispatch = self._dispatcher.as_planned(earlier, origin[self._tree.period], available_kw)
            return self._search.evaluate(dispatch, devices, None, course)
        dispatch = self._dispatcher.continued(self._last.dispatch, earlier, origin, available_kw)
        flow = self._twin.moved(self._last.flow, self._tree.moved(origin))
        # Where controls stand as foreseen, the earlier plan's states are those of this start.
        foreseen = self._stand_as_foreseen(measurement, earlier, self._last.flow)
        return self._search.evaluate(dispatch, devices, flow, course, held=foreseen)

    def _stand_as_foreseen(self, measurement: Measurement, earlier: Plan, flow: TwinFlow) -> bool:
        """Whether regulators and capacitors were measured where the earlier plan left them for now."""
        period = self._tree.paths[0, earlier.period_at(measurement.time_s - JUST_BEFORE_S) or 0]
        return np.array_equal(measurement.tap, flow.tap[period]) and np.array_equal(
            measurement.capacitor_closed, flow.capacitor_closed[period]
        )

    def _inherit(self, time_s: float, forecast: Forecast) -> None:
        """Move rows and iterate to the periods of a new horizon: also where no plan is found for it."""
        if self._foreseen is not None:
            origin = self._tree.moved(matching_periods(forecast, self._foreseen, time_s - self._foreseen_s))
            self._limits_in_force.move(origin)
            warm = self._search.warm
            self._search.warm = warm.moved(origin) if isinstance(warm, Warm) else None
        self._foreseen, self._foreseen_s = forecast, time_s

    # --- the plan ---------------------------------------------------------------------------------

    def _adopt(
        self,
        point: Iterate,
        measurement: Measurement,
        forecast: Forecast,
        course: SearchLog,
        seconds: float,
    ) -> Plan:
        return self._dispatcher.plan(
            point.dispatch,
            point.flow,
            measurement,
            forecast.available_kw,
            self._certificate(point, course, seconds),
        )

    def _certificate(self, point: Iterate, course: SearchLog, seconds: float) -> Certificate:
        worst = self._limits_in_force.worst(point.flow)
        fleet, dispatch = self._dispatcher, point.dispatch
        over = [max(self._cost.over_kw(point.flow), 0.0)]
        over += [self._over_kva(point, quantity) for quantity in CURRENTS if quantity in worst]
        return Certificate(
            planner="tangent",
            status=course.end,
            objective=point.cost + self._limits_in_force.penalty(point.flow),
            primal_residual=course.residual,
            simultaneous_kw=float(fleet.both_kw(dispatch).max(initial=0.0)),
            simultaneous_h=fleet.simultaneous_hours(dispatch),
            slack_pu=worst.get(Quantity.VOLTAGE, 0.0),
            over_kw=max(over),
            iterations=course.programs,
            build_s=seconds - course.parts_s["programs"],
            solve_s=course.parts_s["programs"],
            relaxation_gap_kva=None,
            optimality_gap=None,
            claim=self._claim(point, course, worst),
            solver=", ".join(course.solvers),
        )

    def _over_kva(self, point: Iterate, quantity: Quantity) -> float:
        """Largest power beyond the rating of its own line or transformer."""
        beyond = self._twin.values(point.flow, quantity) - 1.0
        return float((beyond * self._twin.rating_kva(quantity)[:, None]).max(initial=0.0))

    def _claim(self, point: Iterate, course: SearchLog, worst: dict[Quantity, float]) -> str:
        """What is proven about the plan, in words."""
        said: list[str] = []
        if self._dispatcher.simultaneous_hours(point.dispatch):
            said.append(
                "not realisable: a battery charges and discharges at once; use complementarity repair"
            )
        if self._twin.apart_pu:
            said.append(f"on a twin that differs from the feeder by {self._twin.apart_pu:.2g} pu")
        if point.flow.hunting:
            said.append(f"regulators or capacitors find no rest in {point.flow.hunting} periods")
        near_jump = self._twin.near_jump(point.flow)
        if near_jump:
            said.append(
                f"{near_jump} loads are so near a voltage where their law jumps that there may be "
                "another flow"
            )
        exceeded = [f"{quantity} by {value:.2g}" for quantity, value in worst.items() if value > KEPT]
        if exceeded:
            verdict = "unattainable, best found" if course.end == "optimal" else "best found"
            said.append(f"{verdict}: {', '.join(exceeded)} (pu or share of rating) beyond a limit")
        if self._tree.branches > 1:
            said.append(f"over {self._tree.branches} scenarios")
        if self._risk.doubt:
            said.append(self._risk.doubt)
        if course.end == "settled":
            said.append(f"settled after {course.programs} programs, not proven to be optimal")
        if course.end == "stopped":
            said.append(f"stopped after {course.programs} programs, not proven to be optimal")
        return "; ".join(said) if said else "locally optimal on the exact power flow"


@needs("twin")
@plans_many_futures
@options(TangentOptions)
def tangent(
    site: Site, horizon: Horizon, common: PlannerOptions, twin: OpenTwin, *, options: TangentOptions
) -> TangentPlanner:
    """The planner for a scenario.

    Args:
        site, horizon: facts of the plant, and the periods of every plan.
        common: options that planners share.
        twin: opens the controller's model of the feeder.
        options: of this planner alone.
    """
    return TangentPlanner(site, horizon, common, twin(), options)


def _must_suit(site: Site, options: PlannerOptions) -> None:
    if not site.devices:
        raise FormulationRefused(
            "planner tangent has nothing to plan: the scenario has no device; "
            "add some, or use control: {type: idle}"
        )
    if options.complementarity == "binary":
        raise FormulationRefused(
            "planner tangent has no binaries; use complementarity: repair, or planner lindistflow"
        )
    if options.capability == "cone":
        raise FormulationRefused("planner tangent keeps inverters inside a polygon; use inverter: polygon")
    if options.solver not in {"auto", *ROUTES}:
        raise SolverUnsuited(
            f"planner tangent cannot use solver {options.solver}; use auto, {', '.join(ROUTES)}"
        )
