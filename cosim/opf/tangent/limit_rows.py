"""Rows of one bound in the quadratic program of a tangent step."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from cosim.model.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Rows:
    """Rows of one bound that are in the program.

    Attributes:
        place, period: of each row, shape (row,).
        p, q: slope of the quantity per kW and kvar of each device, shape (row, device).
        fresh: whether the slope is that of the present flow, nearly, shape (row,).
        multiplier: of the last program, currency per unit of the quantity, shape (row,); 0 for a new row.
    """

    place: IntArray
    period: IntArray
    p: FloatArray
    q: FloatArray
    fresh: BoolArray
    multiplier: FloatArray

    @classmethod
    def none(cls, devices: int) -> Rows:
        """No rows yet."""
        index, slope = np.zeros(0, dtype=np.int64), np.zeros((0, devices))
        return cls(index, index, slope, slope, np.zeros(0, dtype=bool), np.zeros(0))

    def __len__(self) -> int:
        return len(self.place)

    def only(self, keep: IntArray | BoolArray) -> Rows:
        """Some of the rows."""
        return Rows(*(getattr(self, part.name)[keep] for part in fields(self)))

    def joined(self, more: Rows) -> Rows:
        """These and more."""
        pairs = [(getattr(self, part.name), getattr(more, part.name)) for part in fields(self)]
        return Rows(*(np.concatenate(pair) for pair in pairs))
