"""Plan once a day, then follow the plan whatever happens: the classical day-ahead schedule."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field

from cosim.control.planning import FollowingController, PlannerPerHorizon, Planning, periods_until
from cosim.control.receding_horizon import Rhythm
from cosim.model.timegrid import Horizon, TimeGrid
from cosim.plugins import Options, needs, options, plans_its_own_horizons

DAY_S = 86_400


class DayAheadOptions(Options):
    """How far a plan looks beyond its day."""

    beyond_s: int = Field(
        0, ge=0, description="a plan looks this far beyond the end of its day, but not beyond the run"
    )


@dataclass(frozen=True)
class DailyRhythm(Rhythm):
    """Plans at the first step of the run and at the first step of each day.

    Attributes:
        grid: of the run, whose clock tells the days.
        resolution_s: length of a period of a plan.
        beyond_s: how far a plan looks beyond the end of its day.
    """

    grid: TimeGrid = field(kw_only=True)
    resolution_s: int = field(kw_only=True)
    beyond_s: int = field(kw_only=True)

    def is_due(self, time_s: float) -> bool:
        """Whether a day begins in this step."""
        return time_s == 0.0 or self._since_midnight_s(time_s) < self.grid.step_s

    def horizon_at(self, time_s: float) -> Horizon:
        """To the end of the day and the option; one step where no plan is due, to keep the past known."""
        if not self.is_due(time_s):
            return Horizon((self.grid.step_s,))
        steps = -((self._since_midnight_s(time_s) - DAY_S) // self.grid.step_s)
        length_s = steps * self.grid.step_s + self.beyond_s
        return periods_until(min(length_s, self._run_s - int(time_s)), self.resolution_s)

    @property
    def _run_s(self) -> int:
        return self.grid.steps * self.grid.step_s

    def _since_midnight_s(self, time_s: float) -> int:
        start = self.grid.start
        first_s = (start.hour * 60 + start.minute) * 60 + start.second
        return (first_s + int(time_s)) % DAY_S


@needs()
@options(DayAheadOptions)
@plans_its_own_horizons()
class DayAheadController(FollowingController):
    """Plans at the start of the run and of each day with the scenario's planner, then follows.

    Measures: the state at the start of a day, and stored energy at each step, to leave out what a plan
    asks beyond it. Assumes: the day comes as forecast. Where there is no plan for a day, what the one
    before says beyond its day is followed, then devices rest. ``control.horizon_s`` and
    ``control.interval_s`` mean nothing here.

    Args:
        planning: forecaster, planner, rhythm.
        options: how far a plan looks.
    """

    def __init__(self, planning: Planning, *, options: DayAheadOptions) -> None:
        given, grid = planning.rhythm, planning.site.grid
        beyond_s = options.beyond_s - options.beyond_s % grid.step_s
        rhythm = DailyRhythm(
            given.horizon,
            given.interval_s,
            given.acts_after_s,
            given.deadline_s,
            given.stops_on_error,
            grid=grid,
            resolution_s=given.horizon.period_s[0],
            beyond_s=beyond_s,
        )
        planner = PlannerPerHorizon(planning, rhythm.horizon_at(0.0))
        super().__init__(planning.forecaster, planner, rhythm)
