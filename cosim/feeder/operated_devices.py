"""The controllable devices of a feeder in operation: what they see, accept, deliver and store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cosim.devices.pv import PvRating
from cosim.devices.registry import by_kind, in_order
from cosim.feeder.compiled import FeederModel
from cosim.feeder.delivery import Delivery
from cosim.feeder.devices import connected_device
from cosim.feeder.elements.element import name_in_circuit
from cosim.feeder.engine import Batch
from cosim.feeder.engine_controls import add_engine_controls
from cosim.feeder.extract import Connected
from cosim.feeder.group import Group
from cosim.feeder.network_devices import AS_THE_MASTER_SAYS
from cosim.model.arrays import BoolArray, ComplexArray, FloatArray
from cosim.model.device import Device, DeviceState, available_kw
from cosim.model.state import Setpoints
from cosim.model.timegrid import TimeGrid

STORED_TOLERANCE_KWH = 1e-4
"""Stored energy that differs by more from the law of its kind is an event."""
LEFT_TO_ENGINE = "not commanded: left to controls of the engine"


class OperatedDevices:
    """All devices, kind by kind.

    Args:
        model: the compiled feeder, which gets the devices that the master does not define.
        devices: in any order.
        grid: the steps of the run.

    Attributes:
        devices: in the order of every vector per device.
        setpoints: accepted last; those of rest before the first step.
        available_kw: what sun or load offers in the present step, shape (device,).
    """

    def __init__(self, model: FeederModel, devices: Sequence[Device], grid: TimeGrid) -> None:
        self._model, self._grid = model, grid
        self.devices = in_order(devices)
        self._groups = [Group(model, kind, place, items) for kind, place, items in by_kind(self.devices)]
        for group in self._groups:
            group.add()
        if model.engine_controls is not None:
            added = [device for device in self.devices if not model.is_found(device)]
            add_engine_controls(model.engine, model.engine_controls, added)
        count = len(self.devices)
        self.available_kw = np.zeros(count)
        self._stored_kwh = np.array([device.first_stored_kwh for device in self.devices])
        self.setpoints = Setpoints(
            np.array([device.rest_kw for device in self.devices], dtype=np.float64), np.zeros(count)
        )

    @property
    def elements(self) -> list[str]:
        """Name of each device in the circuit, ``class.name``."""
        return [name_in_circuit(item, group.element) for group in self._groups for item in group.devices]

    @property
    def by_inputs(self) -> list[str]:
        """Elements that follow set-points or, as PV systems do, the sun of the inputs."""
        return [
            name_in_circuit(device, group.element)
            for group in self._groups
            for i, device in enumerate(group.devices)
            if i not in group.as_is or isinstance(device, PvRating)
        ]

    def connected(self) -> list[Connected]:
        """Legs of every device."""
        pairs = zip(self.elements, self.devices, strict=True)
        return [connected_device(self._model.engine, element, device) for element, device in pairs]

    def open(self) -> None:
        """Find the devices in the circuit, once its elements are all there and its mode is set."""
        engine = self._model.engine
        classes = dict.fromkeys(group.element.class_name for group in self._groups)
        batches = {name: Batch(engine, name, open_edit=True) for name in classes}
        for group in self._groups:
            group.open(batches[group.element.class_name])
        none = np.zeros(0, dtype=bool)
        self._commanded: BoolArray = np.concatenate([none, *(group.commanded for group in self._groups)])

    def watch(self) -> None:
        """Note what the elements are before the first step, to explain what they do not deliver."""
        pairs = [(group.element, device) for group in self._groups for device in group.devices]
        self._delivery = Delivery(self._model.engine, pairs)

    # --- a step -----------------------------------------------------------------------------------

    def expose(self, irradiance: FloatArray, demand_kw: FloatArray) -> None:
        """Let the devices see the sun, kW/m² of each device, and the loads of a step."""
        for group in self._groups:
            group.element.expose(group.batch, group.at, irradiance[group.place])
        self.available_kw = available_kw(self.devices, irradiance, demand_kw)

    def rest(self) -> None:
        """Write the set-points before the first step."""
        self.write(self.setpoints)

    def accept(self, asked: Setpoints, step: int) -> tuple[str, ...]:
        """Write set-points as far as ratings, inverters and stored energy allow; why they were cut."""
        accepted = [
            device.accept(float(kw), float(kvar), state)
            for device, kw, kvar, state in zip(
                self.devices, asked.p_kw, asked.q_kvar, self.states(step), strict=True
            )
        ]
        reasons = [item.reason for item in accepted]
        for group in self._groups:
            for i in group.as_is:
                found = self._model.is_found(group.devices[i])
                reasons[group.place.start + i] = AS_THE_MASTER_SAYS if found else LEFT_TO_ENGINE
        kw = np.array([item.kw for item in accepted], dtype=np.float64)
        self.write(Setpoints(kw, np.array([item.kvar for item in accepted], dtype=np.float64)))
        return tuple(reasons)

    def write(self, accepted: Setpoints) -> None:
        """Write set-points that were accepted."""
        self.setpoints = accepted
        for group in self._groups:
            group.write(accepted.p_kw[group.place], accepted.q_kvar[group.place])

    def states(self, step: int) -> list[DeviceState]:
        """What acceptance depends on, of each device."""
        time_s, step_h = float(self._grid.second(step)), self._grid.step_h
        return [
            DeviceState(step_h, float(stored), float(available), time_s)
            for stored, available in zip(self.stored_kwh(), self.available_kw, strict=True)
        ]

    def integrate(self, delivered_kw: FloatArray, states: Sequence[DeviceState]) -> None:
        """Move on the stored energy that the engine does not keep."""
        for i, device in enumerate(self.devices):
            self._stored_kwh[i] = device.next_stored_kwh(
                states[i].stored_kwh, float(delivered_kw[i]), self._grid.step_h, states[i].time_s
            )

    # --- reading ----------------------------------------------------------------------------------

    def delivered_kva(self) -> ComplexArray:
        """Power from each device into the network, kW + j kvar."""
        parts = [group.batch.terminal_power()[group.at] for group in self._groups]
        return np.concatenate([np.zeros(0, dtype=np.complex128), *parts])

    def stored_kwh(self) -> FloatArray:
        """Stored energy of each device: the engine's where it keeps one, else that of the kind's law."""
        stored = self._stored_kwh.copy()
        for group in self._groups:
            kept = group.element.stored_kwh(group.batch, group.at)
            if kept is not None:
                stored[group.place] = kept
        return stored

    def complaints(
        self, before: Sequence[DeviceState], delivered_kva: ComplexArray, stored_kwh: FloatArray
    ) -> Iterator[str]:
        """Devices that do not hold or deliver what they should.

        Args:
            before: the step.
            delivered_kva: in the step.
            stored_kwh: after it.
        """
        yield from self._broken_laws(before, stored_kwh)
        yield from self._delivery.compare(self._due(before), delivered_kva, self._commanded)

    def _due(self, states: Sequence[DeviceState]) -> ComplexArray:
        """What the devices should deliver under the accepted set-points, kW + j kvar."""
        kw = [
            device.delivered_kw(float(kw), state)
            for device, kw, state in zip(self.devices, self.setpoints.p_kw, states, strict=True)
        ]
        return np.array(kw, dtype=np.float64) + 1j * self.setpoints.q_kvar

    def _broken_laws(self, before: Sequence[DeviceState], after: FloatArray) -> Iterator[str]:
        """Devices whose stored energy is not what the law of their kind says of the set-point."""
        for i in map(int, np.flatnonzero(self._commanded)):
            device, kw = self.devices[i], float(self.setpoints.p_kw[i])
            expected = device.next_stored_kwh(before[i].stored_kwh, kw, self._grid.step_h, before[i].time_s)
            if abs(expected - float(after[i])) > STORED_TOLERANCE_KWH:
                holds = f"holds {after[i]:.6f} kWh, its law says {expected:.6f} kWh"
                yield f"{device.kind} {device.name} {holds}"
