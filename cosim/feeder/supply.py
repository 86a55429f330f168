"""Parts of a feeder that no source supplies: which nodes and loads, and what keeps them apart."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from cosim.feeder.engine import Engine
from cosim.model.site import MOST_NAMED, Unsupplied


def unsupplied(engine: Engine, dead: Collection[str]) -> Unsupplied | None:
    """What is without voltage; None where nothing is.

    Args:
        engine: with a solved circuit.
        dead: nodes without voltage, ``bus.node``.
    """
    if not dead:
        return None
    nodes = tuple(sorted(dead))
    names, kw = _loads_at(engine, frozenset(nodes))
    open_elements = _open_elements(engine, frozenset(nodes))
    return Unsupplied(nodes, names, kw, open_elements, () if open_elements else _nearest(engine, nodes))


def _nearest(engine: Engine, dead: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Buses without voltage, the first few, each with the bus whose name is nearest among the others."""
    without = dict.fromkeys(node.rsplit(".", 1)[0] for node in dead)
    live = [bus for node in engine.node_names() if (bus := node.rsplit(".", 1)[0]) not in without]
    found: list[tuple[str, str]] = []
    for bus in list(without)[:MOST_NAMED]:
        found += [(bus, other) for other in difflib.get_close_matches(bus, live, n=1, cutoff=0.5)]
    return tuple(found)


def _loads_at(engine: Engine, dead: frozenset[str]) -> tuple[tuple[str, ...], float]:
    """Loads with a phase at a dead node, and their nominal demand."""
    dss, names, kw = engine.dss, [], 0.0
    index = dss.Loads.First()
    while index:
        nodes = _nodes(
            str(dss.CktElement.BusNames()[0]), [int(node) for node in dss.CktElement.NodeOrder()]
        )
        if nodes & dead:
            names.append(str(dss.Loads.Name()).lower())
            kw += float(dss.Loads.kW())
        index = dss.Loads.Next()
    return tuple(names), kw


def _open_elements(engine: Engine, dead: frozenset[str]) -> tuple[str, ...]:
    """Open lines and transformers between a part with voltage and one without."""
    dss, found = engine.dss, []
    index = dss.Circuit.FirstPDElement()
    while index:
        element = dss.CktElement
        buses = [str(bus) for bus in element.BusNames()]
        if len(buses) > 1 and any(element.IsOpen(i + 1, 0) for i in range(len(buses))):
            order, size = [int(node) for node in element.NodeOrder()], int(element.NumConductors())
            ends = [_nodes(bus, order[i * size : (i + 1) * size]) for i, bus in enumerate(buses)]
            if len({bool(end & dead) for end in ends}) == 2:
                found.append(str(element.Name()).lower())
        index = dss.Circuit.NextPDElement()
    return tuple(found)


def _nodes(bus: str, order: list[int]) -> frozenset[str]:
    name = bus.partition(".")[0].lower()
    return frozenset(f"{name}.{node}" for node in order if node)
