"""The balanced single-phase equivalent of a three-phase radial feeder.

What stays: the tree, one bus per bus; the total demand, a third of it in the one phase; the impedance
that balanced power meets. Of a branch that is the mean, over the phases it has, of the drop that equal
power in all of them causes: the positive sequence of three phases, ``z - z_m / 2`` of two, the self
impedance of one, and the series impedance of a transformer.

What is lost, on purpose:

- A load on one phase sends only a third of itself through the equivalent's branch, so drop and losses
  of one-phase laterals are a third of the true ones (of two phases, two thirds). The IEEE 123 node
  feeder's equivalent in the literature makes the same choice.
- Regulators and off-nominal taps have gain 1, and what the source loses before the head is left out:
  voltages are those of a feeder nobody regulates, held up by ``source_pu`` alone, and may be far
  lower than the original's on a long feeder.
- Loads are of constant power whatever their voltage model was. Capacitors are constant kvar, which
  they are not off 1 pu, and a demand multiplier scales them along with the loads.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from cosim.errors import FeederError
from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.model.network import RadialNetwork
from cosim.model.site import FeederMap
from cosim.networks.balanced import (
    BalancedFeeder,
    Branches,
    Loads,
    Places,
    no_pvs,
    no_storages,
)
from cosim.networks.layout import tree_layout
from cosim.networks.tree import outward_order

SQRT3 = float(np.sqrt(3.0))


def balanced_equivalent(
    network: RadialNetwork,
    *,
    name: str,
    title: str,
    load_kw: FloatArray,
    load_kvar: FloatArray,
    source_pu: float = 1.03,
    base_kv: float | None = None,
    capacitors: bool = True,
    feeder_map: FeederMap | None = None,
) -> BalancedFeeder:
    """Reduce a radial network to one phase. Devices are left out; see :mod:`cosim.networks.der`.

    Args:
        network: of any radial feeder; its operating point only turns the mutual impedances, so
            nothing depends on it as long as the phases are about 120 degrees apart.
        name, title: of the equivalent.
        load_kw, load_kvar: nominal three-phase demand in the order of ``network.loads``.
        source_pu: voltage at the head.
        base_kv: rated voltage, line to neutral, that all impedances and currents are referred to; the
            commonest of the buses with three nodes if None.
        capacitors: turn capacitors into negative kvar; otherwise they are dropped.
        feeder_map: where the buses lie; a bus it does not know is drawn on the one that feeds it.

    Raises:
        FeederError: a bus without a feed or with two, or no load vector of the right length.
    """
    for what, values in (("load_kw", load_kw), ("load_kvar", load_kvar)):
        if values.shape != (len(network.loads),):
            raise FeederError(
                f"{what} has shape {values.shape}, the network has {len(network.loads)} loads"
            )
    bus_of = [node.rsplit(".", 1)[0] for node in network.nodes]
    feed = _feeds(network, bus_of)
    buses, _ = outward_order(list(feed.values()), list(feed))
    head = {bus_of[node] for node in network.head}
    if {buses[0]} != head:
        raise FeederError(f"the tree starts at {buses[0]}, the source is at {', '.join(sorted(head))}")
    position = {bus: i for i, bus in enumerate(buses)}
    from_bus = np.array([position[feed[bus]] for bus in buses[1:]], dtype=np.int64)
    at = np.array([position[bus] for bus in bus_of], dtype=np.int64)
    neutral_kv = _line_to_neutral_kv(network)
    base = base_kv if base_kv is not None else _commonest_base(neutral_kv, at)
    impedance = _mean_impedance(network, at, len(buses))[1:] * base**2 * 1e3
    return BalancedFeeder(
        name=name,
        title=title,
        base_kv=base,
        source_pu=source_pu,
        buses=buses,
        branches=Branches(
            from_bus,
            impedance.real,
            impedance.imag,
            _normal_amps(network, at, len(buses), neutral_kv, base),
        ),
        loads=_loads(network, at, load_kw + 1j * load_kvar, capacitors=capacitors),
        pvs=no_pvs(),
        storages=no_storages(),
        places=_places(feeder_map, buses, from_bus),
    )


def _feeds(network: RadialNetwork, bus_of: list[str]) -> dict[str, str]:
    """The bus that feeds each bus, the head left out."""
    feeds: dict[str, set[str]] = defaultdict(set)
    for row, column in zip(network.gain.row.tolist(), network.gain.column.tolist(), strict=True):
        feeds[bus_of[row]].add(bus_of[column])
    head = {bus_of[node] for node in network.head}
    for bus in dict.fromkeys(bus_of):
        if bus not in head and len(feeds[bus]) != 1:
            raise FeederError(
                f"bus {bus} is fed by {len(feeds[bus])} buses; the radial model should give it one"
            )
    return {bus: next(iter(origin)) for bus, origin in feeds.items() if bus not in head}


def _mean_impedance(network: RadialNetwork, at: IntArray, buses: int) -> ComplexArray:
    """Drop of voltage at each bus, per unit per kVA of every phase, shape (bus,).

    A row of H adds up what equal power in all phases does to one of them. Behind a delta winding the
    nodes are phase pairs, each with a third of the power too, so the same mean holds there.
    """
    fed = np.zeros(network.size, dtype=np.bool_)
    fed[network.gain.row] = True
    drop = network.drop
    node_drop = np.zeros(network.size, dtype=np.complex128)
    np.add.at(node_drop, drop.row, drop.real + 1j * drop.imaginary)
    total = np.zeros(buses, dtype=np.complex128)
    np.add.at(total, at[fed], node_drop[fed])
    mean = total / np.maximum(np.bincount(at[fed], minlength=buses), 1)
    # A reactor has a resistance of 1e-17, of either sign, after turning.
    resistance = np.where(np.abs(mean.real) > 1e-9 * np.abs(mean), mean.real, 0.0)
    return np.asarray(resistance + 1j * mean.imag)


def _line_to_neutral_kv(network: RadialNetwork) -> FloatArray:
    """Voltage base of each node's phase, shape (node,); a phase pair ``bus.1-2`` has a line voltage."""
    pair = np.array(["-" in node.rsplit(".", 1)[1] for node in network.nodes])
    return np.where(pair, network.base_kv / SQRT3, network.base_kv)


def _commonest_base(neutral_kv: FloatArray, at: IntArray) -> float:
    count = np.bincount(at)
    three = neutral_kv[count[at] == 3]
    values: list[float] = (three if len(three) else neutral_kv).tolist()
    # Bases that differ in the last digit are one base.
    (commonest, _), *_ = Counter(f"{kv:.6g}" for kv in values).most_common(1)
    return next(kv for kv in values if f"{kv:.6g}" == commonest)


def _normal_amps(
    network: RadialNetwork, at: IntArray, buses: int, neutral_kv: FloatArray, base: float
) -> FloatArray:
    """Smallest ampacity among the phases of each branch on one voltage base, shape (branch,)."""
    amps = network.limit_kva / network.base_kv * neutral_kv / base
    smallest = np.full(buses, np.inf)
    np.minimum.at(smallest, at, np.where(amps > 0, amps, np.inf))
    return np.where(np.isfinite(smallest), smallest, 0.0)[1:]


def _loads(network: RadialNetwork, at: IntArray, power: ComplexArray, *, capacitors: bool) -> Loads:
    """A third of the demand of each bus."""
    share = network.load_share
    demand = np.zeros(int(at.max()) + 1, dtype=np.complex128)
    np.add.at(demand, at[share.row], (share.real + 1j * share.imaginary) * power[share.column])
    if capacitors:
        np.add.at(demand, at, -1j * network.shunt_kvar)
    demand /= 3
    # Complex shares of a delta load leave rounding errors behind.
    bus = np.flatnonzero(np.abs(demand) > 1e-12 * np.abs(demand).sum()).astype(np.int64)
    return Loads(bus, demand[bus].real, demand[bus].imag)


def _places(feeder_map: FeederMap | None, buses: tuple[str, ...], from_bus: IntArray) -> Places:
    known = (
        {}
        if feeder_map is None
        else dict(zip(feeder_map.buses, zip(feeder_map.x, feeder_map.y, strict=True), strict=True))
    )
    if not any(bus in known for bus in buses):
        return tree_layout(from_bus)
    first = next(known[bus] for bus in buses if bus in known)
    found = [known.get(buses[0], first)]
    for start, bus in zip(from_bus.tolist(), buses[1:], strict=True):
        found.append(known.get(bus, found[start]))
    x, y = np.array(found, dtype=np.float64).T
    return Places(x, y)
