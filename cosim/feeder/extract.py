"""From a circuit to the tree of branches a planner can use.

Windings are never interpreted. Every power-delivery element gives its primitive admittance; the
elements between two buses are added up, and with f the side towards the source and t the other

    I_t = Ytf V_f + Ytt V_t      =>      V_t = A V_f - Z I_to,   A = -Ytt^-1 Ytf,   Z = Ytt^-1

This covers lines, banks of single-phase regulators, open-delta regulators, delta-wye transformers
and centre-tapped services alike. Behind a delta winding Ytt has no inverse in the direction of the
zero sequence: there the nodes are phase pairs and the pseudo-inverse is taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import networkx as nx
import numpy as np
import scipy.sparse as sp

from cosim.errors import FeederError, MeshedFeeder
from cosim.feeder.engine import Engine
from cosim.model.arrays import ComplexArray, FloatArray, IntArray, Matrix
from cosim.model.network import RadialNetwork, entries

FLOATING_RATIO = 1e-4
"""Ytt counts as singular below this ratio of its singular values (measured: grounded sections are
above 1e-2, floating ones, held only by the engine's anti-float admittance, below 1e-5)."""

NEUTRAL_PU = 0.3
"""A node below this voltage at the operating point is a neutral, not a phase."""

SQRT3 = float(np.sqrt(3.0))


@dataclass(frozen=True)
class Watched:
    """A voltage that is watched: between node ``a`` and node ``b`` (-1 is ground), system indices."""

    name: str
    bus: str
    a: int
    b: int
    base_kv: float


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
    """The circuit as a graph of buses, read once from the engine."""

    node_names: tuple[str, ...]
    node_bus: tuple[str, ...]
    base_kv: FloatArray
    voltage: ComplexArray
    source_bus: str
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
    source_bus, source_admittance, source_nodes = _read_source(engine, node_bus)
    regulated = _regulated_windings(engine)
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
        source_admittance=source_admittance,
        source_nodes=source_nodes,
        between=between,
        shunts=shunts,
        graph=graph,
    )


def _read_source(engine: Engine, node_bus: tuple[str, ...]) -> tuple[str, ComplexArray, IntArray]:
    """Bus, admittance and nodes of the one voltage source."""
    sources = engine.dss.Vsources
    found: list[tuple[str, ComplexArray, IntArray]] = []
    index = sources.First()
    while index:
        engine.dss.Circuit.SetActiveElement(f"vsource.{sources.Name()}")
        if engine.dss.CktElement.Enabled():
            admittance, nodes = engine.admittance()
            live = np.flatnonzero(nodes >= 0)
            found.append((node_bus[nodes[live[0]]], admittance[np.ix_(live, live)], nodes[live]))
        index = sources.Next()
    if len(found) != 1:
        raise FeederError(
            f"the feeder has {len(found)} voltage sources; the radial model starts from exactly one"
        )
    return found[0]


def _regulated_windings(engine: Engine) -> dict[str, int]:
    """Transformer name to the winding its regulator control moves."""
    controls = engine.dss.RegControls
    found: dict[str, int] = {}
    index = controls.First()
    while index:
        found[controls.Transformer().lower()] = int(controls.TapWinding())
        index = controls.Next()
    return found


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


# --- frames: which voltages are watched at a bus -------------------------------------------------


def watched_voltages(circuit: Circuit) -> tuple[Watched, ...]:
    """The voltages to watch, bus by bus, outwards from the source.

    Phase to ground where the section is grounded, phase to phase behind a delta winding. Works on
    meshed feeders too. Buses without voltage and neutral conductors are left out.
    """
    nodes_at: dict[str, list[int]] = defaultdict(list)
    for node, bus in enumerate(circuit.node_bus):
        number = int(circuit.node_names[node].rsplit(".", 1)[1])
        base = circuit.base_kv[node]
        if number <= 3 and base > 0 and abs(circuit.voltage[node]) / (base * 1e3) > NEUTRAL_PU:
            nodes_at[bus].append(node)
    floating = {circuit.source_bus: False}
    watched = list(_watch_bus(circuit, circuit.source_bus, nodes_at, floating=False))
    for parent, bus in circuit.order():
        floating[bus] = _is_floating(circuit, parent, bus, parent_floats=floating[parent])
        watched.extend(_watch_bus(circuit, bus, nodes_at, floating=floating[bus]))
    return tuple(watched)


def _is_floating(circuit: Circuit, parent: str, bus: str, *, parent_floats: bool) -> bool:
    elements = circuit.between[frozenset((parent, bus))]
    if all(element.name.startswith("line.") for element in elements):
        return parent_floats
    block = _branch_admittance(circuit, elements, parent, bus)
    singular = np.linalg.svd(block.ytt, compute_uv=False)
    ratio = float(singular[-1] / singular[0])
    if len(block.to_nodes) == 1 or ratio > FLOATING_RATIO:
        # A bank without its own ground (an autotransformer regulator) leaves the section as it was.
        return parent_floats and ratio < 1e-2
    return True


def _watch_bus(
    circuit: Circuit, bus: str, nodes_at: dict[str, list[int]], *, floating: bool
) -> Iterable[Watched]:
    nodes = sorted(nodes_at.get(bus, []), key=lambda node: circuit.node_names[node])
    numbers = {node: circuit.node_names[node].rsplit(".", 1)[1] for node in nodes}
    if not floating or len(nodes) < 2:
        for node in nodes:
            yield Watched(circuit.node_names[node], bus, node, -1, float(circuit.base_kv[node]))
        return
    pairs = [(0, 1)] if len(nodes) == 2 else [(0, 1), (1, 2), (2, 0)]
    for i, j in pairs:
        a, b = nodes[i], nodes[j]
        name = f"{bus}.{numbers[a]}-{numbers[b]}"
        yield Watched(name, bus, a, b, float(circuit.base_kv[a]) * SQRT3)


# --- one branch -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class BranchAdmittance:
    """Sum of the elements between two buses, split into the side f and the side t."""

    ytf: ComplexArray
    ytt: ComplexArray
    from_nodes: tuple[int, ...]
    to_nodes: tuple[int, ...]


def _branch_admittance(
    circuit: Circuit,
    elements: list[Element],
    parent: str,
    bus: str,
    tap_step: dict[str, float] | None = None,
) -> BranchAdmittance:
    """Add up the elements of a branch; ``tap_step`` multiplies the taps of named regulators."""
    used = sorted({int(node) for element in elements for node in element.nodes if node >= 0})
    from_nodes = tuple(node for node in used if circuit.node_bus[node] == parent)
    to_nodes = tuple(
        node
        for node in used
        if circuit.node_bus[node] == bus and int(circuit.node_names[node].rsplit(".", 1)[1]) <= 3
    )
    position = {node: i for i, node in enumerate((*from_nodes, *to_nodes))}
    total = np.zeros((len(position), len(position)), dtype=np.complex128)
    for element in elements:
        admittance = element.admittance
        for name, rows in element.regulated_rows.items():
            if tap_step and name in tap_step:
                scale = np.ones(len(element.nodes))
                scale[list(rows)] /= tap_step[name]
                admittance = admittance * np.outer(scale, scale)
        live = [i for i, node in enumerate(element.nodes) if int(node) in position]
        place = [position[int(element.nodes[i])] for i in live]
        np.add.at(total, np.ix_(place, place), admittance[np.ix_(live, live)])
    split = len(from_nodes)
    return BranchAdmittance(total[split:, :split], total[split:, split:], from_nodes, to_nodes)


@dataclass(frozen=True)
class BranchMap:
    """V_to = A V_from - Z I_to between watched voltages."""

    a: ComplexArray
    z: ComplexArray


def _branch_map(
    block: BranchAdmittance, from_watched: list[Watched], to_watched: list[Watched]
) -> BranchMap:
    from_incidence = _incidence(from_watched, block.from_nodes)
    to_incidence = _incidence(to_watched, block.to_nodes)
    floating = any(watched.b >= 0 for watched in to_watched)
    inverse = np.linalg.pinv(block.ytt, rcond=FLOATING_RATIO) if floating else np.linalg.inv(block.ytt)
    to_from = -inverse @ block.ytf @ np.linalg.pinv(from_incidence)
    a = np.asarray(to_incidence @ to_from, dtype=np.complex128)
    if len(from_watched) == 3 and all(watched.b >= 0 for watched in from_watched):
        a = _plainest(a)
    return BranchMap(a, np.asarray(to_incidence @ inverse @ to_incidence.T, dtype=np.complex128))


def _plainest(a: ComplexArray) -> ComplexArray:
    """The same map of three phase-pair voltages with the fewest couplings.

    The pair voltages add up to zero, so a constant may be added to a row: a plain line, whose
    pseudo-inverse reads (2/3, -1/3, -1/3), becomes (1, 0, 0).
    """
    rows = []
    for row in a:
        candidates = [row - value for value in row]
        rows.append(min(candidates, key=lambda candidate: float(np.abs(candidate).sum())))
    return np.array(rows)


def _incidence(watched: list[Watched], nodes: tuple[int, ...]) -> FloatArray:
    """Watched voltages as differences of node voltages, shape (watched, node)."""
    matrix = np.zeros((len(watched), len(nodes)))
    position = {node: i for i, node in enumerate(nodes)}
    for row, voltage in enumerate(watched):
        if voltage.a in position:
            matrix[row, position[voltage.a]] = 1.0
        if voltage.b in position:
            matrix[row, position[voltage.b]] = -1.0
    return matrix


# --- the network ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Connected:
    """How a load or a device hangs on the network: its legs, as pairs of system nodes."""

    name: str
    legs: tuple[tuple[int, int], ...]
    rated_kv: float


class _Assembly:
    """Collects the matrices of a :class:`RadialNetwork` branch by branch."""

    def __init__(self, circuit: Circuit, watched: tuple[Watched, ...], regulators: tuple[str, ...]) -> None:
        self.circuit = circuit
        self.watched = watched
        self.at_bus: dict[str, list[int]] = defaultdict(list)
        for index, voltage in enumerate(watched):
            self.at_bus[voltage.bus].append(index)
        v = circuit.voltage
        self.v0 = np.array([v[w.a] - (v[w.b] if w.b >= 0 else 0.0) for w in watched])
        self.base_kv = np.array([w.base_kv for w in watched])
        size = len(watched)
        self.gain = sp.lil_matrix((size, size), dtype=np.float64)
        self.share = sp.lil_matrix((size, size), dtype=np.complex128)
        self.drop = sp.lil_matrix((size, size), dtype=np.complex128)
        self.limit_kva = np.zeros(size)
        self.branches = [""] * size
        self.regulators = regulators
        self.tap_exponent = sp.lil_matrix((size, len(self.regulators)), dtype=np.float64)

    def add_source(self) -> None:
        """The source's own impedance, from an ideal voltage that never moves."""
        to = self.at_bus[self.circuit.source_bus]
        nodes = tuple(int(node) for node in self.circuit.source_nodes)
        incidence = _incidence([self.watched[i] for i in to], nodes)
        impedance = np.asarray(
            incidence @ np.linalg.inv(self.circuit.source_admittance) @ incidence.T, dtype=np.complex128
        )
        self._set_drop(to, impedance)
        for i in to:
            self.branches[i] = "vsource"

    def add_branch(self, parent: str, bus: str) -> None:
        elements = self.circuit.between[frozenset((parent, bus))]
        block = _branch_admittance(self.circuit, elements, parent, bus)
        live = set(block.to_nodes)
        to = [i for i in self.at_bus[bus] if self.watched[i].a in live]
        touched = set(block.from_nodes)
        origin = [
            i
            for i in self.at_bus[parent]
            if self.watched[i].a in touched and (self.watched[i].b < 0 or self.watched[i].b in touched)
        ]
        if not to or not origin:
            return
        to_watched = [self.watched[i] for i in to]
        from_watched = [self.watched[i] for i in origin]
        branch = _branch_map(block, from_watched, to_watched)
        self._set_gain(to, origin, branch.a)
        self._set_drop(to, branch.z)
        self._set_limits(to, elements)
        for element in elements:
            for name in element.regulated_rows:
                self._set_tap_exponent(parent, bus, name, to, origin, branch.a)

    def _set_gain(self, to: list[int], origin: list[int], a: ComplexArray) -> None:
        v_from = self.v0[origin]
        parts = a * v_from[None, :]
        no_load = parts.sum(axis=1)
        # Powers: S_from = V_from conj(I_from) and I_from = A^H I_to, without losses.
        share = parts / no_load[:, None]
        # Squared magnitudes with the angles of the operating point held.
        gain = (np.conj(no_load)[:, None] * parts).real / np.abs(v_from[None, :]) ** 2
        base_from, base_to = self.base_kv[origin], self.base_kv[to]
        gain *= (base_from[None, :] / base_to[:, None]) ** 2
        small = np.abs(parts) < 1e-6 * np.abs(no_load)[:, None]
        gain[small] = 0.0
        share[small] = 0.0
        for row, i in enumerate(to):
            for column, j in enumerate(origin):
                if gain[row, column] or share[row, column]:
                    self.gain[i, j] = gain[row, column]
                    self.share[j, i] = share[row, column]

    def _set_drop(self, to: list[int], z: ComplexArray) -> None:
        v = self.v0[to]
        per_kva = 1e3 / (self.base_kv[to] * 1e3) ** 2
        h = np.conj(v)[:, None] * z / np.conj(v)[None, :] * per_kva[:, None]
        for row, i in enumerate(to):
            for column, j in enumerate(to):
                self.drop[i, j] = h[row, column]

    def _set_limits(self, to: list[int], elements: list[Element]) -> None:
        for i in to:
            voltage = self.watched[i]
            serving = [e for e in elements if voltage.a in e.nodes]
            lines = [e for e in serving if e.normal_amps > 0]
            self.limit_kva[i] = sum(e.normal_amps for e in lines) * voltage.base_kv
            self.branches[i] = ",".join(e.name for e in serving)

    def _set_tap_exponent(
        self,
        parent: str,
        bus: str,
        name: str,
        to: list[int],
        origin: list[int],
        before: ComplexArray,
    ) -> None:
        """D ln |no-load voltage| / d ln tap, by moving the tap one part in a million."""
        step = 1e-6
        elements = self.circuit.between[frozenset((parent, bus))]
        moved = _branch_admittance(self.circuit, elements, parent, bus, {name: 1.0 + step})
        after = _branch_map(moved, [self.watched[i] for i in origin], [self.watched[i] for i in to]).a
        v_from = self.v0[origin]
        change = np.abs(after @ v_from) / np.abs(before @ v_from)
        exponent = np.log(change) / np.log1p(step)
        column = self.regulators.index(name)
        for i, value in zip(to, exponent, strict=True):
            if abs(value) > 1e-3:
                self.tap_exponent[i, column] = float(np.round(value, 6))

    # --- what hangs on the nodes ---

    def leg_shares(self, a: int, b: int) -> dict[int, complex]:
        """Share of a leg's power that each watched node carries."""
        bus = self.circuit.node_bus[a]
        candidates = self.at_bus.get(bus, [])
        exact = {(self.watched[i].a, self.watched[i].b): i for i in candidates}
        if b >= 0 and not any(self.watched[i].a == b or self.watched[i].b == b for i in candidates):
            b = -1  # the other end is a neutral
        if (a, b) in exact:
            return {exact[a, b]: 1.0}
        if (b, a) in exact:
            return {exact[b, a]: 1.0}
        grounded = [i for i in candidates if self.watched[i].b < 0]
        if b >= 0 and grounded:
            across = self.circuit.voltage[a] - self.circuit.voltage[b]
            return {
                exact[a, -1]: complex(self.circuit.voltage[a] / across),
                exact[b, -1]: complex(-self.circuit.voltage[b] / across),
            }
        pairs = [i for i in candidates if a in (self.watched[i].a, self.watched[i].b)]
        return {i: 1.0 / len(pairs) for i in pairs}

    def shares(self, connected: Iterable[Connected]) -> Matrix:
        """Power at each node per power of each load or device, shape (node, connected)."""
        items = list(connected)
        matrix = sp.lil_matrix((len(self.watched), max(len(items), 0)), dtype=np.complex128)
        for column, item in enumerate(items):
            for a, b in item.legs:
                for node, share in self.leg_shares(a, b).items():
                    matrix[node, column] += share / len(item.legs)
        return matrix

    def own_voltage(self, loads: list[Connected]) -> Matrix:
        """Weights that give each load's squared voltage, per unit of its rating."""
        matrix = sp.lil_matrix((len(loads), len(self.watched)), dtype=np.float64)
        for row, load in enumerate(loads):
            for a, b in load.legs:
                across = self.circuit.voltage[a] - (self.circuit.voltage[b] if b >= 0 else 0.0)
                squared_pu = (abs(across) / (load.rated_kv * 1e3)) ** 2
                nodes = self.leg_shares(a, b)
                for node in nodes:
                    u = (abs(self.v0[node]) / (self.base_kv[node] * 1e3)) ** 2
                    matrix[row, node] += squared_pu / u / len(nodes) / len(load.legs)
        return matrix

    def shunts(self) -> FloatArray:
        """Reactive power of capacitors and reactors at 1 pu, positive into the network."""
        kvar = np.zeros(len(self.watched))
        for element in self.circuit.shunts:
            injected = np.zeros(len(element.nodes), dtype=np.complex128)
            v = np.array([self.circuit.voltage[n] if n >= 0 else 0.0 for n in element.nodes])
            injected = -v * np.conj(element.admittance @ v) / 1e3
            for node, power in zip(element.nodes, injected, strict=True):
                if node < 0:
                    continue
                carriers = [
                    i
                    for i in self.at_bus.get(self.circuit.node_bus[node], [])
                    if node in (self.watched[i].a, self.watched[i].b)
                ]
                for i in carriers:
                    u = (abs(self.v0[i]) / (self.base_kv[i] * 1e3)) ** 2
                    kvar[i] += float(power.imag) / u / len(carriers)
        return kvar


def extract_network(
    circuit: Circuit,
    watched: tuple[Watched, ...],
    *,
    loads: list[Connected],
    load_kva: FloatArray,
    load_zip: tuple[FloatArray, FloatArray],
    storages: list[Connected],
    pvs: list[Connected],
    regulators: tuple[str, ...],
    tap: FloatArray,
) -> RadialNetwork:
    """The radial model at the circuit's present operating point.

    Raises:
        MeshedFeeder: the circuit has a loop, which is named.
    """
    loop = circuit.loop()
    if loop:
        raise MeshedFeeder(loop)
    assembly = _Assembly(circuit, watched, regulators)
    assembly.add_source()
    for parent, bus in circuit.order():
        assembly.add_branch(parent, bus)
    zip_p, zip_q = load_zip
    return RadialNetwork(
        nodes=tuple(w.name for w in watched),
        base_kv=assembly.base_kv,
        head=np.array(assembly.at_bus[circuit.source_bus], dtype=np.int64),
        gain=entries(assembly.gain),
        share=entries(assembly.share),
        drop=entries(assembly.drop),
        limit_kva=assembly.limit_kva,
        regulators=regulators,
        tap_exponent=entries(assembly.tap_exponent),
        tap=tap,
        loads=tuple(load.name for load in loads),
        load_kva=load_kva,
        load_share=entries(assembly.shares(loads)),
        load_voltage=entries(assembly.own_voltage(loads)),
        load_zip_p=zip_p,
        load_zip_q=zip_q,
        shunt_kvar=assembly.shunts(),
        storage_share=entries(assembly.shares(storages)),
        pv_share=entries(assembly.shares(pvs)),
        branches=tuple(assembly.branches),
    )
