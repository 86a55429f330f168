"""The kinds of devices that are installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

from cosim import plugins
from cosim.devices.kind import DeviceKind
from cosim.devices.network_kind import NetworkKind
from cosim.devices.pv import PV
from cosim.devices.storage import STORAGE
from cosim.model.device import Device
from cosim.model.network_device import NetworkDevice

GROUP: plugins.Group = "cosim.devices"


@cache
def device_kinds() -> tuple[DeviceKind, ...]:
    """All installed kinds: those with energy first, then the others; batteries and PV systems lead."""
    found = [kind for kind in _all_kinds() if isinstance(kind, DeviceKind)]
    leading = (STORAGE.name, PV.name)
    return tuple(
        sorted(found, key=lambda kind: (not kind.rating.has_energy, kind.name not in leading, kind.name))
    )


@cache
def network_kinds() -> tuple[NetworkKind, ...]:
    """All installed kinds of network devices, by name."""
    found = (kind for kind in _all_kinds() if isinstance(kind, NetworkKind))
    return tuple(sorted(found, key=lambda kind: kind.name))


@cache
def _all_kinds() -> tuple[DeviceKind | NetworkKind, ...]:
    return tuple(plugins.load_all(GROUP))


@cache
def device_kind(name: str) -> DeviceKind:
    """The kind of a name.

    Raises:
        UnknownPlugin: it is not installed.
    """
    kind: DeviceKind = plugins.load(GROUP, name)
    return kind


@cache
def network_kind(name: str) -> NetworkKind:
    """The kind of network devices of a name.

    Raises:
        UnknownPlugin: it is not installed.
    """
    kind: NetworkKind = plugins.load(GROUP, name)
    return kind


def counted(kinds: Iterable[str]) -> str:
    """How many devices there are of each kind, in words: ``28 batteries, 1 PV system``."""
    count = Counter(kinds)
    known: list[DeviceKind | NetworkKind] = [*device_kinds(), *network_kinds()]
    parts = [
        f"{count[kind.name]} {kind.title if count[kind.name] == 1 else kind.plural}"
        for kind in known
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


def by_network_kind(
    devices: tuple[NetworkDevice, ...],
) -> Iterator[tuple[NetworkKind, slice, tuple[NetworkDevice, ...]]]:
    """The same for network devices and their vectors."""
    for name in dict.fromkeys(device.kind for device in devices):
        at = [i for i, device in enumerate(devices) if device.kind == name]
        place = slice(at[0], at[-1] + 1)
        yield network_kind(name), place, devices[place]


def network_devices_in_order(devices: Iterable[NetworkDevice]) -> tuple[NetworkDevice, ...]:
    """Network devices kind by kind: the order of every vector of positions."""
    return tuple(sorted(devices, key=lambda device: device.kind))
