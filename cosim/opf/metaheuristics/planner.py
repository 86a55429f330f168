"""Planners that search the set-points of all devices and periods by a population of candidates.

Every candidate is repaired so that the devices can carry it out, and is evaluated by the exact power flow
of the twin, regulators and capacitors reacting. Limits are handled by Deb's feasibility rules. The plan is
certified by the same flow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pymoo.core.algorithm import Algorithm
from threadpoolctl import ThreadpoolController

from cosim.errors import FormulationRefused
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.search_details import SearchDetails
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.model.twin import Quantity, Twin, TwinFlow
from cosim.opf.flow_cost import FlowCost
from cosim.opf.metaheuristics.budget import Budget, Progress
from cosim.opf.metaheuristics.decisions import Decisions
from cosim.opf.metaheuristics.evaluation import CandidateEvaluator
from cosim.opf.metaheuristics.objectives import OBJECTIVES, Choice, ObjectiveName, chosen
from cosim.opf.metaheuristics.options import SearchOptions
from cosim.opf.metaheuristics.search import Found, Judged, search
from cosim.opf.options import PlannerOptions
from cosim.opf.tangent.active_limits import CURRENTS, ActiveLimits, bounds_of
from cosim.opf.tangent.device_dispatch import DeviceDispatch, Dispatch
from cosim.opf.tangent.search_log import Devices
from cosim.opf.tangent.warm_start import matching_periods

KEPT = 1e-4
"""A limit is kept if it is exceeded by no more than this, pu or share of a rating."""

MakeAlgorithm = Callable[[FloatArray, Progress], Algorithm]
"""Makes an algorithm from its first candidates and the progress of the search."""


@dataclass(frozen=True)
class Method:
    """What distinguishes one planner from another.

    Attributes:
        name: of the planner.
        make: makes its algorithm.
        objectives: that the algorithm sees; more than one keeps a Pareto front.
        choice: by which the plan is chosen from the front.
    """

    name: str
    make: MakeAlgorithm
    objectives: tuple[ObjectiveName, ...] = ("cost",)
    choice: Choice = "first"


@dataclass(frozen=True)
class _Question:
    """What one plan is asked: state, forecast, devices, decisions, and the flow with devices at rest."""

    measurement: Measurement
    forecast: Forecast
    devices: Devices
    decisions: Decisions
    start: TwinFlow


class MetaheuristicPlanner:
    """See the module.

    Args:
        method: the algorithm.
        site: facts of the plant.
        horizon: the periods of every plan.
        options: see :class:`cosim.opf.options.PlannerOptions`.
        twin: the controller's model of the feeder.
        own: population and budget.
        seed: of the random numbers; each plan takes the next stream of it.

    Raises:
        FormulationRefused: nothing to plan, or an option that needs a program.
    """

    def __init__(
        self,
        method: Method,
        site: Site,
        horizon: Horizon,
        options: PlannerOptions,
        twin: Twin,
        own: SearchOptions,
        seed: int,
    ) -> None:
        _must_suit(method.name, site, options)
        self._method, self._horizon, self._options, self._twin = method, horizon, options, twin
        self._own, self._seed = own, seed
        self._dispatcher = DeviceDispatch(site, horizon, options)
        self._cost = FlowCost(options.objective, options.limits, horizon)
        self._bounds = bounds_of(options.limits, twin)
        middle = (options.limits.voltage_min_pu + options.limits.voltage_max_pu) / 2.0
        self._evaluator = CandidateEvaluator(
            horizon, twin, self._dispatcher, self._cost, self._bounds, middle
        )
        self._threads = ThreadpoolController()
        self._earlier: Plan | None = None
        self._foreseen: Forecast | None = None
        self._plans = 0

    def state(self) -> dict[str, Any]:
        """See :class:`cosim.model.roles.Resumable`."""
        return {
            "twin": self._twin.state(),
            "plans": (self._earlier, self._foreseen, self._plans),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._twin.restore(state["twin"])
        self._earlier, self._foreseen, self._plans = state["plans"]

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """See :class:`cosim.model.roles.Planner`."""
        first = self._earlier is None
        # Where a battery's idling loss falls is only known once there is a plan: two searches then.
        twice = first and self._dispatcher.idles
        budget = self._own.budget(warm=not first, parts=2 if twice else 1)
        # The matrices are small: more threads only wait for each other.
        with self._threads.limit(limits=1, user_api="blas"):
            outcome = self._plan(measurement, forecast, budget)
            if isinstance(outcome, Plan) and twice:
                self._earlier, self._foreseen = outcome, forecast
                outcome = self._plan(measurement, forecast, budget)
        if isinstance(outcome, Plan):
            self._earlier, self._foreseen = outcome, forecast
        return outcome

    # --- one search -----------------------------------------------------------------------------------

    def _plan(self, measurement: Measurement, forecast: Forecast, budget: Budget) -> Plan | NoPlan:
        started = time.perf_counter()
        self._set_forecast(measurement, forecast)
        devices = Devices(*self._dispatcher.devices(measurement, forecast.available_kw, self._earlier))
        decisions = Decisions(self._dispatcher.model, devices, self._horizon)
        if decisions.corridor.problem:
            return NoPlan("infeasible", f"planner {self._method.name}: {decisions.corridor.problem}")
        start = self._flow_at_rest(devices)
        if not start.converged.all():
            period = int(np.flatnonzero(~start.converged)[0])
            return NoPlan(
                "not_physical", f"the feeder has no power flow in period {period} with its devices at rest"
            )
        asked = _Question(measurement, forecast, devices, decisions, start)
        progress = Progress(budget)
        found = self._search(asked, progress)
        row = chosen(self._method.choice, found)
        labels = tuple(OBJECTIVES[name].label for name in self._method.objectives)
        details = progress.details(labels, found.front, row, self._method.choice)
        x = found.x if len(self._method.objectives) == 1 else found.front_x[row]
        return self._adopt(x, asked, details, started, budget)

    def _set_forecast(self, measurement: Measurement, forecast: Forecast) -> None:
        self._cost.update(forecast.price_per_kwh, measurement.peak_import_kw)
        self._twin.set_forecast(
            measurement,
            forecast.demand_kw + 1j * forecast.demand_kvar,
            forecast.source_ratio_from(measurement.source_ratio),
            np.asarray(self._horizon.period_s, dtype=np.float64),
        )

    def _flow_at_rest(self, devices: Devices) -> TwinFlow:
        rest = self._dispatcher.at_rest(devices.sources.available_kw)
        return self._twin.flow(self._dispatcher.injection_kva(rest))

    def _search(self, asked: _Question, progress: Progress) -> Found:
        names, decisions = self._method.objectives, asked.decisions

        def judge(x: FloatArray) -> Judged:
            dispatch = decisions.dispatch(x)
            told = self._evaluator.evaluate(dispatch, asked.devices, asked.start)
            columns = np.stack([OBJECTIVES[name].of(told) for name in names], axis=1)
            return Judged(decisions.candidates(dispatch), columns, told.violation, told.cost)

        self._plans += 1
        rng = np.random.default_rng([self._seed, self._plans])
        first = self._first_candidates(asked, rng)
        return search(
            self._method.make(first, progress),
            judge,
            (decisions.count, len(names), self._evaluator.bounds),
            progress=progress,
            seed=int(rng.integers(2**31)),
        )

    def _first_candidates(self, asked: _Question, rng: np.random.Generator) -> FloatArray:
        """The shifted earlier plan, rest, and random candidates of all amplitudes."""
        available, decisions = asked.devices.sources.available_kw, asked.decisions
        known: list[Dispatch] = [self._dispatcher.at_rest(available)]
        if self._earlier is not None and self._foreseen is not None:
            passed_s = asked.measurement.time_s - self._earlier.time_s
            origin = matching_periods(asked.forecast, self._foreseen, passed_s)
            known.insert(0, self._dispatcher.as_planned(self._earlier, origin, available))
        rows = [decisions.candidates(dispatch)[None] for dispatch in known]
        amplitude = rng.random((self._own.population, 1))
        random = amplitude * rng.uniform(-1.0, 1.0, (self._own.population, decisions.count))
        return np.concatenate([*rows, random])[: self._own.population]

    # --- the plan -------------------------------------------------------------------------------------

    def _adopt(
        self, x: FloatArray, asked: _Question, details: SearchDetails, started: float, budget: Budget
    ) -> Plan:
        measurement = asked.measurement
        dispatch = asked.decisions.dispatch(x[None]).row(0)
        # The repair of candidates knows idling losses of the earlier plan only.
        dispatch = self._dispatcher.carried_out(dispatch, measurement, asked.forecast.available_kw)
        flow = self._twin.flow(self._dispatcher.injection_kva(dispatch), asked.start)
        cost = self._dispatcher.cost(dispatch, asked.devices.energy, asked.devices.sources)
        limits = ActiveLimits(self._bounds, self._twin, self._horizon, self._dispatcher.model.count)
        limits.extend(flow)
        certificate = self._certificate(
            cost + self._cost.of(flow) + limits.penalty(flow),
            limits.worst(flow),
            flow,
            self._claim(limits.worst(flow), flow, details, budget),
            iterations=len(details.evaluations),
            seconds=time.perf_counter() - started,
        )
        available_kw = asked.forecast.available_kw
        plan = self._dispatcher.plan(dispatch, flow, measurement, available_kw, certificate)
        return replace(plan, details=details)

    def _certificate(
        self,
        objective: float,
        worst: dict[Quantity, float],
        flow: TwinFlow,
        claim: str,
        *,
        iterations: int,
        seconds: float,
    ) -> Certificate:
        beyond = [max(self._cost.over_kw(flow), 0.0)]
        for quantity in CURRENTS & worst.keys():
            over = (self._twin.values(flow, quantity) - 1.0) * self._twin.rating_kva(quantity)[:, None]
            beyond.append(float(over.max(initial=0.0)))
        return Certificate(
            planner=self._method.name,
            status="stopped",
            objective=objective,
            primal_residual=0.0,
            simultaneous_kw=0.0,
            simultaneous_h=0.0,
            slack_pu=worst.get(Quantity.VOLTAGE, 0.0),
            over_kw=max(beyond),
            iterations=iterations,
            build_s=0.0,
            solve_s=seconds,
            relaxation_gap_kva=None,
            optimality_gap=None,
            claim=claim,
            solver="pymoo",
        )

    def _claim(
        self, worst: dict[Quantity, float], flow: TwinFlow, details: SearchDetails, budget: Budget
    ) -> str:
        """What is known about the plan, in words."""
        evaluations = int(details.evaluations[-1])
        said = [f"best of {evaluations} candidates on the exact power flow, nothing is proven"]
        if evaluations < budget.evaluations:
            said.append("ended by its CPU seconds, so the same seed need not give the same plan")
        if self._twin.apart_pu:
            said.append(f"on a twin that differs from the feeder by {self._twin.apart_pu:.2g} pu")
        if flow.hunting:
            said.append(f"regulators or capacitors find no rest in {flow.hunting} periods")
        exceeded = [f"{quantity} by {value:.2g}" for quantity, value in worst.items() if value > KEPT]
        if exceeded:
            said.append(f"{', '.join(exceeded)} (pu or share of rating) beyond a limit")
        return "; ".join(said)


def _must_suit(name: str, site: Site, options: PlannerOptions) -> None:
    if not site.devices:
        raise FormulationRefused(
            f"planner {name} has nothing to plan: the scenario has no device; "
            "add some, or use control: {type: idle}"
        )
    if options.solver != "auto":
        raise FormulationRefused(
            f"planner {name} searches without a solver; leave solver {options.solver} out, or use tangent"
        )
