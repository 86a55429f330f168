"""What a planner's own model says the grid will do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cosim.model.arrays import ComplexArray, FloatArray


@dataclass(frozen=True)
class Expected:
    """What a formulation's own model says the grid will do under a plan.

    Attributes:
        import_kva: complex power drawn from the source, shape (period,).
        losses_kw: shape (period,).
        voltage_pu: shape (node, period).
    """

    import_kva: ComplexArray
    losses_kw: FloatArray
    voltage_pu: FloatArray


@runtime_checkable
class ExpectingPlanner(Protocol):
    """A planner that says what it expects of the grid.

    Attributes:
        expected: of its last plan; None before the first.
        relaxation_gap: of its last plan, the loss that each relaxed branch invents, kVA; None if nothing is
            relaxed.
    """

    expected: Expected | None
    relaxation_gap: FloatArray | None
