"""Batteries in OpenDSS: the Storage element."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosim.devices.curve import along
from cosim.devices.storage import StorageRating
from cosim.errors import FeederError
from cosim.feeder.devices import (
    WIDE_WINDOW,
    as_constant_power,
    check_kv,
    connection,
    curve_of,
    names_of,
    property_reader,
    terminal,
    tighter_than_rating,
)
from cosim.feeder.engine import Batch, Engine
from cosim.model.arrays import FloatArray, IntArray


def _check_kva(name: str, kw: float, kva: float) -> None:
    if kw <= 0:
        raise FeederError(f"storage {name} is rated {kw:g} kW; give it a power, or disable it")
    if kva < kw:
        raise FeederError(
            f"storage {name}: kva {kva:g} is below kw {kw:g}; OpenDSS returns NaN when such a "
            "battery charges. Raise kva to at least kw"
        )


def _instead_of_curve(engine: Engine, device: StorageRating, curve: str) -> str:
    """Why a battery with an efficiency curve is refused, and the lines to write instead."""
    at_rating = along(curve_of(engine, curve), device.kw / device.kva)
    charge, discharge = (
        100 * at_rating * e for e in (device.efficiency_charge, device.efficiency_discharge)
    )
    return (
        f"storage {device.name} has an EffCurve, whose charging law depends on the engine's previous "
        f"iteration. Take EffCurve={curve} out of its line and write, for its efficiency at rated power, "
        f"%EffCharge={charge:.4g} %EffDischarge={discharge:.4g}; or set feeder.discover to false"
    )


class StorageElement:
    """See :class:`cosim.feeder.elements.element.Element`."""

    class_name = "storage"

    def add(self, engine: Engine, device: StorageRating) -> None:
        """Add a battery to the compiled circuit."""
        _check_kva(device.name, device.kw, device.kva)
        engine.command(
            f"new storage.{device.name} {connection(engine, device)} {WIDE_WINDOW} model=1 "
            f"kwrated={float(device.kw)!r} kva={float(device.kva)!r} kwhrated={float(device.kwh)!r} "
            # kwhrated refills the cell, so the stored energy comes after it.
            f"%reserve={float(100 * device.min_kwh / device.kwh)!r} "
            f"%stored={float(100 * device.initial_kwh / device.kwh)!r} "
            f"%effcharge={float(100 * device.efficiency_charge)!r} "
            f"%effdischarge={float(100 * device.efficiency_discharge)!r} "
            f"%idlingkw={float(100 * device.idling_kw / device.kw)!r} "
            "dispmode=external state=idling wattpriority=yes %cutin=0 %cutout=0"
        )

    def find(self, engine: Engine) -> list[StorageRating]:
        """Batteries that the master file defines, as they are."""
        found: list[StorageRating] = []
        for name in names_of(engine, "storage"):
            number = property_reader(engine, f"storage.{name}")
            at = terminal(engine, f"storage.{name}")
            kwh, kw = number("kWhrated"), number("kWrated")
            if kwh <= 0:
                raise FeederError(f"storage {name} is rated {kwh:g} kWh; give it energy, or disable it")
            rating = StorageRating(
                name=name,
                bus=at.bus,
                phases=at.phases,
                delta=at.delta,
                neutral=at.neutral,
                kw=kw * (number("%kWrated") / 100),
                kva=number("kVA"),
                kwh=kwh,
                min_kwh=kwh * number("%reserve") / 100,
                max_kwh=kwh,
                initial_kwh=number("kWhstored"),
                efficiency_charge=number("%EffCharge") / 100,
                efficiency_discharge=number("%EffDischarge") / 100,
                idling_kw=kw * number("%IdlingkW") / 100,
                kvar_max=tighter_than_rating(number("kvarMax"), number("kVA")),
                kvar_max_abs=tighter_than_rating(number("kvarMaxAbs"), number("kVA")),
            )
            found.append(rating)
        return found

    def take_over(self, engine: Engine, device: StorageRating) -> None:
        """Prepare a battery of the master for set-points from outside.

        Raises:
            FeederError: it cannot follow set-points; the message names the property.
        """
        name = device.name
        _check_kva(name, device.kw, device.kva)
        check_kv(engine, f"storage.{name}", device)
        curve = engine.command(f"? storage.{name}.EffCurve")
        if curve:
            raise FeederError(_instead_of_curve(engine, device, curve))
        as_constant_power(engine, f"storage.{name}")
        engine.command(
            f"edit storage.{name} dispmode=external state=idling wattpriority=yes %cutin=0 %cutout=0 "
            f"{WIDE_WINDOW} kw=0 kvar=0"
        )

    def expose(self, batch: Batch, at: IntArray, irradiance: FloatArray) -> None:
        """Batteries see nothing of the world."""

    def write(
        self,
        batch: Batch,
        at: IntArray,
        devices: Sequence[StorageRating],
        kw: FloatArray,
        kvar: FloatArray,
    ) -> None:
        """Write accepted powers."""
        del devices
        batch.write_at("kW", at, kw)
        batch.write_at("kvar", at, kvar)

    def stored_kwh(self, batch: Batch, at: IntArray) -> FloatArray | None:
        """What the engine holds."""
        return np.asarray(batch.read("kWhstored")[at])


STORAGE = StorageElement()
