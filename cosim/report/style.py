"""Colours, theme and axes that all pages and pictures share.

The controlled run is blue, the baseline grey, a limit red and dashed.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

RUN, RUN_LIGHT = "#1f66c1", "rgba(31,102,193,0.18)"
BASELINE = "#8a929c"
LIMIT = "#d03030"
PRICE, PRICE_LINE = "rgba(240,180,60,0.22)", "rgba(214,150,30,0.6)"
SUN = "#e39b17"
PLAN = "rgba(31,102,193,0.28)"
INK, GRID = "#26303b", "#e6e9ee"

THEME = go.layout.Template(
    layout=go.Layout(
        font={
            "family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
            "size": 13,
            "color": INK,
        },
        paper_bgcolor="white",
        plot_bgcolor="white",
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
            "zerolinecolor": "#c4cad2",
            "automargin": True,
            "title": {"standoff": 8},
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        hoverlabel={"bgcolor": "white", "font": {"color": INK}},
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
            "zerolinecolor": "#c4cad2",
            "automargin": True,
        },
    )
