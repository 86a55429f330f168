"""Voltages held against standards. Voltages are per unit of the nominal voltage of each node."""

from __future__ import annotations

import numpy as np

from cosim.experiments.measured import Measured
from cosim.model.arrays import FloatArray

RANGE_A = (0.95, 1.05)
RANGE_B = (110 / 120, 127 / 120)
"""Service voltage, 114 to 126 V and 110 to 127 V on a base of 120 V. Source: ANSI C84.1-2020, Table 1."""
WIDE = (0.90, 1.10)
MEAN_S, WEEK_S = 600, 604_800
"""Band, averaging time and period of the supply voltage. Source: EN 50160:2010, clauses 4.2.2 and 5.2.2.

The standard asks that 95 % of the 10-minute r.m.s. values of each week lie within the band."""


def ansi_range_a_node_h(measured: Measured) -> float:
    """Hours outside range A, added up over the nodes."""
    return _outside_node_h(measured, RANGE_A)


def ansi_range_b_node_h(measured: Measured) -> float:
    """Hours outside range B, added up over the nodes."""
    return _outside_node_h(measured, RANGE_B)


def _outside_node_h(measured: Measured, band: tuple[float, float]) -> float:
    voltage_pu = measured.record.vector("voltage_pu")
    outside = (voltage_pu < band[0]) | (voltage_pu > band[1])
    return float(np.count_nonzero(outside)) * measured.record.step_h


def en50160_share(measured: Measured) -> float | None:
    """Least share, over nodes and weeks, of 10-minute values within the band.

    Weeks count from the start of the run; the last may be shorter. A 10-minute value is the root of the
    mean of the squares of its steps; one that the run does not fill is left out. None where 10 minutes are
    no whole number of steps, or the run holds no 10-minute value.
    """
    step_s = measured.record.site.grid.step_s
    if MEAN_S % step_s:
        return None
    per_value = MEAN_S // step_s
    voltage_pu = measured.record.vector("voltage_pu")
    values = len(voltage_pu) // per_value
    if not values:
        return None
    blocks = voltage_pu[: values * per_value].reshape(values, per_value, -1)
    inside = _within(np.sqrt(np.square(blocks).mean(axis=1)), WIDE)
    per_week = WEEK_S // MEAN_S
    weeks = [inside[first : first + per_week] for first in range(0, values, per_week)]
    return min(float(week.mean(axis=0).min()) for week in weeks)


def _within(voltage_pu: FloatArray, band: tuple[float, float]) -> FloatArray:
    return ((voltage_pu >= band[0]) & (voltage_pu <= band[1])).astype(np.float64)
