"""Limits of the network in a tangent step: rows are made only where something is near its limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosim.model.arrays import BoolArray, FloatArray, IntArray
from cosim.model.scenario_tree import ScenarioTree
from cosim.model.timegrid import Horizon
from cosim.model.twin import Quantity, Twin, TwinFlow
from cosim.opf.options import Limits
from cosim.opf.tangent.limit_rows import Rows

MARGIN = {
    Quantity.VOLTAGE: 0.001,
    Quantity.LINE: 0.02,
    Quantity.TRANSFORMER: 0.02,
    Quantity.UNBALANCE: 0.0005,
    Quantity.SWITCHING: 0.15,
}
"""A row is made from this distance before a limit (pu, or share of a rating)."""
TOLERANCE = {
    Quantity.VOLTAGE: 5e-5,
    Quantity.LINE: 5e-5,
    Quantity.TRANSFORMER: 5e-5,
    Quantity.UNBALANCE: 5e-6,
    Quantity.SWITCHING: 0.01,
}
"""A limit counts as kept, and as what a program said, to this distance."""
HALF_A_TAP = {
    Quantity.VOLTAGE: 3e-3,
    Quantity.LINE: 0.02,
    Quantity.TRANSFORMER: 0.02,
    Quantity.UNBALANCE: 5e-4,
    Quantity.SWITCHING: 0.2,
}
"""About what half a tap more or less changes: where taps still follow, no search does better."""
INSIDE = {Quantity.VOLTAGE: 5e-6, Quantity.LINE: 1e-4, Quantity.TRANSFORMER: 1e-4}
"""Limits are planned this far inside: loads change their law at 0.95 and 1.05 pu by default, and a plan on
that edge would jump between two laws; a current within its tolerance shall be below its rating."""
CURRENTS = frozenset({Quantity.LINE, Quantity.TRANSFORMER})
LEAST_CURRENT = 0.5
"""Share of the rating: the curvature of a smaller current, which has no bound to keep, is taken at this."""
NEAR = 3.0
"""Slopes are kept up to date within so many margins of a limit."""
TURNED_PU = 2e-3
"""Slopes of voltages turn by about what the voltages move, relatively: where none of a period has moved
further since they were taken, and no tap or bank at all, they will do."""
AT_REST = 0.9
"""Capacitor controls are kept this far from switching: a plan that made them switch would meet other
voltages than it was made for, and there are powers between which they never rest."""
REST_SHARE = 0.002
"""Price of half a gap beyond it, of the price of 1 pu: banks may switch where it is worth it."""
ALIKE = 0.99
"""Voltages whose slopes have a larger cosine move alike: the worst of them stands for all."""
MOST_NEW_ROWS = 6
"""Per quantity, side, period and step."""
MOST_ROWS = 600
"""Rows are dense, and a program's time grows with their cube: beyond so many the slackest are dropped."""
WITHOUT_INFLUENCE = 1e-9
"""Change per kW of the strongest device below which nobody can do anything about a limit."""
FORGET_BEYOND = 0.03
"""A row further than this from its limit when a plan ends is not carried to the next one."""


@dataclass(frozen=True)
class Bound:
    """One side of the limits of a quantity.

    Attributes:
        quantity: what is bounded.
        sign: +1 for an upper limit, -1 for a lower one.
        limit: its value.
        price: currency per unit beyond the limit and hour, shape (place,).
        margin: what a plan stays inside the limit by, see :mod:`cosim.opf.tangent.chance_margins`: a
            number, or shape (place, period).
    """

    quantity: Quantity
    sign: float
    limit: float
    price: FloatArray
    margin: FloatArray | float = 0.0

    def beyond(self, values: FloatArray) -> FloatArray:
        """Distance beyond the limit with its margin, negative inside; values of shape (place, period)."""
        return np.asarray(self.sign * (values - self.limit) + self.margin)


def bounds_of(limits: Limits, twin: Twin) -> tuple[Bound, ...]:
    """All bounds that a plan is asked to keep."""
    voltage = np.full(len(twin.nodes), limits.voltage_penalty_per_pu_h)
    found = [
        Bound(Quantity.VOLTAGE, 1.0, limits.voltage_max_pu - INSIDE[Quantity.VOLTAGE], voltage),
        Bound(Quantity.VOLTAGE, -1.0, limits.voltage_min_pu + INSIDE[Quantity.VOLTAGE], voltage),
    ]
    for quantity, asked in ((Quantity.LINE, limits.lines), (Quantity.TRANSFORMER, limits.transformers)):
        if asked:
            price = limits.power_penalty_per_kwh * twin.rating_kva(quantity)
            found.append(Bound(quantity, 1.0, 1.0 - INSIDE[quantity], price))
    banks = twin.places(Quantity.SWITCHING)
    if banks:
        price = np.full(banks, REST_SHARE * limits.voltage_penalty_per_pu_h)
        found.append(Bound(Quantity.SWITCHING, 1.0, AT_REST, price))
    if limits.unbalance_max_percent is not None:
        price = np.full(twin.places(Quantity.UNBALANCE), limits.voltage_penalty_per_pu_h)
        found.append(Bound(Quantity.UNBALANCE, 1.0, limits.unbalance_max_percent / 100.0, price))
    return tuple(found)


class ActiveLimits:
    """Rows of all bounds, carried from step to step and from plan to plan.

    Args:
        bounds: what has limits.
        twin: gives values and slopes.
        horizon: the periods.
        devices: how many.
        tree: of the scenarios, whose nodes then stand for the periods; None: one future.
    """

    def __init__(
        self,
        bounds: tuple[Bound, ...],
        twin: Twin,
        horizon: Horizon,
        devices: int,
        tree: ScenarioTree | None = None,
    ) -> None:
        self.bounds = bounds
        tree = tree or ScenarioTree(len(horizon))
        self._twin, self._hours = twin, horizon.hours[tree.period]
        self._most_rows = MOST_ROWS * tree.branches
        self.rows = [Rows.none(devices) for _ in bounds]
        self._hopeless: list[BoolArray] = [
            np.zeros((twin.places(bound.quantity), len(tree)), dtype=bool) for bound in bounds
        ]
        # The flow of each period that fresh slopes are of.
        self._voltage_pu: FloatArray = np.full((len(twin.nodes), len(tree)), np.nan)
        self._controls: FloatArray = np.zeros((len(tree), 0))

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.rows)

    def set_hours(self, hours: FloatArray) -> None:
        """Weigh the periods, or the nodes of scenarios: length times weight, shape (period,)."""
        self._hours = hours

    def tighten(self, margins: dict[Quantity, FloatArray]) -> None:
        """Keep further inside the limits, by margins of shape (place, period)."""
        self.bounds = tuple(
            replace(bound, margin=margins.get(bound.quantity, 0.0)) for bound in self.bounds
        )

    def state(self) -> dict[str, Any]:
        """All that later plans depend on, see :class:`cosim.model.roles.Resumable`."""
        return {
            "rows": list(self.rows),
            "hopeless": [mask.copy() for mask in self._hopeless],
            "voltage_pu": self._voltage_pu,
            "controls": self._controls,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        self.rows, self._hopeless = state["rows"], state["hopeless"]
        self._voltage_pu, self._controls = state["voltage_pu"], state["controls"]

    def move(self, origin: IntArray) -> None:
        """Give every period the rows that one of the present periods has, shape (period,)."""
        for i, rows in enumerate(self.rows):
            own = [np.flatnonzero(rows.period == there) for there in origin]
            moved = rows.only(np.concatenate(own))
            period = np.repeat(np.arange(len(origin)), [len(at) for at in own])
            self.rows[i] = replace(moved, period=period)
            self._hopeless[i][:] = False
        self._voltage_pu, self._controls = self._voltage_pu[:, origin], self._controls[origin]

    def forget_slack(self, flow: TwinFlow) -> None:
        """Drop rows that are far from their limits."""
        for i, (bound, rows) in enumerate(zip(self.bounds, self.rows, strict=True)):
            if len(rows):
                beyond = bound.beyond(self._twin.values(flow, bound.quantity))[rows.place, rows.period]
                self.rows[i] = rows.only(beyond > -FORGET_BEYOND)

    def extend(self, flow: TwinFlow) -> FloatArray:
        """Make rows for what a flow has near or beyond a limit and no row stands for yet.

        Returns:
            How far the new rows are beyond their limits: see :meth:`beyond_by`.
        """
        beyond_by = np.zeros((2, len(self._hours)))
        # A flow that is only tried is not the one that fresh slopes are of.
        remembered = ~self._turned(flow)
        for i, bound in enumerate(self.bounds):
            beyond = bound.beyond(self._twin.values(flow, bound.quantity))
            picked = self._pick(i, bound, beyond, flow)
            if picked:
                place = np.array([place for place, _ in picked], dtype=np.int64)
                period = np.array([period for _, period in picked], dtype=np.int64)
                p, q = self._twin.slope(flow, bound.quantity, place, period)
                reach = np.maximum(np.abs(p).max(axis=1), np.abs(q).max(axis=1))
                useful = reach > WITHOUT_INFLUENCE
                self._hopeless[i][place[~useful], period[~useful]] = True
                self.rows[i] = self.rows[i].joined(
                    Rows(place, period, p, q, remembered[period], np.zeros(len(place))).only(useful)
                )
                for of, unit in zip(beyond_by, (TOLERANCE, HALF_A_TAP), strict=True):
                    worst = beyond[place, period][useful] / unit[bound.quantity]
                    np.maximum.at(of, period[useful], worst)
        return beyond_by

    def _pick(self, index: int, bound: Bound, beyond: FloatArray, flow: TwinFlow) -> list[tuple[int, int]]:
        """The worst places of each period, those left out that move like one with a row already."""
        rows, picked = self.rows[index], list[tuple[int, int]]()
        close = (beyond > -MARGIN[bound.quantity]) & ~self._hopeless[index]
        for period in np.flatnonzero(close.any(axis=0)):
            t = int(period)
            near = np.flatnonzero(close[:, t])
            near = near[np.argsort(-beyond[near, t], kind="stable")]
            for present in rows.place[rows.period == t]:
                near = self._unlike(bound, flow, int(present), t, near, beyond)
            for _ in range(MOST_NEW_ROWS):
                if not len(near):
                    break
                worst = int(near[0])
                picked.append((worst, t))
                near = self._unlike(bound, flow, worst, t, near, beyond)
        return picked

    def _unlike(
        self, bound: Bound, flow: TwinFlow, place: int, period: int, near: IntArray, beyond: FloatArray
    ) -> IntArray:
        """Candidates that a row at ``place`` does not stand for: they move otherwise, or are worse."""
        others: IntArray = near[near != place]
        if bound.quantity is not Quantity.VOLTAGE or not len(others):
            return others
        alike = self._twin.alike(flow, place, period, others) > ALIKE
        worse = beyond[others, period] > beyond[place, period] + 1e-9
        kept: IntArray = others[~alike | worse]
        return kept

    def trim(self, flow: TwinFlow) -> None:
        """Drop the rows furthest inside their limits, measured in margins, where there are too many."""
        if len(self) <= self._most_rows:
            return
        nearness = self.values(flow) / self._each(MARGIN)
        keep = np.zeros(len(nearness), dtype=bool)
        keep[np.argsort(-nearness, kind="stable")[: self._most_rows]] = True
        first = 0
        for i, rows in enumerate(self.rows):
            self.rows[i] = rows.only(keep[first : first + len(rows)])
            first += len(rows)

    def refresh(self, flow: TwinFlow) -> None:
        """Take the slopes of rows anew where they may bind and have turned; others will do."""
        turned = self._turned(flow)
        self._remember(flow, turned)
        for i, (bound, rows) in enumerate(zip(self.bounds, self.rows, strict=True)):
            if not len(rows):
                continue
            # Currents turn with the powers behind them, and the small negative sequence with hardly
            # anything, wherever voltages stay.
            lasting = bound.quantity is Quantity.VOLTAGE
            fresh = rows.fresh & ~turned[rows.period] if lasting else np.zeros(len(rows), dtype=bool)
            beyond = bound.beyond(self._twin.values(flow, bound.quantity))[rows.place, rows.period]
            near = np.flatnonzero((beyond > -NEAR * MARGIN[bound.quantity]) & ~fresh)
            if len(near):
                p, q = rows.p.copy(), rows.q.copy()
                p[near], q[near] = self._twin.slope(
                    flow, bound.quantity, rows.place[near], rows.period[near]
                )
                fresh[near] = True
                self.rows[i] = replace(rows, p=p, q=q, fresh=fresh)
            else:
                self.rows[i] = replace(rows, fresh=fresh)

    def _turned(self, flow: TwinFlow) -> BoolArray:
        """Periods whose slopes are no longer those of this flow, shape (period,)."""
        moved = np.abs(flow.voltage_pu - self._voltage_pu).max(axis=0, initial=0.0)
        turned: BoolArray = ~(moved <= TURNED_PU)
        controls = _positions(flow)
        if controls.shape == self._controls.shape:
            turned |= (controls != self._controls).any(axis=1)
        return turned

    def _remember(self, flow: TwinFlow, turned: BoolArray) -> None:
        """From here on slopes of these periods are those of this flow."""
        self._voltage_pu[:, turned] = flow.voltage_pu[:, turned]
        self._controls = _positions(flow)

    def worst(self, flow: TwinFlow) -> dict[Quantity, float]:
        """Largest distance beyond a limit of each quantity, margins left out; 0 where all is kept."""
        found: dict[Quantity, float] = {}
        for bound in self.bounds:
            if bound.quantity is Quantity.SWITCHING:
                continue  # no limit of the grid
            beyond = bound.beyond(self._twin.values(flow, bound.quantity)) - bound.margin
            worst = max(float(beyond.max(initial=0.0)) - INSIDE.get(bound.quantity, 0.0), 0.0)
            found[bound.quantity] = max(found.get(bound.quantity, 0.0), worst)
        return found

    def beyond_by(self, flow: TwinFlow, allowed: FloatArray) -> FloatArray:
        """How far rows are beyond what is allowed of them, at most, shape (2, period).

        In tolerances first, then in what half a tap may change.

        Args:
            flow: where.
            allowed: distance beyond its limit of every row.
        """
        worst = np.zeros((2, len(self._hours)))
        period, beyond = np.concatenate([rows.period for rows in self.rows]), self.values(flow) - allowed
        for of, unit in zip(worst, (TOLERANCE, HALF_A_TAP), strict=True):
            np.maximum.at(of, period, beyond / self._each(unit))
        return worst

    def penalty(self, flow: TwinFlow) -> float:
        """What a flow pays for being beyond the limits of the grid, by the rows, currency."""
        hours, total = self._hours, 0.0
        for bound, rows in zip(self.bounds, self.rows, strict=True):
            if bound.quantity is not Quantity.SWITCHING:
                beyond = bound.beyond(self._twin.values(flow, bound.quantity))[rows.place, rows.period]
                total += float((bound.price[rows.place] * hours[rows.period]) @ np.maximum(beyond, 0.0))
        return total

    def node_penalty(self, flow: TwinFlow) -> FloatArray:
        """The same of each period or node, shape (period,)."""
        total = np.zeros(len(self._hours))
        for bound, rows in zip(self.bounds, self.rows, strict=True):
            if bound.quantity is not Quantity.SWITCHING:
                beyond = bound.beyond(self._twin.values(flow, bound.quantity))[rows.place, rows.period]
                np.add.at(total, rows.period, bound.price[rows.place] * np.maximum(beyond, 0.0))
        return total * self._hours

    def tolerances(self) -> FloatArray:
        """What distance beyond the limit of every row counts as none, shape (row,)."""
        return self._each(TOLERANCE)

    def _each(self, of: dict[Quantity, float]) -> FloatArray:
        """A number of each row's quantity, shape (row,)."""
        pairs = zip(self.bounds, self.rows, strict=True)
        return np.concatenate([np.full(len(rows), of[bound.quantity]) for bound, rows in pairs])

    def values(self, flow: TwinFlow) -> FloatArray:
        """Distance beyond the limit of every row, all bounds in turn, shape (row,)."""
        parts = [
            bound.beyond(self._twin.values(flow, bound.quantity))[rows.place, rows.period]
            for bound, rows in zip(self.bounds, self.rows, strict=True)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def weigh(self, multipliers: FloatArray) -> None:
        """Keep the multipliers of a program, currency per unit of the quantity, shape (row,)."""
        ends = np.cumsum([len(rows) for rows in self.rows])[:-1]
        for i, part in enumerate(np.split(multipliers, ends)):
            self.rows[i] = replace(self.rows[i], multiplier=part)

    def curvature(self, flow: TwinFlow) -> FloatArray:
        """Curvature of bounds of currents in the Lagrangian, currency per kW², shape (period, device).

        A current is affine in the powers, nearly, so its magnitude ``f`` curves across its own direction:
        with ``c`` the slope of the part at right angles, ``f'' = c c' / f``. A kvar turns what a kW
        lengthens, so ``|c_j| = |(p_j, q_j)|`` for every device. ``c c'`` is at most the diagonal of
        ``|c_j| sum |c|``, which is exact where one device moves, or all in step. Without it reactive power
        that costs little swings to and fro along the tangent, and the current is never as planned.
        """
        total = np.zeros_like(flow.device_kva.real)
        for bound, rows in zip(self.bounds, self.rows, strict=True):
            if bound.quantity not in CURRENTS or not rows.multiplier.any():
                continue
            value = self._twin.values(flow, bound.quantity)[rows.place, rows.period]
            across = np.hypot(rows.p, rows.q)
            weight = rows.multiplier / np.maximum(value, LEAST_CURRENT)
            np.add.at(total, rows.period, weight[:, None] * across * across.sum(axis=1, keepdims=True))
        return total

    def stacked(self) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
        """Period, slopes signed like the bound and price per unit beyond, of every row."""
        hours = self._hours
        period = np.concatenate([rows.period for rows in self.rows])
        p = np.concatenate([b.sign * rows.p for b, rows in zip(self.bounds, self.rows, strict=True)])
        q = np.concatenate([b.sign * rows.q for b, rows in zip(self.bounds, self.rows, strict=True)])
        price = np.concatenate(
            [b.price[rows.place] for b, rows in zip(self.bounds, self.rows, strict=True)]
        )
        return period, p, q, price * hours[period]


def _positions(flow: TwinFlow) -> FloatArray:
    """Where all taps and banks stand, shape (period, control)."""
    return np.concatenate([flow.tap, flow.capacitor_closed], axis=1)
