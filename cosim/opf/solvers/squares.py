"""Squares of a program at the door of a solver that minimises ``x' P x / 2 + q' x``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from cosim.model.arrays import FloatArray
from cosim.opf.program import Squares


def with_squares(
    linear: FloatArray, squares: Sequence[Squares], columns: Mapping[int, int]
) -> tuple[FloatArray, Any]:
    """Linear part and matrix of the objective with the squares.

    Args:
        linear: of the affine program, shape (column,).
        squares: of the program.
        columns: first column of each variable of cvxpy, by its id.

    Returns:
        Linear part of shape (column,), and P as a sparse array.
    """
    joined, diagonal = linear.copy(), np.zeros(linear.size)
    for part in squares:
        at = columns[part.variable.id]
        here = slice(at, at + part.variable.size)
        joined[here] += part.slope()
        diagonal[here] += 2.0 * part.curvature()
    return joined, sp.csc_array(sp.diags_array(diagonal))
