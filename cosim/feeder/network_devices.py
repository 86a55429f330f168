"""Network devices in operation: positions accepted, moved and counted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np

from cosim.devices.registry import network_devices_in_order, network_kind
from cosim.feeder.elements.network_element import network_element_of
from cosim.feeder.engine import Engine
from cosim.feeder.reading.capacitors import read_banks
from cosim.model.arrays import FloatArray
from cosim.model.network_device import NetworkDevice, positions_of
from cosim.model.state import NOT_DELIVERED
from cosim.twin.control_settings import SwitchedCapacitor

log = logging.getLogger(__name__)

AS_THE_MASTER_SAYS = "not commanded: as the master says"


class NetworkDevices:
    """The tap changers and capacitor banks of a feeder.

    Where set-points rule, the feeder's own controls of these elements are switched off; without commands
    they work as the master says, and their operations are counted all the same.

    Args:
        engine: with the circuit.
        devices: of a scenario.
        commanded: whether set-points rule.

    Attributes:
        devices: in the site's order.
    """

    def __init__(self, engine: Engine, devices: Sequence[NetworkDevice], *, commanded: bool) -> None:
        self._engine, self._commanded = engine, commanded
        self.devices = network_devices_in_order(devices)
        self._elements = [network_element_of(network_kind(device.kind)) for device in self.devices]
        self._moved_at_s = np.full(len(self.devices), -np.inf)
        self._due = self._start = self.positions()

    @property
    def windings(self) -> dict[str, int]:
        """Transformers whose taps the devices move, and the winding of each."""
        pairs = zip(self._elements, self.devices, strict=True)
        return dict(moved for element, device in pairs for moved in element.windings(device))

    @property
    def banks(self) -> tuple[str, ...]:
        """Capacitors that the devices switch."""
        pairs = zip(self._elements, self.devices, strict=True)
        return tuple(name for element, device in pairs for name in element.banks(device))

    def closed_banks(self) -> tuple[SwitchedCapacitor | None, ...]:
        """Capacitor of each device with the admittance that it has when closed; None for other kinds."""
        found: list[SwitchedCapacitor | None] = []
        for element, device in zip(self._elements, self.devices, strict=True):
            capacitors, _ = read_banks(self._engine, element.banks(device))
            found.append(capacitors[0] if capacitors else None)
        return tuple(found)

    def take_over(self) -> None:
        """Switch off the feeder's own controls of the devices, where set-points rule; call it at rest."""
        self._due = self._start = self.positions()
        if not self._commanded:
            return
        for device, element in zip(self.devices, self._elements, strict=True):
            for control in element.own_controls(self._engine, device):
                self._engine.command(f"edit {control} enabled=no")
                log.warning("%s switched off: %s %s follows set-points", control, device.kind, device.name)

    def positions(self) -> FloatArray:
        """Where they stand, shape (network device,)."""
        here = zip(self._elements, self.devices, strict=True)
        return np.array([element.position(self._engine, device) for element, device in here], dtype=float)

    def apply(self, requested: FloatArray, time_s: float) -> tuple[FloatArray, tuple[str, ...]]:
        """Move as far as ranges and dead times allow.

        Args:
            requested: positions, NaN or an empty vector for no move.
            time_s: start of the step.

        Returns:
            Positions in force, and per device why they differ from the request.
        """
        self._start = self.positions()
        if not self._commanded:
            return self._start, (AS_THE_MASTER_SAYS,) * len(self.devices)
        accepted = [
            device.accept(float(wanted), float(now), time_s - float(moved_at_s))
            for device, wanted, now, moved_at_s in zip(
                self.devices,
                positions_of(requested, len(self.devices)),
                self._start,
                self._moved_at_s,
                strict=True,
            )
        ]
        self._due = np.array([item.position for item in accepted], dtype=float)
        for i in np.flatnonzero(self._due != self._start):
            self._elements[i].move(self._engine, self.devices[i], float(self._due[i]))
            self._moved_at_s[i] = time_s
        return self._due.copy(), tuple(item.reason for item in accepted)

    def operations(self, position: FloatArray) -> FloatArray:
        """How often each operated since the step's start, given where they stand at its end."""
        moves = zip(self.devices, self._start, position, strict=True)
        return np.array([device.operations(float(a), float(b)) for device, a, b in moves], dtype=float)

    def compare(self, position: FloatArray) -> Iterator[str]:
        """A sentence about every commanded device that does not stand where it was sent."""
        if not self._commanded:
            return
        for i in np.flatnonzero(position != self._due):
            device, class_name = self.devices[i], self._elements[i].class_name
            yield (
                f"{NOT_DELIVERED}: {class_name}.{device.element} stands at position {position[i]:g}, "
                f"accepted was {self._due[i]:g}; likely because another control moves it"
            )
