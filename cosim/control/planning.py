"""Parts of controllers that choose the horizon of each plan themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from cosim.control.allowed import within_ratings
from cosim.control.receding_horizon import RecedingHorizonController, Rhythm
from cosim.model.forecast import Forecast
from cosim.model.roles import Forecaster, Planner, Resumable, is_resumable
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.options import PlannerOptions

MakePlanner = Callable[[Horizon, PlannerOptions], Planner]
"""The planner of a scenario for some periods and under some options."""


@dataclass(frozen=True)
class Planning:
    """What a controller gets that declares :func:`cosim.plugins.plans_its_own_horizons`.

    Attributes:
        site: facts of the plant.
        forecaster: what it believes.
        planner_for: makes the planner of the scenario.
        rhythm: of the scenario.
        options: that planners share, of the scenario.
    """

    site: Site
    forecaster: Forecaster
    planner_for: MakePlanner
    rhythm: Rhythm
    options: PlannerOptions


class PlannerPerHorizon:
    """One planner for each horizon that occurs; each is made when it is first needed.

    Args:
        planning: makes them.
        first: the horizon whose planner is made at once, so that its refusal is known before a run.
    """

    def __init__(self, planning: Planning, first: Horizon) -> None:
        self._planning = planning
        self._planners = {first: planning.planner_for(first, planning.options)}

    @property
    def resumable(self) -> bool:
        """Whether the planners can be carried on."""
        return all(is_resumable(planner) for planner in self._planners.values())

    def state(self) -> list[tuple[list[int], Any]]:
        """Periods and state of each planner, see :class:`cosim.model.roles.Resumable`."""
        return [
            (list(horizon.period_s), cast("Resumable", planner).state())
            for horizon, planner in self._planners.items()
        ]

    def restore(self, state: list[tuple[list[int], Any]]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        for period_s, inner in state:
            cast("Resumable", self._of(Horizon(tuple(period_s)))).restore(inner)

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Plan with the planner of the forecast's horizon."""
        return self._of(forecast.horizon).plan(measurement, forecast)

    def _of(self, horizon: Horizon) -> Planner:
        if horizon not in self._planners:
            self._planners[horizon] = self._planning.planner_for(horizon, self._planning.options)
        return self._planners[horizon]


class FollowingController(RecedingHorizonController):
    """Follows plans that are made seldom, as far as the devices still can.

    What a plan asks beyond ratings and stored energy, because the world was not as forecast, is left out.
    """

    def step(self, measurement: Measurement) -> Decision:
        """See :class:`RecedingHorizonController`."""
        decision = super().step(measurement)
        allowed = within_ratings(self._planned_for(), measurement, decision.setpoints)
        return Decision(
            decision.step, decision.issued_at_s, allowed, decision.source, decision.reason, decision.plan
        )


def periods_until(length_s: int, resolution_s: int) -> Horizon:
    """Periods of one length up to the end of a span; the last one is shorter where it must be."""
    rest = length_s % resolution_s
    return Horizon((resolution_s,) * (length_s // resolution_s) + ((rest,) if rest else ()))
