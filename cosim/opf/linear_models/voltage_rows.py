"""Voltage limits of a linear model that are in the program: made only where one is near or exceeded."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cosim.model.arrays import FloatArray, IntArray
from cosim.model.timegrid import Horizon
from cosim.model.twin import Slope
from cosim.opf.linear_models.model import LinearModel
from cosim.opf.options import Limits

MOST_ROWS = 12
"""Of one period: the program has so many places for them."""
INSIDE_PU = 5e-6
"""Limits are planned this far inside: loads change their law at 0.95 and 1.05 pu by default, and an exact
flow on that edge would jump between two laws."""
TOLERANCE_PU = 1e-6
"""A limit counts as exceeded from here on."""
ALIKE = 0.99
"""Voltages whose slopes have a larger cosine move in step: the worst of them stands for all."""
CANDIDATES = 12
"""Of one period and side, that are looked at in one go."""
WITHOUT_INFLUENCE_PU = 1e-6
"""A voltage that all devices together move by less is nobody's to keep."""


@dataclass
class VoltageRows:
    """Rows of all periods.

    Args:
        limits: band and price.
        horizon: the periods.
        reach_kva: what each device can change, shape (device,).

    Attributes:
        place, period, sign: of each row; the sign is +1 for the upper limit, -1 for the lower one.
    """

    limits: Limits
    horizon: Horizon
    reach_kva: FloatArray
    place: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    period: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    sign: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.place)

    def clear(self) -> None:
        """Begin a plan without rows."""
        self.place, self.period, self.sign = self.place[:0], self.period[:0], self.sign[:0]

    def beyond(self, voltage_pu: FloatArray, sign: float) -> FloatArray:
        """Distance beyond the limit of one side, negative inside, same shape."""
        limits = self.limits
        edge = limits.voltage_max_pu if sign > 0 else limits.voltage_min_pu
        return np.asarray(sign * (voltage_pu - edge) + INSIDE_PU)

    def of_rows(self, voltage_pu: FloatArray) -> FloatArray:
        """Distance of each row beyond its limit, shape (row,).

        Args:
            voltage_pu: shape (node, period).
        """
        upper, lower = (self.beyond(voltage_pu, sign)[self.place, self.period] for sign in (1.0, -1.0))
        return np.where(self.sign > 0, upper, lower)

    def penalty(self, voltage_pu: FloatArray) -> float:
        """What voltages beyond the rows' limits cost, currency."""
        hours = self.horizon.hours[self.period]
        over = np.maximum(self.of_rows(voltage_pu) - TOLERANCE_PU, 0.0)
        return float(self.limits.voltage_penalty_per_pu_h * (hours @ over))

    def worst_pu(self, voltage_pu: FloatArray) -> float:
        """Largest distance of any voltage outside the band."""
        worst = max(float(self.beyond(voltage_pu, sign).max(initial=0.0)) for sign in (1.0, -1.0))
        return max(worst - INSIDE_PU - TOLERANCE_PU, 0.0)

    def extend(self, model: LinearModel, voltage_pu: FloatArray, margin_pu: float = -TOLERANCE_PU) -> bool:
        """Make rows for voltages beyond a limit that no row stands for.

        Args:
            model: gives slopes.
            voltage_pu: shape (node, period).
            margin_pu: a row is made from this distance before the limit on.

        Returns:
            Whether there are new ones.
        """
        place, period, sign, beyond = self._candidates(voltage_pu, margin_pu)
        if not len(place):
            return False
        before = len(self)
        own = self._directions(model.voltage_slope(place, period))
        there = self._directions(model.voltage_slope(self.place, self.period))
        rows = [*zip(self.period, self.sign, there, self.of_rows(voltage_pu), strict=True)]
        for i in range(len(place)):
            if not own[i].any():
                continue
            same = [row for row in rows if row[0] == period[i]]
            represented = any(
                row[1] == sign[i] and float(row[2] @ own[i]) > ALIKE and row[3] >= beyond[i] - TOLERANCE_PU
                for row in same
            )
            if represented or len(same) >= MOST_ROWS:
                continue
            rows.append((period[i], sign[i], own[i], beyond[i]))
            self._append(int(place[i]), int(period[i]), float(sign[i]))
        return len(self) > before

    def _append(self, place: int, period: int, sign: float) -> None:
        self.place, self.period = np.append(self.place, place), np.append(self.period, period)
        self.sign = np.append(self.sign, sign)

    def _directions(self, slope: Slope) -> FloatArray:
        """Unit vectors of slopes; zero where the devices together hardly move the voltage."""
        both = np.concatenate([slope[0] * self.reach_kva, slope[1] * self.reach_kva], axis=1)
        length = np.linalg.norm(both, axis=1, keepdims=True)
        moves = np.abs(both).sum(axis=1, keepdims=True) > WITHOUT_INFLUENCE_PU
        return np.asarray(np.where(moves, both / np.maximum(length, 1e-300), 0.0))

    def _candidates(
        self, voltage_pu: FloatArray, margin_pu: float
    ) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
        """The worst voltages of every period and side that have no row yet."""
        found: list[tuple[int, int, float, float]] = []
        for sign in (1.0, -1.0):
            beyond = self.beyond(voltage_pu, sign)
            mine = self.sign == sign
            beyond[self.place[mine], self.period[mine]] = -np.inf
            for period in np.flatnonzero((beyond > -margin_pu).any(axis=0)):
                worst = np.argsort(-beyond[:, period], kind="stable")[:CANDIDATES]
                worst = worst[beyond[worst, period] > -margin_pu]
                found += [(int(at), int(period), sign, float(beyond[at, period])) for at in worst]
        return (
            np.array([place for place, _, _, _ in found], dtype=np.int64),
            np.array([period for _, period, _, _ in found], dtype=np.int64),
            np.array([side for _, _, side, _ in found], dtype=np.float64),
            np.array([far for _, _, _, far in found], dtype=np.float64),
        )
