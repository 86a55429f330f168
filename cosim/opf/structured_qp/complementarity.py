"""All inequalities of a program as pairs of a distance and a multiplier, in flat arrays."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cosim.opf.structured_qp.scaled_program import ScaledProgram


class Pairs:
    """Distances and multipliers of all inequalities, with their moves and the products aimed at.

    The kinds stand one after the other: lower and upper bounds of the blocks, sides of the polygons,
    lower and upper windows of the energies, then those whose multipliers' moves the coupling gives:
    soft targets from above and below, rows, slacks, peak. A place that is not used has distance 1 and
    multiplier 0.

    Args:
        scaled: the program.
    """

    def __init__(self, scaled: ScaledProgram) -> None:
        n, stored, rows = scaled.upper.size, scaled.least.size, len(scaled.coupling.limit)
        ends = scaled.end_price.size if scaled.soft else 0
        sizes = [
            n,
            n,
            len(scaled.faces.limit),
            stored,
            stored,
            ends,
            ends,
            rows,
            rows,
            int(scaled.peak_price > 0.0),
        ]
        edges = np.concatenate([[0], np.cumsum(sizes)])
        self.kinds = [slice(int(a), int(b)) for a, b in pairwise(edges)]
        self.low, self.high, self.face, self.stored_low, self.stored_high = self.kinds[:5]
        self.over, self.under, self.row, self.slack, self.peak = self.kinds[5:]
        self.known = self.over.start
        size = int(edges[-1])
        self.x, self.y = np.ones(size), np.zeros(size)
        self.move, self.y_move, self.target = np.zeros(size), np.zeros(size), np.zeros(size)
        self.used = np.ones(size)
        self.used[self.low] = self.used[self.high] = scaled.free.ravel()
        self.used[self.stored_low] = self.used[self.stored_high] = ~scaled.stored_fixed.ravel()
        self.used[self.slack] = ~scaled.coupling.of_peak
        self.count = int(self.used.sum())
