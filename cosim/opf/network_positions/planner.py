"""Taps and capacitor states by proposals, set-points of the devices by the tangent planner.

For given positions the tangent planner finds the set-points of the devices. For given set-points a proposal
looks for better positions on exact flows. Both take turns; only positions that make the whole plan better
are kept. The plan commands the positions, so the feeder's own controls of these elements are off.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from cosim.errors import FormulationRefused
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.search_details import SearchDetails
from cosim.model.site import Site
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.model.twin import Twin
from cosim.opf.flow_cost import FlowCost
from cosim.opf.metaheuristics.evaluation import CandidateEvaluator, Evaluated
from cosim.opf.network_positions.schedule import PositionSchedule
from cosim.opf.options import PlannerOptions
from cosim.opf.tangent.active_limits import bounds_of
from cosim.opf.tangent.device_dispatch import DeviceDispatch, Dispatch
from cosim.opf.tangent.planner import TangentPlanner
from cosim.opf.tangent.search_log import Devices
from cosim.opf.tangent.warm_start import matching_periods

LEAST_GAIN = 1e-7
"""Positions must make a plan better by this part of its objective, else they stay as they were."""


class FixedDispatch:
    """Exact flows of positions under the dispatch of a plan.

    Args:
        evaluator: of candidates.
        schedule: what positions may do.
        dispatch: of the plan, shape (period, device).
        devices: what the devices may do.
        start: a flow to start from.
    """

    def __init__(
        self,
        evaluator: CandidateEvaluator,
        schedule: PositionSchedule,
        dispatch: Dispatch,
        devices: Devices,
        start: Any,
    ) -> None:
        self._evaluator, self.schedule = evaluator, schedule
        self._dispatch, self._devices, self._start = dispatch, devices, start

    @property
    def bounds(self) -> int:
        """How many columns a violation has."""
        return self._evaluator.bounds

    def evaluate(self, position: FloatArray) -> Evaluated:
        """Evaluate positions, shape (candidate, period, network device); operations are not charged."""
        count = len(position)
        return self._evaluator.evaluate(
            self._dispatch.repeated(count), self._devices, self._start, position
        )


class Proposal(Protocol):
    """Looks for better positions."""

    def propose(
        self, flows: FixedDispatch, position: FloatArray, *, seed: int
    ) -> tuple[FloatArray, SearchDetails | None]:
        """Positions that can be carried out, shape (period, network device), and how the search went.

        Args:
            flows: exact flows of positions.
            position: those of the plan so far.
            seed: of random numbers, another one at each call.
        """
        ...


@dataclass(frozen=True)
class _Best:
    """The best plan so far, its positions, its whole objective, and the state of the tangent planner."""

    plan: Plan
    position: FloatArray
    objective: float
    tangent: dict[str, Any]


class PositionPlanner:
    """See the module.

    Args:
        name: of the planner.
        proposal: looks for positions.
        rounds: of proposal and set-points in a plan, at most.
        site, horizon, options: see :class:`cosim.opf.tangent.planner.TangentPlanner`.
        twin: the controller's model of the feeder.
        seed: of the proposals.

    Raises:
        FormulationRefused: the site has no tap changer and no capacitor bank, or tangent refuses.
    """

    def __init__(
        self,
        name: str,
        proposal: Proposal,
        rounds: int,
        site: Site,
        horizon: Horizon,
        options: PlannerOptions,
        twin: Twin,
        seed: int = 0,
    ) -> None:
        if not site.network_devices:
            raise FormulationRefused(
                f"planner {name} has no position to decide: the scenario has no tap_changer and no "
                "capacitor_bank; list them under devices, or use planner tangent"
            )
        self._name, self._proposal, self._rounds, self._seed = name, proposal, rounds, seed
        self._horizon, self._twin = horizon, twin
        self._tangent = TangentPlanner(site, horizon, options, twin)
        self._dispatcher = DeviceDispatch(site, horizon, options)
        self._cost = FlowCost(options.objective, options.limits, horizon)
        limits = options.limits
        middle = (limits.voltage_min_pu + limits.voltage_max_pu) / 2.0
        bounds = bounds_of(limits, twin)
        self._evaluator = CandidateEvaluator(horizon, twin, self._dispatcher, self._cost, bounds, middle)
        self._schedule = PositionSchedule(site.network_devices, horizon)
        self._earlier: Plan | None = None
        self._foreseen: Forecast | None = None
        self._proposed = 0

    def state(self) -> dict[str, Any]:
        """See :class:`cosim.model.roles.Resumable`."""
        return {
            "tangent": self._tangent.state(),
            "schedule": self._schedule.state(),
            "plans": (self._earlier, self._foreseen, self._proposed),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._tangent.restore(state["tangent"])
        self._schedule.restore(state["schedule"])
        self._earlier, self._foreseen, self._proposed = state["plans"]

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """See :class:`cosim.model.roles.Planner`."""
        started = time.perf_counter()
        self._schedule.update(measurement)
        self._cost.update(forecast.price_per_kwh, measurement.peak_import_kw)
        first = self._planned(self._first_position(measurement, forecast), measurement, forecast)
        if isinstance(first, NoPlan):
            return first
        best, details, rounds = first, None, 0
        for _ in range(self._rounds):
            self._proposed += 1
            position, searched = self._proposal.propose(
                self._flows(best, measurement, forecast), best.position, seed=self._seed + self._proposed
            )
            details, rounds = searched or details, rounds + 1
            if np.array_equal(position, best.position):
                break
            found = self._planned(position, measurement, forecast)
            if isinstance(found, NoPlan) or found.objective >= best.objective - LEAST_GAIN * abs(
                best.objective
            ):
                break
            best = found
        return self._adopt(best, forecast, details, rounds, started)

    def _first_position(self, measurement: Measurement, forecast: Forecast) -> FloatArray:
        """Positions of the earlier plan, or those of now."""
        shape = (len(self._horizon), len(self._schedule.devices))
        position = np.broadcast_to(self._schedule.now, shape)
        if self._earlier is not None and self._foreseen is not None:
            passed_s = measurement.time_s - self._earlier.time_s
            position = self._earlier.position[matching_periods(forecast, self._foreseen, passed_s)]
        return np.asarray(self._schedule.repaired(position[None])[0])

    def _planned(
        self, position: FloatArray, measurement: Measurement, forecast: Forecast
    ) -> _Best | NoPlan:
        """The plan of the tangent planner for given positions."""
        # Commands are kept for the periods of a forecast, which the twin must know first.
        self._twin.set_forecast(measurement, forecast.demand_kw + 1j * forecast.demand_kvar)
        self._twin.set_positions(position)
        plan = self._tangent.plan(measurement, forecast)
        if isinstance(plan, NoPlan):
            return plan
        price = float(self._schedule.price(position[None])[0])
        return _Best(plan, position, plan.certificate.objective + price, self._tangent.state())

    def _flows(self, best: _Best, measurement: Measurement, forecast: Forecast) -> FixedDispatch:
        """Flows of other positions under the dispatch of a plan."""
        devices = Devices(*self._dispatcher.devices(measurement, forecast.available_kw, self._earlier))
        periods = np.arange(len(self._horizon))
        dispatch = self._dispatcher.as_planned(best.plan, periods, devices.sources.available_kw)
        start = self._twin.flow(self._dispatcher.injection_kva(dispatch))
        return FixedDispatch(self._evaluator, self._schedule, dispatch, devices, start)

    def _adopt(
        self,
        best: _Best,
        forecast: Forecast,
        details: SearchDetails | None,
        rounds: int,
        started: float,
    ) -> Plan:
        self._tangent.restore(best.tangent)
        proof = best.plan.certificate
        moves = float(self._schedule.operations(best.position[None]).sum())
        plan = replace(
            best.plan,
            position=best.position,
            details=details,
            certificate=replace(
                proof,
                planner=self._name,
                objective=best.objective,
                build_s=time.perf_counter() - started - proof.solve_s,
                claim=f"{proof.claim}; positions improved in {rounds} rounds, {moves:g} operations, "
                "nothing is proven about them",
            ),
        )
        self._earlier, self._foreseen = plan, forecast
        return plan
