"""One iterate of the structured interior point: residuals, factors, directions, steps.

Every inequality is a pair of a distance and a multiplier; all pairs lie in one flat array, so that
targets, steps and products are the same for all of them. Only distances' moves need the structure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.opf.structured_qp import chain_kernels as chains
from cosim.opf.structured_qp import structured_kernels as kernels
from cosim.opf.structured_qp.complementarity import Pairs
from cosim.opf.structured_qp.coupling_factor import Chain, coupling_factor
from cosim.opf.structured_qp.reachable_energy import energy_before
from cosim.opf.structured_qp.scaled_program import FLOOR, ScaledProgram


@dataclass(frozen=True)
class Progress:
    """How far a direction goes.

    Attributes:
        primal, dual: one over the largest step.
        first, second, third: sums of y dx, x dy and dx dy over all pairs.
    """

    primal: float
    dual: float
    first: float
    second: float
    third: float


class InteriorPoint:
    """Iterate and factors.

    Args:
        scaled: the program.
    """

    def __init__(self, scaled: ScaledProgram) -> None:
        program = scaled.program
        T, B, J = program.period_count, program.energy_count, program.device_count
        n, N = T * J, len(scaled.coupling.matrix)
        self.scaled, self.pairs, self.tree = scaled, Pairs(scaled), program.tree
        branches = self.tree.branches
        self.z, self.stored, self.energy, self.end = (
            np.zeros((n, 4)),
            np.zeros((T, B)),
            np.zeros((T, B)),
            np.zeros((branches, B)),
        )
        self.peak = scaled.peak_floor
        self.stored_move, self.energy_move = np.zeros((T, B)), np.zeros((T, B))
        self.end_move, self.peak_move = np.zeros((branches, B)), 0.0
        self.power, self.loads, self.away = np.zeros((T, 2 * J)), np.zeros(N), np.zeros(N)
        self.slope, self.residual, self.force = np.zeros((n, 4)), np.zeros((n, 4)), np.zeros((n, 4))
        self.compliance, self.bend, self.inner = np.zeros((n, 4)), np.zeros((n, 4)), np.zeros((n, 3))
        self.stop, self.stop_face = np.zeros((n, 2)), np.full(n, -1)
        self.lever, self.softness = np.zeros((T, B, 2)), np.zeros((T, B))
        self.total, self.ahead, self.behind = (np.zeros((T, B)) for _ in range(3))
        self.free_power, self.free_energy, self.pull = (
            np.zeros((T, 2 * J)),
            np.zeros((T, B)),
            np.zeros((T, 2 * J)),
        )
        self.centre_loads = np.zeros(N)
        coupling = scaled.coupling
        self.coupled = coupling_factor(coupling, self.tree)
        chains.coupling_loads(coupling.matrix, coupling.first, scaled.centre, self.centre_loads)

    def measure(self) -> None:
        """Distances that follow from the variables; later they move along, or rounding would touch zero."""
        scaled, pairs, faces = self.scaled, self.pairs, self.scaled.faces
        pairs.x[pairs.low] = np.where(scaled.free, self.z, 1.0).ravel()
        pairs.x[pairs.high] = np.where(scaled.free, scaled.upper - self.z, 1.0).ravel()
        p, q = scaled.base - self.z[:, 0] + self.z[:, 1], self.z[:, 2] - self.z[:, 3]
        pairs.x[pairs.face] = faces.limit - faces.cosine * p[faces.block] - faces.sine * q[faces.block]
        pairs.x[pairs.stored_low] = np.where(scaled.stored_fixed, 1.0, self.stored - scaled.least).ravel()
        pairs.x[pairs.stored_high] = np.where(scaled.stored_fixed, 1.0, scaled.most - self.stored).ravel()

    def refresh(self) -> None:
        """Powers, and loads of rows and modes."""
        coupling, (T, J) = self.scaled.coupling, (len(self.power), self.power.shape[1] // 2)
        z = self.z.reshape(T, J, 4)
        self.power[:, :J] = self.scaled.base.reshape(T, J) - z[:, :, 0] + z[:, :, 1]
        self.power[:, J:] = z[:, :, 2] - z[:, :, 3]
        chains.coupling_loads(coupling.matrix, coupling.first, self.power, self.loads)
        self.away = self.loads - self.centre_loads

    def assess(self) -> None:
        """Residuals, products and objective at the present iterate."""
        scaled, pairs, coupling = self.scaled, self.pairs, self.scaled.coupling
        n = len(self.z)
        weights = np.empty(len(self.loads))
        weights[coupling.row] = pairs.y[pairs.row]
        weights[coupling.mode] = coupling.weight * self.away[coupling.mode]
        chains.coupling_pull(coupling.matrix, coupling.first, weights, self.pull)
        apart = self.power - scaled.centre
        curved = scaled.damping * apart
        dual = kernels.block_slopes(
            scaled.cost,
            scaled.upper,
            pairs.y[pairs.low].reshape(n, 4),
            pairs.y[pairs.high].reshape(n, 4),
            pairs.y[pairs.face],
            self.pull + scaled.gradient + curved,
            self.energy,
            scaled.gain,
            scaled.faces.start,
            scaled.faces.cosine,
            scaled.faces.sine,
            self.slope,
            self.residual,
        )
        dual += self._assess_balances() + self._assess_rows()
        self.product_sum = float(pairs.x @ pairs.y)
        self.mean_product = self.product_sum / max(pairs.count, 1)
        self.dual_residual = dual
        modes = self.away[coupling.mode]
        self.objective = float(
            (scaled.cost * self.z).sum()
            + (scaled.gradient * self.power).sum()
            + 0.5 * (curved * apart).sum()
            + 0.5 * (coupling.weight * modes * modes).sum()
            + coupling.price @ pairs.x[pairs.slack]
            + (scaled.end_slope * self.stored).sum()
            + scaled.peak_price * self.peak
        )
        if scaled.soft:
            apart = pairs.x[pairs.over] + pairs.x[pairs.under]
            self.objective += float(scaled.end_price.ravel() @ apart)

    def _assess_balances(self) -> float:
        """Residuals of balances and stored energies; sum of |gradient residual| times window."""
        scaled, pairs, energy = self.scaled, self.pairs, self.scaled.program.energy
        T, B = self.stored.shape
        z = self.z.reshape(T, len(self.z) // T, 4)[:, :B, :2]
        before = energy_before(scaled.program, self.stored)
        self.balance = self.stored - before - (scaled.gain * z).sum(axis=2) + energy.drain_kwh
        self.primal_residual = float((np.abs(self.balance) / scaled.capacity).max(initial=0.0))
        self.balance_cost = float(np.abs(self.energy * self.balance).sum())
        after = np.zeros((T, B))
        np.add.at(after, self.tree.previous[1:], self.energy[1:])
        self.stored_slope = self.energy - after + scaled.end_slope
        if scaled.soft:
            self.stored_slope[self.tree.last] += self.end
        window = (pairs.y[pairs.stored_high] - pairs.y[pairs.stored_low]).reshape(T, B)
        residual = np.where(scaled.stored_fixed, 0.0, self.stored_slope + window)
        return float((np.abs(residual) * (scaled.most - scaled.least)).sum())

    def _assess_rows(self) -> float:
        """Residuals of rows and peak; |gradient residual| of the peak times the peak."""
        scaled, pairs, coupling = self.scaled, self.pairs, self.scaled.coupling
        slack = np.where(coupling.of_peak, self.peak, pairs.x[pairs.slack])
        self.row_residual = self.loads[coupling.row] - slack + pairs.x[pairs.row] - coupling.limit
        if not scaled.peak_price:
            return 0.0
        self.peak_residual = scaled.peak_price - float(pairs.y[pairs.row][coupling.of_peak].sum())
        return abs(self.peak_residual - float(pairs.y[pairs.peak][0])) * max(abs(self.peak), 1.0)

    def factor(self) -> bool:
        """Factors of the Newton system; False: the dense matrix is not positive definite."""
        scaled, pairs, n = self.scaled, self.pairs, len(self.z)
        T, B = self.stored.shape
        self.inverse = 1.0 / pairs.x
        stiff = pairs.y * self.inverse
        J = n // T
        kernels.factor_blocks(
            stiff[pairs.low].reshape(n, 4),
            stiff[pairs.high].reshape(n, 4),
            stiff[pairs.face],
            scaled.upper,
            scaled.floor,
            scaled.damping[:, :J].ravel(),
            scaled.gain,
            scaled.faces.start,
            scaled.faces.cosine,
            scaled.faces.sine,
            self.compliance,
            self.bend,
            self.stop,
            self.stop_face,
            self.inner,
            self.lever,
            self.softness,
        )
        self.softness += FLOOR * scaled.capacity
        window = (stiff[pairs.stored_low] + stiff[pairs.stored_high]).reshape(T, B)
        window = np.where(scaled.stored_fixed, chains.STIFF, window)
        tree = self.tree
        end_stiff = np.zeros((tree.branches, B))
        if scaled.soft:
            self.over_ratio = 1.0 / stiff[pairs.over].reshape(end_stiff.shape)
            self.under_ratio = 1.0 / stiff[pairs.under].reshape(end_stiff.shape)
            end_stiff = 1.0 / (self.over_ratio + self.under_ratio)
        chains.chain_factor(
            *(window, self.softness, end_stiff, tree.previous, tree.last),
            *(self.total, self.ahead, self.behind),
        )
        return not len(self.loads) or self._factor_coupling(stiff)

    def _factor_coupling(self, stiff: FloatArray) -> bool:
        """Factor of the dense matrix over rows and modes; False: it is not positive definite."""
        scaled, pairs, coupling = self.scaled, self.pairs, self.scaled.coupling
        self.row_ratio = 1.0 / stiff[pairs.row]
        self.slack_ratio = np.where(
            coupling.of_peak, 0.0, 1.0 / np.where(coupling.of_peak, 1.0, stiff[pairs.slack])
        )
        diagonal = np.empty(len(self.loads))
        diagonal[coupling.row] = self.row_ratio + self.slack_ratio
        diagonal[coupling.mode] = 1.0 / coupling.weight
        chain = Chain(self.lever, self.softness, self.total, self.ahead, self.behind)
        definite = self.coupled.factor(self.inner, chain, diagonal)
        if definite and scaled.peak_price:
            self.border = np.zeros(len(diagonal))
            self.border[coupling.row] = coupling.of_peak
            self.bordered = self.coupled.solve(self.border)
            self.pivot = float(stiff[pairs.peak][0] + self.border @ self.bordered)
        return definite

    def direction(self) -> Progress:
        """Newton direction towards the targets of the pairs."""
        scaled, pairs, n = self.scaled, self.pairs, len(self.z)
        faces = scaled.faces
        push = pairs.target * self.inverse
        kernels.block_forces(
            self.slope,
            push[pairs.low].reshape(n, 4),
            push[pairs.high].reshape(n, 4),
            push[pairs.face],
            faces.start,
            faces.cosine,
            faces.sine,
            self.compliance,
            self.bend,
            scaled.gain,
            self.force,
            self.free_power,
            self.free_energy,
        )
        self._stored_moves(push)
        kernels.block_moves(
            self.pull,
            self.energy_move,
            self.force,
            faces.start,
            faces.cosine,
            faces.sine,
            self.compliance,
            self.bend,
            self.stop,
            self.stop_face,
            scaled.gain,
            pairs.move[pairs.low].reshape(n, 4),
            pairs.move[pairs.high].reshape(n, 4),
            pairs.move[pairs.face],
        )
        return Progress(
            *chains.pair_moves(pairs.x, pairs.y, pairs.target, pairs.move, pairs.y_move, pairs.known)
        )

    def _stored_moves(self, push: FloatArray) -> None:
        """Moves of energies, rows, modes and soft targets, and the forces of rows and modes."""
        scaled, pairs = self.scaled, self.pairs
        T, B = self.stored.shape
        window = (push[pairs.stored_low] - push[pairs.stored_high]).reshape(T, B)
        force = np.where(scaled.stored_fixed, 0.0, window - self.stored_slope)
        end_gap = np.zeros_like(self.end)
        if scaled.soft:
            end_gap = self._end_gap(push)
            force[self.tree.last] += end_gap / (self.over_ratio + self.under_ratio)
        inflow = self.free_energy - self.balance
        self._chain(force, inflow)
        if len(self.loads):
            self._coupled(push, force, inflow)
        else:
            self.pull[:] = 0.0
        self.stored_move[scaled.stored_fixed] = 0.0
        pairs.move[pairs.stored_low] = self.stored_move.ravel()
        pairs.move[pairs.stored_high] = -self.stored_move.ravel()
        if scaled.soft:
            self._end_moves(push, end_gap)

    def _chain(self, force: FloatArray, inflow: FloatArray) -> None:
        """Energies and their multipliers for these right sides."""
        chains.chain_solve(
            *(self.total, self.ahead, self.softness, self.tree.previous, force, inflow),
            *(self.energy_move, self.stored_move),
        )

    def _end_gap(self, push: FloatArray) -> FloatArray:
        """What the parts above and below a soft target want to move, less what they must."""
        target = self.scaled.program.energy.end_kwh
        over, under, push_over, push_under = self._of_ends(push)
        wish = self.over_ratio * push_over - over - self.under_ratio * push_under + under
        gap: FloatArray = wish - (self.stored[self.tree.last] - over + under - target)
        return gap

    def _of_ends(self, push: FloatArray) -> list[FloatArray]:
        """Distances and pushes of the soft targets, above and below, shape (branch, B) each."""
        kinds, shape = (self.pairs.over, self.pairs.under), self.end.shape
        return [values[kind].reshape(shape) for values in (self.pairs.x, push) for kind in kinds]

    def _end_moves(self, push: FloatArray, gap: FloatArray) -> None:
        """Moves of the pairs of soft targets."""
        pairs = self.pairs
        moved = self.stored_move[self.tree.last]
        self.end_move = (moved - gap) / (self.over_ratio + self.under_ratio)
        over, under, push_over, push_under = self._of_ends(push)
        pairs.move[pairs.over] = (self.over_ratio * (push_over + self.end_move) - over).ravel()
        pairs.move[pairs.under] = (self.under_ratio * (push_under - self.end_move) - under).ravel()
        pairs.y_move[pairs.over] = -self.end_move.ravel()
        pairs.y_move[pairs.under] = self.end_move.ravel()

    def _coupled(self, push: FloatArray, force: FloatArray, inflow: FloatArray) -> None:
        """Multipliers of rows and modes, moves of their pairs, and the chain that answers."""
        scaled, pairs, coupling = self.scaled, self.pairs, self.scaled.coupling
        B, J = self.stored.shape[1], self.power.shape[1] // 2
        power = self.free_power.copy()
        power[:, :B] += self.lever[:, :, 0] * self.energy_move
        power[:, J : J + B] += self.lever[:, :, 1] * self.energy_move
        right = np.empty(len(self.loads))
        chains.coupling_loads(coupling.matrix, coupling.first, power, right)
        row_wish = self.row_ratio * push[pairs.row] - pairs.x[pairs.row]
        slack_wish = self.slack_ratio * push[pairs.slack] - np.where(
            coupling.of_peak, 0.0, pairs.x[pairs.slack]
        )
        right[coupling.row] += self.row_residual - slack_wish + row_wish
        found = self.coupled.solve(right)
        if scaled.peak_price:
            wish = float(push[pairs.peak][0]) - self.peak_residual
            self.peak_move = (wish + float(self.border @ found)) / self.pivot
            found -= self.bordered * self.peak_move
        rows = found[coupling.row]
        chains.coupling_pull(coupling.matrix, coupling.first, found, self.pull)
        answer = self.lever[:, :, 0] * self.pull[:, :B] + self.lever[:, :, 1] * self.pull[:, J : J + B]
        self._chain(force, inflow - answer)
        pairs.move[pairs.row] = row_wish - self.row_ratio * rows
        pairs.move[pairs.slack] = slack_wish + self.slack_ratio * rows
        pairs.y_move[pairs.row] = rows
        pairs.y_move[pairs.slack] = np.where(coupling.of_peak, 0.0, -rows)
        if scaled.peak_price:
            pairs.move[pairs.peak] = self.peak_move
            y, inverse = pairs.y[pairs.peak], self.inverse[pairs.peak]
            pairs.y_move[pairs.peak] = push[pairs.peak] - y - y * inverse * self.peak_move

    def keep(self) -> None:
        """Keeps a copy of the present direction."""
        pairs = self.pairs
        self.kept = (
            pairs.move.copy(),
            pairs.y_move.copy(),
            self.stored_move.copy(),
            self.energy_move.copy(),
        )
        self.kept_ends = (self.end_move, self.peak_move)

    def back(self) -> None:
        """Returns to the direction that was kept."""
        pairs = self.pairs
        pairs.move, pairs.y_move, self.stored_move, self.energy_move = self.kept
        self.end_move, self.peak_move = self.kept_ends

    def advance(self, step: float) -> None:
        """Takes this step along the present direction."""
        pairs = self.pairs
        self.z += step * pairs.move[pairs.low].reshape(self.z.shape)
        self.stored += step * self.stored_move
        self.peak += step * self.peak_move
        self.energy += step * self.energy_move
        self.end = self.end + step * self.end_move
        pairs.x += step * pairs.move
        pairs.y += step * pairs.y_move
