"""PV systems in OpenDSS: the PVSystem element."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from cosim.devices.curve import along
from cosim.devices.pv import PvRating
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

log = logging.getLogger(__name__)

SHAPES = ("yearly", "daily", "duty")


class PvElement:
    """See :class:`cosim.feeder.elements.element.Element`."""

    class_name = "pvsystem"

    def add(self, engine: Engine, device: PvRating) -> None:
        """Add a PV system to the compiled circuit."""
        engine.command(
            f"new pvsystem.{device.name} {connection(engine, device)} {WIDE_WINDOW} model=1 "
            f"pmpp={float(device.kw)!r} kva={float(device.kva)!r} irradiance=0 %pmpp=100 "
            # The defaults of 20 % would switch the inverter off in the morning and the evening.
            "%cutin=0.01 %cutout=0.01 wattpriority=yes kvar=0"
        )

    def find(self, engine: Engine) -> list[PvRating]:
        """PV systems that the master file defines, as they are."""
        found: list[PvRating] = []
        for name in names_of(engine, "pvsystem"):
            number = property_reader(engine, f"pvsystem.{name}")
            at = terminal(engine, f"pvsystem.{name}")
            rating = PvRating(
                name,
                at.bus,
                at.phases,
                at.delta,
                number("Pmpp"),
                number("kVA"),
                kvar_max=tighter_than_rating(number("kvarMax"), number("kVA")),
                kvar_max_abs=tighter_than_rating(number("kvarMaxAbs"), number("kVA")),
                neutral=at.neutral,
                warmth=_warmth(engine, name),
                efficiency=curve_of(engine, engine.command(f"? pvsystem.{name}.EffCurve")),
            )
            if rating.kw <= 0 or rating.kva <= 0:
                raise FeederError(
                    f"pvsystem {name} is rated {rating.kw:g} kW and {rating.kva:g} kVA; give it a power, "
                    "or disable it"
                )
            found.append(rating)
        return found

    def take_over(self, engine: Engine, device: PvRating) -> None:
        """Prepare a PV system of the master for set-points from outside.

        Raises:
            FeederError: it cannot follow set-points; the message names the property.
        """
        name = device.name
        for shape in ("Tdaily", "Tyearly"):
            if engine.command(f"? pvsystem.{name}.{shape}"):
                celsius = engine.command(f"? pvsystem.{name}.temperature")
                log.warning(
                    "pvsystem.%s: %s is not followed; its panels stay at %s C", name, shape, celsius
                )
        check_kv(engine, f"pvsystem.{name}", device)
        as_constant_power(engine, f"pvsystem.{name}")
        engine.command(
            f"edit pvsystem.{name} irradiance=0 wattpriority=yes %cutin=0.01 %cutout=0.01 "
            f"{WIDE_WINDOW} kvar=0"
        )

    def expose(self, batch: Batch, at: IntArray, irradiance: FloatArray) -> None:
        """Write the sun."""
        batch.write_at("irradiance", at, irradiance)

    def write(
        self, batch: Batch, at: IntArray, devices: Sequence[PvRating], kw: FloatArray, kvar: FloatArray
    ) -> None:
        """Write limits of active power, as a part of the panels' rating, and reactive power."""
        percent = 100.0 * kw / np.array([device.kw for device in devices])
        batch.write_at("%Pmpp", at, percent)
        batch.write_at("kvar", at, kvar)

    def stored_kwh(self, batch: Batch, at: IntArray) -> FloatArray | None:
        """A PV system stores nothing."""
        del batch
        return np.zeros(len(at))


def read_sun_shapes(engine: Engine) -> dict[str, tuple[str, float]]:
    """Irradiance shape of PV systems that have one, and the irradiance that it multiplies, kW/m²."""
    found: dict[str, tuple[str, float]] = {}
    base = read_base_irradiance(engine)
    for name in base:
        asked = (engine.command(f"? pvsystem.{name}.{kind}").strip().lower() for kind in SHAPES)
        shape = next((answer for answer in asked if answer), "")
        if shape:
            found[name] = (shape, base[name])
    return found


def read_base_irradiance(engine: Engine) -> dict[str, float]:
    """Irradiance that each PV system of the master has before the sun of a run is written, kW/m²."""
    return {
        name: float(engine.command(f"? pvsystem.{name}.irradiance"))
        for name in names_of(engine, "pvsystem")
    }


def _warmth(engine: Engine, name: str) -> float:
    """Factor of the panels' temperature."""
    points = curve_of(engine, engine.command(f"? pvsystem.{name}.P-TCurve"))
    if not points:
        return 1.0
    return along(points, float(engine.command(f"? pvsystem.{name}.temperature")))


PV = PvElement()
