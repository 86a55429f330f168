"""How well batteries follow their set-points."""

from __future__ import annotations

import numpy as np

from cosim.devices.storage import StorageRating
from cosim.experiments.measured import Measured


def tracking_error_kw(measured: Measured) -> float | None:
    """Mean over the steps of the distance between requested and delivered power, summed over the batteries.

    A battery at rest shows its standby power at the terminals; that is no distance from a set-point of 0.
    None where nobody commands, and without batteries.
    """
    record = measured.record
    batteries = record.site.of_type(StorageRating)
    requested, delivered = measured.matrix("requested_storage_kw"), measured.matrix("storage_kw")
    commanded = record.manifest.get("commanded", True) and not record.manifest.get("engine_led", False)
    if not (batteries and commanded) or requested is None or delivered is None:
        return None
    standby_kw = np.array([battery.idling_kw for battery in batteries])
    expected = np.where(requested == 0.0, -standby_kw, requested)
    return float(np.abs(expected - delivered).sum(axis=1).mean())
