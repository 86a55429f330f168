"""Factors of the matrix over coupling rows and modes: one dense block, or one for each scenario.

Rows of different branches are coupled only through the energies at the end of the first period. With
these held, the matrix is block diagonal; that they move adds the low-rank part ``V k V'``, one column of V
for each battery. So S branches cost S dense factors and one small system, not one factor of S times the
size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import lu_factor, lu_solve
from scipy.linalg.lapack import dpotrf, dpotrs

from cosim.model.arrays import FloatArray
from cosim.model.scenario_tree import ScenarioTree
from cosim.opf.structured_qp import chain_kernels as chains
from cosim.opf.structured_qp.scaled_program import Coupling


@dataclass(frozen=True)
class Chain:
    """Factors of the energy balances, see ``chain_factor``; T periods or nodes, B batteries.

    Attributes:
        lever: see ``factor_blocks``, shape (T, B, 2).
        softness, total, ahead, behind: shape (T, B).
    """

    lever: FloatArray
    softness: FloatArray
    total: FloatArray
    ahead: FloatArray
    behind: FloatArray

    def of(self, nodes: slice) -> Chain:
        """Those of some nodes that follow each other."""
        parts = (self.lever, self.softness, self.total, self.ahead, self.behind)
        return Chain(*(part[nodes] for part in parts))


class CouplingFactor(Protocol):
    """A symmetric positive definite matrix over all rows and modes, factored."""

    def factor(self, inner: FloatArray, chain: Chain, diagonal: FloatArray) -> bool:
        """Factor the matrix; False: it is not positive definite.

        Args:
            inner: of the blocks, see ``factor_blocks``.
            chain: factors of the energy balances.
            diagonal: added to the matrix, shape (N,).
        """
        ...

    def solve(self, right: FloatArray) -> FloatArray:
        """Solution for a right side of shape (N,)."""
        ...


def coupling_factor(coupling: Coupling, tree: ScenarioTree) -> CouplingFactor:
    """What suits the scenarios of a program."""
    return DenseFactor(coupling) if tree.branches == 1 else BranchedFactor(coupling, tree)


class DenseFactor:
    """One Cholesky factor over all rows and modes.

    Args:
        coupling: the rows.
        nodes: which nodes' rows; all by default.
    """

    def __init__(self, coupling: Coupling, nodes: slice | None = None) -> None:
        nodes = nodes or slice(0, len(coupling.first) - 1)
        first = coupling.first[nodes.start : nodes.stop + 1]
        self.rows = slice(int(first[0]), int(first[-1]))
        self.first, self._nodes = first - first[0], nodes
        self.coupling = coupling.matrix[self.rows]
        self._matrix = np.zeros((len(self.coupling), len(self.coupling)))

    def factor(self, inner: FloatArray, chain: Chain, diagonal: FloatArray) -> bool:
        """See :class:`CouplingFactor`."""
        matrix, own = self._matrix, chain.of(self._nodes)
        if not len(matrix):
            return True
        devices = self.coupling.shape[1] // 2
        blocks = slice(self._nodes.start * devices, self._nodes.stop * devices)
        chains.coupling_matrix(
            *(self.coupling, self.first, inner[blocks], own.lever, own.total, own.ahead, own.behind), matrix
        )
        matrix.flat[:: len(matrix) + 1] += diagonal[self.rows]
        # The transpose of a row-major array is what LAPACK wants, so nothing is copied.
        self._triangle, info = dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
        return bool(info == 0)

    def solve(self, right: FloatArray) -> FloatArray:
        """See :class:`CouplingFactor`; right sides may also be columns, shape (N, column)."""
        if not len(right):
            return right
        solution: FloatArray = dpotrs(self._triangle, right, lower=0)[0]
        return solution


class BranchedFactor:
    """One factor for each branch, and a small system for the first period.

    With s the energies at the end of the first period and x the multipliers of the rows::

        first period   M_0 x_0 - L_0 c w      = r_0        w = sum_s V_s' x_s
        branch s       M_s x_s + V_s a        = r_s        a = k w - c L_0' x_0

    M_s is the matrix of the branch with s held, L_0 the levers of the first period's rows on s, V_s the
    levers of the branch's rows times the stiffness that passes from s to them; c = 1 / (1 + total soft) and
    k = soft c, by battery.

    Source: block elimination (Schur complement) of a bordered block-diagonal system, Nocedal and Wright,
    *Numerical Optimization*, 2nd ed., 2006, app. A.1; its use for two-stage programs, Zavala, Laird and
    Biegler, *Interior-point decomposition approaches for parallel solution of large-scale nonlinear
    parameter estimation problems*, Chemical Engineering Science 63(19), 2008 (after the abstract).

    Args:
        coupling: the rows, sorted by node.
        tree: which branch each node is of.
    """

    def __init__(self, coupling: Coupling, tree: ScenarioTree) -> None:
        self._root = DenseFactor(coupling, slice(0, 1))
        self._nodes = [slice(int(path[1]), int(path[-1]) + 1) for path in tree.paths]
        self._branches = [DenseFactor(coupling, nodes) for nodes in self._nodes]

    def factor(self, inner: FloatArray, chain: Chain, diagonal: FloatArray) -> bool:
        """See :class:`CouplingFactor`."""
        if not all(branch.factor(inner, chain, diagonal) for branch in self._branches):
            return False
        own = chain.of(slice(0, 1))
        batteries = own.total.shape[1]
        self._pass_on = []
        together = np.zeros((batteries, batteries))
        for nodes, branch in zip(self._nodes, self._branches, strict=True):
            levers = np.zeros((len(branch.coupling), batteries))
            there = chain.of(nodes)
            chains.levers_on_start(
                *(branch.coupling, branch.first, there.lever, there.total, there.ahead), levers
            )
            answer = branch.solve(levers)
            self._pass_on.append((levers, answer))
            together += levers.T @ answer
        softness = chain.softness[0]
        self._share = 1.0 / (1.0 + own.total[0] * softness)
        self._give = softness * self._share
        return self._factor_first(inner, own, diagonal, together)

    def _factor_first(
        self, inner: FloatArray, own: Chain, diagonal: FloatArray, together: FloatArray
    ) -> bool:
        """The system of the first period's rows and of a; False: it is singular."""
        root, batteries, devices = self._root, len(together), self._root.coupling.shape[1] // 2
        rows, count = root.coupling, len(root.coupling)
        lever = rows[:, :batteries] * own.lever[0, :, 0]
        lever = lever + rows[:, devices : devices + batteries] * own.lever[0, :, 1]
        matrix = np.zeros((count, count))
        chains.coupling_matrix(
            *(rows, root.first, inner[:devices], own.lever, own.total, own.ahead, own.behind), matrix
        )
        matrix.flat[:: count + 1] += diagonal[root.rows]
        whole = np.zeros((count + batteries, count + batteries))
        whole[:count, :count] = matrix
        self._through = lever * self._share
        whole[:count, count:] = self._through @ together
        whole[count:, :count] = self._through.T
        whole[count:, count:] = np.eye(batteries) + self._give[:, None] * together
        if not np.isfinite(whole).all():
            return False
        self._small = lu_factor(whole, check_finite=False)
        return bool((np.diag(self._small[0]) != 0.0).all())

    def solve(self, right: FloatArray) -> FloatArray:
        """See :class:`CouplingFactor`."""
        found, root = np.empty_like(right), self._root
        gathered = np.zeros(len(self._give))
        for branch, (levers, _) in zip(self._branches, self._pass_on, strict=True):
            found[branch.rows] = branch.solve(right[branch.rows])
            gathered += levers.T @ found[branch.rows]
        first = np.concatenate([right[root.rows] + self._through @ gathered, self._give * gathered])
        solved = lu_solve(self._small, first, check_finite=False)
        count = len(root.coupling)
        found[root.rows] = solved[:count]
        for branch, (_, answer) in zip(self._branches, self._pass_on, strict=True):
            found[branch.rows] -= answer @ solved[count:]
        return found
