"""The circuit as a graph of buses: what the engine holds, read once.

Windings are never interpreted: every power-delivery element gives its primitive admittance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import networkx as nx
import numpy as np

from cosim.errors import FeederError
from cosim.feeder.engine import Engine
from cosim.model.arrays import ComplexArray, FloatArray, IntArray


@dataclass
class Element:
    """A power-delivery element between two buses."""

    name: str
    admittance: ComplexArray
    nodes: IntArray
    normal_amps: float
    regulated_rows: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass
class Circuit:
    """The circuit as a graph of buses, read once from the engine.

    ``source_kv`` is the voltage to neutral behind the source's impedance.
    """

    node_names: tuple[str, ...]
    node_bus: tuple[str, ...]
    base_kv: FloatArray
    voltage: ComplexArray
    source_bus: str
    source_kv: float
    source_admittance: ComplexArray
    source_nodes: IntArray
    between: dict[frozenset[str], list[Element]]
    shunts: list[Element]
    graph: nx.Graph[str]

    def order(self) -> list[tuple[str, str]]:
        """(from, to) bus pairs of a breadth-first tree from the source."""
        return list(nx.bfs_edges(self.graph, self.source_bus))

    def loop(self) -> tuple[str, ...]:
        """Buses of one loop, empty if the circuit is a tree."""
        connected = self.graph.subgraph(nx.node_connected_component(self.graph, self.source_bus))
        if connected.number_of_edges() == connected.number_of_nodes() - 1:
            return ()
        return tuple(edge[0] for edge in nx.find_cycle(connected, self.source_bus))


def read_circuit(engine: Engine) -> Circuit:
    """Read buses, elements and the operating point. The engine must hold a solved power flow.

    Raises:
        FeederError: more than one source bus, or an element that joins three buses.
    """
    node_names = engine.node_names()
    node_bus = tuple(name.rsplit(".", 1)[0] for name in node_names)
    source_bus, source_kv, source_admittance, source_nodes = _read_source(engine, node_bus)
    regulated = engine.regulated_windings()
    between: dict[frozenset[str], list[Element]] = defaultdict(list)
    shunts: list[Element] = []
    for element in _delivery_elements(engine, regulated):
        buses = {node_bus[node] for node in element.nodes if node >= 0}
        if len(buses) == 1:
            shunts.append(element)
        elif len(buses) == 2:
            if _connects(element, node_bus):
                between[frozenset(buses)].append(element)
        elif len(buses) > 2:
            raise FeederError(
                f"{element.name} joins {len(buses)} buses ({', '.join(sorted(buses))}); "
                "the radial model knows branches between two buses only"
            )
    graph: nx.Graph[str] = nx.Graph()
    graph.add_node(source_bus)
    graph.add_edges_from(tuple(pair) for pair in between)
    return Circuit(
        node_names=node_names,
        node_bus=node_bus,
        base_kv=engine.node_base_kv(),
        voltage=engine.voltages().copy(),
        source_bus=source_bus,
        source_kv=source_kv,
        source_admittance=source_admittance,
        source_nodes=source_nodes,
        between=between,
        shunts=shunts,
        graph=graph,
    )


def _read_source(engine: Engine, node_bus: tuple[str, ...]) -> tuple[str, float, ComplexArray, IntArray]:
    """Bus, voltage to neutral in kV, admittance and nodes of the one voltage source."""
    sources = engine.dss.Vsources
    found: list[tuple[str, float, ComplexArray, IntArray]] = []
    index = sources.First()
    while index:
        engine.dss.Circuit.SetActiveElement(f"vsource.{sources.Name()}")
        if engine.dss.CktElement.Enabled():
            admittance, nodes = engine.admittance()
            live = np.flatnonzero(nodes >= 0)
            # The engine takes the base voltage as that between neighbouring phases.
            phases = sources.Phases()
            across = 1.0 if phases == 1 else 2.0 * np.sin(np.pi / phases)
            kv = float(sources.PU() * sources.BasekV() / across)
            found.append((node_bus[nodes[live[0]]], kv, admittance[np.ix_(live, live)], nodes[live]))
        index = sources.Next()
    if len(found) != 1:
        raise FeederError(
            f"the feeder has {len(found)} voltage sources; the radial model starts from exactly one"
        )
    return found[0]


def _delivery_elements(engine: Engine, regulated: dict[str, int]) -> Iterable[Element]:
    dss = engine.dss
    index = dss.Circuit.FirstPDElement()
    while index:
        element = dss.CktElement
        name = element.Name().lower()
        if element.Enabled():
            admittance, nodes = engine.admittance()
            rows: dict[str, tuple[int, ...]] = {}
            kind, _, short = name.partition(".")
            if kind == "transformer" and short in regulated:
                conductors = int(element.NumConductors())
                winding = regulated[short] - 1
                rows[short] = tuple(range(winding * conductors, (winding + 1) * conductors))
            amps = float(element.NormalAmps()) if kind == "line" else 0.0
            yield Element(name, admittance, nodes, amps, rows)
        index = dss.Circuit.NextPDElement()


def _connects(element: Element, node_bus: tuple[str, ...]) -> bool:
    """Whether an element really couples its two buses (an open switch does not)."""
    buses = np.array([node_bus[node] if node >= 0 else "" for node in element.nodes])
    first = next(bus for bus in buses if bus)
    here = buses == first
    there = (buses != first) & (buses != "")
    coupling = np.abs(element.admittance[np.ix_(here, there)])
    return bool(coupling.max() > 1e-9 * np.abs(element.admittance).max())
