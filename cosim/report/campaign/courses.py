"""Small multiples: voltages and stored energy over time, a small chart for each variant or run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cosim.experiments.campaign.courses import Course
from cosim.model.arrays import FloatArray, IntArray
from cosim.report.page import Panel
from cosim.report.style import PRICE, RUN, RUN_LIGHT, SUN, THEME

COLUMNS, ROW_PX, FRAME_PX = 3, 150, 130
MOST_POINTS = 200
"""Of a small chart; a point of a longer course stands for several steps."""
Style = tuple[str, str, str]
"""Name of a line, its colour, and that of its range."""
VOLTAGES: dict[str, Style] = {
    "lowest_pu": ("lowest", RUN, RUN_LIGHT),
    "highest_pu": ("highest", SUN, PRICE),
}
STORED: dict[str, Style] = {"all_stored_kwh": ("stored", RUN, RUN_LIGHT)}
Courses = Mapping[str, Mapping[str, Course]]
"""By quantity and variant."""


def course_panels(courses: Courses, *, several: bool = True) -> Iterator[Panel]:
    """A panel of voltages and one of stored energy, where there is something to show.

    Args:
        courses: see :func:`cosim.experiments.campaign.courses.courses_of`.
        several: whether a course may be of several seeds.
    """
    told = "A line is the mean over the seeds, a band their range. " if several else ""
    told += "Time is since the start of the run; all charts have the same axes."
    if any(name in courses for name in VOLTAGES):
        yield Panel(
            "Lowest and highest voltage",
            f"Of all nodes, in each step. {told}",
            _multiples(courses, VOLTAGES, "voltage (pu)"),
        )
    if any(name in courses for name in STORED):
        yield Panel(
            "Stored energy",
            f"Of all batteries, at the end of the step that begins at this time. {told}",
            _multiples(courses, STORED, "stored (kWh)"),
        )


def _multiples(courses: Courses, styles: Mapping[str, Style], unit: str) -> Any:
    variants = list(dict.fromkeys(name for quantity in styles for name in courses.get(quantity, {})))
    rows = -(-len(variants) // COLUMNS)
    figure = make_subplots(
        rows=rows,
        cols=COLUMNS,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=variants,
        horizontal_spacing=0.03,
        vertical_spacing=min(0.18, 0.28 / rows),
    )
    for number, variant in enumerate(variants):
        place = {"row": number // COLUMNS + 1, "col": number % COLUMNS + 1}
        for quantity, style in styles.items():
            course = courses.get(quantity, {}).get(variant)
            for trace in () if course is None else _traces(course, style, legend=number == 0):
                figure.add_trace(trace, **place)
    figure.update_annotations(font={"size": 11})
    for column in range(min(COLUMNS, len(variants))):
        lowest = {"row": (len(variants) - 1 - column) // COLUMNS + 1, "col": column + 1}
        figure.update_xaxes(title_text="time (h)", showticklabels=True, **lowest)
    figure.update_yaxes(title_text=unit, col=1)
    height = FRAME_PX + ROW_PX * rows
    # Above the names of the uppermost charts.
    legend = {"y": 1.0 + 34.0 / (height - 100.0)}
    return figure.update_layout(
        template=THEME, height=height, showlegend=len(styles) > 1, legend=legend, hovermode="closest"
    )


def _traces(course: Course, style: Style, *, legend: bool) -> Sequence[Any]:
    """The range over the seeds, and the mean in front of it."""
    name, colour, light = style
    starts = _starts(len(course.time_h))
    time_h = course.time_h[starts]
    least, most = np.fmin.reduceat(course.least, starts), np.fmax.reduceat(course.most, starts)
    there = ~np.isnan(least)
    band = go.Scatter(
        x=_short(np.concatenate([time_h[there], time_h[there][::-1]])),
        y=_short(np.concatenate([most[there], least[there][::-1]])),
        mode="none",
        fill="toself",
        fillcolor=light,
        hoverinfo="skip",
        showlegend=False,
    )
    line = go.Scatter(
        x=_short(time_h),
        y=_short(_means(course.mean, starts)),
        mode="lines",
        name=name,
        legendgroup=name,
        showlegend=legend,
        line={"color": colour, "width": 1.4},
        hovertemplate=f"{name} %{{y:.5g}} at %{{x:.4g}} h<extra></extra>",
    )
    return (band, line)


def _starts(count: int) -> IntArray:
    """First place of each part of a course that becomes one point."""
    return np.unique(np.linspace(0, count, min(count, MOST_POINTS), endpoint=False).astype(np.int64))


def _means(values: FloatArray, starts: IntArray) -> FloatArray:
    """Mean of each part, without what is missing; NaN where all is."""
    edges = [*starts.tolist(), len(values)]
    parts = (values[start:end][~np.isnan(values[start:end])] for start, end in pairwise(edges))
    return np.array([part.mean() if len(part) else np.nan for part in parts])


def _short(values: FloatArray) -> Any:
    return values.astype(np.float32)
