"""Batteries and PV systems in OpenDSS: adding, finding, and where they hang on the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cosim.errors import FeederError
from cosim.feeder.branch import SQRT3
from cosim.feeder.engine import Engine
from cosim.feeder.extract import Connected
from cosim.model.arrays import FloatArray
from cosim.model.ratings import PvRating, StorageRating

WIDE_WINDOW = "vminpu=0.5 vmaxpu=1.5"
"""Outside the default 0.9-1.1 pu an inverter would turn into an impedance and leave its set-point."""


def add_storage(engine: Engine, rating: StorageRating) -> None:
    """Add a battery to the compiled circuit."""
    _check_kva(rating.name, rating.kw, rating.kva)
    engine.command(
        f"new storage.{rating.name} {_connection(engine, rating)} {WIDE_WINDOW} model=1 "
        f"kwrated={float(rating.kw)!r} kva={float(rating.kva)!r} kwhrated={float(rating.kwh)!r} "
        # kwhrated refills the cell, so the stored energy comes after it.
        f"%reserve={float(100 * rating.min_kwh / rating.kwh)!r} "
        f"%stored={float(100 * rating.initial_kwh / rating.kwh)!r} "
        f"%effcharge={float(100 * rating.efficiency_charge)!r} "
        f"%effdischarge={float(100 * rating.efficiency_discharge)!r} "
        f"%idlingkw={float(100 * rating.idling_kw / rating.kw)!r} "
        "dispmode=external state=idling wattpriority=yes %cutin=0 %cutout=0"
    )


def add_pv(engine: Engine, rating: PvRating) -> None:
    """Add a PV system to the compiled circuit."""
    engine.command(
        f"new pvsystem.{rating.name} {_connection(engine, rating)} {WIDE_WINDOW} model=1 "
        f"pmpp={float(rating.kw)!r} kva={float(rating.kva)!r} irradiance=0 %pmpp=100 "
        # The defaults of 20 % would switch the inverter off in the morning and the evening.
        "%cutin=0.01 %cutout=0.01 wattpriority=yes kvar=0"
    )


def _connection(engine: Engine, rating: StorageRating | PvRating) -> str:
    base = phase_base_kv(engine, rating.bus)
    phases = len(rating.phases)
    line_to_line = rating.delta or phases > 1
    kv = base * SQRT3 if line_to_line else base
    nodes = ".".join(str(phase) for phase in rating.phases)
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


def _check_kva(name: str, kw: float, kva: float) -> None:
    if kw <= 0:
        raise FeederError(f"storage {name} is rated {kw:g} kW; give it a power, or disable it")
    if kva < kw:
        raise FeederError(
            f"storage {name}: kva {kva:g} is below kw {kw:g}; OpenDSS returns NaN when such a "
            "battery charges. Raise kva to at least kw"
        )


def find_storage(engine: Engine) -> list[StorageRating]:
    """Batteries that the master file defines, as they are."""
    found: list[StorageRating] = []
    for name in names_of(engine, "storage"):
        number = _property_reader(engine, f"storage.{name}")
        bus, phases, delta = _terminal(engine, f"storage.{name}")
        kwh, kw = number("kWhrated"), number("kWrated")
        rating = StorageRating(
            name=name,
            bus=bus,
            phases=phases,
            delta=delta,
            kw=kw * (number("%kWrated") / 100),
            kva=number("kVA"),
            kwh=kwh,
            min_kwh=kwh * number("%reserve") / 100,
            max_kwh=kwh,
            initial_kwh=number("kWhstored"),
            efficiency_charge=number("%EffCharge") / 100,
            efficiency_discharge=number("%EffDischarge") / 100,
            idling_kw=kw * number("%IdlingkW") / 100,
            kvar_max=_below(number("kvarMax"), number("kVA")),
            kvar_max_abs=_below(number("kvarMaxAbs"), number("kVA")),
        )
        found.append(rating)
    return found


def find_pv(engine: Engine) -> list[PvRating]:
    """PV systems that the master file defines, as they are."""
    found: list[PvRating] = []
    for name in names_of(engine, "pvsystem"):
        number = _property_reader(engine, f"pvsystem.{name}")
        bus, phases, delta = _terminal(engine, f"pvsystem.{name}")
        rating = PvRating(
            name,
            bus,
            phases,
            delta,
            number("Pmpp"),
            number("kVA"),
            kvar_max=_below(number("kvarMax"), number("kVA")),
            kvar_max_abs=_below(number("kvarMaxAbs"), number("kVA")),
        )
        if rating.kw <= 0 or rating.kva <= 0:
            raise FeederError(
                f"pvsystem {name} is rated {rating.kw:g} kW and {rating.kva:g} kVA; give it a power, or "
                "disable it"
            )
        found.append(rating)
    return found


def _below(limit_kvar: float, kva: float) -> float | None:
    """A reactive limit where it is tighter than the inverter's rating."""
    return abs(limit_kvar) if abs(limit_kvar) < kva else None


def take_over_storage(engine: Engine, rating: StorageRating) -> None:
    """Prepare a battery of the master for set-points from outside.

    Raises:
        FeederError: it cannot follow set-points; the message names the property.
    """
    name = rating.name
    _check_kva(name, rating.kw, rating.kva)
    check_kv(engine, f"storage.{name}", rating)
    if engine.command(f"? storage.{name}.EffCurve"):
        raise FeederError(
            f"storage {name} has an EffCurve, whose charging law depends on the engine's previous "
            "iteration; give constant %EffCharge and %EffDischarge instead"
        )
    engine.command(
        f"edit storage.{name} dispmode=external state=idling wattpriority=yes %cutin=0 %cutout=0 "
        f"{WIDE_WINDOW} kw=0 kvar=0"
    )


def take_over_pv(engine: Engine, rating: PvRating) -> None:
    """Prepare a PV system of the master for set-points from outside.

    Raises:
        FeederError: it cannot follow set-points; the message names the property.
    """
    name = rating.name
    check_kv(engine, f"pvsystem.{name}", rating)
    for curve in ("EffCurve", "P-TCurve"):
        if engine.command(f"? pvsystem.{name}.{curve}"):
            raise FeederError(
                f"pvsystem {name} has a {curve}, so its available power is not panel rating times "
                "irradiance; remove the curve, or set feeder.discover to false"
            )
    engine.command(
        f"edit pvsystem.{name} irradiance=0 wattpriority=yes %cutin=0.01 %cutout=0.01 {WIDE_WINDOW} kvar=0"
    )


KV_FITS = (0.75, 1.35)
"""A rated voltage between these multiples of its bus's base belongs to it (a 240 V service between two
phases with a base of 208 V is at 1.15)."""


def check_kv(engine: Engine, element: str, rating: StorageRating | PvRating) -> None:
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


def names_of(engine: Engine, class_name: str) -> list[str]:
    """Names of the enabled elements of a class, lower case."""
    engine.dss.Circuit.SetActiveClass(class_name)
    names = [name.lower() for name in engine.dss.ActiveClass.AllNames() if name.lower() != "none"]
    return [name for name in names if _is_enabled(engine, f"{class_name}.{name}")]


def _is_enabled(engine: Engine, element: str) -> bool:
    engine.dss.Circuit.SetActiveElement(element)
    return bool(engine.dss.CktElement.Enabled())


def _property_reader(engine: Engine, element: str) -> Callable[[str], float]:
    def number(name: str) -> float:
        return float(engine.command(f"? {element}.{name}"))

    return number


def _terminal(engine: Engine, element: str) -> tuple[str, tuple[int, ...], bool]:
    """Bus, node numbers and whether it is a delta connection."""
    engine.dss.Circuit.SetActiveElement(element)
    bus, *given = str(engine.dss.CktElement.BusNames()[0]).lower().split(".")
    # The engine numbers nodes only when it first solves, which must come after devices are taken over.
    phases = int(engine.dss.CktElement.NumPhases())
    numbers = tuple(int(n) for n in given if int(n)) or tuple(range(1, phases + 1))
    delta = engine.command(f"? {element}.conn").lower().startswith(("delta", "d", "l"))
    return bus, numbers, delta


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
        if is_control and kind not in NETWORK_CONTROLS and _is_enabled(engine, name):
            found.append(name)
    return found


def silence_controls(engine: Engine) -> list[str]:
    """Disable the controls that would overrule set-points; returns their names."""
    silenced = device_controls(engine)
    for name in silenced:
        engine.command(f"edit {name} enabled=no")
    return silenced


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


@dataclass(frozen=True)
class LoadTable:
    """The loads of a circuit, in the order of definition, disabled ones left out.

    Attributes:
        names: lower case.
        kw, kvar: nominal demand, shape (load,), positive consumption.
        fixed: loads that ignore multipliers (``status=fixed``).
        connected: legs and rated leg voltage of each.
        zip_p, zip_q: shares of constant impedance, current and power at rated voltage.
        shapes: name of the daily load shape, empty if none.
        multiplier: of the circuit, which the engine applies to loads that are not fixed; ``kw`` and
            ``kvar`` include it.
    """

    names: tuple[str, ...]
    kw: FloatArray
    kvar: FloatArray
    fixed: tuple[bool, ...]
    connected: tuple[Connected, ...]
    zip_p: FloatArray
    zip_q: FloatArray
    shapes: tuple[str, ...]
    multiplier: float


def read_loads(engine: Engine) -> LoadTable:
    """Read every enabled load. The circuit's load multiplier is part of the nominal demand.

    Raises:
        FeederError: the multiplier is zero.
    """
    loads = engine.dss.Loads
    multiplier = float(engine.dss.Solution.LoadMult())
    if multiplier == 0.0:
        raise FeederError("loadmult is 0: no load could follow its demand; remove 'set loadmult=0'")
    rows: list[tuple[str, float, float, bool, Connected, list[float], list[float], str]] = []
    index = loads.First()
    while index:
        name = loads.Name().lower()
        delta = bool(loads.IsDelta())
        phases = int(loads.Phases())
        kv = float(loads.kV())
        rated = kv if delta or phases == 1 else kv / SQRT3
        legs = _legs(engine, phases, delta=delta)
        zip_p, zip_q = _zip_shares(loads)
        fixed = loads.Status() == 1
        scale = 1.0 if fixed else multiplier
        rows.append(
            (
                name,
                scale * float(loads.kW()),
                scale * float(loads.kvar()),
                fixed,
                Connected(name, legs, rated),
                zip_p,
                zip_q,
                str(loads.Daily()).lower(),
            )
        )
        index = loads.Next()
    names, kw, kvar, is_fixed, connected, zip_p_rows, zip_q_rows, shapes = (
        zip(*rows, strict=True) if rows else ((),) * 8
    )
    return LoadTable(
        names=tuple(names),
        kw=np.array(kw, dtype=np.float64),
        kvar=np.array(kvar, dtype=np.float64),
        fixed=tuple(is_fixed),
        connected=tuple(connected),
        zip_p=np.array(zip_p_rows, dtype=np.float64).reshape(len(names), 3),
        zip_q=np.array(zip_q_rows, dtype=np.float64).reshape(len(names), 3),
        shapes=tuple(shapes),
        multiplier=multiplier,
    )


def _legs(engine: Engine, phases: int, *, delta: bool) -> tuple[tuple[int, int], ...]:
    """Legs of the active element as pairs of zero-based system nodes, -1 for ground."""
    nodes = [int(node) - 1 for node in engine.dss.CktElement.NodeRef()]
    if delta:
        if phases == 1:
            return ((nodes[0], nodes[1]),)
        return tuple((nodes[i], nodes[(i + 1) % phases]) for i in range(phases))
    neutral = nodes[phases] if len(nodes) > phases else -1
    return tuple((nodes[i], neutral) for i in range(phases))


def _zip_shares(loads: object) -> tuple[list[float], list[float]]:
    """Shares of constant impedance, current and power; exponents enter by their tangent at 1 pu."""
    model = int(loads.Model())  # type: ignore[attr-defined]
    power, impedance, current = [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
    if model == 2:
        return impedance, impedance
    if model == 3:
        return power, impedance
    if model == 4:
        watts = float(loads.CVRwatts())  # type: ignore[attr-defined]
        vars_ = float(loads.CVRvars())  # type: ignore[attr-defined]
        return [0.0, watts, 1.0 - watts], [0.0, vars_, 1.0 - vars_]
    if model == 5:
        return current, current
    if model == 8:
        shares = [float(x) for x in loads.ZipV()]  # type: ignore[attr-defined]
        return shares[0:3], shares[3:6]
    return power, power


def connected_device(engine: Engine, element: str, rating: StorageRating | PvRating) -> Connected:
    """Legs of a battery or a PV system."""
    engine.dss.Circuit.SetActiveElement(element)
    phases = int(engine.dss.CktElement.NumPhases())
    return Connected(rating.name, _legs(engine, phases, delta=rating.delta), 1.0)
