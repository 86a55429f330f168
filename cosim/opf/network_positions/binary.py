"""Positions by a mixed-integer linear program: one binary for each position within reach.

What each position of each device costs in each period comes from exact flows, all other devices as in the
plan. The program adds these effects up, and charges and limits operations. It is a shortest path for each
device, joined by the limits per day.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.search_details import SearchDetails
from cosim.opf.network_positions.planner import FixedDispatch
from cosim.opf.network_positions.schedule import PositionSchedule
from cosim.opf.network_positions.way import best_on_the_way


class BinaryProposal:
    """Optimum of the program, solved by HiGHS; the best of some parts of the way by exact flows.

    Args:
        reach: positions that a program may move a device.
    """

    def __init__(self, reach: int) -> None:
        self._offsets = np.arange(-reach, reach + 1, dtype=np.float64)

    def propose(
        self, flows: FixedDispatch, position: FloatArray, *, seed: int
    ) -> tuple[FloatArray, SearchDetails | None]:
        """See :class:`cosim.opf.network_positions.planner.Proposal`."""
        del seed
        schedule, offsets, count = flows.schedule, self._offsets, position.shape[1]
        moved = np.repeat(position[None], count * len(offsets), axis=0)
        moved = moved.reshape(count, len(offsets), *position.shape)
        for device in range(count):
            moved[device, :, :, device] += offsets[:, None]
        within = np.clip(moved, schedule.lowest, schedule.highest)
        told = flows.evaluate(within.reshape(-1, *position.shape)).merit_by_period
        merit = told.reshape(count, len(offsets), -1)
        allowed = (moved == within).all(axis=3)
        target = self._optimum(schedule, position, merit, allowed)
        return best_on_the_way(flows, position, target), None

    def _optimum(
        self, schedule: PositionSchedule, position: FloatArray, merit: FloatArray, allowed: FloatArray
    ) -> FloatArray:
        """Positions of the program, shape (period, network device).

        Args:
            schedule: prices and limits of operations.
            position: of the plan.
            merit: of each position, shape (network device, offset, period).
            allowed: whether it is in the range, same shape.
        """
        count, _, periods = merit.shape
        taken = [cp.Variable(merit.shape[1:], boolean=True) for _ in range(count)]
        moves = cp.Variable((periods, count), nonneg=True)
        # Merits are given above the least of their period: penalties of limits are large.
        above = merit - merit.min(axis=1, keepdims=True)
        cost: cp.Expression = cp.sum(moves @ schedule.cost)
        constraints = []
        for device, choice in enumerate(taken):
            cost += cp.sum(cp.multiply(above[device], choice))
            place = position[:, device] + self._offsets @ choice
            step = place - cp.hstack([schedule.now[device], place[:-1]])
            constraints += [
                cp.sum(choice, axis=0) == 1,
                choice <= allowed[device],
                moves[:, device] >= step,
                moves[:, device] >= -step,
            ]
        days = schedule.days
        for day in np.unique(days).tolist():
            left = schedule.left(day)
            for device in np.flatnonzero(np.isfinite(left)).tolist():
                constraints.append(cp.sum(moves[days == day, device]) <= left[device])
        program = cp.Problem(cp.Minimize(cost), constraints)
        program.solve(solver=cp.HIGHS, mip_rel_gap=0.0)
        if any(choice.value is None for choice in taken):
            return position
        steps = [self._offsets @ np.rint(choice.value) for choice in taken]
        return np.asarray(position + np.stack(steps, axis=1))
