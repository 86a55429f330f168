"""Figures of a comparison of methods: gap over CPU seconds, searches over time, CPU seconds over size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from cosim.experiments.gap_case import GapRow
from cosim.report.methods.tables import gap_history_percent, in_order_of
from cosim.report.style import GRID, INK, LIMIT, SERIES

DPI = 130
PANEL_IN, COLUMNS = (4.0, 3.3), 3
ROOM_DECADES = 0.08
"""Between the outermost numbers of an axis and its ends."""
FLOOR_PERCENT = 1e-4
"""Lower and negative gaps stand here, hollow."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "h")
Style = tuple[str, str]
"""Colour and marker."""


def styles_of(formulations: Sequence[str]) -> dict[str, Style]:
    """Colours and markers of formulations, no pair twice for 84 of them."""
    colours, markers = cycle(SERIES), cycle(MARKERS)
    return dict(
        zip(formulations, islice(zip(colours, markers, strict=False), len(formulations)), strict=True)
    )


def draw_price(summary: pd.DataFrame, titles: Mapping[str, str], path: Path) -> bool:
    """Gap over CPU seconds of the first plan, one panel for each feeder; False if no gap is known.

    Args:
        summary: from :func:`cosim.report.methods.tables.by_feeder`.
        titles: of the formulations, in their order.
        path: of the PNG file.
    """
    solved = summary[summary["gap_percent"].notna()]
    styles = styles_of(in_order_of(summary["formulation"].tolist(), list(titles)))

    def draw(axes: Axes, feeder: str) -> None:
        for row in solved[solved["feeder"] == feeder].to_dict("records"):
            colour, marker = styles[row["formulation"]]
            hollow, outside = row["gap_percent"] < FLOOR_PERCENT, row["feasible"] < row["plans"]
            gap = max(row["gap_percent"], FLOOR_PERCENT)
            inside, edge = "white" if hollow else colour, LIMIT if outside else colour
            axes.plot(row["cpu_s"], gap, marker, color=colour, mfc=inside, mec=edge, mew=1.4, ms=7)
        axes.set(xscale="log", yscale="log", xlabel="CPU s of a plan", ylabel="gap in OpenDSS, %")

    return _panels(_names(solved), draw, _legend(styles, titles), path)


def draw_anytime(
    table: pd.DataFrame, rows: Sequence[GapRow], titles: Mapping[str, str], path: Path, *, against: str
) -> bool:
    """Gap of searches over CPU seconds; False if there is none.

    Args:
        table: from :func:`cosim.report.methods.tables.methods_table`.
        rows: of the same cases.
        titles: of the formulations, in their order.
        path: of the PNG file.
        against: formulation whose CPU seconds are marked.
    """
    histories = {row.key: row for row in rows if row.history_s}
    cases = table[table["key"].isin(list(histories)) & table["reference_cost"].notna()]
    order = in_order_of(cases["formulation"].tolist(), list(titles))
    styles = styles_of(order)

    def draw(axes: Axes, feeder: str) -> None:
        for case in cases[cases["feeder"] == feeder].to_dict("records"):
            row = histories[case["key"]]
            gap = gap_history_percent(row, case["reference_objective"], case["reference_cost"])
            kept = np.where(np.array(row.history_violation) <= 0.0, gap, np.nan)
            colour = styles[case["formulation"]][0]
            axes.plot(row.history_s, gap, color=colour, lw=0.8, ls=":")
            axes.plot(row.history_s, np.maximum(kept, FLOOR_PERCENT), color=colour, lw=1.2)
        done = table[(table["feeder"] == feeder) & (table["formulation"] == against)]["cpu_s"].median()
        if np.isfinite(done):
            axes.axvline(done, color=INK, ls="--", lw=1.0)
        axes.set(xscale="log", yscale="log", xlabel="CPU s", ylabel="gap to the reference, %")

    lines = [Line2D([], [], color=styles[name][0], label=titles.get(name, name)) for name in order]
    if against:
        lines.append(Line2D([], [], color=INK, ls="--", label=f"{titles.get(against, against)} is done"))
    return _panels(_names(cases), draw, lines, path)


def draw_size(summary: pd.DataFrame, titles: Mapping[str, str], path: Path) -> bool:
    """CPU seconds and memory over the number of nodes; see :func:`draw_price`."""
    solved = summary[summary["gap_percent"].notna()]
    styles = styles_of(in_order_of(summary["formulation"].tolist(), list(titles)))
    columns = {"CPU s of a plan": "cpu_s", "peak memory, MiB": "peak_mb"}

    def draw(axes: Axes, title: str) -> None:
        for name, cases in solved.groupby("formulation"):
            colour, marker = styles[str(name)]
            line = cases.groupby("nodes")[columns[title]].median()
            axes.plot(line.index, line.to_numpy(), color=colour, marker=marker, lw=1.1, ms=5)
        axes.set(xscale="log", yscale="log", xlabel="nodes", ylabel=title)

    return _panels([] if solved.empty else list(columns), draw, _legend(styles, titles), path)


def _names(cases: pd.DataFrame) -> list[str]:
    return [str(name) for name in dict.fromkeys(cases["feeder"])]


def _legend(styles: Mapping[str, Style], titles: Mapping[str, str]) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker=marker, ls="", ms=6, label=titles.get(name, name))
        for name, (colour, marker) in styles.items()
    ]


def _whole_decades(axes: Axes) -> None:
    """Let both axes reach from decade to decade, with a number at each: between them there is no room."""
    for axis, (low, high), least in (
        (axes.xaxis, axes.dataLim.intervalx, axes.dataLim.minposx),
        (axes.yaxis, axes.dataLim.intervaly, axes.dataLim.minposy),
    ):
        if np.isfinite(high) and high > 0.0:
            first = float(np.floor(np.log10(max(low, least)))) - ROOM_DECADES
            last = float(np.floor(np.log10(high))) + 1.0 + ROOM_DECADES
            axis.set_view_interval(10.0**first, 10.0**last, ignore=True)
        axis.set_minor_formatter(NullFormatter())


def _panels(
    names: Sequence[str], draw: Callable[[Axes, str], None], handles: Sequence[Line2D], path: Path
) -> bool:
    """One panel for each name, three in a row, one legend below; no file and False without names."""
    if not names:
        return False
    columns = min(COLUMNS, len(names))
    lines = -(-len(names) // columns)
    width = max(PANEL_IN[0] * columns, 2 * PANEL_IN[0])
    legend_columns = max(columns, 2) + 1
    height = PANEL_IN[1] * lines + 0.25 * -(-len(handles) // legend_columns) + 0.2
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    for number, name in enumerate(names, start=1):
        axes = figure.add_subplot(lines, columns, number)
        draw(axes, name)
        _whole_decades(axes)
        axes.set_title(name, color=INK, fontsize=10)
        axes.grid(color=GRID, lw=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(colors=INK, labelsize=8)
    figure.legend(
        handles=list(handles), loc="outside lower center", ncols=legend_columns, frameon=False, fontsize=8
    )
    figure.savefig(path)
    return True
