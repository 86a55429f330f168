"""Figures of a campaign: how time grows, and what plans are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.opf.campaign_summary import Row, case_key, cost_gap, planner_name

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

TIMES = (("cold_cpu_s", "first plan"), ("warm_cpu_median_s", "control step, median"))
SIZES = (("nodes", "nodes of the feeder"), ("der", "sites with DER"), ("periods", "periods of a plan"))
COLOURS = plt.get_cmap("tab10")


def write_figures(rows: list[Row], folder: Path) -> list[Path]:
    """Write all figures that the rows have data for; returns their paths."""
    good = [row for row in rows if not row["error"] and "live" in row]
    written = [_write_scaling(good, size, label, folder) for size, label in SIZES]
    written.append(_write_worth(good, folder))
    return [path for path in written if path is not None]


def _planners(rows: list[Row]) -> list[str]:
    return sorted({planner_name(row) for row in rows})


def _series(rows: list[Row], size: str) -> dict[str, list[Row]]:
    """Rows by planner that differ in one size; for nodes the synthetic feeders."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["periods"] == 24 or size == "periods":
            found.setdefault(planner_name(row), []).append(row)
    return {name: _alike(own, size) for name, own in found.items()}


def _alike(rows: list[Row], size: str) -> list[Row]:
    """The largest set of rows in which nothing but one size changes."""
    if size == "nodes":
        return sorted((row for row in rows if "synthetic" in row["feeder"]), key=lambda row: row["nodes"])
    sets: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        other = ("feeder", "periods") if size == "der" else ("feeder", "der")
        sets.setdefault(tuple(row[name] for name in other), []).append(row)
    most = max(sets.values(), key=lambda own: (len(own), own[0]["nodes"]))
    return sorted(most, key=lambda row: row[size])


def _write_scaling(rows: list[Row], size: str, label: str, folder: Path) -> Path | None:
    series = {name: own for name, own in _series(rows, size).items() if len({r[size] for r in own}) > 1}
    if not series:
        return None
    figure, axes = plt.subplots(1, len(TIMES), figsize=(11, 4.5), sharey=True)
    names = _planners(rows)
    for axis, (time, title) in zip(axes, TIMES, strict=True):
        for name, own in series.items():
            points = [(row[size], row[time]) for row in own if row.get(time)]
            if points:
                feeder = "" if size == "nodes" else f" on {own[0]['feeder']}"
                _draw_line(axis, points, name + feeder, COLOURS(names.index(name) % 10))
        axis.set(xscale="log", yscale="log", xlabel=label, title=title)
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(which="both", alpha=0.3)
        axis.legend(fontsize=7)
    axes[0].set_ylabel("CPU time, s")
    path = folder / f"seconds_by_{size}.png"
    _save(figure, path)
    return path


def _draw_line(axis: Axes, points: list[tuple[float, float]], name: str, colour: Any) -> None:
    x, y = np.array(sorted(points), dtype=np.float64).T
    label = name
    if len(set(x)) > 1:
        exponent, offset = np.polyfit(np.log(x), np.log(y), 1)
        label = f"{name}: exponent {exponent:.2f}"
        span = np.array([x.min(), x.max()])
        axis.plot(span, np.exp(offset) * span**exponent, color=colour, alpha=0.5, linewidth=1)
    axis.plot(x, y, "o", color=colour, markersize=4, label=label)


def _write_worth(rows: list[Row], folder: Path) -> Path | None:
    """Bars of realised cost gap and violation by case and planner."""
    cases = sorted({(row["nodes"], case_key(row)) for row in rows if row["periods"] == 24}, key=str)
    if not cases:
        return None
    names = _planners(rows)
    figure, axes = plt.subplots(2, 1, figsize=(max(8.0, 1.3 * len(cases) + 3), 8), sharex=True)
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        for at, (_, case) in enumerate(cases):
            own = [row for row in rows if case_key(row) == case and planner_name(row) == name]
            if not own:
                continue
            gap, place = cost_gap(own[0], rows), at - 0.4 + (i + 0.5) * width
            colour = COLOURS(i % 10)
            if gap is not None:
                axes[0].bar(place, 100 * gap, width, color=colour)
            axes[1].bar(place, own[0]["live"]["violation_pu"], width, color=colour)
    for i, name in enumerate(names):
        axes[0].bar(0, 0, color=COLOURS(i % 10), label=name)
    axes[0].set_ylabel("live cost above tangent, %")
    axes[0].legend(fontsize=7)
    axes[1].set_ylabel("largest live violation, pu")
    labels = [f"{case[0]}\n{case[1]} DER" for _, case in cases]
    axes[1].set_xticks(range(len(cases)), labels, fontsize=7)
    axes[1].set_xlabel("feeder and sites with DER")
    for axis in axes:
        axis.grid(axis="y", alpha=0.3)
        axis.axhline(0.0, color="black", linewidth=0.8)
    path = folder / "cost_and_violation.png"
    _save(figure, path)
    return path


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
