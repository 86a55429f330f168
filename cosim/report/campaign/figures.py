"""Cost against violation of the variants of a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cosim.experiments.campaign.statistics import Mean, means, on_front
from cosim.report.campaign.tables import FIGURES
from cosim.report.page import Panel
from cosim.report.style import BASELINE, LIMIT, RUN, THEME

HEIGHT = 480
COST, VIOLATION = "adjusted_cost_currency", "violation_node_h"
MOST_NAMED = 12
"""Points whose names are written beside them; more would cover each other."""


def pareto_panel(table: pd.DataFrame, baselines: frozenset[str]) -> Panel:
    """One point per variant, and the line of those that no other one beats in both.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        baselines: names of variants that others are compared with.
    """
    cost, violation = means(table, COST), means(table, VIOLATION)
    names = list(cost)
    points = np.array([[cost[name].value, violation[name].value] for name in names]).reshape(-1, 2)
    front = on_front(points)
    figure = go.Figure(layout=go.Layout(template=THEME, height=HEIGHT))
    order = np.flatnonzero(front)[np.argsort(points[front, 0], kind="stable")]
    figure.add_trace(
        go.Scatter(
            x=points[order, 0],
            y=points[order, 1],
            mode="lines",
            name="not beaten in both",
            line={"color": LIMIT, "dash": "dash", "width": 1.4, "shape": "hv"},
            hoverinfo="skip",
        )
    )
    for label, colour, wanted in (("variants", RUN, False), ("baselines", BASELINE, True)):
        chosen = [row for row, name in enumerate(names) if (name in baselines) is wanted]
        if chosen:
            figure.add_trace(_points(label, colour, [names[row] for row in chosen], cost, violation))
    figure.update_xaxes(title_text=f"mean {FIGURES[COST]}")
    figure.update_yaxes(title_text=f"mean {FIGURES[VIOLATION]}", rangemode="tozero")
    return Panel(
        "Cost against violation",
        "One point per variant: means over the seeds; bars are 95 % intervals (percentile bootstrap over "
        "the seeds). Lower is better on both axes.",
        figure.update_layout(hovermode="closest", showlegend=True),
    )


def _points(
    label: str, colour: str, names: list[str], cost: dict[str, Mean], violation: dict[str, Mean]
) -> Any:
    named = len(cost) <= MOST_NAMED
    return go.Scatter(
        x=[cost[name].value for name in names],
        y=[violation[name].value for name in names],
        error_x=bars([cost[name] for name in names]),
        error_y=bars([violation[name] for name in names]),
        customdata=names,
        text=names if named else None,
        textposition="top center",
        textfont={"size": 10},
        name=label,
        mode="markers+text" if named else "markers",
        marker={"size": 9, "color": colour, "symbol": "circle" if colour == RUN else "diamond"},
        hovertemplate="%{customdata}<br>%{x:,.4g} currency, %{y:.4g} node-h<extra></extra>",
    )


def bars(found: Sequence[Mean]) -> dict[str, Any]:
    """Intervals of means as error bars."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [_length(mean.high - mean.value) for mean in found],
        "arrayminus": [_length(mean.value - mean.low) for mean in found],
        "thickness": 1,
        "width": 2,
    }


def _length(value: float) -> float:
    return 0.0 if np.isnan(value) else value
