"""Coordinates for a tree that has none."""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import FloatArray, IntArray
from cosim.networks.balanced import Places


def tree_layout(from_bus: IntArray, length: FloatArray | None = None) -> Places:
    """A layered drawing: the substation at the left, laterals spread over the rows of their ends.

    Every dead end gets a row of its own, and a bus stands half-way between the first and the last
    row behind it, so no two branches cross. Linear in the number of buses.

    Args:
        from_bus: start of each branch in outward order, shape (branch,).
        length: of each branch, for the distance to the right; 1 each if None.

    Returns:
        Coordinates of all buses, shape (branch + 1,).
    """
    parent = from_bus.tolist()
    size = len(parent) + 1
    step = np.ones(size - 1) if length is None else length
    x = np.zeros(size)
    ends = np.zeros(size, dtype=np.int64)
    for bus in range(size - 1, 0, -1):
        ends[bus] = max(ends[bus], 1)
        ends[parent[bus - 1]] += ends[bus]
    first = np.zeros(size, dtype=np.int64)
    taken = np.zeros(size, dtype=np.int64)
    for bus in range(1, size):
        start = parent[bus - 1]
        x[bus] = x[start] + step[bus - 1]
        first[bus] = first[start] + taken[start]
        taken[start] += ends[bus]
    return Places(x, first + (ends - 1) / 2)
