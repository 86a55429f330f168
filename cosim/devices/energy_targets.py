"""Energy that a battery must hold at given times, by date or by the clock of every day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Annotated

import numpy as np
from pydantic import AwareDatetime, Field

from cosim.devices.kind import Config, Placement
from cosim.model.arrays import FloatArray
from cosim.model.timegrid import Horizon

DAYS_BEYOND = 3
"""Days after the end of a run for which clock times are expanded; a plan may look beyond the run."""


@dataclass(frozen=True)
class EnergyTarget:
    """Energy that must be stored at a moment, seconds since the start of the run."""

    at_s: float
    kwh: float


class EnergyTargetConfig(Config):
    """At least this state of charge at a date with its offset from UTC, or at the clock of every day."""

    at: AwareDatetime | time = Field(description="2024-06-22T06:00:00+02:00, or '06:00': every day")
    soc: Annotated[float, Field(ge=0, le=1)] = Field(description="share of kwh")


def expand(targets: Sequence[EnergyTargetConfig], kwh: float, place: Placement) -> tuple[EnergyTarget, ...]:
    """All targets of a run and of some days beyond, in the order of time.

    Args:
        targets: as a scenario gives them.
        kwh: of the full cell.
        place: knows the steps of the run.
    """
    grid = place.grid
    if grid is None:
        return ()
    found: list[EnergyTarget] = []
    length_s = grid.step_s * grid.steps + DAYS_BEYOND * 86_400
    for target in targets:
        if isinstance(target.at, datetime):
            moments = [target.at]
        else:
            # By the clock of the run, whose offset from UTC does not change.
            first = datetime.combine(grid.start.date(), target.at, tzinfo=grid.start.tzinfo)
            moments = [first + timedelta(days=day) for day in range(length_s // 86_400 + 2)]
        seconds = ((moment - grid.start).total_seconds() for moment in moments)
        found += [EnergyTarget(s, target.soc * kwh) for s in seconds if 0 <= s <= length_s]
    return tuple(sorted(found, key=lambda target: target.at_s))


def least_with_targets(
    targets: Sequence[EnergyTarget],
    least_kwh: FloatArray,
    *,
    most_kwh: float,
    start_kwh: float,
    charge_kw: float,
    horizon: Horizon,
    time_s: float,
) -> FloatArray:
    """Smallest energy at the end of each period, targets as far as they can be reached, shape (period,).

    A target between two ends of periods holds at both.

    Args:
        targets: of the battery.
        least_kwh: without targets, shape (period,).
        most_kwh: upper end of the window.
        start_kwh: stored at the start of the horizon.
        charge_kw: largest power into the cell.
        horizon: the periods.
        time_s: its start, seconds since the start of the run.
    """
    ends_s = time_s + np.cumsum(np.asarray(horizon.period_s, dtype=np.float64))
    reachable = np.minimum(start_kwh + charge_kw * (ends_s - time_s) / 3600.0, most_kwh)
    least = least_kwh.copy()
    for target in targets:
        if not time_s < target.at_s <= ends_s[-1]:
            continue
        after = int(np.searchsorted(ends_s, target.at_s))
        for period in {after, max(after - 1, 0)} if ends_s[after] > target.at_s else {after}:
            least[period] = max(least[period], min(target.kwh, float(reachable[period])))
    return least
