"""What a controller may know before step 0."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.device import Device, available_kw
from cosim.model.network import RadialNetwork
from cosim.model.network_device import NetworkDevice
from cosim.model.timegrid import TimeGrid

D = TypeVar("D", bound=Device)
N = TypeVar("N", bound=NetworkDevice)

MOST_NAMED = 5

CONTRACT_VERSION = 5
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
class Unsupplied:
    """The part of a feeder that no source supplies.

    Attributes:
        nodes: without voltage when the feeder was opened, ``bus.node``.
        loads: with a phase at one of them.
        load_kw: their nominal demand, positive consumption.
        open_elements: lines and transformers that are open between this part and the rest.
        nearest: buses of this part, each with the bus with voltage whose name is nearest.
    """

    nodes: tuple[str, ...]
    loads: tuple[str, ...]
    load_kw: float
    open_elements: tuple[str, ...]
    nearest: tuple[tuple[str, str], ...] = ()

    def sentence(self) -> str:
        """What it is, and what to look at."""
        named = ", ".join(self.nodes[:MOST_NAMED]) + (" ..." if len(self.nodes) > MOST_NAMED else "")
        names = ", ".join(self.loads[:MOST_NAMED]) + (" ..." if len(self.loads) > MOST_NAMED else "")
        loads = f"; loads that draw nothing: {names}, {self.load_kw:g} kW" if self.loads else ""
        if self.open_elements:
            why = f"open: {', '.join(self.open_elements[:MOST_NAMED])}"
        else:
            near = ", ".join(f"{bus} (nearest name with voltage: {other})" for bus, other in self.nearest)
            look = f": {near}" if near else ""
            why = f"no open switch leads there, so look for a misspelt bus at the end of a line{look}"
        return f"{len(self.nodes)} nodes have no voltage ({named}){loads}; {why}"


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
        unsupplied: the part without voltage, None where there is none.
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
    unsupplied: Unsupplied | None = None

    def of_type(self, rating: type[D]) -> tuple[D, ...]:
        """Devices whose rating is of one class, in order."""
        return tuple(device for device in self.devices if isinstance(device, rating))

    def of_network_type(self, rating: type[N]) -> tuple[N, ...]:
        """Network devices of one class, in order."""
        return tuple(device for device in self.network_devices if isinstance(device, rating))

    def of_kind(self, kind: str) -> tuple[Device, ...]:
        """Devices of one kind, in order."""
        return tuple(device for device in self.devices if device.kind == kind)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Names of all devices, network devices last."""
        devices = [device.name for device in self.devices]
        return (*devices, *(device.name for device in self.network_devices))

    def sun_kw(self) -> FloatArray:
        """What the sun offers each device at 1 kW/m², shape (device,); 0 for those that do not see it."""
        return self.available_kw(np.ones(len(self.devices)), np.zeros(len(self.loads)))

    def available_kw(self, irradiance: FloatArray, demand_kw: FloatArray) -> FloatArray:
        """What each device is offered.

        Args:
            irradiance: kW/m² that each device sees.
            demand_kw: of the loads, positive consumption.
        """
        return available_kw(self.devices, irradiance, demand_kw)
