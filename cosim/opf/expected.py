"""What a planner's own model says the grid will do."""

from __future__ import annotations

from dataclasses import dataclass

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
