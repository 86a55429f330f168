"""What all devices in OpenDSS have in common: connection, rated voltage, terminals, and their controls."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from cosim.errors import FeederError
from cosim.feeder.branch import SQRT3
from cosim.feeder.engine import Engine
from cosim.feeder.extract import Connected
from cosim.model.device import Device

log = logging.getLogger(__name__)

WIDE_WINDOW = "vminpu=0.5 vmaxpu=1.5"
"""Outside the default 0.9-1.1 pu an inverter would turn into an impedance and leave its set-point."""


def connection(engine: Engine, rating: Device) -> str:
    """Bus, nodes, phases, connection and voltage of a new device, as OpenDSS text."""
    base = phase_base_kv(engine, rating.bus)
    phases = len(rating.phases)
    line_to_line = rating.delta or phases > 1
    kv = base * SQRT3 if line_to_line else base
    neutral = () if rating.neutral is None else (rating.neutral,)
    nodes = ".".join(str(node) for node in (*rating.phases, *neutral))
    # A delta element between two phases has two nodes but counts as one phase.
    count = 1 if rating.delta and phases == 2 else phases
    connection = "delta" if rating.delta else "wye"
    return f"bus1={rating.bus}.{nodes} phases={count} conn={connection} kv={float(kv)!r}"


def phase_base_kv(engine: Engine, bus: str) -> float:
    """Line-to-neutral voltage base of a bus in kV.

    Raises:
        FeederError: the bus has no voltage base.
    """
    engine.dss.Circuit.SetActiveBus(bus)
    base = float(engine.dss.Bus.kVBase())
    if base <= 0:
        raise FeederError(f"bus {bus} has no voltage base; add 'set voltagebases' and 'calcvoltagebases'")
    return base


KV_FITS = (0.75, 1.35)
"""A rated voltage between these multiples of its bus's base belongs to it (a 240 V service between two
phases with a base of 208 V is at 1.15)."""


def check_kv(engine: Engine, element: str, rating: Device) -> None:
    """Refuse a device whose rated voltage does not belong to its bus.

    Raises:
        FeederError: names the element, its kV and what its bus needs.
    """
    base = phase_base_kv(engine, rating.bus)
    line_to_line = rating.delta or len(rating.phases) > 1
    due = base * SQRT3 if line_to_line else base
    kv = float(engine.command(f"? {element}.kv"))
    if not KV_FITS[0] <= kv / due <= KV_FITS[1]:
        kind = "line to line" if line_to_line else "line to neutral"
        raise FeederError(
            f"{element} has kv={kv:g}, but its connection at bus {rating.bus} needs {due:.4g} kV "
            f"({kind}); OpenDSS would deliver another power than it is asked for. Mend kv in the master, "
            "or set feeder.discover to false"
        )


def curve_of(engine: Engine, name: str) -> tuple[tuple[float, float], ...]:
    """Points of a curve; none where it has no name."""
    if not name:
        return ()
    values = {}
    for axis in ("Xarray", "Yarray"):
        text = engine.command(f"? xycurve.{name}.{axis}").strip("[] ")
        values[axis] = [float(value) for value in text.replace(",", " ").split()]
    return tuple(zip(values["Xarray"], values["Yarray"], strict=True))


def as_constant_power(engine: Engine, element: str) -> None:
    """Let a device deliver its set-point at any voltage; another model of the master is said aloud."""
    model = int(float(engine.command(f"? {element}.model")))
    if model != 1:
        log.warning(
            "%s has model=%d and follows set-points as one of constant power (model=1)", element, model
        )
        engine.command(f"edit {element} model=1")


def names_of(engine: Engine, class_name: str) -> list[str]:
    """Names of the enabled elements of a class, lower case."""
    engine.dss.Circuit.SetActiveClass(class_name)
    names = [name.lower() for name in engine.dss.ActiveClass.AllNames() if name.lower() != "none"]
    return [name for name in names if is_enabled(engine, f"{class_name}.{name}")]


def is_enabled(engine: Engine, element: str) -> bool:
    """Whether an element takes part in the circuit."""
    engine.dss.Circuit.SetActiveElement(element)
    return bool(engine.dss.CktElement.Enabled())


def property_reader(engine: Engine, element: str) -> Callable[[str], float]:
    """Reads a number from an element by the name of its property."""

    def number(name: str) -> float:
        return float(engine.command(f"? {element}.{name}"))

    return number


class Terminal(NamedTuple):
    """Where an element of the master is connected."""

    bus: str
    phases: tuple[int, ...]
    delta: bool
    neutral: int | None


def terminal(engine: Engine, element: str) -> Terminal:
    """Bus, node numbers, whether it is a delta connection, and its neutral conductor."""
    engine.dss.Circuit.SetActiveElement(element)
    bus, *given = str(engine.dss.CktElement.BusNames()[0]).lower().split(".")
    # The engine numbers nodes only when it first solves, which must come after devices are taken over.
    phases = int(engine.dss.CktElement.NumPhases())
    numbers = tuple(int(n) for n in given if int(n)) or tuple(range(1, phases + 1))
    delta = engine.command(f"? {element}.conn").lower().startswith(("delta", "d", "l"))
    wye = not delta and len(numbers) > phases
    return Terminal(bus, numbers[:phases] if wye else numbers, delta, numbers[phases] if wye else None)


NETWORK_CONTROLS = frozenset({"regcontrol", "capcontrol", "swtcontrol", "upfccontrol"})
"""Controls that act on the network. Every other class of controls acts on inverters or batteries."""

MEMBERS = {"invcontrol": "derlist", "expcontrol": "derlist", "storagecontroller": "elementlist"}
"""Property with the elements that a control acts on; empty means every element of its kind."""


def device_controls(engine: Engine) -> list[str]:
    """Enabled controls that act on inverters and batteries, by class: also classes still to come."""
    found: list[str] = []
    for name in (str(name).lower() for name in engine.dss.Circuit.AllElementNames()):
        kind = name.partition(".")[0]
        is_control = kind.endswith(("control", "controller"))
        if is_control and kind not in NETWORK_CONTROLS and is_enabled(engine, name):
            found.append(name)
    return found


def silence_controls(engine: Engine) -> list[str]:
    """Disable the controls that would overrule set-points; returns their names."""
    silenced = device_controls(engine)
    for name in silenced:
        engine.command(f"edit {name} enabled=no")
    return silenced


def disable_idle_controls(engine: Engine) -> list[str]:
    """Disable controls of inverters and batteries where there are none, and find the bases again.

    With such a control the engine takes the voltage from the whole circuit, also when it finds the bases.

    Returns:
        Their names.
    """
    if any(names_of(engine, kind) for kind in ("pvsystem", "storage")):
        return []
    idle = silence_controls(engine)
    if idle:
        engine.command("calcvoltagebases")
        engine.refresh_nodes()
    return idle


def confine_controls(engine: Engine) -> list[str]:
    """Let controls without a list act on the devices of the master only, not on those added later.

    Returns:
        Names of controls that were disabled, because they act on nothing or no list can be given to them.
    """
    own = [f"{kind}.{name}" for kind in ("pvsystem", "storage") for name in names_of(engine, kind)]
    silenced: list[str] = []
    for control in device_controls(engine):
        kind = control.partition(".")[0]
        members = own if kind != "storagecontroller" else [n[8:] for n in own if n.startswith("storage.")]
        if kind in MEMBERS and members:
            listed = engine.command(f"? {control}.{MEMBERS[kind]}").strip("[] ").replace(",", " ").split()
            # Given explicitly, the list does not grow with devices that are added later.
            engine.command(f"edit {control} {MEMBERS[kind]}=[{' '.join(listed or members)}]")
        else:
            engine.command(f"edit {control} enabled=no")
            silenced.append(control)
    return silenced


def legs_of(engine: Engine, phases: int, *, delta: bool) -> tuple[tuple[int, int], ...]:
    """Legs of the active element as pairs of zero-based system nodes, -1 for ground."""
    nodes = [int(node) - 1 for node in engine.dss.CktElement.NodeRef()]
    if delta:
        if phases == 1:
            return ((nodes[0], nodes[1]),)
        # An open delta of two phases has three conductors: its legs are 1-2 and 2-3.
        return tuple((nodes[i], nodes[(i + 1) % len(nodes)]) for i in range(phases))
    neutral = nodes[phases] if len(nodes) > phases else -1
    return tuple((nodes[i], neutral) for i in range(phases))


def connected_device(engine: Engine, element: str, rating: Device) -> Connected:
    """Legs of a battery or a PV system."""
    engine.dss.Circuit.SetActiveElement(element)
    phases = int(engine.dss.CktElement.NumPhases())
    return Connected(rating.name, legs_of(engine, phases, delta=rating.delta), 1.0)


def tighter_than_rating(limit_kvar: float, kva: float) -> float | None:
    """A reactive limit where it is tighter than the inverter's rating."""
    return abs(limit_kvar) if abs(limit_kvar) < kva else None
