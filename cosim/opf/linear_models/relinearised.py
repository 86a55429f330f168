"""Planning on the first order of the power flow, taken anew as often as a rule asks for.

Every step takes the exact flow of the present powers, regulators and capacitors reacting, its exact first
order, and solves one linear program. Slopes of import and losses are those with taps that follow; voltages
and currents are those with taps held. A step that moves a tap is judged by where it led all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from cosim.devices.bounds import each
from cosim.model.arrays import ComplexArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.model.twin import Quantity, Twin, TwinFlow
from cosim.opf.linear_models.model import Expansion, exact_of
from cosim.opf.linear_models.planner import Answer, LinearPlanner
from cosim.opf.linear_models.steps import Step, StepRule
from cosim.opf.options import PlannerOptions
from cosim.opf.problem import Solved
from cosim.opf.tangent.warm_start import matching_periods

LIMITED = (Quantity.VOLTAGE, Quantity.LINE)
STALLED = 8
"""Linearisations that move taps without a better plan: so many end a search, as taps may never agree."""


@dataclass(frozen=True, eq=False)
class _Point:
    """An answer and its exact flow."""

    answer: Answer
    flow: TwinFlow


class RelinearisedPlanner(LinearPlanner):
    """See the module.

    Args:
        name, site, horizon, options, twin: see :class:`LinearPlanner`.
        rule: of the steps.
        limit: linearisations of one search, at most.
        once: whether slopes are those of the first plan for good.
        shows_exact: whether a plan shows its exact flow instead of what the model says.
    """

    def __init__(
        self,
        name: str,
        site: Site,
        horizon: Horizon,
        options: PlannerOptions,
        twin: Twin,
        rule: StepRule,
        *,
        limit: int,
        once: bool = False,
        shows_exact: bool = False,
    ) -> None:
        super().__init__(name, site, horizon, options, twin, LIMITED, boxed=rule.repeats)
        self._rule, self._limit, self._once, self._shows_exact = rule, limit, once, shows_exact
        self._kva = each(site.devices, "kva")
        self._first_flow: tuple[TwinFlow, Forecast, float] | None = None
        self._linearisations, self._converged = 0, False
        self._last_found = self._total
        self._threads = ThreadpoolController()

    def state(self) -> Any:
        """See :class:`cosim.model.roles.Resumable`."""
        return {**super().state(), "slopes": self._first_flow}

    def restore(self, state: Any) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        super().restore(state)
        self._first_flow = state["slopes"]

    def _solve(self, measurement: Measurement, forecast: Forecast) -> Solved:
        # The matrices are small: more threads only wait for each other.
        with self._threads.limit(limits=1, user_api="blas"):
            return self._search(measurement, forecast)

    def _search(self, measurement: Measurement, forecast: Forecast) -> Solved:
        self._set_forecast(measurement, forecast)
        self._linearisations, self._converged = 0, False
        flow = self._twin.flow(self._operating_kva())
        if not flow.converged.all():
            return self._refused("not_physical", "the feeder has no power flow at the operating point")
        self._affine.rows.extend(Expansion.of(self._twin, flow), exact_of(self._twin, flow), near=True)
        best = self._settle(flow)
        if best is None:
            if not self._total.found:
                return self._total
            return self._refused("not_physical", "its plan has no power flow on the twin")
        self._total = self._total if self._total.found else self._last_found
        self._words = self._what_it_is()
        return self._adopt(best.answer, best.flow, keep_exact=self._shows_exact)

    def _settle(self, flow: TwinFlow) -> _Point | None:
        """From a flow to the best point by the rule; None where there is none."""
        self._rule.begin(flow.device_kva.shape)
        centre: _Point | None = None
        best: _Point | None = None
        planned, without_gain = flow.device_kva, 0
        while self._linearisations < self._limit and without_gain < STALLED:
            model = Expansion.of(self._twin, flow, self._kept_slopes(flow))
            answer = self._boxed_answer(model, planned, first=centre is None)
            self._linearisations += 1
            if answer is None:
                break
            self._last_found = self._total
            new = _Point(answer, self._twin.flow(answer.device_kva, flow))
            self._note(new.flow)
            step = self._step(centre, new, planned)
            verdict = self._rule.judge(step)
            without_gain += step.jumped
            if self._is_better(new, best):
                best, without_gain = new, 0
            if verdict.accepted and new.flow.converged.all():
                centre, flow, planned = new, new.flow, answer.planned_kva
            if verdict.done:
                # Where taps move, an earlier point may be better than the one that the search ends at.
                self._converged = centre is not None and not self._is_better(best or centre, centre)
                best = centre if self._converged else best
                break
        return best

    def _is_better(self, new: _Point, best: _Point | None) -> bool:
        """Whether a point is better than the best one by more than nothing."""
        if not new.flow.converged.all():
            return False
        tolerance = self._tolerance(exact_of(self._twin, new.flow))
        return best is None or self._exact_merit(new) < self._exact_merit(best) - tolerance

    def _boxed_answer(self, model: Expansion, planned: ComplexArray, *, first: bool) -> Answer | None:
        """The best plan near some powers; from a first point anywhere, where none is near."""
        if not self._rule.repeats:
            return self._answer_of(model)
        self._affine.set_model(model)
        self._affine.set_box(planned, *self._rule.width)
        answer = self._answer_of(model)
        if answer is None and first:
            self._rule.free()
            self._affine.set_box(planned, *self._rule.width)
            answer = self._answer_of(model)
        return answer

    def _step(self, centre: _Point | None, new: _Point, planned: ComplexArray) -> Step:
        exact = exact_of(self._twin, new.flow)
        solved = bool(new.flow.converged.all())
        return Step(
            before=None if centre is None else self._exact_merit(centre),
            promised=self._merit(new.answer.device_cost, new.answer.said),
            reached=self._exact_merit(new) if solved else float("inf"),
            moved=(new.answer.planned_kva - planned) / self._kva,
            tolerance=self._tolerance(exact if solved else new.answer.said),
            jumped=centre is not None and not _same_controls(centre.flow, new.flow),
        )

    def _exact_merit(self, point: _Point) -> float:
        return self._merit(point.answer.device_cost, exact_of(self._twin, point.flow))

    def _note(self, flow: TwinFlow) -> None:
        """Make rows for what an exact flow has beyond its limits."""
        if flow.converged.all():
            self._affine.rows.extend(Expansion.of(self._twin, flow), exact_of(self._twin, flow))

    def _kept_slopes(self, flow: TwinFlow) -> TwinFlow | None:
        """The flow of the first plan, moved to the periods of now, where slopes are taken once."""
        if not self._once:
            return None
        measurement, forecast = self._now
        if self._first_flow is None:
            self._first_flow = flow, forecast, measurement.time_s
        first, foreseen, time_s = self._first_flow
        return self._twin.moved(first, matching_periods(forecast, foreseen, measurement.time_s - time_s))

    def _what_it_is(self) -> str:
        if not self._rule.repeats:
            where = "the first plan's operating point" if self._once else "the operating point"
            return f"optimal for a linear model about {where}"
        end = "until it agreed with the exact flow" if self._converged else "and stopped short of agreement"
        return f"optimal for a linear model, linearised {self._linearisations} times {end}"


def _same_controls(one: TwinFlow, other: TwinFlow) -> bool:
    return np.array_equal(one.tap, other.tap) and np.array_equal(
        one.capacitor_closed, other.capacitor_closed
    )
