"""Unbalance of the voltages at buses with three phases.

Source: IEC 61000-4-30:2015, clause 5.7: the negative-sequence ratio is the negative over the positive
sequence voltage (symmetrical components: Fortescue, AIEE Transactions 37(2), 1918).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosim.model.arrays import ComplexArray, IntArray

TURN = np.exp(2j * np.pi / 3.0)
PHASES = ("1", "2", "3")
LEAST_V = 1e-3
"""Positive sequence of a bus that counts as having voltage."""


def three_phase_buses(nodes: Sequence[str]) -> IntArray:
    """Places of the phases 1, 2 and 3 of every bus that has them, shape (bus, 3).

    Args:
        nodes: names ``bus.node``.
    """
    place = {name: at for at, name in enumerate(nodes)}
    buses = dict.fromkeys(name.rpartition(".")[0] for name in nodes)
    rows = [[place.get(f"{bus}.{phase}", -1) for phase in PHASES] for bus in buses]
    return np.array([row for row in rows if min(row) >= 0], dtype=np.int64).reshape(-1, 3)


def highest_unbalance_percent(voltages: ComplexArray, buses: IntArray) -> float:
    """Highest negative-sequence ratio of some buses in percent; 0 without any, dead buses left out.

    Args:
        voltages: of all nodes to ground, shape (node,).
        buses: see :func:`three_phase_buses`.
    """
    first, second, third = voltages[buses].T
    positive = np.abs(first + TURN * second + TURN**2 * third) / 3.0
    negative = np.abs(first + TURN**2 * second + TURN * third) / 3.0
    live = positive > LEAST_V
    return float(100.0 * np.max(negative[live] / positive[live], initial=0.0))
