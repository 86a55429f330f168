"""Inner loops over the blocks of the structured interior point, compiled.

A block is one device in one period, with the four variables of ``device_blocks``; n = T J blocks, period by
period. Its barrier Hessian is diagonal plus E' G E, where E maps to (p, q) and G is the 2 x 2 curvature of
damping and polygon, so everything follows in closed form. The forms below are sums of positive terms
wherever one side of a polygon, one bound or one window may become stiff: nothing cancels then.
"""

from __future__ import annotations

from cosim.model.arrays import FloatArray, IntArray
from cosim.twin.compiled import kernel


@kernel
def stiffened(
    pp: float, pq: float, qq: float, determinant: float, c: float, s: float, weight: float
) -> tuple[float, float, float, float]:
    """A 2 x 2 curvature and its determinant with one more side.

    Args:
        pp, pq, qq, determinant: curvature so far.
        c, s, weight: normal and stiffness of the side.
    """
    # det(G + w n n') = det G + w n' adj(G) n: exact also when one side dominates.
    determinant += weight * max(c * c * qq - 2.0 * c * s * pq + s * s * pp, 0.0)
    return pp + weight * c * c, pq + weight * c * s, qq + weight * s * s, determinant


@kernel
def factor_blocks(
    stiff_low: FloatArray,
    stiff_high: FloatArray,
    stiff_face: FloatArray,
    upper: FloatArray,
    floor: FloatArray,
    damping: FloatArray,
    gain: FloatArray,
    face_start: IntArray,
    face_cosine: FloatArray,
    face_sine: FloatArray,
    compliance: FloatArray,
    bend: FloatArray,
    stop: FloatArray,
    stop_face: IntArray,
    inner: FloatArray,
    lever: FloatArray,
    softness: FloatArray,
) -> None:
    """Closed-form inverse of every block's Hessian.

    Args:
        stiff_low, stiff_high: curvature of the bounds' barriers, shape (n, 4).
        stiff_face: of the sides' barriers, shape (sides,).
        upper: upper bounds, 0 where fixed, shape (n, 4).
        floor: least curvature of a variable, shape (J,).
        damping: shape (n,).
        gain: energy per power of the first two variables, shape (T, B, 2).
        face_start: first side of each block, shape (n + 1,).
        face_cosine, face_sine: normals, shape (sides,).
        compliance: out: inverse of the diagonal part, shape (n, 4); stays 0 where fixed.
        bend: out: (I + W G)^-1 row by row, W = E compliance E', shape (n, 4).
        stop: out: approach to the stiffest side per free move of p and of q, shape (n, 2).
        stop_face: out: the stiffest side, stays -1 where there is none, shape (n,).
        inner: out: (W^-1 + G)^-1 as pp, pq, qq, shape (n, 3).
        lever: out: change of (p, q) per unit of energy multiplier, shape (T, B, 2).
        softness: out: change of stored energy per unit of energy multiplier, shape (T, B).
    """
    periods, batteries = softness.shape
    devices = len(upper) // periods
    for n in range(len(upper)):
        t, j = n // devices, n % devices
        for i in range(4):
            if upper[n, i] > 0.0:
                compliance[n, i] = 1.0 / (stiff_low[n, i] + stiff_high[n, i] + floor[j])
        edge = face_start[n]
        for k in range(face_start[n] + 1, face_start[n + 1]):
            if stiff_face[k] > stiff_face[edge]:
                edge = k
        pp = damping[n]
        qq = damping[n]
        pq = 0.0
        determinant = pp * qq
        for k in range(face_start[n], face_start[n + 1]):
            if k == edge:
                continue
            c, s, weight = face_cosine[k], face_sine[k], stiff_face[k]
            pp, pq, qq, determinant = stiffened(pp, pq, qq, determinant, c, s, weight)
        d0, d1 = compliance[n, 0], compliance[n, 1]
        wp, wq = d0 + d1, compliance[n, 2] + compliance[n, 3]
        scale = 1.0 / (1.0 + wp * pp + wq * qq + wp * wq * determinant)
        if edge < face_start[n + 1]:
            c, s, weight = face_cosine[edge], face_sine[edge], stiff_face[edge]
            on_p = (c * (1.0 + wq * qq) - s * wq * pq) * scale
            on_q = (s * (1.0 + wp * pp) - c * wp * pq) * scale
            share = 1.0 / (1.0 + weight * max(c * on_p * wp + s * on_q * wq, 0.0))
            stop[n, 0] = share * on_p
            stop[n, 1] = share * on_q
            stop_face[n] = edge
            pp, pq, qq, determinant = stiffened(pp, pq, qq, determinant, c, s, weight)
            scale = 1.0 / (1.0 + wp * pp + wq * qq + wp * wq * determinant)
        bend[n, 0] = (1.0 + wq * qq) * scale
        bend[n, 1] = -wp * pq * scale
        bend[n, 2] = -wq * pq * scale
        bend[n, 3] = (1.0 + wp * pp) * scale
        inner[n, 0] = bend[n, 0] * wp
        inner[n, 1] = bend[n, 1] * wq
        inner[n, 2] = bend[n, 3] * wq
        if j < batteries:
            loss = gain[t, j, 0] + gain[t, j, 1]
            moved = d1 * gain[t, j, 1] - d0 * gain[t, j, 0]
            lever[t, j, 0] = bend[n, 0] * moved
            lever[t, j, 1] = bend[n, 2] * moved
            held = (d0 * gain[t, j, 0] ** 2 + d1 * gain[t, j, 1] ** 2) * (1.0 + wq * qq)
            softness[t, j] = (held + (pp + wq * determinant) * d0 * d1 * loss * loss) * scale


@kernel
def block_forces(
    slope: FloatArray,
    push_low: FloatArray,
    push_high: FloatArray,
    push_face: FloatArray,
    face_start: IntArray,
    face_cosine: FloatArray,
    face_sine: FloatArray,
    compliance: FloatArray,
    bend: FloatArray,
    gain: FloatArray,
    force: FloatArray,
    free_power: FloatArray,
    free_energy: FloatArray,
) -> None:
    """Right side of every block, and what it would do if no coupling answered.

    Args:
        slope: gradient of the Lagrangian without the bounds' and sides' multipliers, shape (n, 4).
        push_low, push_high, push_face: product aimed at over distance, shapes (n, 4) and (sides,).
        face_start, face_cosine, face_sine, compliance, bend, gain: see :func:`factor_blocks`.
        force: out: shape (n, 4).
        free_power: out: change of p, and of q, shape (T, 2 J).
        free_energy: out: change of stored energy in the period, shape (T, B).
    """
    periods, batteries = free_energy.shape
    devices = len(slope) // periods
    for n in range(len(slope)):
        t, j = n // devices, n % devices
        fp = 0.0
        fq = 0.0
        for k in range(face_start[n], face_start[n + 1]):
            fp += face_cosine[k] * push_face[k]
            fq += face_sine[k] * push_face[k]
        b0 = push_low[n, 0] - push_high[n, 0] - slope[n, 0] + fp
        b1 = push_low[n, 1] - push_high[n, 1] - slope[n, 1] - fp
        b2 = push_low[n, 2] - push_high[n, 2] - slope[n, 2] - fq
        b3 = push_low[n, 3] - push_high[n, 3] - slope[n, 3] + fq
        force[n, 0], force[n, 1], force[n, 2], force[n, 3] = b0, b1, b2, b3
        c0, c1 = compliance[n, 0], compliance[n, 1]
        xp, xq = c1 * b1 - c0 * b0, compliance[n, 2] * b2 - compliance[n, 3] * b3
        dp = bend[n, 0] * xp + bend[n, 1] * xq
        free_power[t, j] = dp
        free_power[t, devices + j] = bend[n, 2] * xp + bend[n, 3] * xq
        if j < batteries and c0 + c1 > 0.0:
            # Both variables from their difference: subtracting the answer of G from b would cancel.
            scale = 1.0 / (c0 + c1)
            taken, given = c0 * (c1 * (b0 + b1) - dp) * scale, c1 * (c0 * (b0 + b1) + dp) * scale
            free_energy[t, j] = gain[t, j, 0] * taken + gain[t, j, 1] * given


@kernel
def block_moves(
    pull: FloatArray,
    energy_move: FloatArray,
    force: FloatArray,
    face_start: IntArray,
    face_cosine: FloatArray,
    face_sine: FloatArray,
    compliance: FloatArray,
    bend: FloatArray,
    stop: FloatArray,
    stop_face: IntArray,
    gain: FloatArray,
    move_low: FloatArray,
    move_high: FloatArray,
    move_face: FloatArray,
) -> None:
    """Moves of all blocks once the coupling is known.

    Args:
        pull: forces of rows and modes on p, and on q, shape (T, 2 J).
        energy_move: change of the energy multipliers, shape (T, B).
        force ... gain: see :func:`factor_blocks` and :func:`block_forces`.
        move_low, move_high, move_face: out: change of the distances to bounds and sides.
    """
    periods, batteries = energy_move.shape
    devices = len(force) // periods
    for n in range(len(force)):
        t, j = n // devices, n % devices
        b0, b1 = force[n, 0] + pull[t, j], force[n, 1] - pull[t, j]
        b2, b3 = force[n, 2] - pull[t, devices + j], force[n, 3] + pull[t, devices + j]
        if j < batteries:
            b0 += gain[t, j, 0] * energy_move[t, j]
            b1 += gain[t, j, 1] * energy_move[t, j]
        c0, c1, c2, c3 = compliance[n, 0], compliance[n, 1], compliance[n, 2], compliance[n, 3]
        xp, xq = c1 * b1 - c0 * b0, c2 * b2 - c3 * b3
        dp, dq = bend[n, 0] * xp + bend[n, 1] * xq, bend[n, 2] * xp + bend[n, 3] * xq
        if c0 + c1 > 0.0:
            scale = 1.0 / (c0 + c1)
            move_low[n, 0] = c0 * (c1 * (b0 + b1) - dp) * scale
            move_low[n, 1] = c1 * (c0 * (b0 + b1) + dp) * scale
        if c2 + c3 > 0.0:
            scale = 1.0 / (c2 + c3)
            move_low[n, 2] = c2 * (c3 * (b2 + b3) + dq) * scale
            move_low[n, 3] = c3 * (c2 * (b2 + b3) - dq) * scale
        for i in range(4):
            move_high[n, i] = -move_low[n, i]
        for k in range(face_start[n], face_start[n + 1]):
            move_face[k] = -face_cosine[k] * dp - face_sine[k] * dq
        if stop_face[n] >= 0:
            # Not from the move: where a device slides along a side that would be the difference of two
            # large numbers, times a large stiffness.
            move_face[stop_face[n]] = -stop[n, 0] * xp - stop[n, 1] * xq


@kernel
def block_slopes(
    cost: FloatArray,
    upper: FloatArray,
    low: FloatArray,
    high: FloatArray,
    face: FloatArray,
    pull: FloatArray,
    energy: FloatArray,
    gain: FloatArray,
    face_start: IntArray,
    face_cosine: FloatArray,
    face_sine: FloatArray,
    slope: FloatArray,
    residual: FloatArray,
) -> float:
    """Gradient of the Lagrangian, without and with the multipliers of bounds and sides.

    Args:
        cost, upper: shape (n, 4).
        low, high, face: multipliers of bounds and sides.
        pull: derivative in p, and in q, shape (T, 2 J).
        energy: multipliers of the balances, shape (T, B).
        gain and the faces: see :func:`factor_blocks`.
        slope, residual: out: without and with them, shape (n, 4), 0 where fixed.

    Returns:
        Sum of |residual| times range.
    """
    periods, batteries = energy.shape
    devices = len(cost) // periods
    total = 0.0
    for n in range(len(cost)):
        t, j = n // devices, n % devices
        slope[n, 0] = cost[n, 0] - pull[t, j]
        slope[n, 1] = cost[n, 1] + pull[t, j]
        slope[n, 2] = cost[n, 2] + pull[t, devices + j]
        slope[n, 3] = cost[n, 3] - pull[t, devices + j]
        if j < batteries:
            slope[n, 0] -= gain[t, j, 0] * energy[t, j]
            slope[n, 1] -= gain[t, j, 1] * energy[t, j]
        fp = 0.0
        fq = 0.0
        for k in range(face_start[n], face_start[n + 1]):
            fp += face_cosine[k] * face[k]
            fq += face_sine[k] * face[k]
        residual[n, 0] = slope[n, 0] - fp
        residual[n, 1] = slope[n, 1] + fp
        residual[n, 2] = slope[n, 2] + fq
        residual[n, 3] = slope[n, 3] - fq
        for i in range(4):
            if upper[n, i] > 0.0:
                residual[n, i] += high[n, i] - low[n, i]
                total += abs(residual[n, i]) * upper[n, i]
            else:
                slope[n, i] = 0.0
                residual[n, i] = 0.0
    return total
