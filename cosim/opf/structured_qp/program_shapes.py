"""What the arrays of a step program must be like: shapes and smallest values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cosim.model.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from cosim.opf.structured_qp.step_program import StepProgram


def expected_shapes(
    program: StepProgram,
) -> Sequence[tuple[str, FloatArray | IntArray | BoolArray, tuple[int, ...]]]:
    """Name, array and shape of everything in a program."""
    T, B, K, R = program.period_count, program.energy_count, program.source_count, program.row_count
    J, modes = B + K, len(program.tangent.mode_p)
    own = {
        "energy": (
            (T, B),
            {
                "rating_kva",
                "charge_efficiency",
                "discharge_efficiency",
                "start_kwh",
                "end_kwh",
                "end_price",
            },
            (B,),
        ),
        "sources": ((T, K), {"rating_kva", "polygon"}, (K,)),
        "tangent": ((T, J), {"mode_p", "mode_q"}, (modes, J)),
        "rows": ((R,), {"p", "q"}, (R, J)),
    }
    found: list[tuple[str, FloatArray | IntArray | BoolArray, tuple[int, ...]]] = [
        ("hours", program.hours, (T,))
    ]
    for part, (usual, special, shape) in own.items():
        for name, values in vars(getattr(program, part)).items():
            if name != "end":
                expected = shape if name in special else usual
                expected = (T,) if name == "mode_weight" else expected
                if name == "end_price" and np.ndim(values) > 1:
                    expected = (program.tree.branches, B)
                found.append((f"{part}.{name}", values, expected))
    return found


def least_values(program: StepProgram) -> Sequence[tuple[str, float]]:
    """Name and smallest value of everything that must not be negative."""
    energy, sources, tangent = program.energy, program.sources, program.tangent
    arrays = {
        "charge_max_kw": energy.charge_max_kw,
        "discharge_max_kw": energy.discharge_max_kw,
        "reactive_max_kvar of devices with energy": energy.reactive_max_kvar,
        "absorb_max_kvar of devices with energy": energy.absorb_max_kvar,
        "available_kw": sources.available_kw,
        "curtail_max_kw": sources.curtail_max_kw,
        "reactive_max_kvar of sources": sources.reactive_max_kvar,
        "absorb_max_kvar of sources": sources.absorb_max_kvar,
        "damping": tangent.damping,
        "mode_weight": tangent.mode_weight,
        "price of rows": program.rows.price[~program.rows.of_peak],
    }
    if energy.end == "soft":
        arrays["end_price"] = energy.end_price
    return [(name, float(values.min(initial=0.0))) for name, values in arrays.items()]
