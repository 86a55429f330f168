"""Figures of a run, one function each.

Colours are those of :mod:`cosim.report.style`. Time axes show the local time
of the site. Power is drawn as steps because it is constant within a step.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cosim.devices.registry import by_kind
from cosim.devices.storage import StorageRating
from cosim.model.arrays import FloatArray
from cosim.report.key_figures import MINUS
from cosim.report.lead_errors import LeadError, planned_periods, planned_stored_kwh
from cosim.report.metrics import (
    CUT_TOLERANCE_KW,
    column,
    stored_kwh,
    violation_hours,
    voltage_limits,
)
from cosim.report.style import (
    BASELINE,
    LIMIT,
    PLAN,
    PRICE,
    PRICE_LINE,
    RUN,
    RUN_LIGHT,
    SUN,
    THEME,
    import_before_price,
)
from cosim.run.record import Record

PLANS_SHOWN = 24
BATTERIES_SHOWN = 40
REGULATORS_SHOWN = 12
NODES_SHOWN = 20

HEIGHT = 380


# --- what the figures share -----------------------------------------------------------------------


def _figure(height: int = HEIGHT) -> Any:
    return go.Figure(layout=go.Layout(template=THEME, height=height))


def _panels(count: int, height: int) -> Any:
    """Panels above each other with one time or lead axis."""
    figure = make_subplots(rows=count, cols=1, shared_xaxes=True, vertical_spacing=0.12 / count)
    return figure.update_layout(template=THEME, height=height)


def _time_axis(figure: Any, record: Record) -> Any:
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


def _edges(record: Record) -> dict[str, float]:
    """First edge and distance of the steps: shorter than a column of times, as in a year of steps."""
    first = float(clock_ms(record, float(record.steps["time_s"].iloc[0])))
    return {"x0": first, "dx": 1e3 * record.site.grid.step_s}


def _held(
    record: Record,
    values: FloatArray,
    name: str,
    *,
    colour: str,
    dash: str = "solid",
    width: float = 1.8,
    legend: bool = True,
) -> Any:
    """A line that is constant within a step, to the end of the last step."""
    return go.Scatter(
        **_edges(record),
        y=np.append(values, values[-1:]).astype(np.float32),
        name=name,
        mode="lines",
        line={"color": colour, "dash": dash, "width": width, "shape": "hv"},
        showlegend=legend,
        legendgroup=name,
    )


def _limit(figure: Any, value: float, text: str, *, row: int | None = None) -> None:
    place = {} if row is None else {"row": row, "col": 1}
    figure.add_hline(
        y=value,
        line={"color": LIMIT, "dash": "dash", "width": 1.4},
        annotation={"text": text, "font": {"color": LIMIT, "size": 11}},
        annotation_position="top left",
        **place,
    )


def _plan_lines(record: Record, starts: list[FloatArray], values: list[FloatArray]) -> dict[str, Any]:
    """Several plans as one line with gaps."""
    gap = np.array([np.nan])
    x = [part for start in starts for part in (clock_ms(record, start), gap)]
    y = [part for value in values for part in (value, gap)]
    return {
        "x": np.concatenate(x) if x else np.empty(0),
        "y": np.concatenate(y).astype(np.float32) if y else np.empty(0),
    }


def _some_plans(record: Record) -> Any:
    """Every k-th plan, at most :data:`PLANS_SHOWN` of them."""
    plans = record.steps[record.steps["plan_period_s"].notna()]
    return plans.iloc[:: max(1, -(-len(plans) // PLANS_SHOWN))]


# --- the feeder -----------------------------------------------------------------------------------


def import_and_price(record: Record, baseline: Record | None) -> Any:
    """Import over the substation in kW, and the price behind it."""
    figure = _figure(420)
    price = _held(record, column(record, "price_per_kwh"), "price", colour=PRICE_LINE, width=1.0)
    figure.add_trace(price.update(fill="tozeroy", fillcolor=PRICE))
    if baseline is not None:
        line = _held(baseline, column(baseline, "import_kw"), "baseline", colour=BASELINE)
        figure.add_trace(line.update(yaxis="y2"))
    figure.add_trace(_held(record, column(record, "import_kw"), "run", colour=RUN).update(yaxis="y2"))
    limits = record.manifest["limits"]
    for name in ("import_max_kw", "import_min_kw"):
        if limits.get(name) is not None:
            line = {"color": LIMIT, "dash": "dash", "width": 1.4}
            figure.add_hline(y=float(limits[name]), line=line, yref="y2")
    return import_before_price(_time_axis(figure, record))


def voltage_envelope(record: Record, baseline: Record | None) -> Any:
    """Lowest, mean and highest voltage of all nodes in per unit, and the limits."""
    figure = _figure(420)
    voltage_pu = record.vector("voltage_pu")
    low, high = voltage_limits(record)
    figure.add_trace(_held(record, voltage_pu.min(axis=1), "lowest", colour=RUN))
    band = _held(record, voltage_pu.max(axis=1), "highest", colour=RUN)
    figure.add_trace(band.update(fill="tonexty", fillcolor=RUN_LIGHT))
    figure.add_trace(_held(record, voltage_pu.mean(axis=1), "mean", colour=RUN, dash="dot", width=1.2))
    if baseline is not None:
        theirs = baseline.vector("voltage_pu")
        for name, values in (("lowest", theirs.min(axis=1)), ("highest", theirs.max(axis=1))):
            figure.add_trace(_held(baseline, values, f"baseline {name}", colour=BASELINE, width=1.4))
    _limit(figure, high, f"{high:g} pu")
    _limit(figure, low, f"{low:g} pu")
    figure.update_yaxes(title_text="voltage (pu)", tickformat=".3f")
    return _time_axis(figure, record)


def violating_nodes(record: Record, baseline: Record | None) -> Any | None:
    """Hours outside the limits of the worst nodes; None if there are none in either run."""
    hours = {"run": np.add(*violation_hours(record))}
    if baseline is not None:
        hours["baseline"] = np.add(*violation_hours(baseline))
    worst_h = np.max(list(hours.values()), axis=0)
    order = np.argsort(-worst_h, kind="stable")[:NODES_SHOWN]
    order = order[worst_h[order] > 0][::-1]
    if not order.size:
        return None
    figure = _figure(110 + 26 * len(order))
    # Horizontal bars are stacked upwards, so the run comes last to stand above the baseline.
    for name, colour in (("baseline", BASELINE), ("run", RUN)):
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
    figure.update_xaxes(title_text="time outside the voltage limits (h)", rangemode="tozero")
    return figure.update_layout(barmode="group", bargap=0.25, legend={"traceorder": "reversed"})


def losses(record: Record, baseline: Record | None) -> Any:
    """Losses of the whole feeder in kW."""
    figure = _figure()
    if baseline is not None:
        figure.add_trace(_held(baseline, column(baseline, "losses_kw"), "baseline", colour=BASELINE))
    figure.add_trace(_held(record, column(record, "losses_kw"), "run", colour=RUN))
    figure.update_yaxes(title_text="losses (kW)", rangemode="tozero")
    return _time_axis(figure, record).update_layout(showlegend=True)


def line_loading(record: Record, baseline: Record | None) -> Any:
    """Current over rating of the most loaded line in percent."""
    figure = _figure()
    for name, source, colour in (("baseline", baseline, BASELINE), ("run", record, RUN)):
        if source is not None:
            line = _held(source, 100 * column(source, "loading"), name, colour=colour)
            lines = source.steps["loading_line"].tolist()
            line.update(customdata=[*lines, lines[-1]], hovertemplate="%{y:.1f} % in %{customdata}")
            figure.add_trace(line)
    _limit(figure, 100.0, "rating")
    figure.update_yaxes(title_text="highest line loading (%)", rangemode="tozero")
    return _time_axis(figure, record).update_layout(showlegend=True)


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
    figure = _panels(len(shown), 110 + 84 * len(shown))
    for row, i in enumerate(shown, start=1):
        if baseline is not None and theirs is not None:
            line = _held(baseline, theirs[:, i], "baseline", colour=BASELINE, legend=row == 1)
            figure.add_trace(line, row=row, col=1)
        figure.add_trace(_held(record, taps[:, i], "run", colour=RUN, legend=row == 1), row=row, col=1)
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
    return _time_axis(figure, record).update_layout(showlegend=True)


def _whole_ticks(lowest: int, highest: int) -> list[int]:
    """At most four whole numbers that span a range."""
    apart = max(1, -(-(highest - lowest) // 3))
    return list(range(lowest, highest + apart, apart))


def photovoltaics(record: Record) -> Any | None:
    """Power the sun offered, power produced and the limit in kW; None without PV."""
    if not record.site.of_kind("pv"):
        return None
    figure = _figure()
    available_kw = record.vector("pv_available_kw")
    offered = _held(record, available_kw.sum(axis=1), "available", colour=SUN, width=1.2)
    figure.add_trace(offered.update(fill="tozeroy", fillcolor=PRICE))
    allowed_kw = np.minimum(record.vector("accepted_pv_kw_limit"), available_kw)
    # Limits above what the sun offers say nothing, so the line is only drawn where one binds.
    binds = (allowed_kw < available_kw - CUT_TOLERANCE_KW).any(axis=1)
    limit_kw = np.where(binds, allowed_kw.sum(axis=1), np.nan)
    figure.add_trace(_held(record, record.vector("pv_kw").sum(axis=1), "produced", colour=RUN))
    figure.add_trace(_held(record, limit_kw, "limit, where it binds", colour=LIMIT, dash="dash"))
    figure.update_yaxes(title_text="PV power (kW)", rangemode="tozero")
    return _time_axis(figure, record)


# --- the controller -------------------------------------------------------------------------------


def planned_import(record: Record) -> Any:
    """Import in kW: what happened, what each plan said next, and some whole plans."""
    figure = _figure(420)
    plans, periods = _some_plans(record), planned_periods(record)
    starts = [_edges_of(row) for row in zip(plans["time_s"], plans["plan_period_s"], strict=True)]
    ahead_kw = [np.append(kw, kw[-1:]) for kw in plans["plan_import_kw"]]
    figure.add_trace(
        go.Scatter(
            **_plan_lines(record, starts, ahead_kw),
            name=f"{len(plans)} of the plans",
            mode="lines",
            line={"color": PLAN, "width": 1, "shape": "hv"},
            hoverinfo="skip",
        )
    )
    figure.add_trace(_held(record, column(record, "import_kw"), "actual", colour=RUN, width=2.2))
    first = periods.lead_s == 0
    figure.add_trace(
        go.Scatter(
            x=clock_ms(record, 0.5 * (periods.start_s + periods.end_s)[first]),
            y=periods.import_kw[first].astype(np.float32),
            name="first period of each plan",
            mode="markers",
            marker={"color": "#0b2f66", "size": 4},
        )
    )
    figure.update_yaxes(title_text="import (kW)")
    return _time_axis(figure, record)


def _edges_of(plan: tuple[float, FloatArray]) -> FloatArray:
    """Start of every period of a plan and the end of the last one, in seconds of the run."""
    start_s, period_s = plan
    return start_s + np.concatenate([[0.0], np.cumsum(period_s)])


def stored_energy(record: Record, baseline: Record | None) -> Any | None:
    """Stored energy in kWh, actual and in some plans; all batteries or one of them."""
    storages = [item for item in record.site.devices if isinstance(item, StorageRating)]
    if not storages:
        return None
    biggest = sorted(range(len(storages)), key=lambda i: -storages[i].kwh)[:BATTERIES_SHOWN]
    figure = _figure(440)
    choices = [("all batteries", None), *((storages[i].name, i) for i in sorted(biggest))]
    for _, battery in choices:
        for trace in _stored_traces(record, baseline, battery):
            figure.add_trace(trace.update(visible=battery is None))
    per_choice = len(figure.data) // len(choices)
    shown = np.repeat(np.eye(len(choices), dtype=bool), per_choice, axis=1)
    buttons = [
        {"label": name, "method": "restyle", "args": ["visible", shown[i].tolist()]}
        for i, (name, _) in enumerate(choices)
    ]
    figure.update_yaxes(title_text="stored energy (kWh)", rangemode="tozero")
    return _time_axis(figure, record).update_layout(
        updatemenus=[
            {
                "buttons": buttons,
                "x": 0,
                "y": 1.14,
                "xanchor": "left",
                "yanchor": "bottom",
                "bgcolor": "white",
            }
        ],
        margin={"t": 96},
    )


def _stored_traces(record: Record, baseline: Record | None, battery: int | None) -> list[Any]:
    plans = _some_plans(record)
    starts = [_edges_of(row) for row in zip(plans["time_s"], plans["plan_period_s"], strict=True)]
    planned = (
        planned_stored_kwh(plans)
        if battery is None
        else [
            np.reshape(stored, (len(lengths) + 1, -1))[:, battery]
            for stored, lengths in zip(plans["plan_stored_kwh"], plans["plan_period_s"], strict=True)
        ]
    )
    traces = (
        [
            go.Scatter(
                **_plan_lines(record, starts, planned),
                name=f"{len(plans)} of the plans",
                mode="lines",
                line={"color": PLAN, "width": 1},
                hoverinfo="skip",
            )
        ]
        if len(plans)
        else []
    )
    for name, source, colour in (("baseline", baseline, BASELINE), ("actual", record, RUN)):
        if source is not None:
            traces.append(
                go.Scatter(
                    **_edges(source),
                    y=_stored_of(source, battery).astype(np.float32),
                    name=name,
                    mode="lines",
                    line={"color": colour, "width": 2.2 if source is record else 1.4},
                )
            )
    return traces


def _stored_of(record: Record, battery: int | None) -> FloatArray:
    if battery is None:
        return stored_kwh(record)
    first = record.steps["measured_stored_kwh"].iloc[0][battery]
    return np.append(first, record.vector("stored_kwh")[:, battery])


def storage_setpoints(record: Record) -> Any | None:
    """Total set-points of the batteries in kW, requested, accepted and delivered."""
    if not record.site.of_kind("storage"):
        return None
    figure = _figure()
    for name, quantity, colour, dash, width in (
        ("delivered", "storage_kw", "#9cc2f2", "solid", 4.0),
        ("requested", "requested_storage_kw", "#0b2f66", "dot", 1.6),
        ("accepted", "accepted_storage_kw", RUN, "solid", 1.6),
    ):
        total_kw = record.vector(quantity).sum(axis=1)
        figure.add_trace(_held(record, total_kw, name, colour=colour, dash=dash, width=width))
    figure.update_yaxes(title_text="power, discharging > 0 (kW)")
    return _time_axis(figure, record)


FLEXIBLE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
"""One per kind, told apart by colour-blind readers (Okabe and Ito, 2008)."""


def device_power(record: Record, baseline: Record | None) -> Any | None:
    """Total power in kW of each kind that declares figures, in the run and without control."""
    kinds = [kind for kind, _, _ in by_kind(record.site.devices) if kind.figures is not None]
    if not kinds:
        return None
    figure = _figure()
    for i, kind in enumerate(kinds):
        colour = FLEXIBLE_COLOURS[i % len(FLEXIBLE_COLOURS)]
        total_kw = record.vector(kind.columns["kw"]).sum(axis=1)
        figure.add_trace(_held(record, total_kw, kind.plural, colour=colour, dash="solid", width=1.8))
        if baseline is not None:
            before_kw = baseline.vector(kind.columns["kw"]).sum(axis=1)
            name = f"{kind.plural}, without control"
            figure.add_trace(_held(baseline, before_kw, name, colour=colour, dash="dot", width=1.4))
    figure.update_yaxes(title_text="power into the network (kW)")
    return _time_axis(figure, record)


def decision_time(record: Record) -> Any:
    """Seconds to build and solve each plan, against the length of a step; logarithmic."""
    figure = _figure()
    plans = record.steps[record.steps["plan_period_s"].notna()]
    total_s = (plans["plan_build_s"] + plans["plan_solve_s"]).to_numpy(dtype=np.float64)
    figure.add_trace(
        go.Scatter(
            x=clock_ms(record, plans["time_s"].to_numpy(dtype=np.float64)),
            y=total_s,
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
    return _time_axis(figure, record)


def lead_time_errors(errors: tuple[LeadError, ...]) -> Any:
    """Mean and largest absolute error of import, stored energy and voltages, by lead time."""
    panels: tuple[tuple[str, str, str], ...] = (
        ("import (kW)", "import", "kw"),
        ("stored (kWh)", "stored", "kwh"),
        ("lowest (pu)", "lowest", "pu"),
        ("highest (pu)", "highest", "pu"),
        *([("every node (pu)", "node", "pu")] if errors[0].node_mean_abs_pu is not None else []),
    )
    figure = _panels(len(panels), 190 * len(panels))
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
