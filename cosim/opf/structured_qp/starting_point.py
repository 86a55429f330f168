"""Where the structured interior point starts: strictly inside, with balanced products.

Energies follow a path that every battery can keep, powers follow the path, and the multipliers of the
bounds take up the gradient, so that hardly any residual is left and no product is far from the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray, IntArray
from cosim.opf.structured_qp.device_blocks import DeviceBlocks
from cosim.opf.structured_qp.interior_point import InteriorPoint
from cosim.opf.structured_qp.reachable_energy import energy_before, energy_steps
from cosim.opf.structured_qp.step_program import StepProgram

INNER = 0.9
"""Part of the possible change of energy that the path uses."""
MARGIN = 0.15
"""Part of the reachable window that the path keeps away from either end."""
SMALLEST_PRODUCT = 1e-9
START_PRODUCT = 10.0
"""First products, in units of the mean gradient times distance: large ones keep the first steps long."""
WARM_PRODUCT = 3.0
"""The same from an earlier answer."""
WARM_SHARE = 0.9
"""Part of the earlier answer in a warm start; the rest keeps it inside."""


@dataclass(frozen=True)
class Warm:
    """What an answer leaves for the next solve.

    Attributes:
        z: shape (n, 4).
        stored: shape (T, B) in kWh.
        energy, end: multipliers in currency per kWh, shapes (T, B) and (branch, B).
    """

    z: FloatArray
    stored: FloatArray
    energy: FloatArray
    end: FloatArray

    def moved(self, period: IntArray) -> Warm:
        """For a horizon whose periods are the given ones of this one's."""
        T = len(self.stored)
        z = self.z.reshape(T, -1, 4)[period].reshape(-1, 4)
        return Warm(z, self.stored[period], self.energy[period], self.end)


def inner_path(
    program: StepProgram, blocks: DeviceBlocks, least: FloatArray, most: FloatArray
) -> FloatArray:
    """Energies inside the windows that lead evenly to the target, shape (T, B) in kWh.

    Args:
        program, blocks: the program.
        least, most: windows, the target included, shape (T, B).
    """
    tree = program.tree
    T = tree.periods if program.period_count else 0
    low, high = energy_steps(program, blocks)
    drain, start = program.energy.drain_kwh, program.energy.start_kwh[None]
    low, high = INNER * np.minimum(low, 0.0) + np.maximum(low, 0.0) - drain, INNER * high - drain
    lower, upper = least.copy(), most.copy()
    for period in range(T - 1, 0, -1):
        t, earlier = tree.at(period), tree.at(period - 1)
        needed, allowed = lower[t] - high[t], upper[t] - low[t]
        if len(earlier) < len(t):
            needed, allowed = needed.max(axis=0, keepdims=True), allowed.min(axis=0, keepdims=True)
        lower[earlier] = np.maximum(lower[earlier], needed)
        upper[earlier] = np.minimum(upper[earlier], allowed)
    path = np.empty_like(least)
    before, end = start, tree.last[:1] if T else tree.last[:0]
    for period in range(T):
        t = tree.at(period)
        a, b = np.maximum(before + low[t], lower[t]), np.minimum(before + high[t], upper[t])
        room = MARGIN * np.maximum(b - a, 0.0)
        margin = 0.2 * (most[end] - least[end])
        goal = np.clip(start, least[end] + margin, most[end] - margin)
        wish = before + (goal - before) / (T - period)
        inside = np.where(a <= b, np.clip(wish, a + room, np.maximum(b - room, a + room)), 0.5 * (a + b))
        width = most[t] - least[t]
        path[t] = np.clip(inside, least[t] + 1e-3 * width, most[t] - 1e-3 * width)
        before = path[t]
    return path


def inner_powers(program: StepProgram, blocks: DeviceBlocks, stored: FloatArray) -> FloatArray:
    """Variables strictly inside bounds and polygons that follow the energies, shape (T, J, 4)."""
    energy, B = program.energy, program.energy_count
    upper, rating = blocks.upper, blocks.rating_kva
    z = 0.25 * np.minimum(upper, rating[None, :, None])
    z[:, :, :2] = 0.0
    before = energy_before(program, stored)
    needed = stored - before + energy.drain_kwh
    top = np.minimum(upper[:, :B, :2], rating[None, :B, None])
    # A little of both, so that neither starts at its bound.
    least = 0.15 * top
    missing = needed - (blocks.gain * least).sum(axis=2)
    charge = least[:, :, 0] + np.maximum(missing, 0.0) / blocks.gain[:, :, 0]
    discharge = least[:, :, 1] + np.minimum(missing, 0.0) / blocks.gain[:, :, 1]
    z[:, :B, 0] = np.clip(charge, 0.02 * top[:, :, 0], 0.98 * top[:, :, 0])
    z[:, :B, 1] = np.clip(discharge, 0.02 * top[:, :, 1], 0.98 * top[:, :, 1])
    p_least = blocks.p_least_kw[:, B:]
    p_most = np.where(
        blocks.polygon[B:], np.minimum(blocks.base_kw[:, B:], rating[B:]), blocks.base_kw[:, B:]
    )
    z[:, B:, 0] = blocks.base_kw[:, B:] - (0.4 * p_least + 0.6 * p_most)
    inside: FloatArray = np.where(upper > 0.0, z, 0.0)
    return inside


def start(point: InteriorPoint, blocks: DeviceBlocks, warm: Warm | None = None) -> bool:
    """Fills the iterate; False: a polygon has no interior."""
    scaled, pairs = point.scaled, point.pairs
    point.stored = inner_path(scaled.program, blocks, scaled.least, scaled.most)
    point.stored = np.where(scaled.stored_fixed, 0.5 * (scaled.least + scaled.most), point.stored)
    point.z = inner_powers(scaled.program, blocks, point.stored).reshape(-1, 4)
    _start_energy_prices(point)
    first_product = START_PRODUCT
    if warm is not None and warm.z.shape == point.z.shape and warm.stored.shape == point.stored.shape:
        _blend(point, warm)
        first_product = WARM_PRODUCT
    point.measure()
    point.refresh()
    if not (pairs.x > 0.0).all():
        return False
    mean = (
        1e-2 * float(np.abs(scaled.gradient).mean()) * float(scaled.upper.mean())
        if scaled.upper.size
        else 0.0
    )
    # The rows' multipliers need the mean product and the mean product needs the gradient with the rows.
    for _ in range(3):
        mean = max(mean, SMALLEST_PRODUCT)
        pairs.y[:] = 0.0
        pairs.y[pairs.face] = mean / pairs.x[pairs.face]
        _start_ends(point, mean)
        _start_rows(point, mean)
        point.assess()
        slope, free = point.residual, scaled.free
        pulled = np.abs(slope) * np.minimum(point.z, scaled.upper - point.z)
        used = mean
        mean = first_product * float(pulled[free].mean()) if free.any() else 0.0
    # Equal parts for both bounds and windows, and the gradient to one of them, leave no residual.
    range_ = np.where(scaled.free, scaled.upper, 1.0)
    for kind, sign in ((pairs.low, 1.0), (pairs.high, -1.0)):
        share = 2.0 * used / range_ + np.maximum(sign * slope, 0.0)
        pairs.y[kind] = np.where(scaled.free, share, 0.0).ravel()
    width = np.where(scaled.stored_fixed, 1.0, scaled.most - scaled.least)
    for kind, sign in ((pairs.stored_low, 1.0), (pairs.stored_high, -1.0)):
        share = 2.0 * used / width + np.maximum(sign * point.stored_slope, 0.0)
        pairs.y[kind] = np.where(scaled.stored_fixed, 0.0, share).ravel()
    return True


def _start_energy_prices(point: InteriorPoint) -> None:
    """Multipliers of the balances: stored energy is worth its average price, or what its end says."""
    scaled, program = point.scaled, point.scaled.program
    B = program.energy_count
    # Costs of the branches add up to those of the first period, which sees them all.
    tree = program.tree
    price = -(scaled.gradient[:, :B] / program.hours[:, None]).sum(axis=0) / tree.periods
    if program.energy.end == "free":
        price = np.zeros(B)
    elif program.energy.end == "value":
        price = program.end_price.sum(axis=0) / scaled.unit
    share = np.full((tree.branches, 1), 1.0 / tree.branches) * price
    if program.energy.end == "soft":
        share = np.clip(share, -0.7 * scaled.end_price, 0.7 * scaled.end_price)
        point.end = -share
    point.energy[tree.paths] = share[:, None, :]
    if program.period_count:
        point.energy[0] = share.sum(axis=0)


def _blend(point: InteriorPoint, warm: Warm) -> None:
    """Moves the start most of the way to an earlier answer; windows and bounds are convex."""
    scaled = point.scaled
    earlier = np.clip(warm.z, 0.0, scaled.upper)
    middle = point.z
    point.z = WARM_SHARE * earlier + (1.0 - WARM_SHARE) * middle
    # Under another sun the earlier answer may lie outside a polygon; such blocks start in the middle.
    point.measure()
    outside = scaled.faces.block[point.pairs.x[point.pairs.face] <= 0.0]
    point.z[outside] = middle[outside]
    stored = np.clip(warm.stored, scaled.least, scaled.most)
    point.stored = WARM_SHARE * stored + (1.0 - WARM_SHARE) * point.stored
    point.energy = warm.energy / scaled.unit
    if scaled.soft:
        point.end = np.clip(warm.end / scaled.unit, -0.9 * scaled.end_price, 0.9 * scaled.end_price)


def _start_ends(point: InteriorPoint, mean: float) -> None:
    """Pairs of soft targets."""
    scaled, pairs = point.scaled, point.pairs
    if not scaled.soft:
        return
    apart = point.stored[scaled.program.tree.last] - scaled.program.energy.end_kwh
    spare = mean / scaled.end_price
    pairs.x[pairs.over], pairs.x[pairs.under] = (
        (spare + np.maximum(apart, 0.0)).ravel(),
        (spare + np.maximum(-apart, 0.0)).ravel(),
    )
    pairs.y[pairs.over] = (scaled.end_price - point.end).ravel()
    pairs.y[pairs.under] = (scaled.end_price + point.end).ravel()


def _start_rows(point: InteriorPoint, mean: float) -> None:
    """Pairs of the rows, each exactly on its central path: y w = slack (price - y) = mean."""
    scaled, pairs, coupling = point.scaled, point.pairs, point.scaled.coupling
    price, of_peak = coupling.price, coupling.of_peak
    room = coupling.limit - point.loads[coupling.row]
    # y and price - y solve the same quadratic with the sign of the room changed.
    root = np.sqrt((room * price) ** 2 + 4.0 * mean**2)
    small = 2.0 * mean * price / (np.abs(room) * price + 2.0 * mean + root)
    y = np.where(room > 0.0, small, price - small)
    rest = np.where(room > 0.0, price - small, small)
    if scaled.peak_price:
        count = max(int(of_peak.sum()), 1)
        needed = float(np.max(-room[of_peak], initial=scaled.peak_floor))
        point.peak = needed + 2.0 * count * mean / scaled.peak_price
        pairs.x[pairs.peak] = point.peak - scaled.peak_floor
        pairs.y[pairs.peak] = mean / pairs.x[pairs.peak]
        y = np.where(of_peak, mean / np.where(of_peak, room + point.peak, 1.0), y)
    pairs.y[pairs.row] = y
    pairs.x[pairs.row] = mean / y
    pairs.y[pairs.slack] = np.where(of_peak, 0.0, rest)
    pairs.x[pairs.slack] = np.where(of_peak, 1.0, mean / np.where(of_peak, 1.0, rest))
