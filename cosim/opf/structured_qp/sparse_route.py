"""The program as sparse matrices, for general solvers: PIQP, and cvxpy with Clarabel as the reference.

minimise 1/2 x' P x + c' x   subject to   A x = b,  G x <= h,  lower <= x <= upper
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from cosim.errors import SolverMissing
from cosim.model.arrays import BoolArray, FloatArray, IntArray, Matrix
from cosim.opf.structured_qp.certificate import RawAnswer, judged, no_plan
from cosim.opf.structured_qp.device_blocks import DeviceBlocks
from cosim.opf.structured_qp.reachable_energy import Reach, prepared
from cosim.opf.structured_qp.step_program import (
    FACE_COSINE,
    FACE_DISTANCE,
    FACE_SINE,
    FACES,
    Multipliers,
    Status,
    StepAnswer,
    StepProgram,
)

NOT_INFEASIBLE = "{} reports that no plan exists, but every device can keep its limits"
"""Rows are soft, so what a program cannot keep is known before: see ``reach``."""


@dataclass(frozen=True)
class SparseProgram:
    """Matrices of one program; columns: z that is not fixed, s, slack of every row, e+ and e-, v, peak.

    Attributes:
        P, c, A, b, G, h, lower, upper: see the head of the module.
        free: places of the z columns in the flat (T, J, 4) array.
        face_place: places of the polygon rows of G in the flat (T, J, 16) array.
        row_start: first row of G that is a soft row.
        soft_start: first row of A that belongs to the soft targets.
    """

    P: Matrix
    c: FloatArray
    A: Matrix
    b: FloatArray
    G: Matrix
    h: FloatArray
    lower: FloatArray
    upper: FloatArray
    free: IntArray
    face_place: IntArray
    soft_start: int

    @property
    def row_start(self) -> int:
        """First row of G that is a soft row; the polygons stand before."""
        return len(self.face_place)


@dataclass(frozen=True)
class _Columns:
    """First column of each kind."""

    stored: int
    slack: int
    end: int
    mode: int
    peak: int
    count: int


def assembled(program: StepProgram, blocks: DeviceBlocks, reach: Reach) -> SparseProgram:
    """Sparse matrices of a program."""
    T, B, J, R = program.period_count, program.energy_count, program.device_count, program.row_count
    modes = len(program.tangent.mode_p)
    free = np.flatnonzero(blocks.upper.ravel() > 0.0)
    ends = 2 * B * program.tree.branches if program.energy.end == "soft" else 0
    start = np.cumsum([len(free), T * B, R, ends, T * modes, 0 if program.peak is None else 1])
    at = _Columns(*(int(place) for place in start))
    # Maps from the free variables to p - base and q of every block.
    z_block, slot = free // 4, free % 4
    place = np.arange(len(free))
    to_p = sp.csr_matrix(
        (np.choose(slot, [-1.0, 1.0, 0.0, 0.0]), (z_block, place)), shape=(T * J, at.count)
    )
    to_q = sp.csr_matrix(
        (np.choose(slot, [0.0, 0.0, 1.0, -1.0]), (z_block, place)), shape=(T * J, at.count)
    )
    tangent = program.tangent
    damping = sp.diags(tangent.damping.ravel())
    weights = np.zeros(at.count)
    weights[at.mode : at.peak] = np.repeat(tangent.mode_weight, modes)
    P = to_p.T @ damping @ to_p + to_q.T @ damping @ to_q + sp.diags(weights)
    offset = tangent.damping * (blocks.base_kw - tangent.centre_p_kw) + tangent.gradient_p
    offset_q = tangent.gradient_q - tangent.damping * tangent.centre_q_kvar
    c = to_p.T @ offset.ravel() + to_q.T @ offset_q.ravel()
    c[: at.stored] += blocks.cost.ravel()[free]
    c[at.slack : at.end] = np.where(program.rows.of_peak, 0.0, program.rows.price)
    if program.energy.end == "soft":
        c[at.end : at.mode] = np.tile(program.end_price.ravel(), 2)
    if program.energy.end == "value" and B:
        c[at.stored + _last_energies(program)] -= program.end_price.ravel()
    if program.peak is not None:
        c[at.peak] = program.peak.price
    A, b, soft_start = _equalities(program, blocks, at, free, to_p, to_q)
    G, h, face_place = _inequalities(program, blocks, at, to_p, to_q)
    lower, upper = _bounds(program, blocks, reach, at, free)
    return SparseProgram(sp.csc_matrix(P), c, A, b, G, h, lower, upper, free, face_place, soft_start)


def _equalities(
    program: StepProgram, blocks: DeviceBlocks, at: _Columns, free: IntArray, to_p: Matrix, to_q: Matrix
) -> tuple[Matrix, FloatArray, int]:
    """Energy balances, soft targets and modes."""
    T, B, J = program.period_count, program.energy_count, program.device_count
    tangent, energy = program.tangent, program.energy
    gain = np.zeros((T, J, 4))
    gain[:, :B, :2] = blocks.gain
    t, j = np.divmod(free // 4, J) if J else (free, free)
    held = j < B
    balance = sp.csr_matrix(
        (-gain.ravel()[free][held], (t[held] * B + j[held], np.flatnonzero(held))), shape=(T * B, at.count)
    )
    node = np.arange(1, T)
    before = sp.csr_matrix((np.ones(len(node)), (node, program.tree.previous[1:])), shape=(T, T))
    every_stored = sp.eye(T * B, at.count, k=at.stored)
    stored = every_stored - sp.kron(before, sp.eye(B)) @ every_stored
    start = -energy.drain_kwh
    start[:1] += energy.start_kwh
    parts: list[Matrix] = [balance + stored]
    sides = [start.ravel()]
    if energy.end == "soft" and B:
        ends = program.tree.branches * B
        last = sp.csr_matrix(
            (np.ones(ends), (np.arange(ends), at.stored + _last_energies(program))), shape=(ends, at.count)
        )
        over, under = sp.eye(ends, at.count, k=at.end), sp.eye(ends, at.count, k=at.end + ends)
        parts.append(last - over + under)
        sides.append(np.tile(energy.end_kwh, program.tree.branches))
    if len(tangent.mode_p):
        every = sp.eye(T)
        own = sp.kron(every, tangent.mode_p) @ to_p + sp.kron(every, tangent.mode_q) @ to_q
        parts.append(own - sp.eye(own.shape[0], at.count, k=at.mode))
        away = (
            tangent.centre_p_kw - blocks.base_kw
        ) @ tangent.mode_p.T + tangent.centre_q_kvar @ tangent.mode_q.T
        sides.append(away.ravel())
    return sp.csc_matrix(sp.vstack(parts)), np.concatenate(sides), T * B


def _last_energies(program: StepProgram) -> IntArray:
    """Places of the energies at the ends of all branches in the flat (T, B) array."""
    B = program.energy_count
    return (program.tree.last[:, None] * B + np.arange(B)).ravel()


def _inequalities(
    program: StepProgram, blocks: DeviceBlocks, at: _Columns, to_p: Matrix, to_q: Matrix
) -> tuple[Matrix, FloatArray, IntArray]:
    """Polygons that the bounds do not imply, then the rows."""
    rows, J, R = program.rows, program.device_count, program.row_count
    needed = needed_faces(blocks)
    place = np.flatnonzero(needed.ravel())
    block, face = np.divmod(place, FACES)
    polygons = sp.diags(FACE_COSINE[face]) @ to_p[block] + sp.diags(FACE_SINE[face]) @ to_q[block]
    distance = (
        FACE_DISTANCE * blocks.rating_kva[block % max(J, 1)]
        - FACE_COSINE[face] * blocks.base_kw.ravel()[block]
    )
    column = (rows.period[:, None] * J + np.arange(J)).ravel()
    entry = (np.repeat(np.arange(R), J), column)
    shape = (R, program.period_count * J)
    own = sp.csr_matrix((rows.p.ravel(), entry), shape=shape) @ to_p
    own += sp.csr_matrix((rows.q.ravel(), entry), shape=shape) @ to_q
    slack = np.where(rows.of_peak, at.peak, at.slack + np.arange(R))
    own -= sp.csr_matrix((np.ones(R), (np.arange(R), slack)), shape=(R, at.count))
    limit = rows.limit - (rows.p * blocks.base_kw[rows.period]).sum(axis=1)
    return sp.csc_matrix(sp.vstack([polygons, own])), np.concatenate([distance, limit]), place


def needed_faces(blocks: DeviceBlocks) -> BoolArray:
    """Sides of the polygons that the box of a block crosses, booleans of shape (T, J, 16)."""
    far_p = np.where(FACE_COSINE > 0.0, blocks.p_most_kw[:, :, None], blocks.p_least_kw[:, :, None])
    far_q = np.where(FACE_SINE > 0.0, blocks.upper[:, :, 2, None], -blocks.upper[:, :, 3, None])
    reach = FACE_COSINE * far_p + FACE_SINE * far_q
    limit = FACE_DISTANCE * blocks.rating_kva[None, :, None] * (1.0 + 1e-12)
    # A block without freedom cannot be helped by a constraint.
    free = blocks.upper.max(axis=2, keepdims=True) > 0.0
    needed: BoolArray = (reach > limit) & blocks.polygon[None, :, None] & free
    return needed


def _bounds(
    program: StepProgram, blocks: DeviceBlocks, reach: Reach, at: _Columns, free: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Bounds of all columns."""
    lower, upper = np.zeros(at.count), np.full(at.count, np.inf)
    upper[: at.stored] = blocks.upper.ravel()[free]
    lower[at.stored : at.slack], upper[at.stored : at.slack] = (
        reach.least_kwh.ravel(),
        reach.most_kwh.ravel(),
    )
    upper[at.slack : at.end][program.rows.of_peak] = 0.0
    lower[at.mode : at.peak] = -np.inf
    if program.peak is not None:
        lower[at.peak] = program.peak.floor_kw
    return lower, upper


def solve_piqp(program: StepProgram, *, tolerance: float = 1e-8, iteration_limit: int = 250) -> StepAnswer:
    """Solves with PIQP.

    Args:
        program: what is to be solved.
        tolerance: relative, of residuals and gap.
        iteration_limit: of the interior-point method.

    Raises:
        SolverMissing: PIQP is not installed.
    """
    started = time.perf_counter()
    try:
        import piqp
    except ImportError as error:
        raise SolverMissing("the solver 'piqp' is not installed; install the package piqp") from error
    blocks, reach = prepared(program)
    if reach.problem:
        return no_plan(program, "piqp", "infeasible", reach.problem)
    data = assembled(program, blocks, reach)
    if not len(data.c):
        return _answer(program, blocks, reach, data, _Point.empty(data), "piqp", started)
    solver = piqp.SparseSolver()
    settings = solver.settings
    settings.eps_abs, settings.eps_rel = tolerance, tolerance
    settings.eps_duality_gap_abs, settings.eps_duality_gap_rel = tolerance, tolerance
    settings.max_iter = iteration_limit
    # Its own test (1e-4) takes programs with fixed targets for infeasible; what is, is known before.
    settings.eps_primal_inf = 1e-12
    no_limit = np.full(len(data.h), -np.inf)
    solver.setup(data.P, data.c, data.A, data.b, data.G, no_limit, data.h, data.lower, data.upper)
    code = solver.solve()
    result = solver.result
    names: dict[Any, tuple[Status, str]] = {
        piqp.PIQP_SOLVED: ("optimal", ""),
        piqp.PIQP_PRIMAL_INFEASIBLE: ("failed", NOT_INFEASIBLE.format("PIQP")),
    }
    status, message = names.get(code, ("failed", f"PIQP stopped with {code}"))
    point = _Point(result.x, result.y, result.z_u, status, message, int(result.info.iter))
    return _answer(program, blocks, reach, data, point, "piqp", started)


def solve_clarabel(program: StepProgram, *, tolerance: float = 1e-9) -> StepAnswer:
    """Solves with cvxpy and Clarabel, the reference route.

    Args:
        program: what is to be solved.
        tolerance: relative, of residuals and gap.
    """
    import cvxpy as cp

    started = time.perf_counter()
    blocks, reach = prepared(program)
    if reach.problem:
        return no_plan(program, "clarabel", "infeasible", reach.problem)
    data = assembled(program, blocks, reach)
    if not len(data.c):
        return _answer(program, blocks, reach, data, _Point.empty(data), "clarabel", started)
    x = cp.Variable(len(data.c))
    equal, below = data.A @ x == data.b, data.G @ x <= data.h
    has_low, has_high = np.flatnonzero(np.isfinite(data.lower)), np.flatnonzero(np.isfinite(data.upper))
    limits = [x[has_low] >= data.lower[has_low], x[has_high] <= data.upper[has_high]]
    problem = cp.Problem(
        cp.Minimize(0.5 * cp.quad_form(x, cp.psd_wrap(data.P)) + data.c @ x), [equal, below, *limits]
    )
    try:
        problem.solve(solver=cp.CLARABEL, tol_gap_rel=tolerance, tol_gap_abs=tolerance, tol_feas=tolerance)
    except cp.SolverError as error:
        return no_plan(program, "clarabel", "failed", str(error))
    names: dict[str, Status] = {
        cp.OPTIMAL: "optimal",
        cp.OPTIMAL_INACCURATE: "almost",
        cp.INFEASIBLE: "infeasible",
    }
    status = names.get(problem.status, "failed")
    if status in {"infeasible", "failed"}:
        return no_plan(program, "clarabel", status, f"Clarabel stopped with {problem.status}")
    message = "" if status == "optimal" else f"Clarabel stopped with {problem.status}"
    stats = problem.solver_stats
    point = _Point(x.value, equal.dual_value, below.dual_value, status, message, int(stats.num_iters or 0))
    return _answer(program, blocks, reach, data, point, "clarabel", started)


@dataclass(frozen=True)
class _Point:
    """Primal values, multipliers of equalities and inequalities, and how the solver ended."""

    x: FloatArray
    y: FloatArray
    z: FloatArray
    status: Status
    message: str
    iterations: int

    @classmethod
    def empty(cls, data: SparseProgram) -> _Point:
        """Of a program without variables."""
        return cls(np.zeros(0), np.zeros(len(data.b)), np.zeros(len(data.h)), "optimal", "", 0)


def _answer(
    program: StepProgram,
    blocks: DeviceBlocks,
    reach: Reach,
    data: SparseProgram,
    point: _Point,
    solver: str,
    started: float,
) -> StepAnswer:
    """The solver's vectors in the program's shapes."""
    if point.status == "failed":
        return no_plan(program, solver, "failed", point.message)
    T, B, J = program.period_count, program.energy_count, program.device_count
    z = np.zeros(T * J * 4)
    z[data.free] = point.x[: len(data.free)]
    face = np.zeros(T * J * FACES)
    face[data.face_place] = point.z[: data.row_start]
    end = np.zeros((program.tree.branches, B))
    if program.energy.end == "soft":
        end = point.y[data.soft_start : data.soft_start + end.size].reshape(end.shape)
    given = Multipliers(
        row=point.z[data.row_start :],
        energy=point.y[: T * B].reshape(T, B),
        face=face.reshape(T, J, FACES),
        end=end,
    )
    raw = RawAnswer(z.reshape(T, J, 4), given, point.iterations, solver, point.status, point.message)
    return replace(judged(program, blocks, reach, raw), seconds=time.perf_counter() - started)
