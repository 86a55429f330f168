"""From a circuit to the tree of branches a planner can use.

Every branch of :mod:`cosim.feeder.branch` is turned into squared magnitudes and powers at the
operating point, and loads and devices are hung on its nodes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from cosim.feeder.branch import SQRT3, Watched, branch_admittance, branch_map, incidence
from cosim.feeder.circuit import Circuit, Element
from cosim.model.arrays import ComplexArray, FloatArray, IntArray, Matrix
from cosim.model.network import RadialNetwork, entries
from cosim.twin.control_settings import SwitchedCapacitor


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
        source = self.circuit.sources[0]
        to = self.at_bus[source.bus]
        nodes = tuple(int(node) for node in source.nodes)
        ends = incidence([self.watched[i] for i in to], nodes)
        impedance = np.asarray(ends @ np.linalg.inv(source.admittance) @ ends.T, dtype=np.complex128)
        self._set_drop(to, impedance)
        for i in to:
            self.branches[i] = "vsource"

    def source_pu(self) -> FloatArray:
        """Voltage behind the source's impedance at each head node, per unit."""
        heads = self.at_bus[self.circuit.source_bus]
        across = np.array([SQRT3 if self.watched[i].between_phases else 1.0 for i in heads])
        return np.asarray(self.circuit.sources[0].kv * across / self.base_kv[heads])

    def add_branch(self, parent: str, bus: str) -> None:
        elements = self.circuit.between[frozenset((parent, bus))]
        block = branch_admittance(self.circuit, elements, parent, bus)
        live = set(block.to_nodes)
        to = [i for i in self.at_bus[bus] if self.watched[i].a in live]
        touched = set(block.from_nodes)
        origin = [
            i
            for i in self.at_bus[parent]
            if self.watched[i].a in touched
            and (not self.watched[i].between_phases or self.watched[i].b in touched)
        ]
        if not to or not origin:
            return
        to_watched = [self.watched[i] for i in to]
        from_watched = [self.watched[i] for i in origin]
        branch = branch_map(block, from_watched, to_watched)
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
        moved = branch_admittance(self.circuit, elements, parent, bus, {name: 1.0 + step})
        after = branch_map(moved, [self.watched[i] for i in origin], [self.watched[i] for i in to]).a
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
        of_phase = {self.watched[i].a: i for i in candidates if not self.watched[i].between_phases}
        if a in of_phase and (b < 0 or b not in of_phase):
            return {of_phase[a]: 1.0}
        if b >= 0 and of_phase:
            across = self.circuit.voltage[a] - self.circuit.voltage[b]
            return {
                of_phase[a]: complex(self.circuit.voltage[a] / across),
                of_phase[b]: complex(-self.circuit.voltage[b] / across),
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
        return sum(
            (self._kvar(element.nodes, element.admittance) for element in self.circuit.shunts),
            start=np.zeros(len(self.watched)),
        )

    def banks(self, banks: Sequence[SwitchedCapacitor | None]) -> Matrix:
        """The same of each bank when it is closed, shape (watched voltage, bank)."""
        matrix = sp.lil_matrix((len(self.watched), len(banks)))
        for column, bank in enumerate(banks):
            if bank is not None:
                matrix[:, column] = self._kvar(bank.nodes, bank.admittance)[:, None]
        return matrix

    def _kvar(self, nodes: IntArray, admittance: ComplexArray) -> FloatArray:
        kvar = np.zeros(len(self.watched))
        v = np.array([self.circuit.voltage[n] if n >= 0 else 0.0 for n in nodes])
        injected = -v * np.conj(admittance @ v) / 1e3
        for node, power in zip(nodes, injected, strict=True):
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
    devices: list[Connected],
    regulators: tuple[str, ...],
    tap: FloatArray,
    banks: Sequence[SwitchedCapacitor | None],
) -> RadialNetwork:
    """The radial model at the circuit's present operating point.

    ``banks`` are the network devices of the site; None stands for one that is no capacitor bank.

    Raises:
        NoRadialModel: the circuit is no tree; what is in the way is named.
    """
    circuit.must_be_radial()
    assembly = _Assembly(circuit, watched, regulators)
    assembly.add_source()
    for parent, bus in circuit.order():
        assembly.add_branch(parent, bus)
    zip_p, zip_q = load_zip
    return RadialNetwork(
        nodes=tuple(w.name for w in watched),
        base_kv=assembly.base_kv,
        head=np.array(assembly.at_bus[circuit.source_bus], dtype=np.int64),
        source_pu=assembly.source_pu(),
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
        device_share=entries(assembly.shares(devices)),
        branches=tuple(assembly.branches),
        bank_kvar=entries(assembly.banks(banks)),
    )
