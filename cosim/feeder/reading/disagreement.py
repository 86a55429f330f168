"""Why a twin differs from the engine it was read from: which element, by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cosim.feeder.engine import Engine
from cosim.model.arrays import ComplexArray
from cosim.twin.data import Legs, TwinData
from cosim.twin.load_model import factors_of

LAW_FITS = 1e-5
"""A law fits an element where both powers differ by no more than this part."""
LEAST_KVA = 0.1
"""Smaller powers count as this much."""
STIFF_SIEMENS = 1e8
"""Above this an admittance drowns others at its nodes in rounding (measured: 1e7 S do no harm)."""


@dataclass(frozen=True)
class _Apart:
    """An element whose power is not what its law says, kVA."""

    name: str
    engine: complex
    law: complex

    @property
    def share(self) -> float:
        """Difference as a part of the power."""
        return abs(self.engine - self.law) / max(abs(self.engine), LEAST_KVA)


def why_apart(engine: Engine, data: TwinData, names: Sequence[str], drawn_kva: ComplexArray) -> str:
    """A sentence that names the element behind a difference.

    Args:
        engine: in the state that was measured.
        data: of the twin.
        names: ``class.name`` of the owners of the load legs.
        drawn_kva: their consumption at rated voltage.
    """
    worst = max(_carriers(engine, data.loads, data, names, drawn_kva), key=lambda a: a.share, default=None)
    if worst is not None and worst.share > LAW_FITS:
        return (
            f"{worst.name} draws {_kva(worst.engine)} in the engine and {_kva(worst.law)} by the law of "
            "the twin. Disable it or change its model; or list it under control.twin.constant_power, if it "
            "is no load"
        )
    name, siemens = _stiffest(engine)
    if siemens > STIFF_SIEMENS:
        return (
            f"every load and generator does what its law says, but {name} couples its buses by "
            f"{siemens:.1e} S, and the rounding of that hides what else is connected there; give it an "
            "impedance of at least 1e-6 ohm (a switch: r=1e-4 x=1e-4, length=0.001)"
        )
    node, ampere = _worst_node(engine, data, drawn_kva)
    return (
        f"every load and generator does what its law says, but at node {node} the currents do not add up "
        f"by {ampere:.2g} A: something there behaves in a way that the twin does not know"
    )


def _carriers(
    engine: Engine, legs: Legs, data: TwinData, names: Sequence[str], drawn_kva: ComplexArray
) -> Iterator[_Apart]:
    by_law = np.zeros(len(names), dtype=np.complex128)
    np.add.at(by_law, legs.owner, _leg_kva(engine, legs, data, drawn_kva))
    supplied = set(map(int, legs.owner))
    for owner, name in enumerate(names):
        if owner in supplied:
            engine.dss.Circuit.SetActiveElement(name)
            flat = np.asarray(engine.dss.CktElement.Powers(), dtype=np.float64)
            yield _Apart(name, complex(flat[0::2].sum(), flat[1::2].sum()), complex(by_law[owner]))


def _leg_kva(engine: Engine, legs: Legs, data: TwinData, drawn_kva: ComplexArray) -> ComplexArray:
    """What each leg draws by its law at the voltages of the engine, kVA."""
    volts = np.append(engine.voltages(), 0.0)
    m = np.abs(volts[legs.a] - volts[legs.b]) / legs.base_v
    factors = factors_of(data.laws, legs.law, m)
    rated = drawn_kva[legs.owner] * legs.share
    return np.asarray(rated.real * factors[:, 0] + 1j * rated.imag * factors[:, 1])


def _stiffest(engine: Engine) -> tuple[str, float]:
    """The power-delivery element with the largest admittance."""
    found = ("", 0.0)
    index = engine.dss.Circuit.FirstPDElement()
    while index:
        if engine.dss.CktElement.Enabled():
            admittance, _ = engine.admittance()
            siemens = float(np.abs(admittance).max(initial=0.0))
            if siemens > found[1]:
                found = (str(engine.dss.CktElement.Name()).lower(), siemens)
        index = engine.dss.Circuit.NextPDElement()
    return found


def _worst_node(engine: Engine, data: TwinData, drawn_kva: ComplexArray) -> tuple[str, float]:
    """Where the twin's network and the engine's voltages fit worst, devices at rest."""
    volts = engine.voltages()
    current = np.zeros(data.size + 1, dtype=np.complex128)
    current[:-1] = data.admittance @ volts
    np.add.at(current, data.source.nodes, -data.source.current)
    legs, ends = data.loads, np.append(volts, 0.0)
    across = ends[legs.a] - ends[legs.b]
    drawn = np.conj(1e3 * _leg_kva(engine, legs, data, drawn_kva) / across)
    np.add.at(current, legs.a, drawn)
    np.add.at(current, legs.b, -drawn)
    worst = int(np.argmax(np.abs(current[:-1])))
    return data.node_names[worst], float(abs(current[worst]))


def _kva(power: complex) -> str:
    return f"{power.real:.6g} kW and {power.imag:.6g} kvar"
