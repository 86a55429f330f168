"""A plan, or rest where that is cheaper by the exact flow of the twin.

A planner that looks for a local optimum may end at a plan that costs more than doing nothing, e.g. where it
counts on a regulator that then stays within its band. A planner that starts from its earlier plan is asked
again until it repeats itself, or finds nothing better any more. If its search can begin elsewhere, it is
asked again from the plans of others. The best of all these plans counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.device import DeviceState
from cosim.model.forecast import Forecast
from cosim.model.roles import BeginsAtPlan, Planner
from cosim.model.site import Site
from cosim.model.state import Measurement, NoPlan, Plan, Setpoints
from cosim.model.timegrid import Horizon
from cosim.model.twin import Twin, TwinFlow
from cosim.opf.options import PlannerOptions

REST = "rest is cheaper than the plan that was found"
MOST_ROUNDS = 24
"""Plans of one decision, each from where the one before ended."""
IN_VAIN = 4
"""So many rounds in a row that find nothing better are the end: taps make plans turn worse for a while."""
SAME_COST = 1e-9
"""Plans whose costs differ by a smaller part are the same: the planner repeats itself."""
LIMITS_FIRST = 10.0
"""Violations weigh so many times what the scenario charges for them, when plans are compared."""


@dataclass(frozen=True)
class _Course:
    """What the devices do over a horizon.

    Attributes:
        device_kva: delivered, shape (period, device).
        stored_kwh: shape (period + 1, device).
    """

    device_kva: ComplexArray
    stored_kwh: FloatArray


class PlanOrRest:
    """See the module.

    Args:
        site: facts of the plant.
        planner: makes the plans.
        options: of the planner; they say what counts as cost.
        twin: judges plan and rest.
        starts: planners at whose plans the search of ``planner`` begins as well, where it can.
    """

    def __init__(
        self,
        site: Site,
        planner: Planner,
        options: PlannerOptions,
        twin: Twin,
        starts: Sequence[Planner] = (),
    ) -> None:
        self._site, self._planner, self._options, self._twin = site, planner, options, twin
        self._starts = starts

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """The cheapest plan that the planner comes to, or rest."""
        outcome = self._planner.plan(measurement, forecast)
        if isinstance(outcome, NoPlan) or outcome.position.size:
            return outcome
        found = [self._refined(outcome, measurement, forecast)]
        found += self._found_elsewhere(measurement, forecast)
        outcome, planned_cost = min(found, key=lambda plan_and_cost: plan_and_cost[1])
        idle = Setpoints.idle(self._site)
        p_kw = np.repeat(idle.p_kw[None, :], len(forecast.horizon), axis=0)
        resting = self._course(measurement, forecast, p_kw, np.zeros_like(p_kw))
        flow = self._twin.flow(resting.device_kva)
        cost = self._cost(resting, flow, measurement, forecast)
        if cost + self._more_for_limits(flow, forecast) >= planned_cost:
            return outcome
        return _rest_instead(outcome, p_kw, resting, flow, cost)

    def _found_elsewhere(self, measurement: Measurement, forecast: Forecast) -> list[tuple[Plan, float]]:
        """Where searches end that begin at the plans of others, each with its exact cost."""
        if not isinstance(self._planner, BeginsAtPlan):
            return []
        found = []
        for other in self._starts:
            start = other.plan(measurement, forecast)
            if isinstance(start, NoPlan):
                continue
            self._planner.begin_at(start, forecast)
            outcome = self._planner.plan(measurement, forecast)
            if not isinstance(outcome, NoPlan):
                found.append(self._refined(outcome, measurement, forecast))
        return found

    def _refined(self, first: Plan, measurement: Measurement, forecast: Forecast) -> tuple[Plan, float]:
        """The best of plans that each begin where the one before ended, and its exact cost."""
        best, last = first, self._cost_of(first, measurement, forecast)
        least, in_vain = last, 0
        for _ in range(MOST_ROUNDS - 1):
            outcome = self._planner.plan(measurement, forecast)
            if isinstance(outcome, NoPlan):
                break
            before, last = last, self._cost_of(outcome, measurement, forecast)
            in_vain = 0 if last < least else in_vain + 1
            if last < least:
                best, least = outcome, last
            if abs(last - before) <= SAME_COST * abs(before) or in_vain == IN_VAIN:
                break
        return best, least

    def _cost_of(self, plan: Plan, measurement: Measurement, forecast: Forecast) -> float:
        """Exact cost of a plan, violations ten times; the twin is left with the whole forecast."""
        course = self._course(measurement, forecast, plan.p_kw, plan.q_kvar)
        self._twin.set_forecast(
            measurement,
            forecast.demand_kw + 1j * forecast.demand_kvar,
            forecast.source_ratio_from(measurement.source_ratio),
        )
        flow = self._twin.flow(course.device_kva)
        return self._cost(course, flow, measurement, forecast) + self._more_for_limits(flow, forecast)

    def _more_for_limits(self, flow: TwinFlow, forecast: Forecast) -> float:
        """What violations weigh beyond what the scenario charges for them."""
        return (LIMITS_FIRST - 1.0) * self._penalty(flow, forecast)

    def _penalty(self, flow: TwinFlow, forecast: Forecast) -> float:
        """What voltages outside the limits cost, every node."""
        limits = self._options.limits
        within = np.clip(flow.voltage_pu, limits.voltage_min_pu, limits.voltage_max_pu)
        excess = float(np.abs(flow.voltage_pu - within).sum(axis=0) @ forecast.horizon.hours)
        return limits.voltage_penalty_per_pu_h * excess

    def _course(
        self, measurement: Measurement, forecast: Forecast, p_kw: FloatArray, q_kvar: FloatArray
    ) -> _Course:
        """Delivered power and stored energy under set-points, by the laws of the devices."""
        horizon = forecast.horizon
        delivered = np.zeros_like(p_kw)
        stored = np.repeat(measurement.stored_kwh[None, :], len(horizon) + 1, axis=0)
        for at, device in enumerate(self._site.devices):
            for period, (hours, now_s) in enumerate(_periods(horizon, measurement.time_s)):
                energy, wanted = float(stored[period, at]), float(p_kw[period, at])
                state = DeviceState(hours, energy, float(forecast.available_kw[period, at]), now_s)
                delivered[period, at] = device.delivered_kw(wanted, state)
                stored[period + 1, at] = device.next_stored_kwh(energy, wanted, hours, now_s)
        return _Course(delivered + 1j * q_kvar, stored)

    def _cost(self, course: _Course, flow: TwinFlow, measurement: Measurement, forecast: Forecast) -> float:
        """Cost of a course, with what is beyond a voltage limit paid for at every node."""
        if not flow.converged.all():
            return float("inf")
        objective, hours = self._options.objective, forecast.horizon.hours
        import_kw = flow.import_kva.real
        paid = float((hours * forecast.price_per_kwh) @ import_kw)
        peak = objective.peak_per_kw * max(float(import_kw.max()), measurement.peak_import_kw)
        ends = np.array([device.has_energy for device in self._site.devices], dtype=np.bool_)
        more_kwh = float((course.stored_kwh[-1, ends] - course.stored_kwh[0, ends]).sum())
        left = self._options.terminal.per_kwh * more_kwh
        return objective.energy_cost * paid + peak - left + self._penalty(flow, forecast)


def _periods(horizon: Horizon, time_s: float) -> list[tuple[float, float]]:
    """Hours and start of each period."""
    return [*zip(horizon.hours.tolist(), (time_s + horizon.starts_s).tolist(), strict=True)]


def _rest_instead(plan: Plan, p_kw: FloatArray, course: _Course, flow: TwinFlow, cost: float) -> Plan:
    proof = replace(
        plan.certificate,
        objective=cost,
        simultaneous_kw=0.0,
        simultaneous_h=0.0,
        claim=f"{REST}; {plan.certificate.claim}",
    )
    return replace(
        plan,
        p_kw=p_kw,
        q_kvar=np.zeros_like(p_kw),
        stored_kwh=course.stored_kwh,
        import_kw=flow.import_kva.real.copy(),
        import_kvar=flow.import_kva.imag.copy(),
        losses_kw=flow.losses_kw,
        voltage_pu=np.ascontiguousarray(flow.voltage_pu.T),
        certificate=proof,
    )
