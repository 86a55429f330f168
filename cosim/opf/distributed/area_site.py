"""What the controller of one area knows: its part of the network, and its part of every vector.

An area that is fed from another area gets copies of the feeding nodes as its head. Another area that it
feeds is a load of constant power at each node of the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosim.devices.bounds import each
from cosim.errors import FormulationRefused
from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.model.forecast import Forecast
from cosim.model.network import RadialNetwork, SparseEntries
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.opf.distributed.areas import Area, Areas, Boundary

CONSTANT_POWER = np.array([[0.0, 0.0, 1.0]])
NO_AREA = "-"


@dataclass(frozen=True)
class AreaSite:
    """The site of one area, and where its vectors stand in those of the feeder.

    Attributes:
        name: of the area.
        site: of the area; its loads end with those that stand for areas that it feeds.
        upstream: boundary at which it is fed; None at the substation.
        downstream: boundaries at which it feeds others.
        nodes, loads, devices, regulators: positions in the vectors of the feeder; heads come first among
            the nodes, and loads are its own.
        feeding: for each boundary in ``downstream``, positions of its nodes in the area.
        reach_kva: power that may cross at each boundary node: loads and devices behind it, heads first.
    """

    name: str
    site: Site
    upstream: Boundary | None
    downstream: tuple[Boundary, ...]
    nodes: IntArray
    loads: IntArray
    devices: IntArray
    regulators: IntArray
    feeding: tuple[IntArray, ...]
    reach_kva: FloatArray

    @property
    def feeding_kva(self) -> FloatArray:
        """Nominal power at each node where it feeds others, shape (boundary node,)."""
        return self.network.load_kva[len(self.loads) :]

    @property
    def network(self) -> RadialNetwork:
        """Its part of the network."""
        if self.site.network is None:
            raise FormulationRefused(f"{self.name} has no network; areas need a radial feeder")
        return self.site.network

    @property
    def own_nodes(self) -> slice:
        """Places of its own nodes among ``nodes``: without the heads that belong to another area."""
        return slice(0 if self.upstream is None else len(self.upstream.nodes), None)

    def measurement(self, whole: Measurement, drawn_kva: ComplexArray) -> Measurement:
        """Its part of a measurement.

        Args:
            whole: of the feeder.
            drawn_kva: what the areas behind its boundaries draw now, shape (boundary node,).
        """
        return replace(
            whole,
            voltage_pu=whole.voltage_pu[self.nodes],
            demand_kw=np.concatenate([whole.demand_kw[self.loads], drawn_kva.real]),
            demand_kvar=np.concatenate([whole.demand_kvar[self.loads], drawn_kva.imag]),
            p_kw=whole.p_kw[self.devices],
            q_kvar=whole.q_kvar[self.devices],
            stored_kwh=whole.stored_kwh[self.devices],
            available_kw=whole.available_kw[self.devices],
            tap=whole.tap[self.regulators],
        )

    def forecast(
        self, whole: Forecast, drawn_kva: ComplexArray, head_squared_pu: FloatArray | None
    ) -> Forecast:
        """Its part of a forecast.

        Args:
            whole: of the feeder.
            drawn_kva: what the areas behind its boundaries draw, shape (boundary node, period).
            head_squared_pu: squared voltage at its heads, shape (head, period); None at the substation.
        """
        ratio = whole.source_ratio
        if head_squared_pu is not None:
            ratio = np.sqrt(np.maximum(head_squared_pu, 0.0)).T / self.network.source_pu
        return Forecast(
            horizon=whole.horizon,
            demand_kw=np.hstack([whole.demand_kw[:, self.loads], drawn_kva.real.T]),
            demand_kvar=np.hstack([whole.demand_kvar[:, self.loads], drawn_kva.imag.T]),
            available_kw=whole.available_kw[:, self.devices],
            price_per_kwh=whole.price_per_kwh,
            source_ratio=ratio,
        )


def area_site(site: Site, areas: Areas, position: int) -> AreaSite:
    """The part of a site that belongs to one area.

    Raises:
        FormulationRefused: the area has no device to plan.
    """
    network, area = site.network, areas.areas[position]
    if network is None:
        raise FormulationRefused(f"areas need a radial feeder: {site.no_network_reason}")
    if not len(area.devices):
        raise FormulationRefused(
            f"{area.name} ({', '.join(area.buses[:3])}, ...) has no device to plan for; cut elsewhere"
        )
    upstream, downstream = areas.upstream_of(position), areas.downstream_of(position)
    heads = np.zeros(0, dtype=np.int64) if upstream is None else upstream.nodes
    nodes = np.concatenate([heads, area.nodes])
    local = _places(nodes, network.size)
    regulators = np.unique(network.tap_exponent.column[np.isin(network.tap_exponent.row, area.nodes)])
    feeding = tuple(local[boundary.nodes] for boundary in downstream)
    part = _Part(network, nodes, len(heads), area.loads, area.devices, regulators)
    behind = [(areas.areas[boundary.downstream].name, boundary) for boundary in downstream]
    load_kva = [_nominal_kva(network, areas, boundary) for boundary in downstream]
    fed = tuple(f"{name} at {network.nodes[node]}" for name, boundary in behind for node in boundary.nodes)
    own = replace(
        site,
        nodes=tuple(network.nodes[node] for node in nodes),
        loads=(*(site.loads[load] for load in area.loads), *fed),
        regulators=tuple(site.regulators[regulator] for regulator in regulators),
        tap_step=site.tap_step[regulators],
        devices=tuple(site.devices[device] for device in area.devices),
        network=part.network(fed, _joined(feeding), _joined_kva(load_kva)),
        load_kw=np.concatenate([site.load_kw[area.loads], np.zeros(len(fed))]),
        load_kvar=np.concatenate([site.load_kvar[area.loads], np.zeros(len(fed))]),
        network_devices=(),
    )
    bounds = (*(() if upstream is None else (upstream,)), *downstream)
    device_kva = each(site.devices, "kva")
    reach_kva = _joined_kva([_reach_kva(network, device_kva, areas, boundary) for boundary in bounds])
    return AreaSite(
        area.name,
        own,
        upstream,
        downstream,
        nodes,
        area.loads,
        area.devices,
        regulators,
        feeding,
        reach_kva,
    )


def _places(chosen: IntArray, size: int) -> IntArray:
    """Place of each item among the chosen ones, -1 where it is not chosen, shape (size,)."""
    places = np.full(size, -1, dtype=np.int64)
    places[chosen] = np.arange(len(chosen))
    return places


def _joined(parts: tuple[IntArray, ...]) -> IntArray:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _joined_kva(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0), *parts])


def _behind(areas: Areas, boundary: Boundary) -> list[Area]:
    """Areas that are fed through a boundary."""
    behind = {boundary.downstream}
    for other in areas.boundaries:
        if other.upstream in behind:
            behind.add(other.downstream)
    return [areas.areas[position] for position in sorted(behind)]


def _nominal_kva(network: RadialNetwork, areas: Areas, boundary: Boundary) -> FloatArray:
    """Nominal power of all loads behind a boundary, in equal parts at its nodes, shape (node,)."""
    total = sum(float(network.load_kva[area.loads].sum()) for area in _behind(areas, boundary))
    return np.full(len(boundary.nodes), total / len(boundary.nodes))


def _reach_kva(
    network: RadialNetwork, device_kva: FloatArray, areas: Areas, boundary: Boundary
) -> FloatArray:
    """Nominal power of loads and ratings of devices behind a boundary, in equal parts, shape (node,)."""
    rated = sum(float(device_kva[area.devices].sum()) for area in _behind(areas, boundary))
    return _nominal_kva(network, areas, boundary) + rated / len(boundary.nodes)


@dataclass(frozen=True)
class _Part:
    """A part of a network: which nodes, loads, devices and regulators, and how many heads are copies."""

    whole: RadialNetwork
    nodes: IntArray
    copies: int
    loads: IntArray
    devices: IntArray
    regulators: IntArray

    def network(self, fed: tuple[str, ...], feeding: IntArray, fed_kva: FloatArray) -> RadialNetwork:
        """The part as a network of its own.

        Args:
            fed: names of the loads that stand for areas behind.
            feeding: node of each of them.
            fed_kva: their nominal power.
        """
        whole, size = self.whole, self.whole.size
        every, own = _places(self.nodes, size), _places(self.nodes, size)
        own[self.nodes[: self.copies]] = -1
        loads, devices = _places(self.loads, len(whole.loads)), self._device_places()
        taps = _places(self.regulators, max(len(whole.regulators), 1))
        count = len(self.loads)
        ones = SparseEntries(
            feeding, count + np.arange(len(feeding)), np.ones(len(feeding)), np.zeros(len(feeding))
        )
        turned = SparseEntries(ones.column, ones.row, ones.real, ones.imaginary)
        behind = np.repeat(CONSTANT_POWER, len(fed), axis=0)
        return RadialNetwork(
            nodes=tuple(whole.nodes[node] for node in self.nodes),
            base_kv=whole.base_kv[self.nodes],
            head=np.arange(self.copies) if self.copies else every[whole.head],
            source_pu=np.ones(self.copies) if self.copies else whole.source_pu,
            gain=_chosen(whole.gain, own, every),
            share=_chosen(whole.share, every, own),
            drop=_chosen(whole.drop, own, own),
            limit_kva=np.where(own[self.nodes] >= 0, whole.limit_kva[self.nodes], 0.0),
            regulators=tuple(whole.regulators[regulator] for regulator in self.regulators),
            tap_exponent=_chosen(whole.tap_exponent, own, taps),
            tap=whole.tap[self.regulators],
            loads=(*(whole.loads[load] for load in self.loads), *fed),
            load_kva=np.concatenate([whole.load_kva[self.loads], fed_kva]),
            load_share=_with(_chosen(whole.load_share, own, loads), ones),
            load_voltage=_with(_chosen(whole.load_voltage, loads, own), turned),
            load_zip_p=np.vstack([whole.load_zip_p[self.loads], behind]),
            load_zip_q=np.vstack([whole.load_zip_q[self.loads], behind]),
            shunt_kvar=np.where(own[self.nodes] >= 0, whole.shunt_kvar[self.nodes], 0.0),
            device_share=_chosen(whole.device_share, own, devices),
            branches=tuple(
                whole.branches[node] if own[node] >= 0 else NO_AREA for node in self.nodes.tolist()
            ),
            # No area commands network devices.
            bank_kvar=SparseEntries(every[:0], every[:0], np.zeros(0), np.zeros(0)),
            heads_measured=bool(self.copies),
        )

    def _device_places(self) -> IntArray:
        last = int(self.whole.device_share.column.max(initial=-1))
        return _places(self.devices, max(last, int(self.devices.max(initial=-1))) + 1)


def _chosen(entries: SparseEntries, rows: IntArray, columns: IntArray) -> SparseEntries:
    """Entries in chosen rows and columns, at their new places."""
    row, column = rows[entries.row], columns[entries.column]
    keep = (row >= 0) & (column >= 0)
    return SparseEntries(row[keep], column[keep], entries.real[keep], entries.imaginary[keep])


def _with(entries: SparseEntries, more: SparseEntries) -> SparseEntries:
    """Entries of two matrices of one shape that do not overlap."""
    return SparseEntries(
        np.concatenate([entries.row, more.row]),
        np.concatenate([entries.column, more.column]),
        np.concatenate([entries.real, more.real]),
        np.concatenate([entries.imaginary, more.imaginary]),
    )
