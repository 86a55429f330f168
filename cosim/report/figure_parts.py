"""What figures of a run have in common: panels, the axis of time, values held over steps, limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cosim.model.arrays import FloatArray, IntArray
from cosim.report.style import LIMIT, THEME
from cosim.run.record import Record

PLANS_SHOWN = 24
HEIGHT = 380
MOST_POINTS = 2000
"""Of a line: about two for each pixel of its width; longer ones are thinned."""


def new_figure(height: int = HEIGHT) -> Any:
    """An empty figure in the style of the project."""
    return go.Figure(layout=go.Layout(template=THEME, height=height))


def new_panels(count: int, height: int) -> Any:
    """Panels above each other with one time or lead axis."""
    figure = make_subplots(rows=count, cols=1, shared_xaxes=True, vertical_spacing=0.12 / count)
    return figure.update_layout(template=THEME, height=height)


def time_axis(figure: Any, record: Record) -> Any:
    """Local time below the lowest panel, one hover box for all lines."""
    offset = record.site.grid.start.strftime("%z")
    zone = f"UTC{offset[:3]}:{offset[3:5]}"
    first_s = float(record.steps["time_s"].iloc[0])
    last_s = float(record.steps["time_s"].iloc[-1]) + record.site.grid.step_s
    span = clock_ms(record, np.array([first_s, last_s])).tolist()
    figure.update_xaxes(type="date", hoverformat="%d %b %H:%M", range=span)
    figure.update_xaxes(title_text=f"local time ({zone})", selector=-1)
    return figure.update_layout(hovermode="x unified")


def clock_ms(record: Record, time_s: float | FloatArray) -> Any:
    """Local wall-clock time as plotly counts it: milliseconds, without a zone."""
    wall = record.site.grid.start.replace(tzinfo=UTC).timestamp()
    return 1e3 * (wall + np.asarray(time_s, dtype=np.float64))


def shown_places(values: FloatArray) -> IntArray:
    """Places of a line's values that the eye can tell apart, in order.

    All of them where they are few; else of each part of the line the lowest, the highest and the first
    that is missing, so that no peak and no gap is lost.
    """
    count = len(values)
    if count <= MOST_POINTS:
        return np.arange(count)
    edges = np.linspace(0, count, MOST_POINTS // 2 + 1).astype(np.int64)
    found = [0, count - 1]
    for start, end in pairwise(edges.tolist()):
        part = values[start:end]
        missing = np.isnan(part)
        found += [start + int(np.flatnonzero(missing)[0])] if missing.any() else []
        if not missing.all():
            found += [start + int(np.nanargmin(part)), start + int(np.nanargmax(part))]
    return np.unique(np.array(found, dtype=np.int64))


def edge_line(
    record: Record,
    values: FloatArray,
    name: str,
    *,
    colour: str,
    dash: str = "solid",
    width: float = 1.8,
    hover: Sequence[str] | None = None,
) -> Any:
    """A line through the edges of the steps, thinned where it is long.

    Args:
        record: its steps.
        values: at the start of each step and the end of the last one, shape (step + 1,).
        name, colour, dash, width: of the line.
        hover: a text for each value, as ``customdata``.
    """
    shown = shown_places(values)
    first = float(clock_ms(record, float(record.steps["time_s"].iloc[0])))
    step_ms = 1e3 * record.site.grid.step_s
    # Evenly spaced times are two numbers.
    whole = len(shown) == len(values)
    times = {"x0": first, "dx": step_ms} if whole else {"x": first + step_ms * shown}
    return go.Scatter(
        **times,
        y=values[shown].astype(np.float32),
        customdata=None if hover is None else [hover[i] for i in shown],
        name=name,
        mode="lines",
        line={"color": colour, "dash": dash, "width": width},
    )


def held(
    record: Record,
    values: FloatArray,
    name: str,
    *,
    colour: str,
    dash: str = "solid",
    width: float = 1.8,
    legend: bool = True,
    hover: Sequence[str] | None = None,
) -> Any:
    """A line that is constant within a step, to the end of the last step; see :func:`edge_line`."""
    texts = None if hover is None else [*hover, hover[-1]]
    edges = np.append(values, values[-1:])
    line = edge_line(record, edges, name, colour=colour, dash=dash, width=width, hover=texts)
    return line.update(line={"shape": "hv"}, showlegend=legend, legendgroup=name)


def limit_line(figure: Any, value: float, text: str, *, row: int | None = None) -> None:
    """A dashed line at a limit, with its name."""
    place = {} if row is None else {"row": row, "col": 1}
    figure.add_hline(
        y=value,
        line={"color": LIMIT, "dash": "dash", "width": 1.4},
        annotation={"text": text, "font": {"color": LIMIT, "size": 11}},
        annotation_position="top left",
        **place,
    )


def plan_lines(record: Record, starts: list[FloatArray], values: list[FloatArray]) -> dict[str, Any]:
    """Several plans as one line with gaps."""
    gap = np.array([np.nan])
    x = [part for start in starts for part in (clock_ms(record, start), gap)]
    y = [part for value in values for part in (value, gap)]
    return {
        "x": np.concatenate(x) if x else np.empty(0),
        "y": np.concatenate(y).astype(np.float32) if y else np.empty(0),
    }


def some_plans(record: Record) -> Any:
    """Every k-th plan, at most :data:`PLANS_SHOWN` of them."""
    plans = record.steps[record.steps["plan_period_s"].notna()]
    return plans.iloc[:: max(1, -(-len(plans) // PLANS_SHOWN))]


def plan_edges(plan: tuple[float, FloatArray]) -> FloatArray:
    """Start of every period of a plan and the end of the last one, in seconds of the run."""
    start_s, period_s = plan
    return start_s + np.concatenate([[0.0], np.cumsum(period_s)])
