"""The kinds of devices that are installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

from cosim import plugins
from cosim.devices.kind import DeviceKind
from cosim.devices.pv import PV
from cosim.devices.storage import STORAGE
from cosim.model.device import Device

GROUP: plugins.Group = "cosim.devices"


@cache
def device_kinds() -> tuple[DeviceKind, ...]:
    """All installed kinds: those with energy first, then the others; batteries and PV systems lead."""
    found: list[DeviceKind] = [plugins.load(GROUP, name) for name in plugins.names(GROUP)]
    leading = (STORAGE.name, PV.name)
    return tuple(
        sorted(found, key=lambda kind: (not kind.rating.has_energy, kind.name not in leading, kind.name))
    )


@cache
def device_kind(name: str) -> DeviceKind:
    """The kind of a name.

    Raises:
        UnknownPlugin: it is not installed.
    """
    kind: DeviceKind = plugins.load(GROUP, name)
    return kind


def counted(kinds: Iterable[str]) -> str:
    """How many devices there are of each kind, in words: ``28 batteries, 1 PV system``."""
    count = Counter(kinds)
    parts = [
        f"{count[kind.name]} {kind.title if count[kind.name] == 1 else kind.plural}"
        for kind in device_kinds()
        if count[kind.name]
    ]
    return ", ".join(parts) or "no devices"


def in_order(devices: Iterable[Device]) -> tuple[Device, ...]:
    """Devices kind by kind, those with energy first: the order of every vector per device."""
    rank = {kind.name: i for i, kind in enumerate(device_kinds())}
    return tuple(sorted(devices, key=lambda device: rank[device.kind]))


def by_kind(devices: tuple[Device, ...]) -> Iterator[tuple[DeviceKind, slice, tuple[Device, ...]]]:
    """Kinds that are present, with their place in vectors per device and their devices."""
    start = 0
    while start < len(devices):
        name, stop = devices[start].kind, start
        while stop < len(devices) and devices[stop].kind == name:
            stop += 1
        yield device_kind(name), slice(start, stop), devices[start:stop]
        start = stop
