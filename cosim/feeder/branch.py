"""One branch between two buses, and the voltages that are watched at its ends.

The elements between two buses are added up, and with f the side towards the source and t the other

    I_t = Ytf V_f + Ytt V_t      =>      V_t = A V_f - Z I_to,   A = -Ytt^-1 Ytf,   Z = Ytt^-1

This covers lines, banks of single-phase regulators, open-delta regulators, delta-wye transformers
and centre-tapped services alike. Behind a delta winding Ytt has no inverse in the direction of the
zero sequence: there the nodes are phase pairs and the pseudo-inverse is taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cosim.feeder.circuit import Circuit, Element
from cosim.model.arrays import ComplexArray, FloatArray

FLOATING_RATIO = 1e-4
"""Ytt counts as singular below this ratio of its singular values (measured: grounded sections are
above 1e-2, floating ones, held only by the engine's anti-float admittance, below 1e-5)."""

NEUTRAL_PU = 0.3
"""A node below this voltage at the operating point is a neutral, not a phase."""

SQRT3 = float(np.sqrt(3.0))


@dataclass(frozen=True)
class Watched:
    """A voltage that is watched: between node ``a`` and node ``b`` (-1 is ground), system indices.

    ``to_neutral``: node b is a neutral conductor.
    """

    name: str
    bus: str
    a: int
    b: int
    base_kv: float
    to_neutral: bool = False

    @property
    def between_phases(self) -> bool:
        """Whether both ends are phases."""
        return self.b >= 0 and not self.to_neutral


# --- which voltages are watched at a bus -----------------------------------------------------------


def watched_voltages(circuit: Circuit) -> tuple[Watched, ...]:
    """The voltages to watch, bus by bus, outwards from the source.

    Phase to ground where the section is grounded, phase to neutral where the bus has a neutral conductor,
    phase to phase behind a delta winding. Works on meshed feeders too. Buses without voltage are left out.
    """
    nodes_at: dict[str, list[int]] = defaultdict(list)
    neutrals: dict[str, int] = {}
    for node, bus in enumerate(circuit.node_bus):
        number = int(circuit.node_names[node].rsplit(".", 1)[1])
        base = circuit.base_kv[node]
        is_neutral = base <= 0 or abs(circuit.voltage[node]) / (base * 1e3) <= NEUTRAL_PU
        if number <= 3 and not is_neutral:
            nodes_at[bus].append(node)
        elif number > 3 and is_neutral and bus not in neutrals:
            neutrals[bus] = node
    floating = dict.fromkeys(circuit.roots(), False)
    watched = [
        watch
        for root in floating
        for watch in _watch_bus(circuit, root, nodes_at, floating=False, neutral=neutrals.get(root, -1))
    ]
    for parent, bus in circuit.order():
        floating[bus] = _is_floating(circuit, parent, bus, parent_floats=floating[parent])
        neutral = neutrals.get(bus, -1)
        watched.extend(_watch_bus(circuit, bus, nodes_at, floating=floating[bus], neutral=neutral))
    return tuple(watched)


def _is_floating(circuit: Circuit, parent: str, bus: str, *, parent_floats: bool) -> bool:
    elements = circuit.between[frozenset((parent, bus))]
    if all(element.name.startswith("line.") for element in elements):
        return parent_floats
    block = branch_admittance(circuit, elements, parent, bus)
    singular = np.linalg.svd(block.ytt, compute_uv=False)
    ratio = float(singular[-1] / singular[0])
    if len(block.to_nodes) == 1 or ratio > FLOATING_RATIO:
        # A bank without its own ground (an autotransformer regulator) leaves the section as it was.
        return parent_floats and ratio < 1e-2
    return True


def _watch_bus(
    circuit: Circuit, bus: str, nodes_at: dict[str, list[int]], *, floating: bool, neutral: int
) -> Iterable[Watched]:
    nodes = sorted(nodes_at.get(bus, []), key=lambda node: circuit.node_names[node])
    numbers = {node: circuit.node_names[node].rsplit(".", 1)[1] for node in nodes}
    if neutral >= 0:
        number = circuit.node_names[neutral].rsplit(".", 1)[1]
        for node in nodes:
            name = f"{circuit.node_names[node]}-{number}"
            yield Watched(name, bus, node, neutral, float(circuit.base_kv[node]), to_neutral=True)
        return
    if not floating or len(nodes) < 2:
        for node in nodes:
            yield Watched(circuit.node_names[node], bus, node, -1, float(circuit.base_kv[node]))
        return
    pairs = [(0, 1)] if len(nodes) == 2 else [(0, 1), (1, 2), (2, 0)]
    for i, j in pairs:
        a, b = nodes[i], nodes[j]
        name = f"{bus}.{numbers[a]}-{numbers[b]}"
        yield Watched(name, bus, a, b, float(circuit.base_kv[a]) * SQRT3)


# --- the branch as a map ---------------------------------------------------------------------------


@dataclass(frozen=True)
class BranchAdmittance:
    """Sum of the elements between two buses, split into the side f and the side t."""

    ytf: ComplexArray
    ytt: ComplexArray
    from_nodes: tuple[int, ...]
    to_nodes: tuple[int, ...]


def branch_admittance(
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


def branch_map(
    block: BranchAdmittance, from_watched: list[Watched], to_watched: list[Watched]
) -> BranchMap:
    """The map of a branch between the voltages watched at its ends."""
    from_ends = incidence(from_watched, block.from_nodes)
    to_ends = incidence(to_watched, block.to_nodes)
    floating = any(watched.between_phases for watched in to_watched)
    inverse = np.linalg.pinv(block.ytt, rcond=FLOATING_RATIO) if floating else np.linalg.inv(block.ytt)
    to_from = -inverse @ block.ytf @ np.linalg.pinv(from_ends)
    a = np.asarray(to_ends @ to_from, dtype=np.complex128)
    if len(from_watched) == 3 and all(watched.between_phases for watched in from_watched):
        a = _plainest(a)
    return BranchMap(a, np.asarray(to_ends @ inverse @ to_ends.T, dtype=np.complex128))


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


def incidence(watched: list[Watched], nodes: tuple[int, ...]) -> FloatArray:
    """Watched voltages as differences of node voltages, shape (watched, node)."""
    matrix = np.zeros((len(watched), len(nodes)))
    position = {node: i for i, node in enumerate(nodes)}
    for row, voltage in enumerate(watched):
        if voltage.a in position:
            matrix[row, position[voltage.a]] = 1.0
        if voltage.b in position:
            matrix[row, position[voltage.b]] = -1.0
    return matrix
