"""How costs and violations of the variants of a campaign spread over the seeds."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cosim.experiments.campaign.statistics import by_seed
from cosim.report.campaign.figures import COST, VIOLATION
from cosim.report.campaign.tables import FIGURES
from cosim.report.page import Panel
from cosim.report.style import BASELINE, RUN, THEME

FEWEST_SEEDS = 3
"""With fewer a box says no more than the table."""
TITLE_WIDTH, NAME_WIDTH = 16, 36
"""Most letters in a line: on paper, titles of neighbours must not meet, and names leave room for boxes."""
ROW_PX, MORE_LINE_PX, FRAME_PX, TOP_PX = 26, 16, 126, 32
MOST_TICKS = 4


def spread_panel(table: pd.DataFrame, baselines: frozenset[str]) -> Panel | None:
    """A box per variant for cost and for violation; None where all variants have few seeds.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        baselines: names of variants that others are compared with.
    """
    found = {figure: by_seed(table, figure) for figure in (COST, VIOLATION)}
    names = list(found[COST])
    if max(len(values) for values in found[COST].values()) < FEWEST_SEEDS:
        return None
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.08)
    for place, (column, by_variant) in enumerate(found.items(), start=1):
        for name in names:
            colour = BASELINE if name in baselines else RUN
            figure.add_trace(
                _box(name, by_variant[name].to_numpy(dtype=np.float64), colour), row=1, col=place
            )
        figure.update_xaxes(title_text="<br>".join(_lines(FIGURES[column], TITLE_WIDTH)), row=1, col=place)
    lines = [_lines(name, NAME_WIDTH) for name in names]
    row_px = ROW_PX + MORE_LINE_PX * (max(map(len, lines)) - 1)
    figure.update_xaxes(nticks=MOST_TICKS, tickangle=0)
    # Plotly counts from below.
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    figure.update_yaxes(tickvals=names, ticktext=["<br>".join(parts) for parts in lines])
    return Panel(
        "Spread over the seeds",
        "One box per variant: median, quartiles, whiskers to the farthest seed within 1.5 times the length "
        "of the box; one point per seed. Grey: baselines.",
        figure.update_layout(
            template=THEME, height=FRAME_PX + row_px * len(names), margin={"t": TOP_PX}, showlegend=False
        ),
    )


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _box(name: str, values: np.ndarray[Any, Any], colour: str) -> Any:
    there = values[~np.isnan(values)]
    return go.Box(
        x=there,
        y0=name,
        name=name,
        orientation="h",
        boxpoints="all",
        jitter=0.5,
        pointpos=0,
        marker={"color": colour, "size": 3, "opacity": 0.7},
        line={"width": 1.2},
        hovertemplate=f"{name}<br>%{{x:,.4g}}<extra></extra>",
    )
