"""Set-points that were accepted against what the devices delivered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cosim.errors import FeederError
from cosim.feeder.devices import connected_device
from cosim.feeder.elements.element import Element, name_in_circuit
from cosim.feeder.engine import Engine
from cosim.model.arrays import BoolArray, ComplexArray
from cosim.model.device import Device
from cosim.model.state import NOT_DELIVERED

TOLERANCE_KVA, RELATIVE_TOLERANCE = 1e-3, 1e-5
"""A difference below the first, or below the second as a part of the rating, is a rounding."""
WINDOW_PU = (0.5, 1.5)
"""Outside these multiples of its rated voltage a device becomes an impedance."""


@dataclass(frozen=True)
class _Device:
    """A device in the circuit: its rated leg voltage and its legs as pairs of nodes, -1 for ground."""

    element: str
    kva: float
    rated_v: float
    legs: tuple[tuple[int, int], ...]


class Delivery:
    """Compares accepted with delivered power of every device.

    Args:
        engine: with the devices in the circuit, solved.
        devices: in the site's order, each with its element.

    Raises:
        FeederError: a device is at a bus without voltage.
    """

    def __init__(self, engine: Engine, devices: Sequence[tuple[Element, Device]]) -> None:
        self._engine = engine
        self._devices = [_device(engine, name_in_circuit(item, element), item) for element, item in devices]
        energised = engine.energised()
        for device in self._devices:
            dead = [node for leg in device.legs for node in leg if node >= 0 and not energised[node]]
            if dead:
                raise FeederError(
                    f"{device.element} is connected to node {engine.node_names()[dead[0]]}, which has no "
                    "voltage: nothing feeds it. Close the switch that feeds it, or connect the device "
                    "elsewhere"
                )
        kva = np.array([device.kva for device in self._devices])
        self._tolerance = np.maximum(TOLERANCE_KVA, RELATIVE_TOLERANCE * kva)

    def compare(self, due: ComplexArray, delivered: ComplexArray, commanded: BoolArray) -> Iterator[str]:
        """A sentence about every commanded device that does not deliver what is due.

        Args:
            due: under the accepted set-points, kW + j kvar, shape (device,).
            delivered: at the terminals.
            commanded: which devices follow set-points.
        """
        for i in np.flatnonzero(commanded & (np.abs(due - delivered) > self._tolerance)):
            device = self._devices[i]
            yield (
                f"{NOT_DELIVERED}: {device.element} delivers {delivered[i].real:.3f} kW and "
                f"{delivered[i].imag:.3f} kvar, accepted were {due[i].real:.3f} kW and {due[i].imag:.3f} "
                f"kvar; likely {self._reason(device, complex(due[i]), complex(delivered[i]))}"
            )

    def _reason(self, device: _Device, due: complex, delivered: complex) -> str:
        volts = np.append(self._engine.voltages(), 0.0)
        across = [abs(volts[a] - volts[b]) for a, b in device.legs]
        if min(across) < 1e-3:
            return "because its bus has no voltage"
        per_unit = [v / device.rated_v for v in across]
        if min(per_unit) < WINDOW_PU[0] or max(per_unit) > WINDOW_PU[1]:
            return (
                f"because it stands at {min(per_unit):.3g} to {max(per_unit):.3g} of its rated voltage and "
                "no longer keeps its power; check its kv and the voltage base of its bus"
            )
        if abs(due.real - delivered.real) < TOLERANCE_KVA and abs(delivered.imag) < abs(due.imag):
            return (
                "because of a reactive limit of the element (kvarMax, kvarMaxAbs, %PminNoVars, "
                "%PminkvarMax, VarFollowInverter)"
            )
        return "because another control or a setting of the element overrules the set-point"


def _device(engine: Engine, element: str, rating: Device) -> _Device:
    legs = connected_device(engine, element, rating).legs
    kv = float(engine.command(f"? {element}.kv"))
    # kv is the voltage between phases unless the element has a single leg.
    rated_kv = kv if rating.delta or len(legs) == 1 else kv / np.sqrt(3.0)
    return _Device(element, rating.kva, 1e3 * float(rated_kv), legs)
