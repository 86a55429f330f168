"""A balanced feeder as its single-phase equivalent: one bus per place, one impedance per branch.

Powers are those of one phase, a third of the three-phase feeder. The bus order is the tree: bus 0
is the substation, and branch k ends in bus k + 1 and starts at an earlier bus. Every algorithm on
the tree is then one loop, or one triangular system, without a search.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from cosim.errors import FeederError
from cosim.model.arrays import BoolArray, FloatArray, IntArray

BUS_NAME = re.compile(r"[a-z0-9_\-]+")
"""What OpenDSS reads back as it was written: it folds capitals, and a dot starts a node number."""


@dataclass(frozen=True)
class Branches:
    """Series impedances, shape (branch,) each; branch k ends in bus k + 1.

    Attributes:
        from_bus: position of the bus nearer to the substation, ``from_bus[k] <= k``.
        r_ohm, x_ohm: series impedance.
        normal_amps: ampacity; 0 is unknown.
    """

    from_bus: IntArray
    r_ohm: FloatArray
    x_ohm: FloatArray
    normal_amps: FloatArray

    @property
    def to_bus(self) -> IntArray:
        """Position of the bus each branch feeds."""
        return np.arange(1, len(self.from_bus) + 1, dtype=np.int64)


@dataclass(frozen=True)
class Loads:
    """Constant-power demand, at most one per bus, shape (load,) each.

    Attributes:
        bus: positions of the buses.
        kw, kvar: demand at peak, positive consumption; a capacitor is a negative kvar.
    """

    bus: IntArray
    kw: FloatArray
    kvar: FloatArray


@dataclass(frozen=True)
class Pvs:
    """Photovoltaic systems, at most one per bus, shape (pv,) each.

    Attributes:
        bus: positions of the buses.
        kw: power of the panels at 1 kW/m².
        kva: rating of the inverter.
    """

    bus: IntArray
    kw: FloatArray
    kva: FloatArray


@dataclass(frozen=True)
class Storages:
    """Batteries, at most one per bus, shape (storage,) each; what is not an array holds for all.

    Attributes:
        bus: positions of the buses.
        kw: largest charging and discharging power.
        kva: rating of the inverter, never below ``kw``.
        kwh: energy of the full cell.
        soc_min, soc_max, soc_start: window and start as shares of ``kwh``.
        efficiency_charge, efficiency_discharge: between terminals and cell, each way.
    """

    bus: IntArray
    kw: FloatArray
    kva: FloatArray
    kwh: FloatArray
    soc_min: float = 0.30
    soc_max: float = 0.95
    soc_start: float = 0.625
    efficiency_charge: float = 0.95
    efficiency_discharge: float = 0.95


@dataclass(frozen=True)
class Places:
    """Coordinates of every bus for maps, shape (bus,) each, in any unit."""

    x: FloatArray
    y: FloatArray


@dataclass(frozen=True)
class BalancedFeeder:
    """The single-phase equivalent of a balanced radial feeder.

    Attributes:
        name: of the OpenDSS circuit: lower case letters, digits, ``_`` and ``-``.
        title: one line for people, with the origin of the data.
        base_kv: rated voltage, line to neutral.
        source_pu: voltage at the substation, which holds whatever is drawn.
        buses: names, outwards from the substation; same alphabet as ``name``.
        branches, loads, pvs, storages: what connects the buses and hangs on them.
        places: where the buses lie.

    Raises:
        FeederError: see :func:`check`.
    """

    name: str
    title: str
    base_kv: float
    source_pu: float
    buses: tuple[str, ...]
    branches: Branches
    loads: Loads
    pvs: Pvs
    storages: Storages
    places: Places

    def __post_init__(self) -> None:
        check(self)

    @property
    def size(self) -> int:
        """Number of buses."""
        return len(self.buses)

    def peak_demand(self) -> tuple[FloatArray, FloatArray]:
        """Power that the loads draw at each bus at peak: kW and kvar, shape (bus,) each."""
        kw, kvar = np.zeros(self.size), np.zeros(self.size)
        kw[self.loads.bus] = self.loads.kw
        kvar[self.loads.bus] = self.loads.kvar
        return kw, kvar


def no_pvs() -> Pvs:
    """An empty list of photovoltaic systems."""
    return Pvs(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))


def no_storages() -> Storages:
    """An empty list of batteries."""
    return Storages(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0), np.zeros(0))


# --- checks ----------------------------------------------------------------------------------------


def check(feeder: BalancedFeeder) -> None:
    """Refuse what is not a tree in outward order with sound numbers.

    Raises:
        FeederError: names the first offender, its value and what was expected.
    """
    _check_names(feeder)
    branches, size = feeder.branches, feeder.size
    shapes = {
        "branches": (branches, size - 1),
        "loads": (feeder.loads, len(feeder.loads.bus)),
        "pvs": (feeder.pvs, len(feeder.pvs.bus)),
        "storages": (feeder.storages, len(feeder.storages.bus)),
        "places": (feeder.places, size),
    }
    for what, (table, length) in shapes.items():
        _check_columns(feeder.name, what, vars(table), length)
    wrong = np.flatnonzero((branches.from_bus < 0) | (branches.from_bus >= branches.to_bus))
    if len(wrong):
        k = int(wrong[0])
        raise FeederError(
            f"{feeder.name}: bus {feeder.buses[k + 1]} is fed from position {branches.from_bus[k]}, which "
            f"is not before its own, {k + 1}; order branches with cosim.networks.tree"
        )
    for what, bus in (
        ("load", feeder.loads.bus),
        ("pv", feeder.pvs.bus),
        ("storage", feeder.storages.bus),
    ):
        _check_sites(feeder, what, bus)
    if feeder.base_kv <= 0 or feeder.source_pu <= 0:
        raise FeederError(
            f"{feeder.name}: base {feeder.base_kv:g} kV and source {feeder.source_pu:g} pu must be positive"
        )
    to_bus, pvs, storages = branches.to_bus, feeder.pvs, feeder.storages
    rules = (
        (np.abs(branches.r_ohm) + np.abs(branches.x_ohm) > 0, to_bus, "a branch without impedance"),
        (branches.r_ohm >= 0, to_bus, "a branch of negative resistance"),
        (pvs.kw > 0, pvs.bus, "a PV system without power"),
        (pvs.kva > 0, pvs.bus, "a PV inverter without rating"),
        (storages.kw > 0, storages.bus, "a battery without power"),
        (storages.kwh > 0, storages.bus, "a battery without energy"),
        (storages.kva >= storages.kw, storages.bus, "a battery with kva below kw"),
    )
    for holds, bus, otherwise in rules:
        _check_rule(feeder, holds, bus, otherwise)
    if not 0 <= storages.soc_min <= storages.soc_start <= storages.soc_max <= 1:
        raise FeederError(
            f"{feeder.name}: states of charge {storages.soc_min:g} (min), {storages.soc_start:g} (start), "
            f"{storages.soc_max:g} (max) must ascend within 0 .. 1"
        )


def _check_names(feeder: BalancedFeeder) -> None:
    for name in (feeder.name, *feeder.buses):
        if not BUS_NAME.fullmatch(name):
            raise FeederError(
                f"{name!r} is no name for OpenDSS; use lower case letters, digits, '_' and '-'"
            )
    if len(set(feeder.buses)) < feeder.size:
        double = next(bus for bus in feeder.buses if feeder.buses.count(bus) > 1)
        raise FeederError(f"{feeder.name}: bus {double} is listed twice")
    if feeder.size < 2:
        raise FeederError(f"{feeder.name} has {feeder.size} buses; a feeder has at least two")


def _check_columns(name: str, what: str, columns: dict[str, FloatArray | float], length: int) -> None:
    for column, values in columns.items():
        if isinstance(values, np.ndarray) and values.shape != (length,):
            raise FeederError(f"{name}: {what}.{column} has shape {values.shape}, expected ({length},)")
        if not np.isfinite(values).all():
            raise FeederError(f"{name}: {what}.{column} holds a value that is not a finite number")


def _check_sites(feeder: BalancedFeeder, what: str, bus: IntArray) -> None:
    if len(bus) and (bus.min() < 0 or bus.max() >= feeder.size):
        raise FeederError(f"{feeder.name}: a {what} stands at position {bus.min()} or {bus.max()}, no bus")
    at, count = np.unique(bus, return_counts=True)
    if len(at) < len(bus):
        raise FeederError(
            f"{feeder.name}: bus {feeder.buses[at[np.argmax(count)]]} has two of {what}; add them up"
        )


def _check_rule(feeder: BalancedFeeder, holds: BoolArray, bus: IntArray, otherwise: str) -> None:
    broken = bus[~holds]
    if len(broken):
        raise FeederError(f"{feeder.name}: {otherwise} at bus {feeder.buses[broken[0]]}")
