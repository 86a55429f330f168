"""Limits of a linear model that are in the program: made only where one is near or exceeded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cosim.model.arrays import FloatArray, IntArray
from cosim.model.timegrid import Horizon
from cosim.model.twin import Quantity, Slope
from cosim.opf.linear_models.model import LinearModel, Prediction
from cosim.opf.tangent.active_limits import INSIDE, Bound

MOST_ROWS = 12
"""Of one period and limited quantity: the program has so many places for them."""
NEAR = {Quantity.VOLTAGE: 0.003, Quantity.LINE: 0.03}
"""Rows are made from this distance before a limit at the operating point on, pu or share of a rating."""
TOLERANCE = {Quantity.VOLTAGE: 1e-6, Quantity.LINE: 1e-5}
"""A limit counts as exceeded from here on."""
ALIKE = 0.99
"""Places whose slopes have a larger cosine move in step: the worst of them stands for all."""
CANDIDATES = 12
"""Of one period and bound, that are looked at in one go."""
WITHOUT_INFLUENCE = 1e-6
"""What all devices together move by less, pu or share of a rating, is nobody's to keep."""


@dataclass(frozen=True)
class _Near:
    """Places near or beyond a bound that have no row: one entry each."""

    place: IntArray
    period: IntArray
    beyond: FloatArray


@dataclass
class LimitRows:
    """Rows of all periods.

    Args:
        bounds: of voltages, and of currents of lines where they are asked for.
        horizon: the periods.
        reach_kva: what each device can change, shape (device,).

    Attributes:
        place, period, bound: of each row; the bound is an index into ``bounds``.
    """

    bounds: tuple[Bound, ...]
    horizon: Horizon
    reach_kva: FloatArray
    place: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    period: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    bound: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.place)

    @property
    def places(self) -> int:
        """How many rows a period can have."""
        return MOST_ROWS * len({bound.quantity for bound in self.bounds})

    def clear(self) -> None:
        """Begin a plan without rows."""
        self.place, self.period, self.bound = self.place[:0], self.period[:0], self.bound[:0]

    def beyond(self, said: Prediction) -> FloatArray:
        """Distance of each row beyond its limit, negative inside, shape (row,)."""
        beyond = np.zeros(len(self))
        for bound, mine in self._each():
            values = said.values(bound.quantity)[self.place[mine], self.period[mine]]
            beyond[mine] = bound.beyond(values)
        return beyond

    def slope(self, model: LinearModel) -> Slope:
        """Slopes of the quantities of all rows, shape (row, device) each, signed towards the limit."""
        p, q = (np.zeros((len(self), len(self.reach_kva))) for _ in range(2))
        for bound, mine in self._each():
            own = model.slope(bound.quantity, self.place[mine], self.period[mine])
            p[mine], q[mine] = (bound.sign * part for part in own)
        return p, q

    def price(self) -> FloatArray:
        """Of each row, currency per unit of its quantity and hour, shape (row,)."""
        price = np.zeros(len(self))
        for bound, mine in self._each():
            price[mine] = bound.price[self.place[mine]]
        return price

    def penalty(self, said: Prediction) -> float:
        """What is beyond limits costs, currency: every row, and the worst of each period that has none."""
        tolerance = np.array([TOLERANCE[bound.quantity] for bound in self.bounds])
        over = np.maximum(self.beyond(said) - tolerance[self.bound], 0.0)
        hours = self.horizon.hours
        total = float((self.price() * hours[self.period]) @ over)
        for i, bound in enumerate(self.bounds):
            charged = np.zeros(len(hours))
            np.maximum.at(charged, self.period[self.bound == i], over[self.bound == i])
            beyond = bound.beyond(said.values(bound.quantity)) - tolerance[i]
            worst = beyond.argmax(axis=0)
            uncharged = beyond[worst, np.arange(len(hours))] - charged
            total += float((bound.price[worst] * hours) @ np.maximum(uncharged, 0.0))
        return total

    def excess(self, said: Prediction, quantity: Quantity) -> FloatArray:
        """How far a quantity is beyond its limits at its worst, shape (place,)."""
        inside = INSIDE[quantity] + TOLERANCE[quantity]
        worst = np.zeros(len(said.values(quantity)))
        for bound in self.bounds:
            if bound.quantity is quantity:
                beyond = bound.beyond(said.values(quantity)).max(axis=1) - inside
                worst = np.maximum(worst, beyond)
        return np.asarray(worst)

    def extend(self, model: LinearModel, said: Prediction, *, near: bool = False) -> bool:
        """Make rows for what is beyond a limit and no row stands for.

        Args:
            model: gives slopes.
            said: values everywhere.
            near: whether a row is also made for what is only near a limit.

        Returns:
            Whether there are new ones.
        """
        changed = False
        found = [self._candidates(i, said, near=near) for i in range(len(self.bounds))]
        if not any(len(candidates.place) for candidates in found):
            return False
        own = [
            self._directions(model.slope(bound.quantity, candidates.place, candidates.period))
            for bound, candidates in zip(self.bounds, found, strict=True)
        ]
        signs = np.array([bound.sign for bound in self.bounds])[self.bound][:, None]
        present = self._directions(self.slope(model)) * signs
        rows = [*zip(self.period, self.bound, present, self.beyond(said), strict=True)]
        for i, (bound, candidates) in enumerate(zip(self.bounds, found, strict=True)):
            for k in range(len(candidates.place)):
                period, far = int(candidates.period[k]), float(candidates.beyond[k])
                same = [
                    at
                    for at, row in enumerate(rows)
                    if row[0] == period and self.bounds[row[1]].quantity is bound.quantity
                ]
                least, way = far - TOLERANCE[bound.quantity], own[i][k]
                if not way.any() or any(
                    rows[at][1] == i and rows[at][2] @ way > ALIKE and rows[at][3] >= least for at in same
                ):
                    continue
                place = len(rows)
                if len(same) >= MOST_ROWS:  # there is room for the worst only
                    place = min(same, key=lambda at: rows[at][3])
                    if rows[place][3] >= least:
                        continue
                rows[place : place + 1] = [(period, i, way, far)]
                self._put(place, int(candidates.place[k]), period, i)
                changed = True
        return changed

    def _put(self, row: int, place: int, period: int, bound: int) -> None:
        """Let a row, or a new one, stand for a place."""
        for name, value in (("place", place), ("period", period), ("bound", bound)):
            known = getattr(self, name)
            setattr(self, name, np.concatenate([known[:row], [value], known[row + 1 :]]))

    def _each(self) -> Iterator[tuple[Bound, IntArray]]:
        """Bounds that have rows, and which."""
        for i, bound in enumerate(self.bounds):
            mine = np.flatnonzero(self.bound == i)
            if len(mine):
                yield bound, mine

    def _directions(self, slope: Slope) -> FloatArray:
        """Unit vectors of slopes; zero where the devices together hardly move the quantity."""
        both = np.concatenate([slope[0] * self.reach_kva, slope[1] * self.reach_kva], axis=1)
        length = np.linalg.norm(both, axis=1, keepdims=True)
        moves = np.abs(both).sum(axis=1, keepdims=True) > WITHOUT_INFLUENCE
        return np.asarray(np.where(moves, both / np.maximum(length, 1e-300), 0.0))

    def _candidates(self, index: int, said: Prediction, *, near: bool) -> _Near:
        """The worst places of a bound in every period that have no row yet."""
        bound = self.bounds[index]
        beyond = bound.beyond(said.values(bound.quantity))
        from_here = -NEAR[bound.quantity] if near else TOLERANCE[bound.quantity]
        mine = self.bound == index
        beyond[self.place[mine], self.period[mine]] = -np.inf
        found: list[tuple[int, int]] = []
        for period in np.flatnonzero((beyond > from_here).any(axis=0)):
            worst = np.argsort(-beyond[:, period], kind="stable")[:CANDIDATES]
            found += [(int(at), int(period)) for at in worst[beyond[worst, period] > from_here]]
        places, periods = np.array(found, dtype=np.int64).reshape(-1, 2).T
        return _Near(places, periods, beyond[places, periods])
