"""What an area and its neighbours must agree on, as variables of the program of the area.

At each node of a boundary and in each period: the squared voltage, and the active and reactive power that
the area downstream draws. A formulation ties these variables to its own; a distributed planner adds squares
that pull them towards the values of the neighbours.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.opf.program import Squares

SQUARED_UNIT_PU2 = 0.01
"""Unit of squared voltages: keeps what they change by near one."""


class Coupling:
    """Variables at the boundaries of an area: those at its heads first, then those where it feeds others.

    Args:
        heads: nodes of the network that belong to the area upstream, shape (head,).
        feeding: nodes at which the area feeds others, shape (feeding node,).
        unit_kva: unit of the power at each of these nodes, shape (boundary node,).
        periods: of the plan.

    Attributes:
        squared: squared voltage above 1, in units of :data:`SQUARED_UNIT_PU2`, shape (boundary node,
            period).
        kw, kvar: power drawn by the area downstream, in ``unit_kva``, shape (boundary node, period).
        base_squared, base_kw, base_kvar: the same with all devices at rest, data.
        pull: the squares of the three variables; their weights are zero until somebody sets them.
    """

    def __init__(self, heads: IntArray, feeding: IntArray, unit_kva: FloatArray, periods: int) -> None:
        self.heads, self.feeding, self.unit_kva = heads, feeding, unit_kva
        shape = (len(heads) + len(feeding), periods)
        self.squared, self.kw, self.kvar = (cp.Variable(shape) for _ in range(3))
        self.base_squared, self.base_kw, self.base_kvar = (cp.Parameter(shape) for _ in range(3))
        self.pull = tuple(
            Squares(variable, np.zeros(shape), np.zeros(shape))
            for variable in (self.squared, self.kw, self.kvar)
        )

    @property
    def nodes(self) -> IntArray:
        """All boundary nodes, shape (boundary node,)."""
        return np.concatenate([self.heads, self.feeding])

    @property
    def at_heads(self) -> slice:
        """Places of the heads among the boundary nodes."""
        return slice(0, len(self.heads))

    @property
    def at_feeding(self) -> slice:
        """Places of the nodes at which the area feeds others."""
        return slice(len(self.heads), None)

    def fed(self) -> list[tuple[cp.Expression, cp.Expression]]:
        """Change of the power that comes from areas that this one feeds, kW and kvar; empty if none."""
        here = self.at_feeding
        if not len(self.feeding):
            return []
        unit = self.unit_kva[here][:, None]
        kw = cp.multiply(-unit, self.kw[here] - self.base_kw[here])
        return [(kw, cp.multiply(-unit, self.kvar[here] - self.base_kvar[here]))]

    def set_base(self, squared_pu: FloatArray, power_kva: ComplexArray) -> None:
        """Set the data of a program.

        Args:
            squared_pu: squared voltages with devices at rest, shape (boundary node, period).
            power_kva: power drawn downstream with devices at rest, shape (boundary node, period).
        """
        power = power_kva / self.unit_kva[:, None]
        self.base_squared.value = (squared_pu - 1.0) / SQUARED_UNIT_PU2
        self.base_kw.value, self.base_kvar.value = power.real, power.imag

    def values(self) -> FloatArray:
        """The three variables of the last solution, shape (3, boundary node, period)."""
        found = [np.asarray(item.value) for item in (self.squared, self.kw, self.kvar)]
        return np.stack(found)
