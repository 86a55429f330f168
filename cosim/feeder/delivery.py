"""Set-points that were accepted against what the devices delivered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cosim.errors import FeederError
from cosim.feeder.devices import connected_device
from cosim.feeder.engine import Engine
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.ratings import PvRating, StorageRating
from cosim.model.state import NOT_DELIVERED, Setpoints

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
        storages, pvs: in the site's order.

    Raises:
        FeederError: a device is at a bus without voltage.
    """

    def __init__(self, engine: Engine, storages: Sequence[StorageRating], pvs: Sequence[PvRating]) -> None:
        self._engine = engine
        self._storages = [_device(engine, f"storage.{rating.name}", rating) for rating in storages]
        self._pvs = [_device(engine, f"pvsystem.{rating.name}", rating) for rating in pvs]
        self._idling_kw = np.array([rating.idling_kw for rating in storages])
        self._pv_kva = np.array([rating.kva for rating in pvs])
        energised = engine.energised()
        for device in (*self._storages, *self._pvs):
            dead = [node for leg in device.legs for node in leg if node >= 0 and not energised[node]]
            if dead:
                raise FeederError(
                    f"{device.element} is connected to node {engine.node_names()[dead[0]]}, which has no "
                    "voltage: nothing feeds it. Close the switch that feeds it, or connect the device "
                    "elsewhere"
                )

    def compare(
        self, accepted: Setpoints, available_kw: FloatArray, storage: ComplexArray, pv: ComplexArray
    ) -> tuple[str, ...]:
        """Sentences about the devices that do not deliver what was accepted.

        Args:
            accepted: set-points of the step.
            available_kw: of the PV systems.
            storage, pv: delivered, kW + j kvar.
        """
        # A battery at rest draws its idling loss.
        rests = np.abs(accepted.storage_kw) < 1e-9
        storage_kw = np.where(rests, -self._idling_kw, accepted.storage_kw)
        pv_kw = np.minimum(accepted.pv_kw_limit, available_kw)
        due = (
            (self._storages, storage_kw + 1j * accepted.storage_kvar, storage),
            (self._pvs, pv_kw + 1j * accepted.pv_kvar, pv),
        )
        return tuple(text for group in due for text in self._differences(*group))

    def _differences(
        self, devices: list[_Device], due: ComplexArray, delivered: ComplexArray
    ) -> Iterator[str]:
        tolerance = np.array([max(TOLERANCE_KVA, RELATIVE_TOLERANCE * device.kva) for device in devices])
        for i in np.flatnonzero(np.abs(due - delivered) > tolerance):
            yield (
                f"{NOT_DELIVERED}: {devices[i].element} delivers {delivered[i].real:.3f} kW and "
                f"{delivered[i].imag:.3f} kvar, accepted were {due[i].real:.3f} kW and {due[i].imag:.3f} "
                f"kvar; likely {self._reason(devices[i], complex(due[i]), complex(delivered[i]))}"
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


def _device(engine: Engine, element: str, rating: StorageRating | PvRating) -> _Device:
    legs = connected_device(engine, element, rating).legs
    kv = float(engine.command(f"? {element}.kv"))
    # kv is the voltage between phases unless the element has a single leg.
    rated_kv = kv if rating.delta or len(legs) == 1 else kv / np.sqrt(3.0)
    return _Device(element, rating.kva, 1e3 * float(rated_kv), legs)
