"""Positions by a relaxed quadratic program, rounded: taps as real numbers first, then the nearest tap.

The cost of each period is expanded in the position of each device from exact flows one position up and
down. The relaxed program trades it against the price and the limits of operations.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.search_details import SearchDetails
from cosim.opf.network_positions.planner import FixedDispatch
from cosim.opf.network_positions.schedule import PositionSchedule
from cosim.opf.network_positions.way import best_on_the_way


class RoundedProposal:
    """Relaxed positions, rounded; the best of some parts of the way by exact flows.

    Args:
        reach: positions that a program may move a device.
    """

    def __init__(self, reach: int) -> None:
        self._reach = reach

    def propose(
        self, flows: FixedDispatch, position: FloatArray, *, seed: int
    ) -> tuple[FloatArray, SearchDetails | None]:
        """See :class:`cosim.opf.network_positions.planner.Proposal`."""
        del seed
        schedule = flows.schedule
        slope, curvature = self._expansion(flows, position)
        relaxed = self._relaxed(schedule, position, slope, curvature)
        return best_on_the_way(flows, position, relaxed), None

    def _expansion(self, flows: FixedDispatch, position: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Slope and curvature of the cost per position, shape (period, network device) each."""
        schedule, (periods, count) = flows.schedule, position.shape
        up, down = np.repeat(position[None], count, axis=0), np.repeat(position[None], count, axis=0)
        each = np.arange(count)
        up[each, :, each] = np.minimum(position + 1.0, schedule.highest).T
        down[each, :, each] = np.maximum(position - 1.0, schedule.lowest).T
        merit = flows.evaluate(np.concatenate([position[None], up, down])).merit_by_period
        above, below = merit[1 : count + 1].T, merit[count + 1 :].T
        rise, fall = up[each, :, each].T - position, position - down[each, :, each].T
        to_above = (above - merit[0][:, None]) / np.maximum(rise, 1.0)
        to_below = (merit[0][:, None] - below) / np.maximum(fall, 1.0)
        # At the end of a range only one side is known.
        one_sided = (rise < 1.0) | (fall < 1.0)
        slope = np.where(rise < 1.0, to_below, np.where(fall < 1.0, to_above, (to_above + to_below) / 2.0))
        curvature = np.where(one_sided, 0.0, np.maximum(to_above - to_below, 0.0))
        return slope.reshape(periods, count), curvature.reshape(periods, count)

    def _relaxed(
        self, schedule: PositionSchedule, position: FloatArray, slope: FloatArray, curvature: FloatArray
    ) -> FloatArray:
        """Optimum of the quadratic program in real positions."""
        wished = cp.Variable(position.shape)
        moved = cp.abs(wished - cp.vstack([schedule.now[None], wished[:-1]]))
        change = wished - position
        cost = cp.sum(cp.multiply(slope, change)) + 0.5 * cp.sum(cp.multiply(curvature, cp.square(change)))
        constraints = [
            wished >= np.maximum(schedule.lowest, position - self._reach),
            wished <= np.minimum(schedule.highest, position + self._reach),
        ]
        days = schedule.days
        for day in np.unique(days).tolist():
            left = schedule.left(day)
            limited = np.flatnonzero(np.isfinite(left))
            if len(limited):
                constraints.append(cp.sum(moved[days == day][:, limited], axis=0) <= left[limited])
        program = cp.Problem(cp.Minimize(cost + cp.sum(moved @ schedule.cost)), constraints)
        program.solve(solver=cp.CLARABEL)
        return position if wished.value is None else np.asarray(wished.value)
