"""The map of the feeder, coloured by voltage, with a slider over time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import plotly.graph_objects as go

from cosim.devices.registry import by_kind
from cosim.devices.storage import StorageRating
from cosim.experiments.controllers import controller_of_device
from cosim.experiments.run_metrics import voltage_limits
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.site import Site
from cosim.report.style import BRANCH, INK, OUTLINE, SERIES, SUN, THEME
from cosim.run.record import Record

BIG_FEEDER = 1500
"""Above this many buses the map is drawn by the graphics card, and frames hold one voltage per bus."""

FRAMES = 96
FRAME_BUDGET = 3_000_000
"""Bytes all frames may take in the page: with the library of 5 MB it stays below 10 MB."""

BYTES_PER_NUMBER = 16 / 3
"""A 4-byte number in base64."""

COLOURS = [[0.0, "#2166ac"], [0.25, "#92c5de"], [0.5, "#f4f4f0"], [0.75, "#f4a582"], [1.0, "#b2182b"]]
NOBODY = "nobody"
"""Who commands a device that no controller has."""

BEYOND_LIMITS = 1.3
"""How far the colours reach, in half widths of the band of limits."""


@dataclass(frozen=True)
class Buses:
    """The buses that have both a place and a voltage.

    Attributes:
        names: of the buses; x, y: their places, in the units of the file.
        nodes: index into the nodes of the site, -1 where a bus has fewer, shape (bus, slot).
    """

    names: tuple[str, ...]
    x: FloatArray
    y: FloatArray
    nodes: IntArray

    @property
    def many(self) -> bool:
        """Whether drawing all voltages of all buses would take too long."""
        return len(self.names) > BIG_FEEDER

    def voltages(self, voltage_pu: FloatArray) -> FloatArray:
        """Voltage of every node of every bus, NaN where there is no node; shape (bus, slot)."""
        return np.where(self.nodes >= 0, voltage_pu[self.nodes], np.nan)


def buses_of(site: Site) -> Buses:
    """The buses that can be drawn."""
    nodes: dict[str, list[int]] = {}
    for i, node in enumerate(site.nodes):
        nodes.setdefault(bus_of(node), []).append(i)
    found = site.feeder_map
    drawn = [i for i, bus in enumerate(found.buses) if bus in nodes]
    slots = max((len(nodes[found.buses[i]]) for i in drawn), default=1)
    index = np.full((len(drawn), slots), -1, dtype=np.int64)
    for row, i in enumerate(drawn):
        mine = nodes[found.buses[i]]
        index[row, : len(mine)] = mine
    return Buses(
        names=tuple(found.buses[i] for i in drawn),
        x=_from_zero([found.x[i] for i in drawn]),
        y=_from_zero([found.y[i] for i in drawn]),
        nodes=index,
    )


def _from_zero(places: list[float]) -> FloatArray:
    """Places from the lowest one: four bytes of a float are enough for the distances."""
    values = np.array(places, dtype=np.float64)
    return np.asarray(values - values.min(initial=np.inf), dtype=np.float64)


def bus_of(node: str) -> str:
    """Bus of a node such as ``65.1`` or ``775.1-2``."""
    return node.rpartition(".")[0]


def farthest_pu(voltages: FloatArray) -> FloatArray:
    """Of each bus the voltage farthest from 1; shape (bus, slot) to (bus,)."""
    distance = np.where(np.isnan(voltages), -1.0, np.abs(voltages - 1.0))
    chosen = distance.argmax(axis=1, keepdims=True)
    return np.take_along_axis(voltages, chosen, axis=1)[:, 0]


def frame_steps(record: Record) -> IntArray:
    """Rows of the record that the slider shows: all of them, or evenly thinned with the worst one."""
    buses = buses_of(record.site)
    count, steps = len(buses.names) + (0 if buses.many else buses.nodes.size), len(record.steps)
    affordable = max(2, int(FRAME_BUDGET / (BYTES_PER_NUMBER * max(count, 1))))
    shown = min(steps, FRAMES, affordable)
    chosen = np.unique(np.linspace(0, steps - 1, shown).round().astype(np.int64))
    return np.unique(np.append(chosen, worst_step(record)))


def worst_step(record: Record) -> int:
    """Row of the record with the voltage farthest from the middle of the band."""
    middle = sum(voltage_limits(record)) / 2
    return int(np.abs(record.vector("voltage_pu") - middle).max(axis=1).argmax())


def feeder_map(record: Record) -> Any | None:
    """Voltage of every bus over time; None where no bus has a place."""
    buses = buses_of(record.site)
    if not buses.names:
        return None
    voltage_pu, rows = record.vector("voltage_pu"), frame_steps(record)
    first = int(np.flatnonzero(rows == worst_step(record))[0])
    labels = [_label(record, int(row)) for row in rows]
    points = 1
    figure = go.Figure(
        data=[
            _edges(record.site, buses),
            _buses(record, buses, voltage_pu[rows[first]]),
            *_devices(record, buses),
        ],
        frames=[
            go.Frame(name=str(i), traces=[points], data=[_colours(buses, voltage_pu[row])])
            for i, row in enumerate(rows)
        ],
    )
    hidden = {"visible": False, "showgrid": False, "zeroline": False}
    return figure.update_layout(
        template=THEME,
        height=720,
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
        xaxis=hidden,
        yaxis=hidden | {"scaleanchor": "x", "scaleratio": 1},
        hovermode="closest",
        legend={"y": 1.0},
        meta={"frames": labels, "first": first},
    )


def _edges(site: Site, buses: Buses) -> Any:
    place = {name: i for i, name in enumerate(buses.names)}
    pairs = [(place[a], place[b]) for a, b in site.feeder_map.edges if a in place and b in place]
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    gap = np.full(len(ends), np.nan)
    return _scatter(buses)(
        x=np.stack([buses.x[ends[:, 0]], buses.x[ends[:, 1]], gap], axis=1).ravel().astype(np.float32),
        y=np.stack([buses.y[ends[:, 0]], buses.y[ends[:, 1]], gap], axis=1).ravel().astype(np.float32),
        mode="lines",
        line={"color": BRANCH, "width": 1.2},
        hoverinfo="skip",
        showlegend=False,
    )


def _buses(record: Record, buses: Buses, voltage_pu: FloatArray) -> Any:
    low, high = voltage_limits(record)
    middle, reach = (low + high) / 2, BEYOND_LIMITS * (high - low) / 2
    small = not buses.many
    trace = _scatter(buses)(
        x=buses.x.astype(np.float32),
        y=buses.y.astype(np.float32),
        mode="markers",
        marker={
            "color": farthest_pu(buses.voltages(voltage_pu)).astype(np.float32),
            "size": 10 if small else 6,
            "line": {"color": OUTLINE, "width": 0.8 if small else 0.4},
            "colorscale": COLOURS,
            "cmin": middle - reach,
            "cmax": middle + reach,
            "colorbar": {
                "title": {"text": "voltage (pu)", "side": "right"},
                "thickness": 12,
                "len": 0.8,
                "tickformat": ".3f",
            },
        },
        showlegend=False,
    )
    if small:
        details = buses.voltages(voltage_pu).astype(np.float32)
        return trace.update(customdata=details, hovertemplate=_hover(record, buses))
    titles = ["<br>".join(lines) for lines in _titles(record, buses)]
    return trace.update(text=titles, hovertemplate="%{text}<br>%{marker.color:.4f} pu<extra></extra>")


def _colours(buses: Buses, voltage_pu: FloatArray) -> Any:
    """What a frame changes of the buses."""
    voltages = buses.voltages(voltage_pu)
    trace = _scatter(buses)(marker={"color": farthest_pu(voltages).astype(np.float32)})
    return trace if buses.many else trace.update(customdata=voltages.astype(np.float32))


def _titles(record: Record, buses: Buses) -> list[list[str]]:
    """Per bus its name and its devices, with their controller where there are several."""
    devices: dict[str, list[str]] = {}
    owners = controller_of_device(record)
    for kind, _, items in by_kind(record.site.devices):
        for device in items:
            energy = f", {device.kwh:g} kWh" if isinstance(device, StorageRating) else ""
            text = f"{kind.title} {device.name}: {device.kw:g} kW{energy}"
            if owners:
                text += f", commanded by {owners[device.name] or NOBODY}"
            devices.setdefault(device.bus, []).append(text)
    return [[f"<b>bus {name}</b>", *devices.get(name, [])] for name in buses.names]


def _hover(record: Record, buses: Buses) -> list[str]:
    """Per bus a template that plotly fills with the voltages of the step."""
    templates, site = [], record.site
    for (title, *devices), nodes in zip(_titles(record, buses), buses.nodes, strict=True):
        lines = [
            f"{site.nodes[node]}: %{{customdata[{slot}]:.4f}} pu"
            for slot, node in enumerate(nodes)
            if node >= 0
        ]
        templates.append("<br>".join([title, *lines, *devices]) + "<extra></extra>")
    return templates


def _devices(record: Record, buses: Buses) -> list[Any]:
    """A trace for each kind of device; for each kind and controller where there are several of those."""
    place = {name: i for i, name in enumerate(buses.names)}
    marks = {"storage": ("square-open", INK, 17), "pv": ("star-open", SUN, 19)}
    owners, groups = controller_of_device(record), []
    colours = dict(zip(dict.fromkeys(owners.values()), cycle(SERIES), strict=False))
    for kind, _, items in by_kind(record.site.devices):
        symbol, colour, size = marks.get(kind.name, ("diamond-open", INK, 15))
        if not owners:
            groups.append((kind.title, items, symbol, colour, size))
        for owner, of_owner in colours.items():
            own = tuple(device for device in items if owners[device.name] == owner)
            groups.append((f"{kind.title}, {owner or NOBODY}", own, symbol, of_owner, size))
    traces = []
    for name, devices, symbol, colour, size in groups:
        at = [place[device.bus] for device in devices if device.bus in place]
        if at:
            # Open symbols around the bus leave its colour visible.
            trace = _scatter(buses)(
                x=buses.x[at],
                y=buses.y[at],
                name=name,
                mode="markers",
                marker={
                    "symbol": symbol,
                    "color": colour,
                    "size": size,
                    "line": {"color": colour, "width": 1.6},
                },
                hoverinfo="skip",
            )
            traces.append(trace)
    return traces


def _scatter(buses: Buses) -> Any:
    return go.Scattergl if buses.many else go.Scatter


def _label(record: Record, row: int) -> str:
    moment = record.site.grid.timestamp(int(record.steps["step"].iloc[row]))
    return f"{moment:%d %b %H:%M:%S}" if record.site.grid.step_s % 60 else f"{moment:%d %b %H:%M}"
