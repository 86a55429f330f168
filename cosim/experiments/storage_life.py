"""Cycles and ageing of batteries.

Sources: ASTM E1049-85 (rainflow counting), by the package ``rainflow``; a cycle through the whole cell is a
full cycle, smaller ones count by their range in parts of the cell, half cycles by half. Ageing: calendar
ageing in proportion to time, cycle ageing by linear damage (after Miner, *Cumulative damage in fatigue*,
Journal of Applied Mechanics 12(3), 1945) with a life that falls with a power of the depth; the parts are
added. It is a law for comparisons. Temperature, current and state of charge do not enter.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import rainflow

from cosim.devices.storage import StorageRating
from cosim.experiments.measured import Measured
from cosim.model.arrays import FloatArray
from cosim.run.battery_ageing import BatteryAgeing

YEAR_H = 8766.0


def full_cycles_of(stored_share: FloatArray) -> float:
    """Full cycles of one battery.

    Args:
        stored_share: stored energy over that of the full cell, at the start and after each step.
    """
    return float(sum(extent * count for extent, count in rainflow.count_cycles(stored_share.tolist())))


def deepest_cycle_of(stored_share: FloatArray) -> float:
    """Largest range of a cycle in parts of the cell; see :func:`full_cycles_of`."""
    return float(max((extent for extent, _ in rainflow.count_cycles(stored_share.tolist())), default=0.0))


def ageing_percent_of(stored_share: FloatArray, hours: float, law: BatteryAgeing) -> float:
    """Part of the life of one battery that a run takes, in percent; see :func:`full_cycles_of`.

    Args:
        stored_share: stored energy over that of the full cell, at the start and after each step.
        hours: length of the run.
        law: how fast it ages.
    """
    cycles = rainflow.count_cycles(stored_share.tolist())
    used = sum(count * extent**law.depth_exponent for extent, count in cycles) / law.full_cycles
    return 100.0 * (float(used) + hours / (YEAR_H * law.calendar_years))


def _stored_shares(measured: Measured) -> Iterator[FloatArray]:
    """Stored energy over that of the full cell of each battery, at the start and after each step."""
    batteries = measured.record.site.of_type(StorageRating)
    first, later = measured.matrix("measured_stored_kwh"), measured.matrix("stored_kwh")
    if first is None or later is None:
        return
    stored_kwh = np.vstack([first[:1], later])
    for at, battery in enumerate(batteries):
        yield stored_kwh[:, at] / battery.kwh


def mean_full_cycles(measured: Measured) -> float | None:
    """Mean over the batteries; None without any."""
    cycles = [full_cycles_of(share) for share in _stored_shares(measured)]
    return float(np.mean(cycles)) if cycles else None


def most_full_cycles(measured: Measured) -> float | None:
    """Of the battery with the most; None without any."""
    return max((full_cycles_of(share) for share in _stored_shares(measured)), default=None)


def deepest_cycle(measured: Measured) -> float | None:
    """Of all batteries; None without any."""
    return max((deepest_cycle_of(share) for share in _stored_shares(measured)), default=None)


def most_ageing_percent(measured: Measured) -> float | None:
    """Of the battery that ages most; None without any."""
    law = BatteryAgeing.model_validate(measured.facts.get("battery_ageing") or {})
    aged = (ageing_percent_of(one, measured.run.hours, law) for one in _stored_shares(measured))
    return max(aged, default=None)
