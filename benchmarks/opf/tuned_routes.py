"""Two solvers that keep a linear program between solves: HiGHS its basis, PIQP its factors' structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import highspy
import numpy as np
import piqp
import scipy.sparse as sp

from benchmarks.opf.tuned_program import LinearProgram
from cosim.model.arrays import FloatArray

Changes = list[tuple[int, int, float]]


@dataclass(frozen=True)
class Answer:
    """Of a linear program.

    Attributes:
        optimal: whether the solver says so.
        status: its word.
        z: the point.
        objective: its cost.
        iterations: of the solver.
    """

    optimal: bool
    status: str
    z: FloatArray
    objective: float
    iterations: int


class LinearRoute(Protocol):
    """A solver that keeps the program."""

    def solve(self, program: LinearProgram, changed: Changes) -> Answer:
        """Solve the program as it is now.

        Args:
            program: costs and bounds may be new, rows and columns only added since the last solve.
            changed: entries of the matrix that are new.
        """
        ...


class HighsRoute:
    """Dual simplex from the last basis."""

    def __init__(self) -> None:
        # HiGHS refuses another number of threads than the first solve of the process had.
        highspy.Highs.resetGlobalScheduler(True)
        self._highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]  # its stubs are incomplete
        self._highs.setOptionValue("output_flag", False)
        self._highs.setOptionValue("threads", 1)
        self._highs.setOptionValue("solver", "simplex")
        self._columns = self._rows = 0

    def solve(self, program: LinearProgram, changed: Changes) -> Answer:
        """See :class:`LinearRoute`."""
        highs = self._highs
        self._add(program)
        for row, column, value in changed:
            highs.changeCoeff(row, column, value)
        columns = np.arange(self._columns, dtype=np.int32)
        rows = np.arange(self._rows, dtype=np.int32)
        highs.changeColsCost(len(columns), columns, program.cost)
        highs.changeColsBounds(len(columns), columns, program.lower, program.upper)
        highs.changeRowsBounds(len(rows), rows, program.row_lower, program.row_upper)
        highs.run()
        status = highs.modelStatusToString(highs.getModelStatus())
        info = highs.getInfo()
        z = np.asarray(highs.getSolution().col_value, dtype=np.float64)
        return Answer(
            status == "Optimal",
            status,
            z,
            float(info.objective_function_value),
            info.simplex_iteration_count,
        )

    def _add(self, program: LinearProgram) -> None:
        """Columns and rows that the solver does not have yet."""
        rows, columns = program.matrix.shape
        new = columns - self._columns
        if new:
            none = np.zeros(0)
            at = slice(self._columns, columns)
            starts, index = np.zeros(new, dtype=np.int32), np.zeros(0, dtype=np.int32)
            self._highs.addCols(
                new, program.cost[at], program.lower[at], program.upper[at], 0, starts, index, none
            )
        fresh = program.matrix[self._rows :]
        if fresh.shape[0]:
            self._highs.addRows(
                fresh.shape[0],
                program.row_lower[self._rows :],
                program.row_upper[self._rows :],
                fresh.nnz,
                fresh.indptr[:-1].astype(np.int32),
                fresh.indices.astype(np.int32),
                fresh.data,
            )
        self._rows, self._columns = rows, columns


class PiqpRoute:
    """Interior point; the set-up is repeated only where rows were added.

    Args:
        equalities: rows at the top of the program that are equations.
    """

    def __init__(self, equalities: int) -> None:
        self._equalities = equalities
        self._shape = (0, 0)
        self._solver: piqp.SparseSolver | None = None

    def solve(self, program: LinearProgram, changed: Changes) -> Answer:
        """See :class:`LinearRoute`."""
        top = self._equalities
        data = {
            "c": program.cost,
            "b": program.row_lower[:top],
            "h_l": program.row_lower[top:],
            "h_u": program.row_upper[top:],
            "x_l": program.lower,
            "x_u": program.upper,
        }
        if self._solver is None or program.matrix.shape != self._shape:
            self._shape = program.matrix.shape
            self._solver = piqp.SparseSolver()
            self._solver.settings.eps_abs = self._solver.settings.eps_rel = 1e-9
            self._solver.settings.eps_duality_gap_abs = self._solver.settings.eps_duality_gap_rel = 1e-9
            width = self._shape[1]
            matrices = {"A": program.matrix[:top].tocsc(), "G": program.matrix[top:].tocsc()}
            self._solver.setup(P=sp.csc_matrix((width, width)), **matrices, **data)
        elif changed:
            self._solver.update(A=program.matrix[:top].tocsc(), **data)
        else:
            self._solver.update(**data)
        status = self._solver.solve()
        info = self._solver.result.info
        z = np.asarray(self._solver.result.x)
        optimal = status == piqp.PIQP_SOLVED
        return Answer(optimal, str(status), z, float(program.cost @ z), int(info.iter))
