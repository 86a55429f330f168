"""Errors of the forecasts of a campaign's variants over lead time."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cosim.experiments.campaign.skill import LeadErrors, lead_errors
from cosim.report.campaign.figures import MOST_NAMED
from cosim.report.campaign.over_axis import SYMBOLS
from cosim.report.page import Note, Panel
from cosim.report.style import SERIES, THEME

ROW_PX, FRAME_PX, LEGEND_ROW_PX = 200, 130, 22


def skill_card(table: pd.DataFrame) -> Panel | Note | None:
    """A chart per quantity; None where no run keeps its forecasts.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
    """
    title = "Errors of the forecasts"
    every = lead_errors(table)
    found = {quantity: lines for quantity, lines in every.items() if any(line.mae.any() for line in lines)}
    if not every:
        return None
    if not found:
        return Note(title, f"All forecasts of {', '.join(every)} are exact.")
    figure = make_subplots(rows=len(found), cols=1, shared_xaxes=True, vertical_spacing=0.15 / len(found))
    groups = list(dict.fromkeys(line.variants for lines in found.values() for line in lines))
    named: set[tuple[str, ...]] = set()
    for place, (quantity, lines) in enumerate(found.items(), start=1):
        for line in lines:
            number = groups.index(line.variants)
            figure.add_trace(_trace(line, number, legend=line.variants not in named), row=place, col=1)
            named.add(line.variants)
        figure.update_yaxes(title_text=f"{quantity} ({lines[0].unit})", row=place, col=1)
    figure.update_xaxes(title_text="lead time (h)", row=len(found))
    figure.update_yaxes(rangemode="tozero")
    exact = [quantity for quantity in every if quantity not in found]
    more = f" Forecasts of {', '.join(exact)} are exact." if exact else ""
    height = FRAME_PX + ROW_PX * len(found) + LEGEND_ROW_PX * (len(groups) // 3)
    return Panel(
        title,
        "Mean absolute error by lead time, from the issue to the start of the period; means over the "
        f"seeds. Variants with equal errors share a line.{more}",
        figure.update_layout(template=THEME, height=height, hovermode="closest", showlegend=True),
    )


def _trace(line: LeadErrors, number: int, *, legend: bool) -> Any:
    first, *others = line.variants
    name = f"{first} and {len(others)} more" if others else first
    told = "<br>".join(line.variants[:MOST_NAMED])
    return go.Scatter(
        x=line.lead_s / 3600.0,
        y=line.mae,
        name=name,
        legendgroup=name,
        showlegend=legend,
        mode="lines+markers",
        line={"color": SERIES[number % len(SERIES)], "width": 1.6},
        marker={"size": 6, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        hovertemplate=f"{told}<br>%{{x:g}} h: %{{y:,.4g}} {line.unit}<extra></extra>",
    )
