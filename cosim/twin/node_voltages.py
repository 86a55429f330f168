"""Voltages of some periods, and how the currents of loads and devices follow them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from cosim.twin.factor import Switching


@dataclass(frozen=True)
class NodeVoltages:
    """Voltages of some periods, in the order and layout of the kernels.

    Attributes:
        parts: real parts, then imaginary parts, volt, shape (node + 1, 2 period); the last row is ground.
        switching: tap and capacitor states of the periods.
        source_ratio: voltage of the source over what the master says, shape (period,).
        watt, var: consumption of every leg at rated voltage, devices behind the loads, shape (leg, period).
        converged: which periods have a solution, shape (period,).
        iterations: of the fixed point.
    """

    parts: FloatArray
    switching: Switching
    source_ratio: FloatArray
    watt: FloatArray
    var: FloatArray
    converged: BoolArray
    iterations: int

    @property
    def periods(self) -> int:
        """How many periods."""
        return len(self.switching.of_period)

    def moved(self, period: IntArray) -> NodeVoltages:
        """The given periods of these, in the given order."""
        parts = self.parts[:, np.concatenate([period, self.periods + period])]
        watt, var = self.watt[:, period], self.var[:, period]
        return NodeVoltages(
            parts,
            self.switching.at(period),
            self.source_ratio[period],
            watt,
            var,
            self.converged[period],
            self.iterations,
        )

    def complex(self, rows: IntArray) -> ComplexArray:
        """Complex voltages of some rows, shape (row, period)."""
        parts = self.parts[rows]
        return parts[:, : self.periods] + 1j * parts[:, self.periods :]


@dataclass(frozen=True)
class Slopes:
    """Slopes of the leg currents at a flow, shape (leg, period) each; see the kernels."""

    volts: NodeVoltages
    direct: ComplexArray
    conjugate: ComplexArray


def joined(columns: Sequence[NodeVoltages]) -> NodeVoltages:
    """Voltages of single periods side by side, as a start of a solve in other states.

    Args:
        columns: of one period each. The switching states of the first stand for all.
    """
    if len(columns) == 1:
        return columns[0]
    real = np.concatenate([one.parts[:, :1] for one in columns], axis=1)
    imaginary = np.concatenate([one.parts[:, 1:] for one in columns], axis=1)
    first = columns[0]
    return NodeVoltages(
        np.concatenate([real, imaginary], axis=1),
        first.switching.at(np.zeros(len(columns), dtype=np.int64)),
        np.concatenate([one.source_ratio for one in columns]),
        np.concatenate([one.watt for one in columns], axis=1),
        np.concatenate([one.var for one in columns], axis=1),
        np.concatenate([one.converged for one in columns]),
        first.iterations,
    )
