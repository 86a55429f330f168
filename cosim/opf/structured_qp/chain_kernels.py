"""Inner loops over energy balances, coupling rows and complementarity pairs, compiled."""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import FloatArray, IntArray
from cosim.twin.compiled import kernel

STIFF = 1e30
"""Stiffness that stands for a fixed energy."""


@kernel
def chain_factor(
    stiff: FloatArray,
    softness: FloatArray,
    end_stiff: FloatArray,
    previous: IntArray,
    last: IntArray,
    total: FloatArray,
    ahead: FloatArray,
    behind: FloatArray,
) -> None:
    """Riccati recursions over the energy balances, backwards and forwards.

    Args:
        stiff: curvature of the stored energies, shape (T, B).
        softness: see ``factor_blocks``.
        end_stiff: added at the end of each branch, shape (branch, B).
        previous, last: of the scenario tree; without scenarios, the period before and the last period.
        total: out: stiffness of s_t with all that follows, shape (T, B).
        ahead: out: stiffness of the energy before s_t from s_t and all that follows, shape (T, B).
        behind: out: compliance of s_t from all that came before, shape (T, B). Where the tree branches, the
            energy before the branches counts as held.
    """
    periods, batteries = stiff.shape
    follows = np.zeros((periods, batteries))
    for s in range(len(last)):
        for b in range(batteries):
            follows[last[s], b] = end_stiff[s, b]
    for t in range(periods - 1, -1, -1):
        for b in range(batteries):
            total[t, b] = min(follows[t, b] + stiff[t, b], STIFF)
            ahead[t, b] = total[t, b] / (1.0 + total[t, b] * softness[t, b])
            if previous[t] >= 0:
                follows[previous[t], b] += ahead[t, b]
    for t in range(periods):
        before = previous[t]
        held = before < 0 or (before == 0 and len(last) > 1)
        for b in range(batteries):
            behind[t, b] = softness[t, b]
            if not held:
                behind[t, b] += behind[before, b] / (1.0 + stiff[before, b] * behind[before, b])


@kernel
def chain_solve(
    total: FloatArray,
    ahead: FloatArray,
    softness: FloatArray,
    previous: IntArray,
    force: FloatArray,
    inflow: FloatArray,
    energy_move: FloatArray,
    stored_move: FloatArray,
) -> None:
    """Moves of energies and their multipliers.

    Solves  ds_t - ds_(t-1) - softness_t dy_t = inflow_t,  stiff_t ds_t + dy_t - dy_(t+1) = force_t,
    t + 1 being all nodes that follow t.

    Args:
        total, ahead, softness: factors.
        previous: of the scenario tree.
        force, inflow: right sides, shape (T, B).
        energy_move, stored_move: out: dy and ds, shape (T, B).
    """
    periods, batteries = force.shape
    following = np.zeros((periods, batteries))
    for t in range(periods - 1, -1, -1):
        for b in range(batteries):
            offset = force[t, b] - total[t, b] * inflow[t, b] + following[t, b]
            energy_move[t, b] = offset / (1.0 + total[t, b] * softness[t, b])
            if previous[t] >= 0:
                following[previous[t], b] += energy_move[t, b]
    for t in range(periods):
        for b in range(batteries):
            before = stored_move[previous[t], b] if previous[t] >= 0 else 0.0
            # Divided by the stiffness of what follows: near a window the balance alone would cancel.
            pushed = force[t, b] + following[t, b]
            free = before + inflow[t, b] + softness[t, b] * pushed
            stored_move[t, b] = free / (1.0 + total[t, b] * softness[t, b])
            energy_move[t, b] -= ahead[t, b] * before


@kernel
def carry_over(carried: FloatArray, ahead: FloatArray, total: FloatArray) -> None:
    """Scales the rows of earlier periods by the chain's ratio into the next period, in place.

    Args:
        carried: shape (rows, B).
        ahead, total: of the next and of the last period, shape (B,).
    """
    ratio = np.zeros(len(total))
    for b in range(len(total)):
        if total[b] > 0.0:
            ratio[b] = ahead[b] / total[b]
    for r in range(len(carried)):
        for b in range(len(total)):
            carried[r, b] *= ratio[b]


@kernel
def own_coupling(t: int, rows: FloatArray, inner: FloatArray) -> FloatArray:
    """What the blocks of one period alone give to the rows of this period, shape (rows, rows).

    Args:
        t: period.
        rows: shape (rows, 2 J).
        inner: see ``factor_blocks``.
    """
    devices = rows.shape[1] // 2
    bent = np.empty_like(rows)
    for r in range(len(rows)):
        for j in range(devices):
            n = t * devices + j
            ap, aq = rows[r, j], rows[r, devices + j]
            bent[r, j] = ap * inner[n, 0] + aq * inner[n, 1]
            bent[r, devices + j] = ap * inner[n, 1] + aq * inner[n, 2]
    own: FloatArray = np.dot(rows, bent.T)
    return own


@kernel
def coupling_matrix(
    coupling: FloatArray,
    first: IntArray,
    inner: FloatArray,
    lever: FloatArray,
    total: FloatArray,
    ahead: FloatArray,
    behind: FloatArray,
    matrix: FloatArray,
) -> None:
    """Schur complement of all coupling rows, lower triangle by periods.

    The inverse of the chain is semiseparable: from one period to the next every battery's column is
    multiplied by one ratio, so the rows of all earlier periods are scaled in place and one product of
    matrices per period gives their entries.

    Args:
        coupling: rows on p and q side by side, sorted by period, shape (N, 2 J).
        first: first row of each period, shape (T + 1,).
        inner, lever, total, ahead, behind: factors.
        matrix: out: shape (N, N); only the rows of later periods against earlier ones are written.
    """
    periods, batteries = total.shape
    devices = coupling.shape[1] // 2
    carried = np.empty((coupling.shape[0], batteries))
    for t in range(periods):
        start, stop = first[t], first[t + 1]
        if t > 0:
            carry_over(carried[:start], ahead[t], total[t - 1])
        if stop == start:
            continue
        matrix[start:stop, :stop] = 0.0
        matrix[start:stop, start:stop] = own_coupling(t, coupling[start:stop], inner)
        if batteries > 0:
            rows = coupling[start:stop]
            levered = np.empty((stop - start, batteries))
            for r in range(stop - start):
                for b in range(batteries):
                    levered[r, b] = rows[r, b] * lever[t, b, 0] + rows[r, devices + b] * lever[t, b, 1]
                    stiff = total[t, b] / (1.0 + total[t, b] * behind[t, b])
                    carried[start + r, b] = levered[r, b] * stiff
            matrix[start:stop, :stop] -= np.dot(levered, carried[:stop].T)


@kernel
def levers_on_start(
    coupling: FloatArray,
    first: IntArray,
    lever: FloatArray,
    total: FloatArray,
    ahead: FloatArray,
    levers: FloatArray,
) -> None:
    """What every row of a branch feels of the energies before it.

    Args:
        coupling, first, lever, total, ahead: see :func:`coupling_matrix`, of the branch alone.
        levers: out: load of each row per energy, shape (N, B).
    """
    periods, batteries = total.shape
    devices = coupling.shape[1] // 2
    passed = ahead[0].copy()
    for t in range(periods):
        if t > 0:
            for b in range(batteries):
                passed[b] *= ahead[t, b] / total[t - 1, b] if total[t - 1, b] > 0.0 else 0.0
        for r in range(first[t], first[t + 1]):
            for b in range(batteries):
                own = coupling[r, b] * lever[t, b, 0] + coupling[r, devices + b] * lever[t, b, 1]
                levers[r, b] = own * passed[b]


@kernel
def coupling_loads(coupling: FloatArray, first: IntArray, power: FloatArray, loads: FloatArray) -> None:
    """Every coupling row times the powers of its period, into ``loads`` of shape (N,)."""
    for t in range(len(first) - 1):
        if first[t + 1] > first[t]:
            loads[first[t] : first[t + 1]] = np.dot(coupling[first[t] : first[t + 1]], power[t])


@kernel
def coupling_pull(coupling: FloatArray, first: IntArray, weights: FloatArray, pull: FloatArray) -> None:
    """Sum of the coupling rows of each period with these weights, into ``pull`` of shape (T, 2 J)."""
    for t in range(len(first) - 1):
        if first[t + 1] > first[t]:
            pull[t] = np.dot(weights[first[t] : first[t + 1]], coupling[first[t] : first[t + 1]])
        else:
            pull[t] = 0.0


@kernel
def pair_moves(
    distance: FloatArray,
    multiplier: FloatArray,
    target: FloatArray,
    move: FloatArray,
    multiplier_move: FloatArray,
    known: int,
) -> tuple[float, float, float, float, float]:
    """Moves of the multipliers that follow from those of the distances, and how far one may go.

    Args:
        distance, multiplier, target, move: of all pairs, shape (pairs,).
        multiplier_move: out; from ``known`` on it is given.
        known: first pair whose multiplier's move is given.

    Returns:
        One over the largest primal and dual step, and the sums multiplier x move of distance, distance x
        move of multiplier, and product of the moves.
    """
    primal, dual = 0.0, 0.0
    first, second, third = 0.0, 0.0, 0.0
    for i in range(len(distance)):
        x, y, dx = distance[i], multiplier[i], move[i]
        if i < known:
            multiplier_move[i] = (target[i] - y * dx) / x - y
        dy = multiplier_move[i]
        if -dx > primal * x:
            primal = -dx / x
        if -dy > dual * y:
            dual = -dy / y
        first += y * dx
        second += x * dy
        third += dx * dy
    return primal, dual, first, second, third


@kernel
def centred_targets(
    distance: FloatArray,
    multiplier: FloatArray,
    move: FloatArray,
    multiplier_move: FloatArray,
    step: float,
    low: float,
    high: float,
    used: FloatArray,
    target: FloatArray,
) -> None:
    """Adds to the targets what brings the products of a trial point into a range (Gondzio's corrector).

    Args:
        distance, multiplier, move, multiplier_move: of all pairs, shape (pairs,).
        step: to the trial point.
        low, high: range of the products.
        used: 1 for pairs that exist, 0 for others.
        target: in and out.
    """
    for i in range(len(distance)):
        if used[i] == 0.0:
            continue
        product = (distance[i] + step * move[i]) * (multiplier[i] + step * multiplier_move[i])
        if product < low:
            target[i] += low - product
        elif product > high:
            target[i] -= min(product - high, high)
