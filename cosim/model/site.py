"""What a controller may know before step 0."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.device import Device
from cosim.model.network import RadialNetwork
from cosim.model.network_device import NetworkDevice
from cosim.model.timegrid import TimeGrid

D = TypeVar("D", bound=Device)

CONTRACT_VERSION = 3
"""Version of everything that crosses the border between plant and policy."""


@dataclass(frozen=True)
class FeederMap:
    """Where the buses lie, for pictures.

    Attributes:
        buses: buses that have coordinates; ``x`` and ``y`` are theirs, in the units of the file.
        edges: pairs of buses that an element joins.
    """

    buses: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    edges: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Site:
    """The fixed facts of a plant: time grid, names and their order, ratings, network model.

    Attributes:
        contract_version: see :data:`CONTRACT_VERSION`.
        grid: the steps of the run.
        nodes: order of every vector per node.
        loads, regulators: order of the vectors per load and per tap; a tap that a controller moves is one.
        tap_step: ratio between neighbouring taps of each regulator.
        feeder_map: coordinates and edges.
        devices: the controllable devices; order of every vector per device.
        network: the radial model, or None where the feeder has none.
        no_network_reason: why there is none (the loop, or what could not be read).
        capacitors: switched by controls or by a controller; order of the vector per capacitor.
        load_kw, load_kvar: nominal demand of each load.
        network_devices: tap changers and capacitor banks that a controller may move; order of every vector
            of positions.
    """

    contract_version: int
    grid: TimeGrid
    nodes: tuple[str, ...]
    loads: tuple[str, ...]
    regulators: tuple[str, ...]
    tap_step: FloatArray
    devices: tuple[Device, ...]
    feeder_map: FeederMap
    network: RadialNetwork | None
    no_network_reason: str = ""
    capacitors: tuple[str, ...] = ()
    load_kw: FloatArray = field(default_factory=lambda: np.zeros(0))
    load_kvar: FloatArray = field(default_factory=lambda: np.zeros(0))
    network_devices: tuple[NetworkDevice, ...] = ()

    def of_type(self, rating: type[D]) -> tuple[D, ...]:
        """Devices whose rating is of one class, in order."""
        return tuple(device for device in self.devices if isinstance(device, rating))

    def of_kind(self, kind: str) -> tuple[Device, ...]:
        """Devices of one kind, in order."""
        return tuple(device for device in self.devices if device.kind == kind)
