"""Plan over a horizon, act on its beginning, plan again: model predictive control."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from cosim.errors import ContractError, NoAnswer
from cosim.model.forecast import Forecast
from cosim.model.roles import Forecaster, Planner, Resumable, is_resumable
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, NoPlan, Plan, Setpoints, Source
from cosim.model.timegrid import Horizon
from cosim.plugins import needs, plans

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rhythm:
    """When to plan and when a decision acts.

    Attributes:
        horizon: the periods of each plan.
        interval_s: how often a plan is made; in between, the last one is followed.
        acts_after_s: time from a measurement to the moment its decision acts, from the scenario's
            feedback rule. The set-points are taken from the plan at that moment.
        deadline_s: a plan that took longer is too late for its own step, which follows the plan before it;
            None for no deadline.
        stops_on_error: an exception of the planner ends the run; otherwise it counts as no plan.
        keeps_forecasts: decisions tell what was forecast, for the record.
    """

    horizon: Horizon
    interval_s: int
    acts_after_s: int = 0
    deadline_s: float | None = None
    stops_on_error: bool = False
    keeps_forecasts: bool = False

    def is_due(self, time_s: float) -> bool:
        """Whether a plan is made at a moment of the run."""
        return int(time_s) % self.interval_s == 0

    def horizon_at(self, time_s: float) -> Horizon:
        """The periods that a forecast made at a moment covers."""
        del time_s
        return self.horizon


@needs()
@plans
class RecedingHorizonController:
    """Receding-horizon control with a ladder of fallbacks: plan, earlier plan, rest.

    Args:
        forecaster, planner: what it believes and how it decides.
        rhythm: see :class:`Rhythm`.
    """

    def __init__(self, forecaster: Forecaster, planner: Planner, rhythm: Rhythm) -> None:
        self._forecaster, self._planner, self._rhythm = forecaster, planner, rhythm
        self._site: Site | None = None
        self._latest: Plan | None = None

    def start(self, site: Site) -> None:
        """Receive the facts of the site."""
        self._site = site

    @property
    def resumable(self) -> bool:
        """Whether forecaster and planner can both be carried on."""
        return is_resumable(self._forecaster) and is_resumable(self._planner)

    def state(self) -> tuple[Any, Any, Plan | None]:
        """See :class:`cosim.model.roles.Resumable`."""
        forecaster, planner = cast("Resumable", self._forecaster), cast("Resumable", self._planner)
        return forecaster.state(), planner.state(), self._latest

    def restore(self, state: tuple[Any, Any, Plan | None]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        forecaster, planner = cast("Resumable", self._forecaster), cast("Resumable", self._planner)
        forecaster.restore(state[0])
        planner.restore(state[1])
        self._latest = state[2]

    def step(self, measurement: Measurement) -> Decision:
        """Plan if it is time to, and take the set-points of the moment the decision acts."""
        site = self._planned_for()
        forecast = self._forecaster.forecast(measurement, self._rhythm.horizon_at(measurement.time_s))
        fresh: Plan | None = None
        failure = ""
        in_force = self._latest
        if self._rhythm.is_due(measurement.time_s):
            began = time.perf_counter()
            outcome = self._plan(measurement, forecast)
            seconds = time.perf_counter() - began
            if isinstance(outcome, NoPlan):
                failure = outcome.reason
            else:
                fresh = self._latest = outcome
                if self._is_late(seconds):
                    failure = f"the plan took {seconds:.3g} s, deadline {self._rhythm.deadline_s:g} s"
                else:
                    in_force = fresh
        decision = self._decide(site, measurement, in_force, fresh, failure)
        self._report(decision)
        if self._rhythm.keeps_forecasts:
            decision = replace(decision, outlook=forecast.outlook(site))
        return decision

    def _planned_for(self) -> Site:
        if self._site is None:
            raise ContractError("the controller was asked for a decision before start(site)")
        return self._site

    def _plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """A plan; an exception of the planner is no plan, unless the scenario wants it to end the run."""
        try:
            outcome = self._planner.plan(measurement, forecast)
            _must_be_usable(outcome, len(measurement.p_kw))
        except NoAnswer:
            raise
        except Exception as error:
            if self._rhythm.stops_on_error:
                raise
            why = f"the planner failed: {type(error).__name__}: {error}"
            log.warning("step=%d %s", measurement.step, why, exc_info=True)
            return NoPlan("planner_error", why)
        return outcome

    def _is_late(self, seconds: float) -> bool:
        return self._rhythm.deadline_s is not None and seconds > self._rhythm.deadline_s

    def _decide(
        self, site: Site, measurement: Measurement, in_force: Plan | None, fresh: Plan | None, failure: str
    ) -> Decision:
        acts_at_s = measurement.time_s + self._rhythm.acts_after_s
        period = None if in_force is None else in_force.period_at(acts_at_s)
        if in_force is not None and period is not None:
            source = Source.EARLIER_PLAN if failure else Source.PLAN
            followed = f"{failure}; following the plan of second {in_force.time_s:.0f}" if failure else ""
            reason = "; ".join(text for text in (followed, in_force.caution) if text)
            setpoints = in_force.setpoints(period)
        else:
            source = Source.FALLBACK
            reason = f"{failure or 'no plan reaches this moment'}; devices rest"
            setpoints = Setpoints.idle(site)
        return Decision(measurement.step, measurement.time_s, setpoints, source, reason, fresh)

    def _report(self, decision: Decision) -> None:
        if decision.source is not Source.PLAN:
            log.warning('step=%d source=%s reason="%s"', decision.step, decision.source, decision.reason)
        elif decision.plan is not None:
            proof = decision.plan.certificate
            log.info(
                "step=%d source=%s status=%s solve_ms=%.0f residual=%.1e simultaneous_kw=%.3f",
                decision.step,
                decision.source,
                proof.status,
                1e3 * proof.solve_s,
                proof.primal_residual,
                proof.simultaneous_kw,
            )


def _must_be_usable(outcome: object, devices: int) -> None:
    """Refuse what is no plan, or holds what is no set-point.

    Raises:
        ContractError: says what the planner returned.
    """
    if isinstance(outcome, NoPlan):
        return
    if not isinstance(outcome, Plan):
        raise ContractError(f"it returned {type(outcome).__name__}, which is neither Plan nor NoPlan")
    shape = (len(outcome.period_s), devices)
    for name, values in (("p_kw", outcome.p_kw), ("q_kvar", outcome.q_kvar)):
        if values.shape != shape:
            raise ContractError(f"{name} of its plan has shape {values.shape}, expected {shape}")
        if not np.isfinite(values).all():
            period, device = np.argwhere(~np.isfinite(values))[0]
            raise ContractError(f"{name} of its plan is not finite for device {device} in period {period}")
