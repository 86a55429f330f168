"""The circuit as a graph of buses: what the engine holds, read once.

Windings are never interpreted: every power-delivery element gives its primitive admittance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import networkx as nx
import numpy as np

from cosim.errors import FeederError, MeshedFeeder, NoRadialModel
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


@dataclass(frozen=True)
class SourceModel:
    """A voltage source.

    Attributes:
        name: ``vsource.name``.
        bus: its bus.
        kv: voltage to neutral behind its impedance.
        admittance: siemens, shape (node, node).
        nodes: shape (node,).
    """

    name: str
    bus: str
    kv: float
    admittance: ComplexArray
    nodes: IntArray


@dataclass
class Circuit:
    """The circuit as a graph of buses, read once from the engine.

    Attributes:
        node_names, node_bus: of every node.
        base_kv, voltage: line to neutral, and as solved, volt, shape (node,).
        sources: the main source first; its power is the import.
        between: elements that couple two buses; one that joins more is there once for each pair.
        joining: elements that join more than two buses, each with its buses.
        shunts: elements at one bus.
        graph: buses that are coupled.
    """

    node_names: tuple[str, ...]
    node_bus: tuple[str, ...]
    base_kv: FloatArray
    voltage: ComplexArray
    sources: tuple[SourceModel, ...]
    between: dict[frozenset[str], list[Element]]
    joining: dict[str, tuple[str, ...]]
    shunts: list[Element]
    graph: nx.Graph[str]

    @property
    def source_bus(self) -> str:
        """Bus of the main source."""
        return self.sources[0].bus

    def order(self) -> list[tuple[str, str]]:
        """(from, to) bus pairs of breadth-first trees from the sources, the main one first."""
        reached: set[str] = set()
        found: list[tuple[str, str]] = []
        for root in dict.fromkeys(source.bus for source in self.sources):
            if root not in reached:
                edges = list(nx.bfs_edges(self.graph, root))
                reached |= {root, *(bus for _, bus in edges)}
                found += edges
        return found

    def roots(self) -> list[str]:
        """Buses from which :meth:`order` starts."""
        reached = {bus for _, bus in self.order()}
        return [bus for bus in dict.fromkeys(source.bus for source in self.sources) if bus not in reached]

    def must_be_radial(self) -> None:
        """Refuse a circuit that is no tree of branches between two buses, fed at one place.

        Raises:
            NoRadialModel: names the sources, the element that joins three buses, or the loop.
        """
        if len(self.sources) > 1:
            names = ", ".join(source.name for source in self.sources)
            raise NoRadialModel(
                f"the feeder has {len(self.sources)} voltage sources ({names}), and the radial model "
                "starts from one; disable the others, or choose a planner that does not need a tree"
            )
        for name, buses in self.joining.items():
            raise NoRadialModel(
                f"{name} joins {len(buses)} buses ({', '.join(buses)}), and the radial model has branches "
                "between two; choose a planner that does not need a tree"
            )
        loop = self.loop()
        if loop:
            raise MeshedFeeder(loop)

    def loop(self) -> tuple[str, ...]:
        """Buses of one loop, empty if the part at the main source is a tree."""
        connected = self.graph.subgraph(nx.node_connected_component(self.graph, self.source_bus))
        if connected.number_of_edges() == connected.number_of_nodes() - 1:
            return ()
        return tuple(edge[0] for edge in nx.find_cycle(connected, self.source_bus))


def read_circuit(engine: Engine, moved: Mapping[str, int] | None = None) -> Circuit:
    """Read buses, elements and the operating point. The engine must hold a solved power flow.

    Args:
        engine: with the circuit.
        moved: transformers whose taps move, each with its winding; None: those with a regulator control.

    Raises:
        FeederError: there is no voltage source.
    """
    node_names = engine.node_names()
    node_bus = tuple(name.rsplit(".", 1)[0] for name in node_names)
    sources = _read_sources(engine, node_bus)
    regulated = engine.regulated_windings() if moved is None else dict(moved)
    between: dict[frozenset[str], list[Element]] = defaultdict(list)
    joining: dict[str, tuple[str, ...]] = {}
    shunts: list[Element] = []
    for element in _delivery_elements(engine, regulated):
        buses = {node_bus[node] for node in element.nodes if node >= 0}
        if len(buses) == 1:
            shunts.append(element)
        for pair in combinations(sorted(buses), 2):
            if _connects(element, node_bus, pair):
                between[frozenset(pair)].append(element)
        if len(buses) > 2:
            joining[element.name] = tuple(sorted(buses))
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(source.bus for source in sources)
    graph.add_edges_from(tuple(pair) for pair in between)
    return Circuit(
        node_names=node_names,
        node_bus=node_bus,
        base_kv=engine.node_base_kv(),
        voltage=engine.voltages().copy(),
        sources=sources,
        between=between,
        joining=joining,
        shunts=shunts,
        graph=graph,
    )


def _read_sources(engine: Engine, node_bus: tuple[str, ...]) -> tuple[SourceModel, ...]:
    """The enabled voltage sources in the order of definition."""
    sources = engine.dss.Vsources
    found: list[SourceModel] = []
    index = sources.First()
    while index:
        name = f"vsource.{sources.Name().lower()}"
        engine.dss.Circuit.SetActiveElement(name)
        if engine.dss.CktElement.Enabled():
            admittance, nodes = engine.admittance()
            live = np.flatnonzero(nodes >= 0)
            # The engine takes the base voltage as that between neighbouring phases.
            phases = sources.Phases()
            across = 1.0 if phases == 1 else 2.0 * np.sin(np.pi / phases)
            kv = float(sources.PU() * sources.BasekV() / across)
            own, at = admittance[np.ix_(live, live)], nodes[live]
            found.append(SourceModel(name, node_bus[at[0]], kv, own, at))
        index = sources.Next()
    if not found:
        raise FeederError("the feeder has no voltage source that is enabled; enable one")
    return tuple(found)


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


def _connects(element: Element, node_bus: tuple[str, ...], pair: tuple[str, str]) -> bool:
    """Whether an element really couples two of its buses (an open switch does not)."""
    buses = np.array([node_bus[node] if node >= 0 else "" for node in element.nodes])
    coupling = np.abs(element.admittance[np.ix_(buses == pair[0], buses == pair[1])])
    return bool(coupling.max() > 1e-9 * np.abs(element.admittance).max())
