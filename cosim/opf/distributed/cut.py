"""Cut a radial feeder into areas, at named elements or by a rule.

The rule cuts off one area after the other. Each cut is the branch with the lowest sum of

    |size - target| / target  +  PHASE_WEIGHT · phases  +  EXCHANGE_WEIGHT · exchange

where size is the number of nodes behind the branch that belong to no area yet, target is the number of
nodes left over the number of areas left, phases is the number of nodes at the boundary, and exchange is
the nominal power behind the branch, as a part of the power of the feeder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.errors import FormulationRefused
from cosim.model.arrays import BoolArray, FloatArray, IntArray
from cosim.model.network import RadialNetwork
from cosim.opf.distributed.areas import Area, Areas, Boundary

PHASE_WEIGHT = 0.02
EXCHANGE_WEIGHT = 0.1
MOST_NAMED = 6


@dataclass(frozen=True)
class BusTree:
    """The buses of a radial network and what hangs on them, in the order of the network.

    Attributes:
        buses: names.
        parent: position of the bus that feeds each bus, -1 for the source, shape (bus,).
        bus_of_node: shape (node,).
        nodes: number of nodes at each bus, shape (bus,).
        load_kva: nominal power of the loads at each bus, shape (bus,).
        devices: number of devices at each bus, shape (bus,).
        bus_of_load, bus_of_device: shapes (load,) and (device,).
        branches: names of the elements that feed each bus.
    """

    buses: tuple[str, ...]
    parent: IntArray
    bus_of_node: IntArray
    nodes: IntArray
    load_kva: FloatArray
    devices: IntArray
    bus_of_load: IntArray
    bus_of_device: IntArray
    branches: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, network: RadialNetwork, device_count: int) -> BusTree:
        """The tree of a network with a number of devices."""
        position: dict[str, int] = {}
        bus_of_node = np.array(
            [position.setdefault(node.rsplit(".", 1)[0], len(position)) for node in network.nodes],
            dtype=np.int64,
        )
        parent = np.full(len(position), -1, dtype=np.int64)
        for entries in (network.gain, network.share):
            first, second = bus_of_node[entries.row], bus_of_node[entries.column]
            # A branch leads outwards, so the later of the two buses is the one that is fed.
            parent[np.maximum(first, second)] = np.minimum(first, second)
        branches: list[dict[str, None]] = [{} for _ in position]
        for node, names in enumerate(network.branches):
            branches[bus_of_node[node]].update(dict.fromkeys(names.split(",")))
        bus_of_load = _first_bus(network.load_share.row, network.load_share.column, bus_of_node)
        bus_of_device = _first_bus(network.device_share.row, network.device_share.column, bus_of_node)
        loads, devices = _filled(bus_of_load, len(network.loads)), _filled(bus_of_device, device_count)
        count = len(position)
        return cls(
            buses=tuple(position),
            parent=parent,
            bus_of_node=bus_of_node,
            nodes=np.bincount(bus_of_node, minlength=count),
            load_kva=np.asarray(
                np.bincount(loads[loads >= 0], network.load_kva[loads >= 0], minlength=count),
                dtype=np.float64,
            ),
            devices=np.bincount(devices[devices >= 0], minlength=count),
            bus_of_load=loads,
            bus_of_device=devices,
            branches=tuple(tuple(names) for names in branches),
        )

    def behind(self, values: FloatArray | IntArray, cut: BoolArray) -> FloatArray:
        """Sum of values at and behind each bus, without what is behind a cut, shape (bus,)."""
        total = np.asarray(values, dtype=np.float64).copy()
        for bus in range(len(self.buses) - 1, 0, -1):
            if self.parent[bus] >= 0 and not cut[bus]:
                total[self.parent[bus]] += total[bus]
        return total


def _first_bus(rows: IntArray, columns: IntArray, bus_of_node: IntArray) -> dict[int, int]:
    """Bus of each load or device by its position."""
    return {int(column): int(bus_of_node[row]) for row, column in zip(rows, columns, strict=True)}


def _filled(found: dict[int, int], count: int) -> IntArray:
    return np.array([found.get(position, -1) for position in range(count)], dtype=np.int64)


# --- cutting --------------------------------------------------------------------------------------


def cut_at(network: RadialNetwork, device_count: int, elements: Sequence[str]) -> Areas:
    """Areas behind named lines, switches, transformers or regulators.

    Args:
        network: of the feeder.
        device_count: number of devices of the site.
        elements: names such as ``line.sw2``; a name without its class is enough where it is unique.

    Raises:
        FormulationRefused: an element feeds no bus, is named twice, or cuts off nothing.
    """
    tree = BusTree.of(network, device_count)
    cut = np.zeros(len(tree.buses), dtype=bool)
    for name in elements:
        bus = _fed_by(tree, name)
        if cut[bus]:
            raise FormulationRefused(
                f"areas: the branch into bus {tree.buses[bus]} is cut twice, by {name}"
            )
        cut[bus] = True
    return _areas(tree, network, cut)


def cut_evenly(network: RadialNetwork, device_count: int, count: int) -> Areas:
    """Areas of similar size, cut where few phases and little power cross; see the text of the module.

    Every area has a device if the feeder has at least one for each area.

    Args:
        network: of the feeder.
        device_count: number of devices of the site.
        count: number of areas.

    Raises:
        FormulationRefused: the feeder cannot be cut into so many areas.
    """
    tree = BusTree.of(network, device_count)
    cut = np.zeros(len(tree.buses), dtype=bool)
    exchange = tree.behind(tree.load_kva, cut) / max(float(tree.load_kva.sum()), 1e-9)
    least = 1 if tree.devices.sum() >= count else 0
    for left in range(count, 1, -1):
        size, devices = tree.behind(tree.nodes, cut), tree.behind(tree.devices, cut)
        # What is left belongs to the area of the substation: bus 0 is its root.
        target = size[0] / left
        score = np.abs(size - target) / target + PHASE_WEIGHT * tree.nodes + EXCHANGE_WEIGHT * exchange
        spare = devices[0] - devices >= least * (left - 1)
        allowed = (tree.parent >= 0) & ~_behind_cut(tree, cut) & (devices >= least) & spare
        if not allowed.any():
            raise FormulationRefused(
                f"areas: a feeder of {len(tree.buses)} buses and {device_count} devices cannot be cut "
                f"into {count} areas with a device each; ask for {count - left + 1} or fewer, or "
                "name the cuts"
            )
        cut[int(np.argmin(np.where(allowed, score, np.inf)))] = True
    return _areas(tree, network, cut)


def _behind_cut(tree: BusTree, cut: BoolArray) -> BoolArray:
    """Buses that are cut off from the source."""
    off = cut.copy()
    for bus in range(1, len(tree.buses)):
        off[bus] |= tree.parent[bus] >= 0 and off[tree.parent[bus]]
    return off


def _fed_by(tree: BusTree, name: str) -> int:
    """The bus that an element feeds."""
    wanted = name.strip().lower()
    names = {element: bus for bus, elements in enumerate(tree.branches) for element in elements}
    short = [element for element in names if element.partition(".")[2] == wanted]
    found = names.get(wanted, names[short[0]] if len(short) == 1 else None)
    if found is None or tree.parent[found] < 0:
        some = [element for element, bus in names.items() if tree.parent[bus] >= 0]
        more = ", ..." if len(some) > MOST_NAMED else ""
        raise FormulationRefused(
            f"areas: {name!r} is no line, switch or transformer that feeds a bus; there are "
            f"{', '.join(sorted(some)[:MOST_NAMED])}{more}"
        )
    return found


def _areas(tree: BusTree, network: RadialNetwork, cut: BoolArray) -> Areas:
    """The areas that a set of cut branches leaves, in the order of the network."""
    roots = [0, *np.flatnonzero(cut).tolist()]
    area_of_bus = np.zeros(len(tree.buses), dtype=np.int64)
    for bus in range(1, len(tree.buses)):
        # A bus without parent is another bus of the source.
        area_of_bus[bus] = roots.index(bus) if cut[bus] else area_of_bus[max(tree.parent[bus], 0)]
    areas = []
    for position in range(len(roots)):
        here = area_of_bus == position
        areas.append(
            Area(
                name=f"area{position + 1}",
                nodes=np.flatnonzero(here[tree.bus_of_node]),
                buses=tuple(bus for bus, inside in zip(tree.buses, here, strict=True) if inside),
                devices=np.flatnonzero((tree.bus_of_device >= 0) & here[tree.bus_of_device]),
                loads=np.flatnonzero((tree.bus_of_load >= 0) & here[tree.bus_of_load]),
            )
        )
    boundaries = [
        Boundary(
            upstream=int(area_of_bus[tree.parent[root]]),
            downstream=position,
            branches=tree.branches[root],
            nodes=_feeding_nodes(network, tree, root),
        )
        for position, root in enumerate(roots)
        if position
    ]
    return Areas(tuple(areas), tuple(boundaries))


def _feeding_nodes(network: RadialNetwork, tree: BusTree, bus: int) -> IntArray:
    """Nodes of the parent bus that a branch draws from."""
    voltage = network.gain.column[tree.bus_of_node[network.gain.row] == bus]
    power = network.share.row[tree.bus_of_node[network.share.column] == bus]
    return np.unique(np.concatenate([voltage, power])).astype(np.int64)
