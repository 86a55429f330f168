"""Voltage bases of a feeder: found where a master sets none, checked against the transformers."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from cosim.errors import FeederError
from cosim.feeder.branch import SQRT3
from cosim.feeder.engine import Engine

log = logging.getLogger(__name__)

WINDING_FITS = (0.7, 1.4)
"""A bus whose base is outside these multiples of a winding's rated voltage has a base of another level."""
ROUGHLY = (0.6, 1.5)
"""The voltage of a bus is of its base's level inside these multiples of it."""


def find_bases(engine: Engine) -> None:
    """Give bases where no bus has one.

    Bases that the master set are left alone: a second ``calcvoltagebases`` after regulators have moved,
    or after ``setkvbase``, gives other ones.
    """
    if engine.node_base_kv().any():
        return
    log.warning("the master sets no voltage bases; they are calculated from 'voltagebases'")
    engine.command("calcvoltagebases")
    engine.refresh_nodes()


def check_bases(engine: Engine) -> tuple[str, ...]:
    """Sentences about transformer windings at buses whose voltage base is of another level.

    Every per-unit voltage behind such a winding is wrong. The engine must hold a solved power flow.
    """
    return tuple(dict.fromkeys(_wrong_bases(engine)))


def must_have_right_bases(problems: tuple[str, ...]) -> None:
    """Refuse a feeder with wrong bases.

    Raises:
        FeederError: the first buses, what their level is, and what to write.
    """
    if problems:
        more = f"; {len(problems) - 3} more" if len(problems) > 3 else ""
        raise FeederError("; ".join(problems[:3]) + more)


def _wrong_bases(engine: Engine) -> Iterator[str]:
    dss = engine.dss
    transformers = dss.Transformers
    index = transformers.First()
    while index:
        element = dss.CktElement
        name = transformers.Name()
        if element.Enabled():
            buses = [str(bus) for bus in element.BusNames()]
            for winding in range(1, int(transformers.NumWindings()) + 1):
                transformers.Wdg(winding)
                yield from _wrong_base(engine, name, float(transformers.kV()), buses[winding - 1])
        dss.Circuit.SetActiveElement(f"transformer.{name}")
        index = transformers.Next()


def _wrong_base(engine: Engine, name: str, rated_kv: float, connection: str) -> Iterator[str]:
    bus, *nodes = connection.lower().split(".")
    live = [node for node in nodes if node != "0"]
    line_to_line = not live or len(live) > 1
    engine.dss.Circuit.SetActiveBus(bus)
    base = float(engine.dss.Bus.kVBase())
    if base <= 0 or rated_kv <= 0:
        return
    rated = rated_kv / SQRT3 if line_to_line else rated_kv
    if WINDING_FITS[0] <= rated / base <= WINDING_FITS[1]:
        return
    volts = [float(v) for v in engine.dss.Bus.puVmagAngle()[0::2]]
    highest = max(volts, default=0.0)
    if highest * base * 1e3 > 1e-3 and not ROUGHLY[0] <= highest <= ROUGHLY[1]:
        yield (
            f"bus {bus} has a voltage base of {base * SQRT3:.4g} kV and stands at {highest:.3g} pu of it, "
            f"while transformer {name} gives it {rated * SQRT3:.4g} kV; add {rated * SQRT3:.4g} to "
            "'set voltagebases' before 'calcvoltagebases'"
        )
