"""Cost and violation over each numeric axis of a campaign, e.g. over the horizon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cosim.experiments.campaign.plan import variant_name
from cosim.experiments.campaign.statistics import Mean, mean_of
from cosim.model.units import unit_of
from cosim.report.campaign.figures import COST, VIOLATION, bars
from cosim.report.campaign.tables import FIGURES
from cosim.report.page import Panel
from cosim.report.style import SERIES, THEME

FEWEST_VALUES = 3
HEIGHT, LEGEND_ROW_PX = 600, 22
LOGARITHMIC_FROM = 50.0
"""Largest over smallest value from which the axis is logarithmic."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")


@dataclass(frozen=True)
class Line:
    """Variants that differ only in one number.

    Attributes:
        name: what they have in common.
        numbers: what differs, ascending.
        cost, violation: means at each of them.
    """

    name: str
    numbers: tuple[float, ...]
    cost: tuple[Mean, ...]
    violation: tuple[Mean, ...]


def over_axis_panels(table: pd.DataFrame, columns: Sequence[str]) -> Iterator[Panel]:
    """A panel for each column of numbers with three values or more.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        columns: that tell variants apart.
    """
    complete = table[table["status"] == "complete"]
    for column in columns:
        numbers = complete[column]
        numeric = pd.api.types.is_numeric_dtype(numbers) and not pd.api.types.is_bool_dtype(numbers)
        if numeric and numbers.nunique() >= FEWEST_VALUES:
            yield _panel(column, lines_over(complete, column, columns))


def lines_over(complete: pd.DataFrame, column: str, columns: Sequence[str]) -> list[Line]:
    """Means over one column, a line for each combination of the others.

    Where no two variants differ in that column alone, as with random points, each variant is a line.

    Args:
        complete: rows of the complete runs.
        column: of numbers.
        columns: that tell variants apart.
    """
    others = [name for name in columns if name != column]
    found: dict[str, list[tuple[float, Mean, Mean]]] = {}
    for _, rows in complete.dropna(subset=[column]).groupby("variant", sort=False):
        first = rows.iloc[0]
        name = variant_name({other: first[other] for other in others}) if others else column
        means = [mean_of(rows[figure].to_numpy(dtype="float64")) for figure in (COST, VIOLATION)]
        found.setdefault(name, []).append((float(first[column]), means[0], means[1]))
    lines = []
    for name, points in found.items():
        numbers, cost, violation = zip(*sorted(points, key=lambda point: point[0]), strict=True)
        lines.append(Line(name, numbers, cost, violation))
    return lines


def _panel(column: str, lines: Sequence[Line]) -> Panel:
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    alone = all(len(line.numbers) == 1 for line in lines)
    for number, line in enumerate(lines):
        for place, found in enumerate((line.cost, line.violation), start=1):
            figure.add_trace(
                _trace(line, found, 0 if alone else number, legend=place == 1), row=place, col=1
            )
    values = [value for line in lines for value in line.numbers]
    kind = "log" if min(values) > 0 and max(values) >= LOGARITHMIC_FROM * min(values) else "linear"
    unit = unit_of(column)
    figure.update_xaxes(type=kind, tickformat=",~g")
    figure.update_xaxes(title_text=f"{column} ({unit})" if unit else column, row=2)
    for place, name in enumerate((COST, VIOLATION), start=1):
        figure.update_yaxes(title_text=FIGURES[name], row=place, col=1)
    figure.update_yaxes(rangemode="tozero", row=2, col=1)
    shown = not alone and len(lines) > 1
    height = HEIGHT + (LEGEND_ROW_PX * (len(lines) // 3) if shown else 0)
    return Panel(
        f"Cost and violation over {column}",
        "Means over the seeds with 95 % intervals (percentile bootstrap over the seeds); a line joins "
        "variants that differ only in this number.",
        figure.update_layout(template=THEME, height=height, showlegend=shown, hovermode="closest"),
    )


def _trace(line: Line, found: Sequence[Mean], number: int, *, legend: bool) -> Any:
    colour = SERIES[number % len(SERIES)]
    return go.Scatter(
        x=line.numbers,
        y=[mean.value for mean in found],
        error_y=bars(found),
        name=line.name,
        legendgroup=line.name,
        showlegend=legend,
        mode="lines+markers",
        line={"color": colour, "width": 1.6},
        marker={"size": 7, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        hovertemplate=f"{line.name}<br>%{{x:g}}: %{{y:,.4g}}<extra></extra>",
    )
