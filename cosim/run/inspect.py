"""What is in a feeder."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from rich.table import Table

from cosim.devices.registry import device_kinds
from cosim.errors import FeederError
from cosim.feeder.branch import watched_voltages
from cosim.feeder.compiled import FeederModel
from cosim.run.shipped import find_master

MOST_BUSES = 8


def inspect_feeder(name_or_master: Path, *, trusted: bool = False) -> Table:
    """A table of what a planner and a user need to know of a feeder.

    Args:
        name_or_master: a shipped feeder, or an OpenDSS file.
        trusted: the master may name native code, which the engine executes.

    Raises:
        FeederError: it cannot be read or solved.
    """
    model = FeederModel(find_master(name_or_master), trusted=trusted)
    try:
        return _table(model)
    finally:
        model.close()


def _table(model: FeederModel) -> Table:
    table = Table(title=str(model.master), show_header=False, title_justify="left")
    for title, text in _facts(model):
        table.add_row(title, text)
    return table


def _facts(model: FeederModel) -> list[tuple[str, str]]:
    circuit = model.circuit()
    watched = watched_voltages(circuit)
    volts = np.abs([circuit.voltage[w.a] - (circuit.voltage[w.b] if w.b >= 0 else 0) for w in watched])
    per_unit = volts / np.array([w.base_kv * 1e3 for w in watched])
    low, high = int(np.argmin(per_unit)), int(np.argmax(per_unit))
    kinds = Counter(
        element.name.split(".")[0] for elements in circuit.between.values() for element in elements
    )
    loop = circuit.loop()
    pairs = sum(w.between_phases for w in watched)
    dead = len(set(model.buses) - {_bus(node) for node in model.live_nodes})
    facts = [
        ("buses, nodes", f"{len(model.buses)}, {len(model.nodes)}"),
        ("source", f"bus {circuit.source_bus}"),
        ("branches", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))),
        ("radial", "yes" if not loop else f"no, loop {' - '.join(loop)}"),
        (
            "watched voltages",
            f"{len(watched) - pairs} phase to ground, {pairs} phase to phase (three-wire sections)",
        ),
        (
            "voltage at nominal load",
            " .. ".join(f"{per_unit[i]:.4f} pu at {watched[i].name}" for i in (low, high)),
        ),
        (
            "loads",
            _load_line(model),
        ),
        *(
            (f"{kind.plural} found", ", ".join(item.name for item in model.found if item.kind == kind.name))
            for kind in device_kinds()
            if any(item.kind == kind.name for item in model.found)
        ),
        ("where DER could go", _largest_loads(model)),
    ]
    if dead:
        facts.append(("not reached from the source", f"{dead} buses"))
    return facts


def _bus(node: str) -> str:
    return node.rsplit(".", 1)[0]


def _load_line(model: FeederModel) -> str:
    loads = model.loads
    total = f"{loads.kw.sum():.0f} kW + {loads.kvar.sum():.0f} kvar"
    return f"{len(loads.names)}, {total}, {sum(map(bool, loads.shapes))} with a daily shape"


def _largest_loads(model: FeederModel) -> str:
    at: dict[str, float] = defaultdict(float)
    for connected, kw in zip(model.loads.connected, model.loads.kw, strict=True):
        node = model.nodes[connected.legs[0][0]]
        # No device can be placed where nothing feeds the bus.
        if node in model.live_nodes:
            at[_bus(node)] += float(kw)
    if not at:
        raise FeederError(f"{model.master} has no loads")
    ranked = sorted(at.items(), key=lambda item: -item[1])
    largest = ", ".join(f"{bus} ({kw:.0f} kW)" for bus, kw in ranked[:MOST_BUSES])
    return f"{len(at)} load buses, the largest: {largest}"
