"""The program as the structured interior point reads it: flat arrays, costs divided by the largest one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import BoolArray, FloatArray, IntArray
from cosim.opf.structured_qp.device_blocks import NEGLIGIBLE, DeviceBlocks
from cosim.opf.structured_qp.reachable_energy import Reach
from cosim.opf.structured_qp.sparse_route import needed_faces
from cosim.opf.structured_qp.step_program import (
    FACE_COSINE,
    FACE_DISTANCE,
    FACE_SINE,
    FACES,
    StepProgram,
)

FLOOR = 1e-9
"""Least curvature of a variable, and least softness of a balance, in units of cost, rating and capacity."""


@dataclass(frozen=True)
class Faces:
    """Sides of polygons that bounds do not imply, sorted by block.

    Attributes:
        start: first side of each block, shape (n + 1,).
        block, place: block of each side, and its place in the flat (T, J, 16) array.
        cosine, sine, limit: shape (sides,).
    """

    start: IntArray
    block: IntArray
    place: IntArray
    cosine: FloatArray
    sine: FloatArray
    limit: FloatArray


@dataclass(frozen=True)
class Coupling:
    """Rows and modes together, sorted by period or node.

    Attributes:
        matrix: on p and q side by side, shape (N, 2 J).
        first: first row of each period, shape (T + 1,).
        row, mode: places of the rows and of the modes.
        source: number of each row in the program, shape (R,).
        weight: of the modes, scaled.
        limit, price, of_peak: of the rows in the order of ``row``, price scaled.
    """

    matrix: FloatArray
    first: IntArray
    row: IntArray
    mode: IntArray
    source: IntArray
    weight: FloatArray
    limit: FloatArray
    price: FloatArray
    of_peak: BoolArray


@dataclass(frozen=True)
class ScaledProgram:
    """Everything the iterations read; n = T J blocks.

    Attributes:
        program: unscaled.
        unit: currency that stands for 1.
        upper, free, cost: shape (n, 4).
        base: shape (n,).
        gradient, damping, centre: on p and q side by side, shape (T, 2 J).
        floor: shape (J,).
        gain: shape (T, B, 2).
        capacity: shape (B,).
        end_price: shape (branch, B).
        least, most, stored_fixed, end_slope: shape (T, B).
        soft: whether the target of the energies has a price.
        faces, coupling: see there.
        peak_price, peak_floor: 0 without a peak.
    """

    program: StepProgram
    unit: float
    upper: FloatArray
    free: BoolArray
    cost: FloatArray
    base: FloatArray
    gradient: FloatArray
    damping: FloatArray
    centre: FloatArray
    floor: FloatArray
    gain: FloatArray
    capacity: FloatArray
    end_price: FloatArray
    least: FloatArray
    most: FloatArray
    stored_fixed: BoolArray
    end_slope: FloatArray
    soft: bool
    faces: Faces
    coupling: Coupling
    peak_price: float
    peak_floor: float


def scaled_program(program: StepProgram, blocks: DeviceBlocks, reach: Reach) -> ScaledProgram:
    """Flat and scaled arrays of a program."""
    tangent, energy = program.tangent, program.energy
    n = program.period_count * program.device_count
    unit = max(
        float(np.abs(tangent.gradient_p).max(initial=0.0)), float(np.abs(blocks.cost).max(initial=0.0))
    )
    unit = unit if unit > 0.0 else 1.0
    least, most = reach.least_kwh, reach.most_kwh
    end_slope = np.zeros_like(least)
    if energy.end == "value":
        end_slope[program.tree.last] = -program.end_price / unit
    upper = blocks.upper.reshape(n, 4)
    peak = program.peak
    return ScaledProgram(
        program=program,
        unit=unit,
        upper=upper,
        free=upper > 0.0,
        cost=blocks.cost.reshape(n, 4) / unit,
        base=blocks.base_kw.ravel(),
        gradient=np.concatenate([tangent.gradient_p, tangent.gradient_q], axis=1) / unit,
        damping=np.concatenate([tangent.damping, tangent.damping], axis=1) / unit,
        centre=np.concatenate([tangent.centre_p_kw, tangent.centre_q_kvar], axis=1),
        floor=FLOOR / np.maximum(blocks.rating_kva, NEGLIGIBLE),
        gain=blocks.gain,
        capacity=reach.capacity_kwh,
        # A target without a price would have no interior.
        end_price=np.maximum(program.end_price / unit, NEGLIGIBLE),
        least=least,
        most=most,
        stored_fixed=most - least <= NEGLIGIBLE * reach.capacity_kwh,
        end_slope=end_slope,
        soft=energy.end == "soft" and program.energy_count > 0,
        faces=_faces(program, blocks),
        coupling=_coupling(program, unit),
        peak_price=0.0 if peak is None else peak.price / unit,
        peak_floor=0.0 if peak is None else peak.floor_kw,
    )


def _faces(program: StepProgram, blocks: DeviceBlocks) -> Faces:
    """Sides of all polygons that are needed."""
    J = program.device_count
    needed = needed_faces(blocks).reshape(-1, FACES)
    block, face = np.nonzero(needed)
    start = np.concatenate([[0], np.cumsum(needed.sum(axis=1))]).astype(np.int64)
    limit = FACE_DISTANCE * blocks.rating_kva[block % max(J, 1)]
    return Faces(start, block, block * FACES + face, FACE_COSINE[face], FACE_SINE[face], limit)


def _coupling(program: StepProgram, unit: float) -> Coupling:
    """Rows and modes, sorted by period; modes without weight are dropped."""
    tangent, rows = program.tangent, program.rows
    T, R, modes = program.period_count, program.row_count, len(tangent.mode_p)
    period = np.concatenate([rows.period, np.repeat(np.arange(T), modes)])
    source = np.concatenate([np.arange(R), R + np.tile(np.arange(modes), T)])
    kept = np.flatnonzero(np.concatenate([np.ones(R), np.repeat(tangent.mode_weight, modes)]) > 0.0)
    order = kept[np.argsort(period[kept], kind="stable")]
    period, source = period[order], source[order]
    both_p, both_q = np.vstack([rows.p, tangent.mode_p]), np.vstack([rows.q, tangent.mode_q])
    row, mode = np.flatnonzero(source < R), np.flatnonzero(source >= R)
    of_peak = rows.of_peak[source[row]]
    return Coupling(
        matrix=np.ascontiguousarray(np.concatenate([both_p[source], both_q[source]], axis=1)),
        first=np.searchsorted(period, np.arange(T + 1)).astype(np.int64),
        row=row,
        mode=mode,
        source=source[row],
        weight=tangent.mode_weight[period[mode]] / unit,
        limit=rows.limit[source[row]],
        price=np.where(of_peak, 0.0, rows.price[source[row]] / unit),
        of_peak=of_peak,
    )
