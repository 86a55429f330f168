"""What users of flexible loads and vehicles did not get, by the figures that each kind declares."""

from __future__ import annotations

from cosim.devices.kind import Part
from cosim.devices.registry import by_kind
from cosim.experiments.device_history import history
from cosim.experiments.measured import Measured


def unserved_kwh(measured: Measured) -> float | None:
    """Energy wanted and not delivered; None without such devices."""
    return _sum(measured, Part.UNSERVED)


def discomfort_cost(measured: Measured) -> float | None:
    """What users are paid for energy that came late or not at all; None without such devices."""
    return _sum(measured, Part.DISCOMFORT)


def _sum(measured: Measured, part: Part) -> float | None:
    record = measured.record
    found = [
        figure.value
        for kind, _, devices in by_kind(record.site.devices)
        if kind.figures is not None
        for figure in kind.figures(devices, history(record, kind))
        if figure.part is part
    ]
    return sum(found) if found else None
