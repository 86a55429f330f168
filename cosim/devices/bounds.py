"""What devices may do over a horizon and what it costs: the same arrays for every kind and planner.

A device with energy takes power (charges) or gives it (discharges); a device without takes back part of
what is available (curtails). With T periods and J devices,

    p = available - take + give,
    stored[t] = stored[t - 1] + hours (charge_efficiency take - give / discharge_efficiency) - drain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cosim.model.arrays import BoolArray, FloatArray
from cosim.model.device import Device


@dataclass(frozen=True)
class EnergyBounds:
    """Devices with energy; T periods, B devices.

    Attributes:
        take_max_kw, give_max_kw: shape (T, B), at least 0.
        charge_efficiency, discharge_efficiency: in (0, 1], shape (B,).
        start_kwh: stored at the start of the first period, shape (B,).
        least_kwh, most_kwh: window of the energy at the end of each period, shape (T, B).
        drain_kwh: leaves the store in each period whatever the device does, shape (T, B).
        take_cost_per_kwh, give_cost_per_kwh: of energy at the terminals, shape (T, B).
        loss_cost_per_kwh: of energy lost in charging and discharging, shape (B,).
        reactive: whether the device offers reactive power, shape (B,).
        kwh: size of the store, a unit for the numbers of a program, shape (B,).
        ends: whether the planner's terminal condition holds for its energy, shape (B,).
    """

    take_max_kw: FloatArray
    give_max_kw: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray
    start_kwh: FloatArray
    least_kwh: FloatArray
    most_kwh: FloatArray
    drain_kwh: FloatArray
    take_cost_per_kwh: FloatArray
    give_cost_per_kwh: FloatArray
    loss_cost_per_kwh: FloatArray
    reactive: BoolArray
    kwh: FloatArray
    ends: BoolArray


@dataclass(frozen=True)
class SourceBounds:
    """Devices without energy; T periods, K devices.

    Attributes:
        available_kw: shape (T, K), at least 0.
        curtail_max_kw: largest curtailed power, shape (T, K).
        curtail_cost_per_kwh: of curtailed energy, shape (T, K).
        curtails: whether curtailment is allowed at all, shape (K,).
        reactive: whether the device offers reactive power, shape (K,).
    """

    available_kw: FloatArray
    curtail_max_kw: FloatArray
    curtail_cost_per_kwh: FloatArray
    curtails: BoolArray
    reactive: BoolArray


def joined(parts: Sequence[Any]) -> Any:
    """Bounds of several kinds side by side, in their order."""
    first = parts[0]
    if len(parts) == 1:
        return first
    columns = {
        item.name: np.concatenate([getattr(part, item.name) for part in parts], axis=-1)
        for item in fields(first)
    }
    return type(first)(**columns)


def each(devices: Sequence[Device], name: str) -> FloatArray:
    """One attribute of every device, shape (device,)."""
    return np.array([getattr(device, name) for device in devices], dtype=np.float64)
