"""The same four variables for every device and period, so that one loop serves all.

Slot 0 takes power from the network side (charge, or curtailed), slot 1 gives (discharge), slots 2 and 3
are reactive power up and down: p = base - z0 + z1, q = z2 - z3, 0 <= z <= upper. A PV system has no slot 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import BoolArray, FloatArray
from cosim.opf.structured_qp.step_program import StepProgram

NEGLIGIBLE = 1e-9
"""Bounds below this part of a rating fix the variable at zero: it would have no interior."""


@dataclass(frozen=True)
class DeviceBlocks:
    """Every device and period in the form above.

    Attributes:
        upper: shape (T, J, 4), 0 where fixed.
        cost: currency per unit, shape (T, J, 4).
        base_kw: power when all variables are 0, shape (T, J).
        rating_kva: shape (J,).
        polygon: whether the polygon holds, shape (J,).
        gain: energy stored per kW of slots 0 and 1, in kWh, shape (T, B, 2).
    """

    upper: FloatArray
    cost: FloatArray
    base_kw: FloatArray
    rating_kva: FloatArray
    polygon: BoolArray
    gain: FloatArray

    @property
    def p_least_kw(self) -> FloatArray:
        """Least power of the box, shape (T, J)."""
        return self.base_kw - self.upper[:, :, 0]

    @property
    def p_most_kw(self) -> FloatArray:
        """Largest power of the box, shape (T, J)."""
        return self.base_kw + self.upper[:, :, 1]


def device_blocks(program: StepProgram) -> DeviceBlocks:
    """Blocks of a program."""
    energy, sources = program.energy, program.sources
    T, B, J = program.period_count, program.energy_count, program.device_count
    upper, cost = np.zeros((T, J, 4)), np.zeros((T, J, 4))
    upper[:, :B, 0], upper[:, :B, 1] = energy.charge_max_kw, energy.discharge_max_kw
    upper[:, :B, 2], upper[:, :B, 3] = energy.reactive_max_kvar, energy.absorb_max_kvar
    upper[:, B:, 0] = sources.curtail_max_kw
    upper[:, B:, 2], upper[:, B:, 3] = sources.reactive_max_kvar, sources.absorb_max_kvar
    cost[:, :B, 0], cost[:, :B, 1] = energy.charge_cost, energy.discharge_cost
    cost[:, :B, 2:] = energy.reactive_cost[:, :, None]
    cost[:, B:, 0] = sources.curtail_cost
    cost[:, B:, 2:] = sources.reactive_cost[:, :, None]
    base = np.zeros((T, J))
    base[:, B:] = sources.available_kw
    rating = np.concatenate([energy.rating_kva, sources.rating_kva])
    upper[upper <= NEGLIGIBLE * rating[None, :, None]] = 0.0
    hours = program.hours[:, None]
    gain = np.stack([hours * energy.charge_efficiency, -hours / energy.discharge_efficiency], axis=2)
    polygon = np.concatenate([np.ones(B, dtype=bool), sources.polygon])
    return DeviceBlocks(upper, cost, base, rating, polygon, gain)
