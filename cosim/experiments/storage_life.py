"""Cycles of batteries, counted by rainflow.

Source: ASTM E1049-85 (rainflow counting), by the package ``rainflow``. A cycle through the whole cell is a
full cycle; smaller ones count by their range in parts of the cell, half cycles by half.
"""

from __future__ import annotations

import numpy as np
import rainflow

from cosim.devices.storage import StorageRating
from cosim.experiments.measured import Measured
from cosim.model.arrays import FloatArray


def full_cycles_of(stored_share: FloatArray) -> float:
    """Full cycles of one battery.

    Args:
        stored_share: stored energy over that of the full cell, at the start and after each step.
    """
    return float(sum(extent * count for extent, count in rainflow.count_cycles(stored_share.tolist())))


def _cycles(measured: Measured) -> list[float]:
    batteries = measured.record.site.of_type(StorageRating)
    first, later = measured.matrix("measured_stored_kwh"), measured.matrix("stored_kwh")
    if first is None or later is None or not batteries:
        return []
    stored_kwh = np.vstack([first[:1], later])
    return [full_cycles_of(stored_kwh[:, at] / battery.kwh) for at, battery in enumerate(batteries)]


def mean_full_cycles(measured: Measured) -> float | None:
    """Mean over the batteries; None without any."""
    cycles = _cycles(measured)
    return float(np.mean(cycles)) if cycles else None


def most_full_cycles(measured: Measured) -> float | None:
    """Of the battery with the most; None without any."""
    return max(_cycles(measured), default=None)
