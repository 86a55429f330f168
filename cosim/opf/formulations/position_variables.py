"""Positions of tap changers and capacitor banks as integers of a program, near where they stand."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.opf.network_positions.schedule import PositionSchedule

UNLIMITED = 1e3
"""Stands for no limit of the operations in a day."""


class PositionVariables:
    """Changes of positions against now, by binaries: the k-th is 1 from the k-th position away on.

    Binaries are ordered, and those beyond the range or the operations left are fixed to 0: bounds are as
    tight as those of the integers.

    Args:
        schedule: of all network devices of the site.
        horizon: the periods.
        reach: largest change, a number of positions.

    Attributes:
        change: shape (period, network device).
        binaries, constraints, cost: for the program.
    """

    def __init__(self, schedule: PositionSchedule, horizon: Horizon, reach: int) -> None:
        self._schedule = schedule
        periods, count = len(horizon), len(schedule.devices)
        self.binaries: list[cp.Variable] = []
        self.constraints: list[cp.Constraint] = []
        self._room: list[tuple[cp.Parameter, cp.Parameter]] = []
        moves = cp.Variable((periods, count), nonneg=True)
        columns = []
        for device, span in enumerate((schedule.highest - schedule.lowest).astype(int).tolist()):
            shape = (min(reach, span), periods)
            up, down = cp.Variable(shape), cp.Variable(shape)
            room = cp.Parameter(shape, nonneg=True), cp.Parameter(shape, nonneg=True)
            for ranks, most in zip((up, down), room, strict=True):
                self.constraints += [ranks >= 0.0, ranks <= most]
                if shape[0] > 1:
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
        self._left = cp.Parameter((self._days, count), nonneg=True)
        self.constraints += [
            cp.sum(cp.multiply(mask[:, None] @ np.ones((1, count)), moves), axis=0) <= self._left[day]
            for day, mask in enumerate(self._in_day)
        ]
        self.cost: cp.Expression = cp.sum(moves @ schedule.cost)

    def update(self, measurement: Measurement) -> None:
        """Set where the devices stand, and what is left of the operations."""
        schedule = self._schedule
        schedule.update(measurement)
        above_now, below_now = schedule.highest - schedule.now, schedule.now - schedule.lowest
        left = np.stack([schedule.left(day) for day in range(self._days)])
        self._left.value = np.minimum(left, UNLIMITED)
        days = schedule.days
        for day, mask in enumerate(self._in_day):
            mask.value = (days == day).astype(np.float64)
        # Operations that are left until a period bound how far its position can be from now.
        within = np.array([np.floor(left[: day + 1].sum(axis=0)) for day in days.tolist()])
        for device, room in enumerate(self._room):
            for most, to_end in zip(room, (above_now, below_now), strict=True):
                ranks = np.arange(1, most.shape[0] + 1)[:, None]
                reached = np.minimum(within[:, device], to_end[device])
                most.value = (ranks <= reached).astype(np.float64)

    def position(self) -> FloatArray:
        """Positions of all network devices, shape (period, network device)."""
        return np.asarray(self._schedule.now + np.rint(np.asarray(self.change.value)))
