"""From a scenario's device lists and siting rules to ratings at real buses."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cosim.devices.kind import Placement
from cosim.devices.registry import device_kinds, network_kind
from cosim.errors import FeederError, ScenarioError, SeriesError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.elements.network_element import network_element_of
from cosim.model.device import Device
from cosim.model.network_device import NetworkDevice
from cosim.model.timegrid import TimeGrid
from cosim.run.scenario import Scenario

Problem = tuple[tuple[str | int, ...], str]
"""A place in the scenario, and a sentence about what is wrong there."""


class SiteRule(Protocol):
    """A rule that places devices of one kind at load buses."""

    @property
    def share_of_load_buses(self) -> float:
        """How many of the load buses get one."""
        ...

    @property
    def at_most(self) -> int | None:
        """Largest number of them."""
        ...

    @property
    def seed(self) -> int:
        """Of the choice."""
        ...

    def device(self, place: Placement) -> Any:
        """The device at one of the sites."""
        ...


@dataclass(frozen=True)
class Devices:
    """All controllable devices of a scenario, and what is wrong with the others."""

    devices: tuple[Device, ...]
    network_devices: tuple[NetworkDevice, ...]
    problems: tuple[Problem, ...]


def devices_of(scenario: Scenario, model: FeederModel, grid: TimeGrid, folder: Path) -> Devices:
    """Ratings of listed, sited and discovered devices.

    Problems come with their place in the scenario.
    """
    devices: list[Device] = []
    problems: list[Problem] = []
    for place, item in scenario.listed():
        where = placement(item.bus, model, delta=item.delta)
        if isinstance(where, str):
            problems.append(((*place, "bus"), where))
            continue
        local_kw, loads = _loads_at(model, where)
        try:
            site = replace(where, local_kw=local_kw, loads=loads, grid=grid, folder=folder)
            devices.append(replace(item.device(site), neutral=site.neutral))
        except (ScenarioError, SeriesError) as error:
            problems.append((place, str(error)))
    for index, rule in enumerate(scenario.siting):
        sites = load_sites(model, rule)
        if not sites:
            problems.append((("siting", index), "this feeder has no load to site devices at"))
        devices += [
            replace(rule.device(replace(site, grid=grid, folder=folder)), neutral=site.neutral)
            for site in sites
        ]
    if scenario.feeder.discover:
        devices += model.found
    problems.extend(_name_clashes(model, devices))
    network_devices, not_found = _network_devices(scenario, model)
    return Devices(tuple(devices), network_devices, (*problems, *not_found))


def _network_devices(
    scenario: Scenario, model: FeederModel
) -> tuple[tuple[NetworkDevice, ...], list[Problem]]:
    """Network devices whose elements the feeder has, and what is wrong with the others."""
    found: list[NetworkDevice] = []
    problems: list[Problem] = []
    for place, item in scenario.network_devices():
        element = network_element_of(network_kind(item.kind))
        try:
            device: NetworkDevice = element.find(model.engine, item)
        except FeederError as error:
            problems.append((place, str(error)))
            continue
        other = next((o for o in found if (o.kind, o.element) == (device.kind, device.element)), None)
        if other is None:
            found.append(device)
        else:
            problems.append((place, f"{device.element} is moved by {other.name} already"))
    return tuple(found), problems


def _loads_at(model: FeederModel, place: Placement) -> tuple[float, tuple[int, ...]]:
    """Nominal kW and rows of the loads of a bus."""
    rows = tuple(
        i
        for i, connected in enumerate(model.loads.connected)
        if model.nodes[connected.legs[0][0]].rsplit(".", 1)[0] == place.bus
    )
    return float(model.loads.kw[list(rows)].sum()), rows


def _name_clashes(model: FeederModel, devices: list[Device]) -> Iterable[Problem]:
    for kind in device_kinds():
        mine = [item.name for item in devices if item.kind == kind.name and not model.is_found(item)]
        clash = sorted(set(mine) & model.taken_names[kind.name])
        if clash:
            yield ("feeder",), f"the master defines a {kind.title} {', '.join(clash)} too; rename yours"
    # Kinds that are one class in OpenDSS share its names.
    for class_name in dict.fromkeys(model.class_of.values()):
        names = [item.name for item in devices if model.class_of[item.kind] == class_name]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            yield ("siting",), f"two devices are called {', '.join(double)}; rename or site fewer"


def placement(text: str, model: FeederModel, *, delta: bool) -> Placement | str:
    """A bus with phases as written by a user, or a sentence about what is wrong with it.

    A last node above 3 is a neutral conductor, 0 is earth. Where none is given, a bus with one neutral
    conductor connects to it.
    """
    bus, _, suffix = text.lower().partition(".")
    numbers = [int(node.rsplit(".", 1)[1]) for node in model.nodes if node.rsplit(".", 1)[0] == bus]
    present, neutrals = (sorted(n for n in numbers if (n <= 3) == phase) for phase in (True, False))
    if not present:
        near = difflib.get_close_matches(bus, model.buses, n=3, cutoff=0.0)
        return f"{bus!r} is no bus of {model.master.name}; nearest: {', '.join(near) or 'none'}"
    try:
        wanted = tuple(int(part) for part in suffix.split(".")) if suffix else tuple(present)
    except ValueError:
        wanted = ()
    neutral = neutrals[0] if len(neutrals) == 1 and not delta else None
    if wanted and (wanted[-1] == 0 or wanted[-1] in neutrals) and not delta:
        *phases, last = wanted
        wanted, neutral = tuple(phases), last or None
    if not wanted or len(set(wanted)) != len(wanted):
        return f"{text!r} is not a bus with phases, each once, such as {bus}.{present[0]}"
    missing = [phase for phase in wanted if phase not in present]
    if missing:
        here = ", ".join(f"{bus}.{node}" for node in (*present, *neutrals))
        return f"'{bus}.{missing[0]}' is no node of {model.master.name}; this bus has {here}"
    dead = [phase for phase in wanted if f"{bus}.{phase}" not in model.live_nodes]
    if dead:
        return (
            f"'{bus}.{dead[0]}' has no voltage: nothing feeds this node of {model.master.name}; close the "
            "switch that feeds it, or connect the device elsewhere"
        )
    if delta and len(wanted) < 2:
        return f"{text!r}: a delta connection needs two or three phases"
    return Placement(bus, wanted, delta, neutral=neutral)


def load_sites(model: FeederModel, rule: SiteRule) -> list[Placement]:
    """Randomly chosen load buses, each with its connection and its loads."""
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


def _as_largest_load(model: FeederModel, loads: Iterable[int]) -> Placement:
    indices = list(loads)
    largest = max(indices, key=lambda i: float(model.loads.kw[i]))
    legs = model.loads.connected[largest].legs
    nodes = list(dict.fromkeys(node for leg in legs for node in leg if node >= 0))
    bus = model.nodes[nodes[0]].rsplit(".", 1)[0]
    numbers = [int(model.nodes[node].rsplit(".", 1)[1]) for node in nodes]
    phases = tuple(number for number in numbers if number <= 3)
    neutral = next((number for number in numbers if number > 3), None)
    delta = legs[0][1] >= 0 and int(model.nodes[legs[0][1]].rsplit(".", 1)[1]) <= 3
    kw = float(model.loads.kw[indices].sum())
    return Placement(bus, phases, delta, kw, tuple(indices), neutral=neutral)
