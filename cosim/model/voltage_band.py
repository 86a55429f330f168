"""How far voltages are outside their limits: one definition for reports, replays and studies."""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import FloatArray


def outside_band_pu(voltage_pu: FloatArray, low_pu: float, high_pu: float) -> FloatArray:
    """Distance of each voltage to the band, 0 inside it; the shape of ``voltage_pu``, per unit.

    A node without a voltage (NaN) stays NaN: it is neither inside nor outside.
    """
    return np.maximum(0.0, np.maximum(low_pu - voltage_pu, voltage_pu - high_pu))
