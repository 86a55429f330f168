"""Which stored energies the devices can reach at all, before any solver runs.

Rows are soft, so a program is infeasible only where a battery cannot keep its windows, or where a PV
system cannot be curtailed into its polygon. Both are seen device by device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.opf.structured_qp.device_blocks import DeviceBlocks, device_blocks
from cosim.opf.structured_qp.step_program import StepProgram

ROUNDING = 1e-7
"""Part of a capacity by which a window may be missed; windows are widened by what is missing."""


@dataclass(frozen=True)
class Reach:
    """What the windows leave.

    Attributes:
        least_kwh, most_kwh: windows, widened by roundings, shape (T, B).
        capacity_kwh: width that residuals are relative to, shape (B,).
        problem: why there is no plan at all, else empty.
    """

    least_kwh: FloatArray
    most_kwh: FloatArray
    capacity_kwh: FloatArray
    problem: str


def energy_steps(program: StepProgram, blocks: DeviceBlocks) -> tuple[FloatArray, FloatArray]:
    """Least and largest change of energy in each period, drain excluded, shape (T, B) in kWh.

    Within the polygon the most is stored without discharge and the most is given with as much
    charge as the rating leaves, because charge and discharge together lose energy.
    """
    B = program.energy_count
    charge, discharge = blocks.upper[:, :B, 0], blocks.upper[:, :B, 1]
    rating = blocks.rating_kva[:B]
    most = blocks.gain[:, :, 0] * np.minimum(charge, rating)
    burnt = np.minimum(charge, np.maximum(discharge - rating, 0.0))
    least = blocks.gain[:, :, 0] * burnt + blocks.gain[:, :, 1] * np.minimum(discharge, burnt + rating)
    return least, most


def energy_before(program: StepProgram, stored_kwh: FloatArray) -> FloatArray:
    """Energy at the start of every node, given that at its end, shape (T, B)."""
    start = program.energy.start_kwh[None]
    return np.concatenate([start, stored_kwh])[program.tree.previous + 1]


def prepared(program: StepProgram) -> tuple[DeviceBlocks, Reach]:
    """Blocks and windows as every route reads them.

    Windows are narrowed to what can be reached, and a battery that can only charge (or only discharge)
    is fixed where its window leaves no room: a solver would find no interior there.
    """
    blocks = device_blocks(program)
    reach = reachable(program, blocks)
    if reach.problem or not program.energy_count:
        return blocks, reach
    B, drain = program.energy_count, program.energy.drain_kwh
    low_before = energy_before(program, reach.least_kwh)
    high_before = energy_before(program, reach.most_kwh)
    tiny = ROUNDING * reach.capacity_kwh
    full = reach.most_kwh - low_before + drain <= tiny
    empty = reach.least_kwh - high_before + drain >= -tiny
    upper = blocks.upper.copy()
    charge, discharge = blocks.upper[:, :B, 0], blocks.upper[:, :B, 1]
    upper[:, :B, 0][full & (discharge == 0.0)] = 0.0
    upper[:, :B, 1][empty & (charge == 0.0)] = 0.0
    if (upper == blocks.upper).all():
        return blocks, reach
    blocks = replace(blocks, upper=upper)
    return blocks, reachable(program, blocks)


def reachable(program: StepProgram, blocks: DeviceBlocks) -> Reach:
    """Windows that can be kept, or the reason why there are none."""
    energy, tree = program.energy, program.tree
    low_step, high_step = energy_steps(program, blocks)
    low_step, high_step = low_step - energy.drain_kwh, high_step - energy.drain_kwh
    least, most = energy.least_kwh.copy(), energy.most_kwh.copy()
    capacity = np.maximum(most.max(axis=0, initial=0.0), np.abs(energy.start_kwh))
    capacity = np.maximum(capacity, blocks.rating_kva[: program.energy_count] * 1e-3)
    tiny = ROUNDING * capacity
    low = high = energy.start_kwh[None]
    for period in range(tree.periods if program.period_count else 0):
        t = tree.at(period)
        low, high = low + low_step[t], high + high_step[t]
        missing = np.maximum(np.maximum(low - most[t], least[t] - high), least[t] - most[t])
        if (missing > tiny).any():
            branch, b = np.unravel_index(int(np.argmax(missing / capacity)), missing.shape)
            problem = (
                f"device {b} misses its energy window in period {period} by {missing[branch, b]:.6g} kWh"
            )
            return Reach(least, most, capacity, problem)
        # A window missed by a rounding is moved to what is reached.
        low, high = (
            np.where(low > most[t], low, np.maximum(low, least[t])),
            np.minimum(high, np.maximum(most[t], low)),
        )
        high = np.maximum(low, high)
        least[t], most[t] = low, high
    problem = _end_problem(program, low, high, capacity) or _pv_problem(program, blocks)
    if energy.end == "fixed" and program.period_count:
        least[tree.last] = most[tree.last] = np.clip(energy.end_kwh, low, high)
    _narrow(program, least, most, low_step, high_step)
    return Reach(least, most, capacity, problem)


def _narrow(
    program: StepProgram,
    least: FloatArray,
    most: FloatArray,
    low_step: FloatArray,
    high_step: FloatArray,
) -> None:
    """Leave what the later windows can be reached from, in place; the first period serves all branches."""
    tree = program.tree
    for period in range(tree.periods - 1, 0, -1):
        t, before = tree.at(period), tree.at(period - 1)
        needed, allowed = least[t] - high_step[t], most[t] - low_step[t]
        if len(before) < len(t):
            needed, allowed = needed.max(axis=0, keepdims=True), allowed.min(axis=0, keepdims=True)
        least[before] = np.minimum(np.maximum(least[before], needed), most[before])
        most[before] = np.maximum(np.minimum(most[before], allowed), least[before])


def _end_problem(program: StepProgram, low: FloatArray, high: FloatArray, capacity: FloatArray) -> str:
    """Why a fixed target cannot be met, else empty."""
    if program.energy.end != "fixed" or not program.energy_count:
        return ""
    target = program.energy.end_kwh
    missing = np.maximum(low - target, target - high).max(axis=0)
    b = int(np.argmax(missing / capacity))
    if missing[b] <= ROUNDING * capacity[b]:
        return ""
    return f"device {b} misses its target of {target[b]:.6g} kWh by {missing[b]:.6g} kWh"


def _pv_problem(program: StepProgram, blocks: DeviceBlocks) -> str:
    """Why a polygon cannot be kept, else empty."""
    over = np.where(blocks.polygon, blocks.p_least_kw - blocks.rating_kva, -np.inf)[
        :, program.energy_count :
    ]
    if not over.size or over.max() <= ROUNDING * blocks.rating_kva.max():
        return ""
    t, k = np.unravel_index(int(np.argmax(over)), over.shape)
    return f"source {k} exceeds its rating in period {t} by {over[t, k]:.6g} kW and may not be curtailed"
