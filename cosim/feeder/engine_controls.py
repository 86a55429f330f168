"""Controls of OpenDSS for devices of a scenario: StorageController and InvControl."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.errors import FeederError
from cosim.feeder.engine import Engine
from cosim.model.device import Device
from cosim.model.engine_controls import EngineControls

NAME = "cosim_own"
CARRIES_ALL = ("line", "transformer")


def add_engine_controls(engine: Engine, controls: EngineControls, devices: Sequence[Device]) -> None:
    """Give devices to controls of the engine.

    Args:
        engine: with the devices in the circuit.
        controls: their set-up.
        devices: of the scenario.

    Raises:
        FeederError: no line or transformer carries the power of all phases at the head of the feeder.
    """
    batteries = [device.name for device in devices if isinstance(device, StorageRating)]
    suns = [device.name for device in devices if isinstance(device, PvRating)]
    high, low = controls.discharge_above_kw, controls.charge_below_kw
    if batteries and high is not None and low is not None:
        engine.command(
            f"new storagecontroller.{NAME} element={head_element(engine)} terminal=1 "
            f"elementlist=[{' '.join(batteries)}] modedischarge=peakshave kwtarget={float(high)!r} "
            f"modecharge=peakshavelow kwtargetlow={float(low)!r} eventlog=no"
        )
    if suns and controls.volt_var:
        at, share = zip(*controls.volt_var, strict=True)
        engine.command(
            f"new xycurve.{NAME} npts={len(at)} xarray=[{_numbers(at)}] yarray=[{_numbers(share)}]"
        )
        engine.command(
            f"new invcontrol.{NAME} derlist=[{' '.join(f'pvsystem.{name}' for name in suns)}] mode=voltvar "
            f"vvc_curve1={NAME} voltage_curvex_ref=rated refreactivepower=varmax eventlog=no"
        )


def head_element(engine: Engine) -> str:
    """The line or transformer nearest to the source that carries as many phases as the source.

    Its first terminal must be the one towards the source, as the power there is what enters the feeder.

    Raises:
        FeederError: there is none.
    """
    circuit = engine.dss.Circuit
    sources = engine.dss.Vsources
    sources.First()
    root, phases = _bus(engine.dss.CktElement.BusNames()[0]), int(engine.dss.CktElement.NumPhases())
    graph: nx.MultiGraph[str] = nx.MultiGraph()
    graph.add_node(root)
    for name in (str(one).lower() for one in circuit.AllElementNames()):
        if name.partition(".")[0] not in CARRIES_ALL:
            continue
        circuit.SetActiveElement(name)
        element = engine.dss.CktElement
        if not element.Enabled():
            continue
        first, *others = [_bus(bus) for bus in element.BusNames()]
        for other in others:
            graph.add_edge(first, other, name=name, first=first, phases=int(element.NumPhases()))
    for near, far in nx.bfs_edges(graph, root):
        for edge in graph[near][far].values():
            if edge["phases"] >= phases and edge["first"] == near:
                return str(edge["name"])
    raise FeederError(
        f"no line or transformer near the source at bus {root} carries its {phases} phases, so a "
        "StorageController has nothing to monitor; take another controller than one that leaves batteries "
        "to the engine"
    )


def _bus(name: str) -> str:
    return name.lower().partition(".")[0]


def _numbers(values: Sequence[float]) -> str:
    return " ".join(repr(float(value)) for value in values)
