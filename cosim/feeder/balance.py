"""The power balance of a solved feeder: what loads draw, what the rest feeds in, what shunts lose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from cosim.feeder.engine import Batch, Engine

BALANCE_TOLERANCE = 1e-6
"""Largest error of the balance, as a part of the import."""
SMALLEST_IMPORT_KW = 100.0
"""A smaller import counts as this much in the tolerance."""
SOURCES = frozenset({"vsource", "isource"})
"""Classes whose power is the import, but for voltage sources that are not the main one."""


class PowerBalance:
    """Reads the parts of the power balance that are neither import nor controllable devices.

    OpenDSS counts as losses of a circuit those of its series elements. Shunt capacitors, shunt reactors
    and faults are left out there, so they are added here.

    Args:
        engine: with all devices in the circuit.
        loads: of the circuit, all of them.
        devices: ``class.name`` of the controllable devices, which are read elsewhere.
    """

    def __init__(self, engine: Engine, loads: Batch, devices: Sequence[str]) -> None:
        controllable = set(devices)
        main = f"vsource.{next(iter(engine.source_pu()))}"
        shunts = _shunts_by_class(engine)
        self._loads = loads
        self._others = [
            _Part(engine, name, lambda element: element not in controllable)
            for name in _injecting_classes(engine)
        ]
        self._other_sources = _Part(engine, "vsource", lambda element: element != main)
        self._shunts = [
            *(_Part(engine, name, shunts[name].__contains__) for name in sorted(shunts)),
            _Part(engine, "fault", lambda _element: True),
        ]

    def load_kva(self) -> complex:
        """What the loads draw at the present voltages, kW + j kvar, positive consumption."""
        return -complex(self._loads.terminal_power().sum())

    def other_kw(self) -> float:
        """Power into the network from whatever nobody commands: generators, sources but the main one."""
        return sum((part.kw() for part in self._others), self._other_sources.kw())

    def other_sources_kva(self) -> complex:
        """Power into the network from voltage sources that are not the main one, kW + j kvar."""
        return self._other_sources.kva()

    def shunt_losses_kw(self) -> float:
        """Losses of shunt elements and faults."""
        return -sum((part.kw() for part in self._shunts), 0.0)


def balance_complaint(error_kw: float, import_kw: float) -> Sequence[str]:
    """An event where the balance does not close, else nothing.

    Args:
        error_kw: import + other + devices - load - losses.
        import_kw: of the same step.
    """
    allowed_kw = BALANCE_TOLERANCE * max(SMALLEST_IMPORT_KW, abs(import_kw))
    if abs(error_kw) < allowed_kw:
        return ()
    event = (
        f"the power balance is off by {error_kw:.3g} kW, allowed are {allowed_kw:.3g} kW: import, other "
        "injection and devices do not add up to loads and losses; tighten feeder.tolerance, unless "
        "regulators or capacitors were hunting"
    )
    return (event,)


class _Part:
    """Some elements of one class.

    Args:
        engine: with the circuit.
        class_name: of the elements.
        wanted: whether an element, ``class.name``, is one of them.
    """

    def __init__(self, engine: Engine, class_name: str, wanted: Callable[[str], bool]) -> None:
        self._batch = Batch(engine, class_name)
        self._chosen = np.array([wanted(f"{class_name}.{name}") for name in self._batch.names], np.bool_)

    def kw(self) -> float:
        """Active power, see :meth:`kva`."""
        return self.kva().real

    def kva(self) -> complex:
        """Power from the elements into the network, over all their terminals; disabled ones have none."""
        if not self._chosen.any():
            return 0j
        # The engine also offers losses by element in one call, which crashes on disabled elements.
        power = self._batch.terminal_power().reshape(len(self._batch), -1)
        return complex(power[self._chosen].sum())


def _injecting_classes(engine: Engine) -> list[str]:
    """Classes of enabled elements that inject or draw power, loads and sources apart."""
    circuit, element = engine.dss.Circuit, engine.dss.CktElement

    def walk() -> Iterator[str]:
        index = circuit.FirstPCElement()
        while index:
            yield str(element.Name()).lower().partition(".")[0]
            index = circuit.NextPCElement()

    return sorted(set(walk()) - SOURCES - {"load"})


def _shunts_by_class(engine: Engine) -> dict[str, set[str]]:
    """Shunt elements, ``class.name``, among capacitors, reactors and the like."""
    elements = engine.dss.PDElements
    found: dict[str, set[str]] = defaultdict(set)
    for name in elements.AllNames():
        class_name, dot, _ = name.lower().partition(".")
        if not dot or class_name in ("line", "transformer"):
            continue
        elements.Name(name)
        if elements.IsShunt():
            found[class_name].add(name.lower())
    return dict(found)
