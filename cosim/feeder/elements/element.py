"""What the plant asks of a kind's element in OpenDSS."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from cosim.devices.kind import DeviceKind
from cosim.feeder.engine import Batch, Engine
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.device import Device


class Element(Protocol):
    """The OpenDSS side of a kind of device. ``at`` is the place of each device in a batch."""

    @property
    def class_name(self) -> str:
        """Class in OpenDSS, lower case."""
        ...

    def add(self, engine: Engine, device: Any) -> None:
        """Add a device to the compiled circuit."""
        ...

    def find(self, engine: Engine) -> list[Any]:
        """Devices of this kind that the master defines, as they are."""
        ...

    def take_over(self, engine: Engine, device: Any) -> None:
        """Prepare a device of the master for set-points from outside."""
        ...

    def expose(self, batch: Batch, at: IntArray, irradiance: FloatArray) -> None:
        """Write what the world does to the devices: kW/m² that each of them sees."""
        ...

    def write(
        self, batch: Batch, at: IntArray, devices: Sequence[Any], kw: FloatArray, kvar: FloatArray
    ) -> None:
        """Write accepted set-points; NaN leaves a device as it is."""
        ...

    def stored_kwh(self, batch: Batch, at: IntArray) -> FloatArray | None:
        """Stored energy where the engine keeps it; None: the plant integrates the kind's own law."""
        ...


def element_of(kind: DeviceKind) -> Element:
    """The element that a kind names."""
    module, _, name = kind.element.partition(":")
    return cast("Element", getattr(import_module(module), name))


def name_in_circuit(device: Device, element: Element) -> str:
    """``class.name`` of a device."""
    return f"{element.class_name}.{device.name}"
