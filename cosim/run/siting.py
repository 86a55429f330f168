"""From a scenario's device lists and siting rules to ratings at real buses."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cosim.feeder.compiled import FeederModel
from cosim.model.ratings import PvRating, StorageRating
from cosim.run.scenario import PvConfig, Scenario, SitePv, SiteStorage, StorageConfig

DEFAULT_STORAGE_KVA = 1.2
DEFAULT_PV_KVA = 1.1


@dataclass(frozen=True)
class Placement:
    """Where a device is connected, or why it cannot be."""

    bus: str
    phases: tuple[int, ...]
    delta: bool


@dataclass(frozen=True)
class Devices:
    """All controllable devices of a scenario, and what is wrong with the others."""

    storages: tuple[StorageRating, ...]
    pvs: tuple[PvRating, ...]
    problems: tuple[tuple[tuple[str | int, ...], str], ...]


def devices_of(scenario: Scenario, model: FeederModel) -> Devices:
    """Ratings of listed, sited and discovered devices.

    Problems come with their place in the scenario.
    """
    storages: list[StorageRating] = []
    pvs: list[PvRating] = []
    problems: list[tuple[tuple[str | int, ...], str]] = []
    _place_listed(scenario, model, storages, pvs, problems)
    for index, rule in enumerate(scenario.siting):
        sites = load_sites(model, rule)
        if not sites:
            problems.append((("siting", index), "this feeder has no load to site devices at"))
        if isinstance(rule, SiteStorage):
            storages.extend(_sited_storage(rule, site, kw) for site, kw in sites)
        else:
            pvs.extend(_sited_pv(rule, site, kw) for site, kw in sites)
    if scenario.feeder.discover:
        storages.extend(model.found_storages)
        pvs.extend(model.found_pvs)
    problems.extend(_name_clashes(model, storages, pvs))
    return Devices(tuple(storages), tuple(pvs), tuple(problems))


def _place_listed(
    scenario: Scenario,
    model: FeederModel,
    storages: list[StorageRating],
    pvs: list[PvRating],
    problems: list[tuple[tuple[str | int, ...], str]],
) -> None:
    for index, item in enumerate(scenario.storages):
        place = placement(item.bus, model, delta=item.delta)
        if isinstance(place, str):
            problems.append((("storages", index, "bus"), place))
        else:
            storages.append(_storage(item, place))
    for index, panel in enumerate(scenario.pvs):
        place = placement(panel.bus, model, delta=panel.delta)
        if isinstance(place, str):
            problems.append((("pvs", index, "bus"), place))
        else:
            pvs.append(_pv(panel, place))


def _name_clashes(
    model: FeederModel, storages: list[StorageRating], pvs: list[PvRating]
) -> Iterable[tuple[tuple[str | int, ...], str]]:
    own = {
        "storage": ([s.name for s in storages if s not in model.found_storages], model.storage_names),
        "pvsystem": ([p.name for p in pvs if p not in model.found_pvs], model.pv_names),
    }
    for kind, (mine, in_master) in own.items():
        clash = sorted(set(mine) & in_master)
        if clash:
            yield ("feeder",), f"the master defines {kind} {', '.join(clash)} too; rename yours"
        double = sorted({name for name in mine if mine.count(name) > 1})
        if double:
            yield ("siting",), f"two {kind} devices are called {', '.join(double)}; rename or site fewer"


def placement(text: str, model: FeederModel, *, delta: bool) -> Placement | str:
    """A bus with phases as written by a user, or a sentence about what is wrong with it."""
    bus, _, suffix = text.lower().partition(".")
    present = [int(node.rsplit(".", 1)[1]) for node in model.nodes if node.rsplit(".", 1)[0] == bus]
    present = sorted(number for number in present if number <= 3)
    if not present:
        near = difflib.get_close_matches(bus, model.buses, n=3, cutoff=0.0)
        return f"{bus!r} is no bus of {model.master.name}; nearest: {', '.join(near) or 'none'}"
    try:
        wanted = tuple(int(part) for part in suffix.split(".")) if suffix else tuple(present)
    except ValueError:
        return f"{text!r} is not a bus with phases such as {bus}.{present[0]}"
    missing = [phase for phase in wanted if phase not in present]
    if missing:
        here = ", ".join(f"{bus}.{phase}" for phase in present)
        return f"'{bus}.{missing[0]}' is no node of {model.master.name}; this bus has {here}"
    dead = [phase for phase in wanted if f"{bus}.{phase}" not in model.live_nodes]
    if dead:
        return (
            f"'{bus}.{dead[0]}' has no voltage: nothing feeds this node of {model.master.name}; close the "
            "switch that feeds it, or connect the device elsewhere"
        )
    if delta and len(wanted) < 2:
        return f"{text!r}: a delta connection needs two or three phases"
    return Placement(bus, wanted, delta)


def load_sites(model: FeederModel, rule: SiteStorage | SitePv) -> list[tuple[Placement, float]]:
    """Randomly chosen load buses, each with its connection and its nominal load in kW."""
    local: dict[str, list[int]] = {}
    for i, connected in enumerate(model.loads.connected):
        nodes = [model.nodes[node] for leg in connected.legs for node in leg if node >= 0]
        if model.live_nodes.issuperset(node for node in nodes if int(node.rsplit(".", 1)[1]) <= 3):
            local.setdefault(nodes[0].rsplit(".", 1)[0], []).append(i)
    buses = sorted(bus for bus, loads in local.items() if model.loads.kw[loads].sum() > 0)
    if not buses:
        return []
    count = max(1, round(rule.share_of_load_buses * len(buses)))
    if rule.at_most is not None:
        count = min(count, rule.at_most)
    chosen = np.random.default_rng(rule.seed).choice(len(buses), size=count, replace=False)
    return [_as_largest_load(model, local[buses[i]]) for i in sorted(chosen)]


def _as_largest_load(model: FeederModel, loads: Iterable[int]) -> tuple[Placement, float]:
    indices = list(loads)
    largest = max(indices, key=lambda i: float(model.loads.kw[i]))
    legs = model.loads.connected[largest].legs
    nodes = list(dict.fromkeys(node for leg in legs for node in leg if node >= 0))
    bus = model.nodes[nodes[0]].rsplit(".", 1)[0]
    numbers = (int(model.nodes[node].rsplit(".", 1)[1]) for node in nodes)
    phases = tuple(number for number in numbers if number <= 3)
    delta = legs[0][1] >= 0 and int(model.nodes[legs[0][1]].rsplit(".", 1)[1]) <= 3
    return Placement(bus, phases, delta), float(model.loads.kw[indices].sum())


def _storage(item: StorageConfig, place: Placement) -> StorageRating:
    return StorageRating(
        name=item.name.lower(),
        bus=place.bus,
        phases=place.phases,
        delta=place.delta,
        kw=item.kw,
        kva=item.kva if item.kva is not None else DEFAULT_STORAGE_KVA * item.kw,
        kwh=item.kwh,
        min_kwh=item.soc_min * item.kwh,
        max_kwh=item.soc_max * item.kwh,
        initial_kwh=item.soc_start * item.kwh,
        efficiency_charge=item.efficiency_charge,
        efficiency_discharge=item.efficiency_discharge,
        idling_kw=item.idling_kw,
    )


def _pv(item: PvConfig, place: Placement) -> PvRating:
    kva = item.kva if item.kva is not None else DEFAULT_PV_KVA * item.kw
    return PvRating(item.name.lower(), place.bus, place.phases, place.delta, item.kw, kva)


def _sited_storage(rule: SiteStorage, place: Placement, local_kw: float) -> StorageRating:
    kw = round(rule.times_local_load * local_kw, 3)
    kwh = rule.hours * kw
    return StorageRating(
        name=f"bess_{place.bus}",
        bus=place.bus,
        phases=place.phases,
        delta=place.delta,
        kw=kw,
        kva=rule.kva_per_kw * kw,
        kwh=kwh,
        min_kwh=rule.soc_min * kwh,
        max_kwh=rule.soc_max * kwh,
        initial_kwh=rule.soc_start * kwh,
        efficiency_charge=rule.efficiency_charge,
        efficiency_discharge=rule.efficiency_discharge,
        idling_kw=rule.idling_kw_per_kw * kw,
    )


def _sited_pv(rule: SitePv, place: Placement, local_kw: float) -> PvRating:
    kw = round(rule.times_local_load * local_kw, 3)
    return PvRating(f"pv_{place.bus}", place.bus, place.phases, place.delta, kw, rule.kva_per_kw * kw)
