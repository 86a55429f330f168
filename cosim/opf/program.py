"""What blocks contribute to a program, kept apart by kind so that each solver gets it in its own way.

Everything affine is written in cvxpy with parameters. Squares, cones and binaries are lists of
variables: cvxpy (1.9.3) stores the linear part of a quadratic objective, and second-order cones of
a parametrised program, as dense variables x parameters matrices (4 GiB for IEEE 123 and 24 periods,
hundreds for 8500 nodes), and no modelling layer hands an exact product to a nonlinear solver.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import cvxpy as cp
import numpy as np

from cosim.model.arrays import FloatArray

Factor = Any
"""A cvxpy variable (cvxpy ships no usable types) or an array of constants."""


@dataclass(frozen=True)
class RotatedCones:
    """``p² + q² <= first · second``, element by element.

    Attributes:
        p, q: variables of one shape.
        first, second: non-negative variables of that shape, or constants (a radius twice is a disc).
        tight: equality is meant. Convex solvers answer the relaxation, nonlinear ones the equality.
    """

    p: cp.Variable
    q: cp.Variable
    first: Factor
    second: Factor
    tight: bool = False

    @property
    def size(self) -> int:
        """How many cones."""
        return int(self.p.size)

    def relaxed(self) -> cp.Constraint:
        """The cones for a modelling layer: ``|(2p, 2q, first - second)| <= first + second``."""
        first, second = _flat(self.first), _flat(self.second)
        rows = cp.vstack([2 * _flat(self.p), 2 * _flat(self.q), first - second])
        return cp.SOC(first + second, rows, axis=0)

    def gap(self) -> FloatArray:
        """``first · second - p² - q²`` of the present values; negative is a violation."""
        square = np.asarray(self.p.value) ** 2 + np.asarray(self.q.value) ** 2
        return np.asarray(values_of(self.first) * values_of(self.second) - square)


@dataclass
class Squares:
    """``share · sum(weight · (variable - center)²)`` in the cost.

    Attributes:
        variable: of any shape.
        weight: non-negative, of that shape; may change between solves.
        center: of that shape; may change between solves.
        share: what all of it counts, e.g. the probability of a scenario.
    """

    variable: cp.Variable
    weight: FloatArray
    center: FloatArray
    share: float = 1.0

    @property
    def counted(self) -> FloatArray:
        """Weights with the share."""
        return self.share * self.weight

    def value(self) -> float:
        """Cost at the present value."""
        return float(np.sum(self.counted * (np.asarray(self.variable.value) - self.center) ** 2))

    def constant(self) -> float:
        """Constant part when multiplied out."""
        return float(np.sum(self.counted * self.center**2))

    def curvature(self) -> FloatArray:
        """Weights, flat in the order of columns."""
        return self.counted.ravel(order="F")

    def slope(self) -> FloatArray:
        """Linear part when multiplied out, flat in the order of columns."""
        return np.asarray(-2.0 * (self.counted * self.center).ravel(order="F"))


class Block(Protocol):
    """A part of a program: devices, network or terms."""

    @property
    def cost(self) -> cp.Expression | float:
        """Linear or piecewise-linear cost."""
        ...

    @property
    def constraints(self) -> list[cp.Constraint]:
        """Affine constraints."""
        ...

    @property
    def squares(self) -> list[Squares]:
        """Weighted squares in the cost."""
        ...

    @property
    def cones(self) -> list[RotatedCones]:
        """Second-order cones."""
        ...

    @property
    def binaries(self) -> list[cp.Variable]:
        """Variables that must be 0 or 1."""
        ...


class EmptyBlock:
    """A block that contributes nothing yet."""

    def __init__(self) -> None:
        self.cost: cp.Expression | float = 0.0
        self.constraints: list[cp.Constraint] = []
        self.squares: list[Squares] = []
        self.cones: list[RotatedCones] = []
        self.binaries: list[cp.Variable] = []


@dataclass(frozen=True)
class Program:
    """All blocks together."""

    cost: cp.Expression
    constraints: list[cp.Constraint]
    squares: list[Squares]
    cones: list[RotatedCones]
    binaries: list[cp.Variable]

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> Program:
        """Gather blocks."""
        parts = list(blocks)
        return cls(
            sum((part.cost for part in parts), cp.Constant(0.0)),
            [item for part in parts for item in part.constraints],
            [item for part in parts for item in part.squares],
            [item for part in parts for item in part.cones],
            [item for part in parts for item in part.binaries],
        )

    @property
    def tight(self) -> bool:
        """Whether a cone is meant as an equality."""
        return any(cone.tight for cone in self.cones)


def values_of(factor: Factor) -> FloatArray:
    """Values of a variable or a constant."""
    return np.asarray(factor if isinstance(factor, np.ndarray) else factor.value, dtype=np.float64)


def _flat(factor: Factor) -> cp.Expression:
    if isinstance(factor, np.ndarray):
        return cp.Constant(factor.ravel(order="F"))
    return cp.vec(factor, order="F")
