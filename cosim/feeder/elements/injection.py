"""Devices that change the demand of a bus, in OpenDSS: a Generator of constant power.

A flexible load is the master's own load and, beside it at the same nodes, an element that injects what the
load leaves out (and draws what it takes in addition). At rest it injects nothing, and the feeder is as the
master says.
"""

from __future__ import annotations

from collections.abc import Sequence

from cosim.feeder.devices import WIDE_WINDOW, connection
from cosim.feeder.engine import Batch, Engine
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.device import Device


class InjectionElement:
    """See :class:`cosim.feeder.elements.element.Element`."""

    class_name = "generator"

    def add(self, engine: Engine, device: Device) -> None:
        """Add an element without power to the compiled circuit."""
        # 'status=fixed' keeps it apart from the circuit's generation multiplier.
        engine.command(
            f"new generator.{device.name} {connection(engine, device)} {WIDE_WINDOW} model=1 "
            f"kva={float(device.kva)!r} kw=0 kvar=0 status=fixed forceon=yes"
        )

    def find(self, engine: Engine) -> list[Device]:
        """A master defines no such device: its generators stay as they are."""
        del engine
        return []

    def take_over(self, engine: Engine, device: Device) -> None:
        """Nothing is found, so nothing is taken over."""

    def expose(self, batch: Batch, at: IntArray, irradiance: FloatArray) -> None:
        """The loads beside it see the world, not the element."""

    def write(
        self,
        batch: Batch,
        at: IntArray,
        devices: Sequence[Device],
        kw: FloatArray,
        kvar: FloatArray,
    ) -> None:
        """Write accepted powers."""
        del devices
        # In this order: a new kW keeps the power factor and so moves the kvar.
        batch.write_at("kW", at, kw)
        batch.write_at("kvar", at, kvar)

    def stored_kwh(self, batch: Batch, at: IntArray) -> FloatArray | None:
        """The engine keeps no energy for it: the plant integrates the kind's law."""
        del batch, at
        return None


INJECTION = InjectionElement()
