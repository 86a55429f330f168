"""Figures of a run, one function each.

Colours are those of :mod:`cosim.report.style`. Time axes show the local time
of the site. Power is drawn as steps because it is constant within a step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from cosim.experiments.lead_errors import LeadError, planned_periods
from cosim.experiments.run_metrics import (
    column,
    violation_hours,
    voltage_limits,
)
from cosim.report.figure_parts import (
    clock_ms,
    held,
    limit_line,
    new_figure,
    new_panels,
    plan_edges,
    plan_lines,
    shown_places,
    some_plans,
    time_axis,
)
from cosim.report.key_figures import MINUS
from cosim.report.style import (
    BASELINE,
    LIMIT,
    PLAN,
    PLANNED,
    PRICE,
    PRICE_LINE,
    RUN,
    RUN_LIGHT,
    import_before_price,
)
from cosim.run.record import Record

REGULATORS_SHOWN = 12
NODES_SHOWN = 20


def import_and_price(record: Record, baseline: Record | None) -> Any:
    """Import over the substation in kW, and the price behind it."""
    figure = new_figure(420)
    price = held(record, column(record, "price_per_kwh"), "price", colour=PRICE_LINE, width=1.0)
    figure.add_trace(price.update(fill="tozeroy", fillcolor=PRICE))
    if baseline is not None:
        line = held(baseline, column(baseline, "import_kw"), "without control", colour=BASELINE)
        figure.add_trace(line.update(yaxis="y2"))
    figure.add_trace(held(record, column(record, "import_kw"), "run", colour=RUN).update(yaxis="y2"))
    limits = record.manifest["limits"]
    for name in ("import_max_kw", "import_min_kw"):
        if limits.get(name) is not None:
            line = {"color": LIMIT, "dash": "dash", "width": 1.4}
            figure.add_hline(y=float(limits[name]), line=line, yref="y2")
    return import_before_price(time_axis(figure, record))


def voltage_envelope(record: Record, baseline: Record | None, *, mean: bool = True) -> Any:
    """Lowest, mean and highest voltage of all nodes in per unit, and the limits."""
    figure = new_figure(420)
    voltage_pu = record.vector("voltage_pu")
    low, high = voltage_limits(record)
    figure.add_trace(held(record, voltage_pu.min(axis=1), "lowest", colour=RUN))
    band = held(record, voltage_pu.max(axis=1), "highest", colour=RUN)
    figure.add_trace(band.update(fill="tonexty", fillcolor=RUN_LIGHT))
    if mean:
        figure.add_trace(held(record, voltage_pu.mean(axis=1), "mean", colour=RUN, dash="dot", width=1.2))
    if baseline is not None:
        theirs = baseline.vector("voltage_pu")
        for name, values in (("lowest", theirs.min(axis=1)), ("highest", theirs.max(axis=1))):
            figure.add_trace(held(baseline, values, f"{name} without control", colour=BASELINE, width=1.4))
    limit_line(figure, high, f"{high:g} pu")
    limit_line(figure, low, f"{low:g} pu")
    figure.update_yaxes(title_text="voltage (pu)", tickformat=".3f")
    return time_axis(figure, record)


def violating_nodes(record: Record, baseline: Record | None) -> Any | None:
    """Hours outside the limits of the worst nodes; None if there are none in either run."""
    hours = {"run": np.add(*violation_hours(record))}
    if baseline is not None:
        hours["without control"] = np.add(*violation_hours(baseline))
    worst_h = np.max(list(hours.values()), axis=0)
    order = np.argsort(-worst_h, kind="stable")[:NODES_SHOWN]
    order = order[worst_h[order] > 0][::-1]
    if not order.size:
        return None
    figure = new_figure(110 + 26 * len(order))
    # Horizontal bars are stacked upwards, so the run comes last to stand above the other.
    for name, colour in (("without control", BASELINE), ("run", RUN)):
        if name in hours:
            figure.add_trace(
                go.Bar(
                    y=[record.site.nodes[i] for i in order],
                    x=hours[name][order],
                    name=name,
                    orientation="h",
                    marker={"color": colour},
                    hovertemplate="node %{y}: %{x:.2f} h<extra>" + name + "</extra>",
                )
            )
    figure.update_yaxes(title_text="node", type="category")
    figure.update_xaxes(title_text="time outside the limits (h)", rangemode="tozero")
    return figure.update_layout(barmode="group", bargap=0.25, legend={"traceorder": "reversed"})


def losses(record: Record, baseline: Record | None) -> Any:
    """Losses of the whole feeder in kW."""
    figure = new_figure()
    if baseline is not None:
        figure.add_trace(held(baseline, column(baseline, "losses_kw"), "without control", colour=BASELINE))
    figure.add_trace(held(record, column(record, "losses_kw"), "run", colour=RUN))
    figure.update_yaxes(title_text="losses (kW)", rangemode="tozero")
    return time_axis(figure, record).update_layout(showlegend=True)


def line_loading(record: Record, baseline: Record | None) -> Any:
    """Current over rating of the most loaded line in percent."""
    figure = new_figure()
    for name, source, colour in (("without control", baseline, BASELINE), ("run", record, RUN)):
        if source is not None:
            lines = source.steps["loading_line"].tolist()
            line = held(source, 100 * column(source, "loading"), name, colour=colour, hover=lines)
            figure.add_trace(line.update(hovertemplate="%{y:.1f} % in %{customdata}"))
    limit_line(figure, 100.0, "rating")
    figure.update_yaxes(title_text="highest line loading (%)", rangemode="tozero")
    return time_axis(figure, record).update_layout(showlegend=True)


def tap_positions(record: Record, baseline: Record | None) -> Any | None:
    """Tap of each regulator, in steps from neutral; None for a feeder without regulators."""
    taps = np.rint((record.vector("tap") - 1.0) / record.site.tap_step)
    if not taps.shape[1]:
        return None
    theirs = None if baseline is None else np.rint((baseline.vector("tap") - 1.0) / record.site.tap_step)
    moves = np.abs(np.diff(taps, axis=0)).sum(axis=0)
    if theirs is not None:
        moves = moves + np.abs(np.diff(theirs, axis=0)).sum(axis=0)
    shown = np.sort(np.argsort(-moves, kind="stable")[:REGULATORS_SHOWN])
    figure = new_panels(len(shown), 110 + 84 * len(shown))
    for row, i in enumerate(shown, start=1):
        if baseline is not None and theirs is not None:
            line = held(baseline, theirs[:, i], "without control", colour=BASELINE, legend=row == 1)
            figure.add_trace(line, row=row, col=1)
        figure.add_trace(held(record, taps[:, i], "run", colour=RUN, legend=row == 1), row=row, col=1)
        both = taps[:, i] if theirs is None else np.concatenate([taps[:, i], theirs[:, i]])
        ticks = _whole_ticks(int(both.min()), int(both.max()))
        figure.update_yaxes(
            title_text=f"{record.site.regulators[i]}<br>(tap)",
            title_font_size=11,
            tickvals=ticks,
            ticktext=[f"{tick:+d}".replace("-", MINUS) if tick else "0" for tick in ticks],
            range=[ticks[0] - 0.4, ticks[-1] + 0.4],
            row=row,
            col=1,
        )
    return time_axis(figure, record).update_layout(showlegend=True)


def _whole_ticks(lowest: int, highest: int) -> list[int]:
    """At most four whole numbers that span a range."""
    apart = max(1, -(-(highest - lowest) // 3))
    return list(range(lowest, highest + apart, apart))


def planned_import(record: Record) -> Any:
    """Import in kW: what happened, what each plan said next, and some whole plans."""
    figure = new_figure(420)
    plans, periods = some_plans(record), planned_periods(record)
    starts = [plan_edges(row) for row in zip(plans["time_s"], plans["plan_period_s"], strict=True)]
    ahead_kw = [np.append(kw, kw[-1:]) for kw in plans["plan_import_kw"]]
    figure.add_trace(
        go.Scatter(
            **plan_lines(record, starts, ahead_kw),
            name=f"{len(plans)} of the plans",
            mode="lines",
            line={"color": PLAN, "width": 1, "shape": "hv"},
            hoverinfo="skip",
        )
    )
    figure.add_trace(held(record, column(record, "import_kw"), "actual", colour=RUN, width=2.2))
    first = np.flatnonzero(periods.lead_s == 0)
    first = first[shown_places(periods.import_kw[first])]
    figure.add_trace(
        go.Scatter(
            x=clock_ms(record, 0.5 * (periods.start_s + periods.end_s)[first]),
            y=periods.import_kw[first].astype(np.float32),
            name="first period of each plan",
            mode="markers",
            marker={"color": PLANNED, "size": 4},
        )
    )
    figure.update_yaxes(title_text="import (kW)")
    return time_axis(figure, record)


def decision_time(record: Record) -> Any:
    """Seconds to build and solve each plan, against the length of a step; logarithmic."""
    figure = new_figure()
    plans = record.steps[record.steps["plan_period_s"].notna()]
    total_s = (plans["plan_build_s"] + plans["plan_solve_s"]).to_numpy(dtype=np.float64)
    shown = shown_places(total_s)
    figure.add_trace(
        go.Scatter(
            x=clock_ms(record, plans["time_s"].to_numpy(dtype=np.float64)[shown]),
            y=total_s[shown].astype(np.float32),
            name="build and solve",
            mode="markers",
            marker={"color": RUN, "size": 5},
            hovertemplate="%{y:.3f} s",
        )
    )
    step_s = float(record.site.grid.step_s)
    figure.add_hline(y=step_s, line={"color": LIMIT, "dash": "dash", "width": 1.4})
    # Annotations on a logarithmic axis are placed by exponent, unlike lines.
    figure.add_annotation(
        text=f"length of a step, {step_s:g} s",
        font={"color": LIMIT, "size": 11},
        xref="paper",
        x=0,
        xanchor="left",
        y=float(np.log10(step_s)),
        yanchor="bottom",
        showarrow=False,
    )
    lowest = np.log10(max(float(total_s.min()), 1e-4)) if total_s.size else -2.0
    figure.update_yaxes(
        title_text="time per decision (s)",
        type="log",
        dtick=1,
        range=[np.floor(lowest), np.log10(step_s) + 0.6],
    )
    return time_axis(figure, record)


def lead_time_errors(errors: tuple[LeadError, ...]) -> Any:
    """Mean and largest absolute error of import, stored energy and voltages, by lead time."""
    panels: tuple[tuple[str, str, str], ...] = (
        ("import (kW)", "import", "kw"),
        ("stored (kWh)", "stored", "kwh"),
        ("lowest (pu)", "lowest", "pu"),
        ("highest (pu)", "highest", "pu"),
        *([("every node (pu)", "node", "pu")] if errors[0].node_mean_abs_pu is not None else []),
    )
    figure = new_panels(len(panels), 190 * len(panels))
    lead_h = np.array([error.lead_s for error in errors]) / 3600.0
    for row, (title, quantity, unit) in enumerate(panels, start=1):
        for kind, name, dash in (("mean_abs", "mean error", "solid"), ("max_abs", "largest error", "dot")):
            trace = go.Scatter(
                x=lead_h,
                y=np.array([getattr(error, f"{quantity}_{kind}_{unit}") for error in errors]),
                name=name,
                mode="lines+markers",
                line={"color": RUN, "dash": dash, "width": 1.8},
                marker={"size": 4},
                legendgroup=name,
                showlegend=row == 1,
            )
            figure.add_trace(trace, row=row, col=1)
        figure.update_yaxes(title_text=title, rangemode="tozero", row=row, col=1)
    figure.update_xaxes(title_text="start of the period after the start of the plan (h)", selector=-1)
    return figure.update_layout(hovermode="x unified")
