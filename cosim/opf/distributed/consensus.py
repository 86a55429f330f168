"""Agreement of two areas at their boundary, by the alternating direction method of multipliers (ADMM).

Both areas hold a copy ``x`` of the boundary values. With the copies of a round, both calculate the same

    x' = a x + (1 - a) z                   over-relaxation
    z  = (x'_1 + x'_2) / 2                 agreed value
    y  = y + r (x' - z)                    multiplier of each area; those of the two areas add up to zero

and the next copies minimise the cost of each area plus ``y (x - z) + r / 2 (x - z)²``.

Source: after Boyd, Parikh, Chu, Peleato and Eckstein, 2011, "Distributed optimization and statistical
learning via the alternating direction method of multipliers", doi 10.1561/2200000016: chapter 7 (consensus)
and sections 3.4 (over-relaxation, penalty that balances the residuals) and 3.3 (stopping).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.model.arrays import FloatArray, IntArray

SQUARED, KW, KVAR = range(3)
"""Kinds of boundary values between areas."""


@dataclass(frozen=True)
class Balance:
    """How the penalty follows the residuals.

    Attributes:
        ratio: of the residuals, from which the penalty changes.
        factor: by which it changes.
        most: largest product of all changes, and its inverse the smallest.
    """

    ratio: float = 4.0
    factor: float = 1.8
    most: float = 1e5


class Consensus:
    """Agreed values, multipliers and penalties at one boundary, as one of the two areas keeps them.

    All of it is calculated from what both areas know, and in the same order, so that agreed values and
    penalties are the same in both to the last bit.

    Args:
        shape: (kind, row, column) of the values. Kinds have a scale and a penalty each. Between areas they
            are those of :class:`cosim.opf.formulations.coupling.Coupling` by node and period.
        relaxation: 1 is none, up to 2.
        balance: of the penalties.

    Attributes:
        agreed: z, of that shape.
        multiplier: y, of that shape, currency per unit.
        penalty: r, shape (kind, 1, 1), currency per unit squared.
        primal: largest difference of the copies, shape (kind,).
        dual: largest change of the agreed value times penalty, as a part of what a unit costs, shape
            (kind,).
    """

    def __init__(self, shape: tuple[int, int, int], *, relaxation: float, balance: Balance) -> None:
        self.agreed, self.multiplier = np.zeros(shape), np.zeros(shape)
        self.penalty = np.ones((shape[0], 1, 1))
        self._start = self._scale = self.penalty
        self._base, self._started = self.multiplier, False
        self._taken: tuple[FloatArray, FloatArray] | None = None
        self._relaxation, self._balance = relaxation, balance
        self.primal = self.dual = np.full(shape[0], np.inf)

    def start(
        self, agreed: FloatArray, multiplier: FloatArray, *, scale: FloatArray, penalty: float
    ) -> None:
        """Begin with values that both areas know.

        Args:
            agreed, multiplier: of the shape of all values.
            scale: what a unit of each kind costs about, currency per unit, shape (kind,).
            penalty: first penalty, as a part of the scale.
        """
        self.agreed, self.multiplier, self._scale = agreed, multiplier, scale[:, None, None]
        self._base, self._started = multiplier, True
        self.penalty = self._start = penalty * self._scale
        self._forget_copies()

    @property
    def started(self) -> bool:
        """Whether there was a plan before."""
        return self._started

    def shift(self, periods: IntArray, multiplier: FloatArray) -> None:
        """Begin a later plan with the values of the one before.

        Args:
            periods: period of the earlier plan in which each period begins, shape (period,).
            multiplier: what a first plan would begin with now; how far multipliers have moved from what
                they began with is kept.
        """
        self.agreed = self.agreed[:, :, periods]
        self.multiplier = (self.multiplier - self._base)[:, :, periods] + multiplier
        self._base = multiplier
        self._forget_copies()

    def _forget_copies(self) -> None:
        """Nothing was exchanged in this plan yet."""
        self._taken = None
        self.primal = self.dual = np.full(len(self.penalty), np.inf)

    def state(self) -> dict[str, Any]:
        """All that later plans depend on; see :class:`cosim.model.roles.Resumable`."""
        return {
            "agreed": self.agreed,
            "multiplier": self.multiplier,
            "penalty": self.penalty,
            "start": self._start,
            "scale": self._scale,
            "base": self._base,
            "started": self._started,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        self.agreed, self.multiplier, self.penalty = state["agreed"], state["multiplier"], state["penalty"]
        self._start, self._scale = state["start"], state["scale"]
        self._base, self._started = state["base"], state["started"]

    @property
    def center(self) -> FloatArray:
        """Where the squares of the next copies are centred: ``z - y / r``."""
        return np.asarray(self.agreed - self.multiplier / self.penalty)

    @property
    def weight(self) -> FloatArray:
        """Weight of the squares, ``r / 2``."""
        return np.asarray(np.broadcast_to(self.penalty / 2.0, self.agreed.shape))

    def meet(self, agreed: FloatArray, multiplier: FloatArray, penalty: FloatArray) -> None:
        """Meet the other area half way, where messages got lost and the two know different values.

        Without loss nothing changes: agreed values are equal and multipliers add up to zero.

        Args:
            agreed, multiplier, penalty: of the other area.
        """
        self.agreed = (self.agreed + agreed) / 2.0
        self.multiplier = (self.multiplier - multiplier) / 2.0
        self.penalty = np.maximum(self.penalty, penalty)

    def update(self, own: FloatArray, other: FloatArray) -> bool:
        """Take the copies of a round; nothing changes if neither area has planned again.

        Args:
            own, other: copies of this area and of its neighbour, of the shape of the agreed values.

        Returns:
            Whether anything has changed.
        """
        if self._taken is not None and all(map(np.array_equal, self._taken, (own, other))):
            return False
        self._taken = own, other
        before, a = self.agreed, self._relaxation
        mine, theirs = a * own + (1.0 - a) * before, a * other + (1.0 - a) * before
        self.agreed = (mine + theirs) / 2.0
        self.multiplier = self.multiplier + self.penalty * (mine - self.agreed)
        # In units of what each kind costs, so that the currency does not matter.
        moved = self.penalty / self._scale * np.abs(self.agreed - before)
        self.primal = np.abs(own - other).max(axis=(1, 2))
        self.dual = moved.max(axis=(1, 2))
        self._adapt(own - other, moved)
        return True

    def _adapt(self, apart: FloatArray, moved: FloatArray) -> None:
        """Balance the residuals of each kind: a larger penalty where copies differ, a smaller one else."""
        # Where a limit is far from being kept, its multiplier has a long way to go.
        far = np.maximum(np.abs(self.multiplier - self._base) / self._scale, 1.0).max(axis=(1, 2))
        penalty = balanced(self.penalty, apart, moved / far[:, None, None], self._balance)
        most = self._balance.most
        self.penalty = np.clip(penalty, self._start / most, self._start * most)


def balanced(penalty: FloatArray, apart: FloatArray, moved: FloatArray, balance: Balance) -> FloatArray:
    """Penalties that balance the residuals of each kind.

    Args:
        penalty: so far, shape (kind, 1, 1).
        apart, moved: primal and dual residuals, shape (kind, row, column).
        balance: how penalties follow.
    """
    changed = penalty.copy()
    for kind in range(len(penalty)):
        primal, dual = float(np.linalg.norm(apart[kind])), float(np.linalg.norm(moved[kind]))
        if primal > balance.ratio * dual:
            changed[kind] *= balance.factor
        elif dual > balance.ratio * primal:
            changed[kind] /= balance.factor
    return changed
