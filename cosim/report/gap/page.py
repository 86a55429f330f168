"""Charts and tables of an optimality-gap campaign as one page that needs no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from cosim.report.gap.charts import Chart, Sheet
from cosim.report.gap.figures import PUBLISHED
from cosim.report.page import Listing, Panel, Section, render
from cosim.report.style import LIMIT, PAPER, THEME

HEIGHT = 460


def gap_page(
    title: str,
    facts: str,
    sheets: Sequence[Sheet],
    *,
    reach: Listing,
    summaries: Sequence[Listing],
    cases: Listing,
) -> str:
    """The whole page: how far each formulation gets, the charts, the tables."""
    sections = [Section("Reach", (reach,))]
    for sheet in sheets:
        panels = [Panel(chart.title, chart.caption, draw(chart)) for chart in sheet.charts]
        sections.append(Section(sheet.title, panels))
    sections += [Section("Over the seeds", summaries), Section("Cases", (cases,))]
    return render("sections.html.j2", title, facts, {"banner": None, "sections": sections})


def draw(chart: Chart) -> Any:
    """A chart as a plotly figure."""
    figure = go.Figure(layout=go.Layout(template=THEME, height=HEIGHT))
    for number in range(len(chart.curves)):
        figure.add_trace(_line(chart, number))
    for level in chart.levels:
        figure.add_hline(y=level.value, line={"color": LIMIT, "dash": "dash", "width": 1.4})
        # Annotations on a logarithmic axis are placed by exponent, unlike lines.
        figure.add_annotation(
            text=level.text,
            font={"color": LIMIT, "size": 11},
            xref="paper",
            x=0,
            xanchor="left",
            y=math.log10(level.value),
            yanchor="top",
            showarrow=False,
        )
    if chart.published:
        figure.add_trace(_published(chart))
    for style, buses in chart.stopped:
        figure.add_trace(
            go.Scatter(
                x=[buses],
                y=[chart.levels[0].value],
                mode="markers",
                marker={"symbol": "x-thin", "size": 11, "line": {"color": style.colour, "width": 3}},
                showlegend=False,
                hovertemplate="stopped at the limit<extra></extra>",
            )
        )
    return _axes(figure, chart)


def _line(chart: Chart, number: int) -> Any:
    curve = chart.curves[number]
    colour = curve.style.colour
    return go.Scatter(
        x=chart.places(number),
        y=curve.median,
        customdata=[str(x) for x in curve.x],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": curve.high - curve.median,
            "arrayminus": curve.median - curve.low,
            "thickness": 1.2,
            "width": 3,
        },
        name=curve.formulation,
        mode="lines+markers",
        line={"color": colour, "width": 1.8},
        marker={
            "size": 9,
            "symbol": curve.style.symbol,
            "color": [PAPER if hollow else colour for hollow in curve.at_floor],
            "line": {"color": [LIMIT if outside else colour for outside in curve.outside], "width": 1.6},
        },
        hovertemplate="%{customdata}: %{y:.3g}<extra>" + curve.formulation + "</extra>",
    )


def _axes(figure: Any, chart: Chart) -> Any:
    x_range, y_range = chart.x_range, chart.y_range
    figure.update_xaxes(
        title_text=chart.x_title,
        type="log" if chart.log_x else "linear",
        range=[math.log10(end) for end in x_range] if chart.log_x else list(x_range),
        tickvals=chart.tick_places,
        ticktext=[str(tick) for tick in chart.ticks],
    )
    figure.update_yaxes(
        title_text=chart.y_title,
        type="log",
        range=[math.log10(end) for end in y_range],
        tickvals=chart.y_ticks,
        ticktext=[_number(tick, plain=chart.plain) for tick in chart.y_ticks],
    )
    return figure.update_layout(hovermode="closest", showlegend=True)


def _number(tick: float, *, plain: bool) -> str:
    if plain:
        return f"{tick:g}"
    mantissa, exponent = f"{tick:.0e}".split("e")
    power = f"10<sup>{int(exponent)}</sup>"
    return power if mantissa == "1" else f"{mantissa}·{power}"


def _published(chart: Chart) -> Any:
    return go.Scatter(
        x=[point.x for point in chart.published],
        y=[point.y for point in chart.published],
        text=[point.text for point in chart.published],
        name="published",
        mode="markers+text",
        textposition=[f"middle {point.side}" for point in chart.published],
        textfont={"size": 10},
        marker={"symbol": "star", "size": 11, "color": PUBLISHED},
        hovertemplate="%{text}<extra>published</extra>",
    )
