"""Legs of loads and devices: the pairs of nodes between which they draw their power."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from cosim.errors import FeederError
from cosim.feeder.engine import Engine
from cosim.model.arrays import BoolArray
from cosim.twin.data import Legs

CARRIERS = ("load", "storage", "pvsystem", "generator", "indmach012")
"""Kinds of elements whose legs carry a power; the twin keeps no other part of their admittance."""
LISTED_APART = ("isource.", "vccs.")
"""Kinds of sources that may be in no list of power-conversion elements."""


@dataclass
class LegRows:
    """Legs being collected.

    Args:
        ground: the number that stands for ground.
        floating: nodes whose voltage to ground nothing but legs to ground holds.
    """

    ground: int
    floating: Collection[int]
    rows: list[tuple[int, int, float, int, float, int, complex]] = field(default_factory=list)

    def add(self, legs: Sequence[Leg], base_v: float, owner: int, law: int) -> None:
        """Add the legs of one element."""
        for leg in legs:
            a, b = (node if node >= 0 else self.ground for node in (leg.a, leg.b))
            holds = self.ground in (a, b) and min(a, b) in self.floating
            balance = leg.admittance if holds else 0j
            self.rows.append((a, b, base_v, owner, 1.0 / len(legs), law, balance))

    def done(self, live: BoolArray) -> Legs:
        """The legs both of whose ends are live; those of a part without source draw nothing."""
        rows = [row for row in self.rows if live[row[0]] and live[row[1]]]
        rows.sort(key=lambda row: row[3])
        a, b, base, owner, share, law, balance = zip(*rows, strict=True) if rows else ((),) * 7
        whole = [np.array(column, dtype=np.int64) for column in (a, b, owner, law)]
        return Legs(
            whole[0],
            whole[1],
            np.array(base, dtype=np.float64),
            whole[2],
            np.array(share, dtype=np.float64),
            whole[3],
            np.array(balance, dtype=np.complex128),
        )


@dataclass(frozen=True)
class Leg:
    """A pair of nodes, -1 for ground, and the admittance that the engine gives the leg, siemens."""

    a: int
    b: int
    admittance: complex


@dataclass
class LegAdmittances:
    """What legs have put into the engine's admittance matrix: row, column and siemens."""

    row: list[int] = field(default_factory=list)
    column: list[int] = field(default_factory=list)
    siemens: list[complex] = field(default_factory=list)

    def add(self, leg: Leg) -> None:
        """Note the four entries of a leg."""
        a, b = leg.a, leg.b
        for row, column, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
            if row >= 0 and column >= 0:
                self.row.append(row)
                self.column.append(column)
                self.siemens.append(sign * leg.admittance)


def carriers(engine: Engine, constant_power: Collection[str]) -> Iterator[str]:
    """Enabled power-conversion elements in turn, each active in the engine.

    Args:
        engine: with a circuit.
        constant_power: elements that count as one of constant power, whatever they are.

    Raises:
        FeederError: one of a kind the twin does not know.
    """
    circuit, element = engine.dss.Circuit, engine.dss.CktElement
    names = (str(name).lower() for name in circuit.AllElementNames())
    apart = [name for name in names if name.startswith(LISTED_APART)]
    strange = [name for name in apart if circuit.SetActiveElement(name) >= 0 and element.Enabled()]
    index = circuit.FirstPCElement()
    while index:
        name = element.Name().lower()
        kind = name.partition(".")[0]
        if element.Enabled():
            if kind in CARRIERS and (kind != "indmach012" or name in constant_power):
                yield name
            elif kind != "vsource" and name not in strange:
                strange.append(name)
        index = circuit.NextPCElement()
    if strange:
        it = "it" if len(strange) == 1 else "them"
        machine = (
            ""
            if not any(name.startswith("indmach012.") for name in strange)
            else (", list an induction machine under control.twin.constant_power")
        )
        raise FeederError(
            f"planner tangent has no law for {', '.join(strange[:5])}; disable {it}{machine}, or use "
            "planner lindistflow"
        )


def take_legs(engine: Engine, element: str) -> list[Leg]:
    """Legs of the active element.

    What remains in the engine's matrix is what belongs to the network, such as the grounding of a neutral.
    """
    circuit_element = engine.dss.CktElement
    primitive, nodes = engine.admittance()
    phases = int(circuit_element.NumPhases())
    delta = _is_delta(engine, element)
    conductors = len(nodes)
    legs: list[Leg] = []
    for i in range(phases):
        j = (i + 1) % conductors if delta else conductors - 1
        a, b = int(nodes[i]), int(nodes[j])
        if not delta and conductors == phases:
            b = -1
        legs.append(Leg(a, b, complex(primitive[i, i] if b < 0 and not delta else -primitive[i, j])))
    return legs


def _is_delta(engine: Engine, element: str) -> bool:
    kind, _, name = element.partition(".")
    if kind == "load":
        engine.dss.Loads.Name(name)
        return bool(engine.dss.Loads.IsDelta())
    answer = engine.command(f"? {element}.conn").lower()
    engine.dss.Circuit.SetActiveElement(element)
    return answer.startswith(("delta", "d", "l"))
