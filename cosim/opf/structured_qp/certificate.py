"""An independent judgement of any answer: its violations, and a lower bound that its multipliers prove.

The quadratic part lies above its tangent at the plan; rows, balances and polygons are priced by the
multipliers; what remains is a box, whose minimum is known. Nothing of this is shared with a solver.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.opf.structured_qp.device_blocks import DeviceBlocks
from cosim.opf.structured_qp.reachable_energy import Reach
from cosim.opf.structured_qp.step_program import (
    FACE_COSINE,
    FACE_DISTANCE,
    FACE_SINE,
    Multipliers,
    Status,
    StepAnswer,
    StepProgram,
)


@dataclass(frozen=True)
class RawAnswer:
    """What a route hands over.

    Attributes:
        z: the variables of the blocks, shape (T, J, 4).
        multipliers: see there.
        iterations, solver, status, message, warm: see :class:`StepAnswer`.
    """

    z: FloatArray
    multipliers: Multipliers
    iterations: int
    solver: str
    status: Status
    message: str = ""
    warm: object | None = None


def no_plan(
    program: StepProgram, solver: str, status: Status, message: str, *, iterations: int = 0
) -> StepAnswer:
    """Answer without a plan: arrays of zeros, so that shapes can be relied on."""
    T, B, K, J = program.period_count, program.energy_count, program.source_count, program.device_count
    return StepAnswer(
        charge_kw=np.zeros((T, B)),
        discharge_kw=np.zeros((T, B)),
        curtailed_kw=np.zeros((T, K)),
        reactive_up_kvar=np.zeros((T, J)),
        reactive_down_kvar=np.zeros((T, J)),
        p_kw=np.zeros((T, J)),
        q_kvar=np.zeros((T, J)),
        stored_kwh=np.zeros((T, B)),
        slack_kw=np.zeros(program.row_count),
        peak_kw=0.0,
        multipliers=None,
        objective=np.inf,
        primal_residual=np.inf,
        gap=np.inf,
        iterations=iterations,
        solver=solver,
        status=status,
        message=message,
    )


def judged(program: StepProgram, blocks: DeviceBlocks, reach: Reach, raw: RawAnswer) -> StepAnswer:
    """The answer with objective, violations and gap, energies and slacks following from the powers."""
    B = program.energy_count
    z = np.clip(raw.z, 0.0, blocks.upper)
    p, q = blocks.base_kw - z[:, :, 0] + z[:, :, 1], z[:, :, 2] - z[:, :, 3]
    stored = stored_energy(program, blocks, z)
    load = row_loads(program, p, q) - program.rows.limit
    of_peak = program.rows.of_peak
    slack = np.where(of_peak, 0.0, np.maximum(load, 0.0))
    peak = 0.0
    if program.peak is not None:
        peak = float(np.max(load[of_peak], initial=program.peak.floor_kw))
    objective = _objective(program, blocks, z, p, q, stored=stored, slack=slack, peak=peak)
    return StepAnswer(
        charge_kw=z[:, :B, 0],
        discharge_kw=z[:, :B, 1],
        curtailed_kw=z[:, B:, 0],
        reactive_up_kvar=z[:, :, 2],
        reactive_down_kvar=z[:, :, 3],
        p_kw=p,
        q_kvar=q,
        stored_kwh=stored,
        slack_kw=slack,
        peak_kw=peak,
        multipliers=raw.multipliers,
        objective=objective,
        primal_residual=_violation(program, blocks, reach, p, q, stored=stored),
        gap=objective - lower_bound(program, blocks, reach, p, q, raw.multipliers),
        iterations=raw.iterations,
        solver=raw.solver,
        status=raw.status,
        message=raw.message,
        warm=raw.warm,
    )


def stored_energy(program: StepProgram, blocks: DeviceBlocks, z: FloatArray) -> FloatArray:
    """Energy at the end of each period that follows from the powers, shape (T, B) in kWh."""
    B = program.energy_count
    steps: FloatArray = (blocks.gain * z[:, :B, :2]).sum(axis=2) - program.energy.drain_kwh
    stored: FloatArray = np.empty_like(steps)
    if program.period_count:
        paths = program.tree.paths
        stored[paths] = program.energy.start_kwh + np.cumsum(steps[paths], axis=1)
    return stored


def row_loads(program: StepProgram, p: FloatArray, q: FloatArray) -> FloatArray:
    """Left sides of the rows without slack, shape (R,)."""
    rows = program.rows
    loads: FloatArray = np.einsum("rj,rj->r", rows.p, p[rows.period]) + np.einsum(
        "rj,rj->r", rows.q, q[rows.period]
    )
    return loads


def cost_scale(program: StepProgram, blocks: DeviceBlocks) -> float:
    """Currency that moves when every device moves a tenth of a per mille of its range.

    Tolerances are relative to the objective or to this, because an objective may pass through zero.
    """
    tangent, upper = program.tangent, blocks.upper
    moved = np.abs(tangent.gradient_p)[:, :, None] * upper[:, :, :2]
    reactive = np.abs(tangent.gradient_q)[:, :, None] * upper[:, :, 2:]
    return 1e-4 * float(moved.sum() + reactive.sum() + (np.abs(blocks.cost) * upper).sum())


def _objective(
    program: StepProgram,
    blocks: DeviceBlocks,
    z: FloatArray,
    p: FloatArray,
    q: FloatArray,
    *,
    stored: FloatArray,
    slack: FloatArray,
    peak: float,
) -> float:
    """The objective of the module's head."""
    tangent, energy = program.tangent, program.energy
    dp, dq = p - tangent.centre_p_kw, q - tangent.centre_q_kvar
    modes = dp @ tangent.mode_p.T + dq @ tangent.mode_q.T
    total = (blocks.cost * z).sum() + (tangent.gradient_p * p).sum() + (tangent.gradient_q * q).sum()
    total += (
        0.5 * (tangent.damping * (dp**2 + dq**2)).sum()
        + 0.5 * (tangent.mode_weight[:, None] * modes**2).sum()
    )
    total += (program.rows.price * slack).sum()
    if program.peak is not None:
        total += program.peak.price * peak
    if energy.end == "value":
        total -= (program.end_price * stored[program.tree.last]).sum()
    if energy.end == "soft":
        total += (program.end_price * np.abs(stored[program.tree.last] - energy.end_kwh)).sum()
    return float(total)


def _violation(
    program: StepProgram,
    blocks: DeviceBlocks,
    reach: Reach,
    p: FloatArray,
    q: FloatArray,
    *,
    stored: FloatArray,
) -> float:
    """Largest violation of windows, targets and polygons, relative to capacity or rating."""
    faces = p[:, :, None] * FACE_COSINE + q[:, :, None] * FACE_SINE
    over = faces.max(axis=2, initial=0.0) - FACE_DISTANCE * blocks.rating_kva
    found = [np.where(blocks.polygon, over / np.maximum(blocks.rating_kva, 1e-12), 0.0)]
    found += [
        (stored - reach.most_kwh) / reach.capacity_kwh,
        (reach.least_kwh - stored) / reach.capacity_kwh,
    ]
    if program.energy.end == "fixed":
        apart = np.abs(stored[program.tree.last] - program.energy.end_kwh)
        found.append(apart / reach.capacity_kwh)
    return max(float(part.max(initial=0.0)) for part in found)


def lower_bound(
    program: StepProgram,
    blocks: DeviceBlocks,
    reach: Reach,
    p: FloatArray,
    q: FloatArray,
    given: Multipliers,
) -> float:
    """No plan costs less than this, in currency, whatever the multipliers are.

    Args:
        program, blocks, reach: the program.
        p, q: where the quadratic part is linearised, shape (T, J).
        given: multipliers; they are moved into their ranges first.
    """
    tangent, rows, B = program.tangent, program.rows, program.energy_count
    price, constant = _row_prices(program, given)
    dp, dq = p - tangent.centre_p_kw, q - tangent.centre_q_kvar
    modes = (dp @ tangent.mode_p.T + dq @ tangent.mode_q.T) * tangent.mode_weight[:, None]
    slope_p, slope_q = (
        tangent.damping * dp + modes @ tangent.mode_p,
        tangent.damping * dq + modes @ tangent.mode_q,
    )
    constant += 0.5 * float((slope_p * dp).sum() + (slope_q * dq).sum())
    constant -= float((slope_p * p).sum() + (slope_q * q).sum())
    slope_p, slope_q = slope_p + tangent.gradient_p, slope_q + tangent.gradient_q
    np.add.at(slope_p, rows.period, price[:, None] * rows.p)
    np.add.at(slope_q, rows.period, price[:, None] * rows.q)
    constant -= float((price * rows.limit).sum())
    face = np.where(blocks.polygon[None, :, None], np.maximum(given.face, 0.0), 0.0)
    slope_p, slope_q = slope_p + face @ FACE_COSINE, slope_q + face @ FACE_SINE
    constant -= FACE_DISTANCE * float((face.sum(axis=2) * blocks.rating_kva).sum())
    constant += float((slope_p * blocks.base_kw).sum())
    reduced = blocks.cost + np.stack([-slope_p, slope_p, slope_q, -slope_q], axis=2)
    reduced[:, :B, :2] -= blocks.gain * given.energy[:, :, None]
    return (
        constant
        + float((np.minimum(reduced, 0.0) * blocks.upper).sum())
        + _energy_bound(program, reach, given)
    )


def _row_prices(program: StepProgram, given: Multipliers) -> tuple[FloatArray, float]:
    """Multipliers of the rows within their ranges, and the cost of the peak that remains."""
    rows = program.rows
    price = np.maximum(given.row, 0.0)
    price = np.where(rows.of_peak, price, np.minimum(price, rows.price))
    if program.peak is None:
        return price, 0.0
    paid = float(price[rows.of_peak].sum())
    if paid > program.peak.price:
        price = np.where(rows.of_peak, price * (program.peak.price / paid), price)
    return price, (program.peak.price - min(paid, program.peak.price)) * program.peak.floor_kw


def _energy_bound(program: StepProgram, reach: Reach, given: Multipliers) -> float:
    """Least value of what the multipliers make of the stored energies within their windows."""
    energy, tree = program.energy, program.tree
    if not program.energy_count:
        return 0.0
    slope = given.energy.copy()
    np.subtract.at(slope, tree.previous[1:], given.energy[1:])
    constant = float((given.energy * energy.drain_kwh).sum() - (given.energy[0] * energy.start_kwh).sum())
    if energy.end == "value":
        slope[tree.last] -= program.end_price
    if energy.end == "soft":
        end = np.clip(given.end, -program.end_price, program.end_price)
        slope[tree.last] += end
        constant -= float((end * energy.end_kwh).sum())
    return constant + float(np.minimum(slope * reach.least_kwh, slope * reach.most_kwh).sum())
