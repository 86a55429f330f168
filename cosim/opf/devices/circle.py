"""The circle and the reactive limits that an inverter stays within, as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.device import Device

POLYGON_SIDES = 16
ROUNDING = 1e-4
"""Up to this part of the rating a step outside the circle counts as the solver's rounding."""


def back_into_circle(kw: FloatArray, kvar: FloatArray, kva: FloatArray) -> FloatArray:
    """Reactive power without what a solver's tolerance puts outside the circle.

    Args:
        kw, kvar: planned, shape (period, device).
        kva: shape (device,).
    """
    room = np.sqrt(np.maximum(kva**2 - kw**2, 0.0))
    over = np.abs(kvar) - room
    rounding = (over > 0) & (over <= ROUNDING * kva)
    return np.where(rounding, np.copysign(room, kvar), kvar)


def reactive_limits(devices: Sequence[Device]) -> tuple[FloatArray, FloatArray]:
    """Largest reactive power injected and absorbed, kvar, shape (device,) each."""
    ranges = np.array([device.kvar_range for device in devices], dtype=np.float64).reshape(-1, 2)
    return ranges[:, 1], -ranges[:, 0]
