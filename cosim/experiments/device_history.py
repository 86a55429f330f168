"""What the devices of one kind did in a run, out of its record."""

from __future__ import annotations

import numpy as np

from cosim.devices.kind import DeviceHistory, DeviceKind
from cosim.run.record import Record


def history(record: Record, kind: DeviceKind) -> DeviceHistory:
    """What the devices of a kind did."""
    columns = kind.columns
    stored = record.vector(columns["stored_kwh"])
    first = record.vector(f"measured_{columns['stored_kwh']}")[:1]
    return DeviceHistory(
        step_h=record.step_h,
        time_s=record.steps["time_s"].to_numpy(dtype=np.float64),
        kw=record.vector(columns["kw"]),
        stored_kwh=np.concatenate([first, stored]),
        available_kw=record.vector(columns["available_kw"]),
    )
