"""Functionals of the voltages: what an adjoint is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray, IntArray


@dataclass(frozen=True)
class AdjointSeeds:
    """Functionals of the voltages, ``df = Re(w dV)``, as sparse columns.

    Attributes:
        row, column: place of each weight: node row and functional.
        value: the weights.
        period: of each functional, shape (functional,).
    """

    row: IntArray
    column: IntArray
    value: ComplexArray
    period: IntArray

    @classmethod
    def dense(cls, rows: IntArray, values: ComplexArray, period: IntArray) -> AdjointSeeds:
        """Functionals over the same few rows; values of shape (row, functional)."""
        count = values.shape[1]
        return cls(np.repeat(rows, count), np.tile(np.arange(count), len(rows)), values.ravel(), period)

    def scaled(self, factor: FloatArray) -> AdjointSeeds:
        """These, each functional times a factor, shape (functional,)."""
        return replace(self, value=self.value * factor[self.column])

    def joined(self, more: AdjointSeeds) -> AdjointSeeds:
        """The sums of these functionals and others of the same periods."""
        return AdjointSeeds(
            np.concatenate([self.row, more.row]),
            np.concatenate([self.column, more.column]),
            np.concatenate([self.value, more.value]),
            self.period,
        )

    def block(self, first: int, last: int, size: int) -> FloatArray:
        """Columns ``first .. last - 1`` in the kernels' layout."""
        here = (self.column >= first) & (self.column < last)
        block = np.zeros((size, last - first), dtype=np.complex128)
        np.add.at(block, (self.row[here], self.column[here] - first), self.value[here])
        block[-1] = 0.0
        return as_parts(block)


def as_parts(values: ComplexArray) -> FloatArray:
    """Complex columns in the kernels' layout: real parts, then imaginary parts."""
    return np.concatenate([values.real, values.imag], axis=1)
