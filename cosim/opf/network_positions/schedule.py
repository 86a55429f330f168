"""Positions of tap changers and capacitor banks over a horizon: what is allowed, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cosim.model.arrays import FloatArray, IntArray
from cosim.model.network_device import NetworkDevice
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon

DAY_S = 86_400.0


class PositionSchedule:
    """Ranges, dead times, limits per day and prices of positions.

    Days are those of the run: a day begins every 24 hours after the start. Operations so far are counted
    from the measured positions.

    Args:
        devices: network devices of the site, in its order.
        horizon: the periods.
    """

    def __init__(self, devices: Sequence[NetworkDevice], horizon: Horizon) -> None:
        self.devices = tuple(devices)
        self._starts_s = np.asarray(horizon.starts_s, dtype=np.float64)
        self.lowest = np.array([device.lowest for device in devices], dtype=np.float64)
        self.highest = np.array([device.highest for device in devices], dtype=np.float64)
        self.cost = np.array([device.operation_cost for device in devices], dtype=np.float64)
        self._dead_s = np.array([device.dead_time_s for device in devices], dtype=np.float64)
        limits = [device.operations_per_day for device in devices]
        self._per_day = np.array([np.inf if limit is None else limit for limit in limits], dtype=np.float64)
        self.now = np.zeros(len(devices))
        self._seen: tuple[float, FloatArray] | None = None
        self._done = np.zeros(len(devices))
        self._moved_s = np.full(len(devices), -np.inf)

    def state(self) -> Any:
        """What was counted so far, see :class:`cosim.model.roles.Resumable`."""
        return self._seen, self._done, self._moved_s

    def restore(self, state: Any) -> None:
        """Take over what :meth:`state` gave."""
        self._seen, self._done, self._moved_s = state

    def update(self, measurement: Measurement) -> None:
        """Take the measured positions, and count what was moved since the last measurement."""
        self.now, time_s = measurement.position.copy(), measurement.time_s
        self._time_s = time_s
        if self._seen is not None:
            before_s, position = self._seen
            moved = self.operations(np.stack([position, self.now])[None])[0, 1]
            if before_s // DAY_S < time_s // DAY_S:
                self._done = np.zeros(len(self.devices))
            else:
                self._done = self._done + moved
            self._moved_s = np.where(moved > 0, before_s, self._moved_s)
        if self._seen is None or self._seen[0] < time_s:
            self._seen = time_s, self.now.copy()

    @property
    def days(self) -> IntArray:
        """Day of each period, 0 is that of now, shape (period,)."""
        day = (self._time_s + self._starts_s) // DAY_S - self._time_s // DAY_S
        return np.asarray(day, dtype=np.int64)

    def left(self, day: int) -> FloatArray:
        """Operations that are left in a day, infinite without a limit, shape (network device,)."""
        return np.maximum(self._per_day - (self._done if day == 0 else 0.0), 0.0)

    def operations(self, position: FloatArray) -> FloatArray:
        """Operations of each period; before the first row devices stand where they were measured.

        Args:
            position: shape (candidate, period, network device).
        """
        before = np.concatenate(
            [np.broadcast_to(self.now, position[:, :1].shape), position[:, :-1]], axis=1
        )
        return np.asarray(np.abs(position - before))

    def price(self, position: FloatArray) -> FloatArray:
        """What the operations of each candidate cost, currency, shape (candidate,)."""
        return np.asarray(self.operations(position).sum(axis=1) @ self.cost)

    def repaired(self, position: FloatArray) -> FloatArray:
        """Whole positions within ranges, dead times and limits per day, nearest period by period.

        Args:
            position: wishes, any numbers, shape (candidate, period, network device).
        """
        wished = np.clip(np.rint(position), self.lowest, self.highest)
        now = np.broadcast_to(self.now, wished[:, 0].shape).copy()
        moved_s = np.broadcast_to(self._moved_s, now.shape).copy()
        day, left = -1, np.zeros_like(now)
        for period, of_day in enumerate(self.days.tolist()):
            if of_day != day:
                day, left = of_day, np.broadcast_to(self.left(of_day), now.shape).copy()
            time_s = self._time_s + self._starts_s[period]
            free = time_s - moved_s >= self._dead_s
            change = np.where(free, wished[:, period] - now, 0.0)
            change = np.sign(change) * np.minimum(np.abs(change), np.floor(left))
            left -= np.abs(change)
            moved_s = np.where(change != 0.0, time_s, moved_s)
            now = now + change
            wished[:, period] = now
        return np.asarray(wished)
