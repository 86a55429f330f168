"""Charts of an optimality-gap campaign as pictures."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cosim.model.arrays import FloatArray
from cosim.report.gap.charts import Chart, Curve, Sheet
from cosim.report.style import GRID, INK, LIMIT

DPI = 150
WIDTH_IN, HEIGHT_IN = 5.6, 4.4
PUBLISHED = "#7a828c"


def draw(sheet: Sheet, path: Path) -> None:
    """Draw the charts of a sheet side by side into a PNG file."""
    alone = len(sheet.charts) == 1
    width = 1.35 * WIDTH_IN if alone else WIDTH_IN * len(sheet.charts)
    figure = Figure(figsize=(width, HEIGHT_IN + 0.7), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(sheet.title, color=INK, fontsize=12, fontweight="bold")
    for number, chart in enumerate(sheet.charts, start=1):
        axes = figure.add_subplot(1, len(sheet.charts), number)
        _draw_chart(axes, chart)
        if not alone:
            axes.set_title(chart.title, color=INK, fontsize=11)
    figure.legend(
        handles=_legend(sheet),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        labelcolor=INK,
        fontsize=9,
    )
    figure.savefig(path)


def _legend(sheet: Sheet) -> list[Line2D]:
    """One entry per formulation of the sheet, and one for what is published."""
    curves = {curve.formulation: curve for chart in sheet.charts for curve in chart.curves}
    handles = [
        Line2D([], [], color=curve.style.colour, marker=curve.style.marker, markersize=6, label=name)
        for name, curve in curves.items()
    ]
    if any(chart.published for chart in sheet.charts):
        handles.append(Line2D([], [], color=PUBLISHED, marker="*", ls="", markersize=9, label="published"))
    return handles


def _draw_chart(axes: Axes, chart: Chart) -> None:
    for level in chart.levels:
        axes.axhline(level.value, color=LIMIT, ls=(0, (5, 4)), lw=1.1, zorder=1)
        axes.annotate(
            level.text,
            (0.0, level.value),
            xycoords=("axes fraction", "data"),
            xytext=(4, -4),
            textcoords="offset points",
            va="top",
            color=LIMIT,
            fontsize=8,
        )
    for number, curve in enumerate(chart.curves):
        _draw_curve(axes, curve, chart.places(number))
    for point in chart.published:
        axes.plot(point.x, point.y, "*", color=PUBLISHED, markersize=11, mec="white", mew=0.6, zorder=4)
        left = point.side == "left"
        axes.annotate(
            point.text,
            (point.x, point.y),
            xytext=(-8 if left else 8, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            color=INK,
            fontsize=8,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            zorder=6,
        )
    for style, buses in chart.stopped:
        axes.plot(buses, chart.levels[0].value, "x", color=style.colour, markersize=9, mew=2.2, zorder=5)
    _style_axes(axes, chart)


def _draw_curve(axes: Axes, curve: Curve, x: FloatArray) -> None:
    colour = curve.style.colour
    whiskers = [curve.median - curve.low, curve.high - curve.median]
    axes.errorbar(x, curve.median, yerr=whiskers, color=colour, lw=1.6, elinewidth=1.2, capsize=3, zorder=2)
    for place, value, hollow, outside in zip(x, curve.median, curve.at_floor, curve.outside, strict=True):
        inside, edge = "white" if hollow else colour, LIMIT if outside else colour
        shape = curve.style.marker
        axes.plot(place, value, shape, mfc=inside, mec=edge, mew=1.4, markersize=6.5, zorder=3)


def _style_axes(axes: Axes, chart: Chart) -> None:
    axes.set_yscale("log")
    if chart.log_x:
        axes.set_xscale("log")
    axes.set_xlim(*chart.x_range)
    axes.set_ylim(*chart.y_range)
    axes.minorticks_off()
    axes.set_xticks(chart.tick_places, [str(tick) for tick in chart.ticks])
    axes.set_yticks(chart.y_ticks, [_number(tick, plain=chart.plain) for tick in chart.y_ticks])
    axes.set_xlabel(chart.x_title, color=INK)
    axes.set_ylabel(chart.y_title, color=INK)
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)
    for name, spine in axes.spines.items():
        spine.set_color(GRID)
        spine.set_visible(name in ("left", "bottom"))


def _number(tick: float, *, plain: bool) -> str:
    if plain:
        return f"{tick:g}"
    mantissa, exponent = f"{tick:.0e}".split("e")
    power = f"10^{{{int(exponent)}}}"
    return f"${power}$" if mantissa == "1" else rf"${mantissa}\cdot{power}$"
