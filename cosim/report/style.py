"""Colours, theme and axes that all pages and pictures share.

The controlled run is blue, the baseline grey, a limit vermilion and dashed. Colours are those of Okabe and
Ito (2008), which colour-blind readers tell apart; lines also differ by dash or width.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

RUN, RUN_LIGHT = "#0072b2", "rgba(0,114,178,0.2)"
BASELINE = "#858d97"
LIMIT = "#d55e00"
PRICE, PRICE_LINE = "rgba(230,159,0,0.2)", "rgba(230,159,0,0.7)"
SUN = "#e69f00"
PLAN = "rgba(0,114,178,0.28)"
PLANNED = "#0b2f66"
REQUESTED = "#9cc2f2"
INK, GRID, ZERO, PAPER = "#26303b", "#e6e9ee", "#c4cad2", "#ffffff"
SERIES = (RUN, LIMIT, "#009e73", "#cc79a7", SUN, "#56b4e9", BASELINE)
"""Lines of equal rank; they also differ by the symbol of their points."""
BRANCH, OUTLINE = "#b4bcc6", "#59636e"

IN_THE_DARK = {
    INK: "#dfe5eb",
    GRID: "#2b343d",
    ZERO: "#4a5560",
    PAPER: "#171c22",
    RUN: "#3d9fdc",
    "rgba(0,114,178,": "rgba(86,180,233,",
    PLANNED: "#f0e442",
    LIMIT: "#ff8a3d",
    BRANCH: "#5a6672",
    OUTLINE: "#98a3af",
}
"""What the colours of figures become where the reader's screen is dark."""

THEME = go.layout.Template(
    layout=go.Layout(
        font={
            "family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
            "size": 13,
            "color": INK,
        },
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        margin={"l": 64, "r": 24, "t": 52, "b": 48},
        xaxis={
            "gridcolor": GRID,
            "linecolor": GRID,
            "zeroline": False,
            "automargin": True,
            # Keeps the first label off the lowest one of the other axis.
            "ticks": "outside",
            "ticklen": 6,
            "tickcolor": GRID,
        },
        yaxis={
            "gridcolor": GRID,
            "linecolor": GRID,
            "zerolinecolor": ZERO,
            "automargin": True,
            "title": {"standoff": 8},
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        hoverlabel={"bgcolor": PAPER, "font": {"color": INK}},
        colorway=[RUN, BASELINE],
    )
)


def import_before_price(figure: Any) -> Any:
    """Axes for import (left, second axis) in front of price (right, first axis).

    The price is on the first axis because plotly draws the second one above it.
    """
    return figure.update_layout(
        margin={"r": 64},
        yaxis={
            "title": {"text": "price (currency/kWh)"},
            "side": "right",
            "showgrid": False,
            "rangemode": "tozero",
        },
        yaxis2={
            "title": {"text": "import (kW)", "standoff": 8},
            "side": "left",
            "overlaying": "y",
            "tickmode": "auto",
            "gridcolor": GRID,
            "zerolinecolor": ZERO,
            "automargin": True,
        },
    )
