"""Taps of tap changers as integers of a program, near where they stand."""

from __future__ import annotations

from collections.abc import Sequence

import cvxpy as cp
import numpy as np

from cosim.devices.tap_changer import TapChanger
from cosim.model.arrays import FloatArray
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.opf.network_positions.schedule import PositionSchedule

UNLIMITED = 1e3
"""Stands for no limit of the operations in a day."""


class TapVariables:
    """Changes of positions against now, by binaries: the k-th is 1 from the k-th tap above (or below) on.

    Binaries are ordered, and those beyond the range or the operations left are fixed to 0: bounds are as
    tight as those of the integers.

    Args:
        changers: the tap changers.
        places: of them in the site's network devices.
        schedule: of all network devices of the site.
        horizon: the periods.
        reach: largest change, a number of taps.

    Attributes:
        change: shape (period, changer).
        binaries, constraints, cost: for the program.
    """

    def __init__(
        self,
        changers: Sequence[TapChanger],
        places: Sequence[int],
        schedule: PositionSchedule,
        horizon: Horizon,
        reach: int,
    ) -> None:
        self._places, self._schedule = list(places), schedule
        self._ranks = np.arange(1, reach + 1)
        periods, shape = len(horizon), (reach, len(horizon))
        self.binaries: list[cp.Variable] = []
        self.constraints: list[cp.Constraint] = []
        self._room: list[tuple[cp.Parameter, cp.Parameter]] = []
        moves = cp.Variable((periods, len(changers)), nonneg=True)
        columns = []
        for device in range(len(changers)):
            up, down = cp.Variable(shape), cp.Variable(shape)
            room = cp.Parameter(shape, nonneg=True), cp.Parameter(shape, nonneg=True)
            for ranks, most in zip((up, down), room, strict=True):
                self.constraints += [ranks >= 0.0, ranks <= most]
                if reach > 1:
                    self.constraints.append(ranks[1:] <= ranks[:-1])
            self.constraints.append(up[0] + down[0] <= 1.0)
            self.binaries += [up, down]
            self._room.append(room)
            change = cp.sum(up, axis=0) - cp.sum(down, axis=0)
            step = change - cp.hstack([np.zeros(1), change[:-1]])
            self.constraints += [moves[:, device] >= step, moves[:, device] >= -step]
            columns.append(change)
        self.change = cp.vstack(columns).T
        # A horizon meets so many days at most, whenever it starts.
        self._days = int(horizon.starts_s[-1] // 86_400) + 2
        self._in_day = [cp.Parameter(periods, nonneg=True) for _ in range(self._days)]
        self._left = cp.Parameter((self._days, len(changers)), nonneg=True)
        self.constraints += [
            cp.sum(cp.multiply(mask[:, None] @ np.ones((1, len(changers))), moves), axis=0)
            <= self._left[day]
            for day, mask in enumerate(self._in_day)
        ]
        self.cost: cp.Expression = cp.sum(moves @ schedule.cost[self._places])

    def update(self, measurement: Measurement) -> None:
        """Set where the tap changers stand, and what is left of the operations."""
        schedule = self._schedule
        schedule.update(measurement)
        now = schedule.now[self._places]
        highest, lowest = schedule.highest[self._places], schedule.lowest[self._places]
        left = np.stack([schedule.left(day)[self._places] for day in range(self._days)])
        self._left.value = np.minimum(left, UNLIMITED)
        days = schedule.days
        for day, mask in enumerate(self._in_day):
            mask.value = (days == day).astype(np.float64)
        # Operations that are left until a period bound how far its position can be from now.
        within = np.array([np.floor(left[: day + 1].sum(axis=0)) for day in days.tolist()])
        for device, (above, below) in enumerate(self._room):
            most = np.minimum(within[:, device], highest[device] - now[device])
            above.value = (self._ranks[:, None] <= most).astype(np.float64)
            most = np.minimum(within[:, device], now[device] - lowest[device])
            below.value = (self._ranks[:, None] <= most).astype(np.float64)

    def position(self) -> FloatArray:
        """Positions of all network devices; those that are no tap changers stay, NaN."""
        change = np.rint(np.asarray(self.change.value))
        position = np.full((len(change), len(self._schedule.devices)), np.nan)
        position[:, self._places] = self._schedule.now[self._places] + change
        return position
