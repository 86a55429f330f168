"""The admittance matrix factored once for all tap and capacitor states.

Nodes whose admittances switch are eliminated last. A new state then changes nothing but the small
dense block at the end: its Schur complement is the one at the reading plus the change, and its
inverse is all that a state costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from cosim.errors import FeederError
from cosim.model.arrays import ComplexArray, FloatArray, IntArray, Matrix
from cosim.twin.kernels import Rows, solve_in_place

NO_PIVOTING = {"SymmetricMode": True}


@dataclass(frozen=True)
class Switching:
    """Tap and capacitor states of some periods, as a solve with the factors needs them.

    Attributes:
        inverse: of the border's Schur complement in each distinct state, ohm, shape
            (state, border, border).
        of_period: index of each period's state, shape (period,).
    """

    inverse: ComplexArray
    of_period: IntArray

    def at(self, period: IntArray) -> Switching:
        """The given periods, in the given order."""
        return Switching(self.inverse, self.of_period[period])


class BorderedFactor:
    """Factors of a complex symmetric matrix with a border of switching nodes.

    Args:
        matrix: at the state of the reading, siemens, shape (node, node).
        border: nodes that are eliminated last, shape (border,).

    Attributes:
        order: node of the engine at each place of the elimination, shape (node,); the border is last.

    Raises:
        FeederError: the matrix is not symmetric or is singular.
    """

    def __init__(self, matrix: Matrix, border: IntArray) -> None:
        if abs(matrix - matrix.T).max() > 1e-9 * abs(matrix).max():
            raise FeederError(
                "the admittance matrix is not symmetric (a controlled source?); "
                "planner tangent covers lines, transformers, reactors and capacitors"
            )
        size = matrix.shape[0]
        inner = np.setdiff1d(np.arange(size), border)
        self.order: IntArray = np.concatenate([inner[_elimination_order(matrix[inner][:, inner])], border])
        ordered = sp.csc_matrix(matrix[self.order][:, self.order])
        factors = _factor(ordered, "NATURAL")
        lower, upper = sp.csr_matrix(factors.L), sp.csr_matrix(factors.U)
        count = len(inner)
        self._pivot: ComplexArray = np.asarray(1.0 / upper.diagonal()[:count], dtype=np.complex128)
        self._schur: ComplexArray = lower[count:, count:].toarray() @ upper[count:, count:].toarray()
        self._lower = _rows(sp.tril(lower, -1), count)
        self._upper = _rows(sp.triu(upper[:count], 1), size)

    @property
    def border(self) -> int:
        """Number of switching nodes."""
        return len(self._schur)

    def inverse(self, change: ComplexArray) -> ComplexArray:
        """Inverse of the border's Schur complement, ohm, after a change of its admittance, siemens.

        Both have the shape (border, border).
        """
        return np.asarray(np.linalg.inv(self._schur + change), dtype=np.complex128)

    def solve(self, x: FloatArray, switching: Switching) -> None:
        """Solve in place; x in the order and layout of the kernels, a column per period."""
        solve_in_place(self._lower, self._upper, self._pivot, switching.inverse, switching.of_period, x)


def _elimination_order(matrix: Matrix) -> IntArray:
    """Order of little fill, by minimum degree."""
    return np.argsort(_factor(sp.csc_matrix(matrix), "MMD_AT_PLUS_A").perm_c)


def _factor(matrix: Matrix, order: str) -> Any:
    factored: Any = splu  # scipy's types do not know a matrix of unknown numbers
    try:
        return factored(matrix, permc_spec=order, diag_pivot_thresh=0.0, options=NO_PIVOTING)
    except RuntimeError as error:
        raise FeederError(
            f"the admittance matrix cannot be factored ({error}); a part of the feeder hangs in the air"
        ) from error


def _rows(matrix: Matrix, width: int) -> Rows:
    """A sparse matrix as arrays, entries in columns below ``width`` only."""
    rows = sp.csr_matrix(sp.csr_matrix(matrix)[:, :width])
    rows.sort_indices()
    return (
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int64),
        np.ascontiguousarray(rows.data.real),
        np.ascontiguousarray(rows.data.imag),
    )
