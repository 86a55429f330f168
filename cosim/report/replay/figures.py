"""Figures of a replayed plan, one function each: what was planned is dark and dotted, what came is blue."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cosim.experiments.replay import Replay
from cosim.model.arrays import FloatArray
from cosim.report.figure_parts import HEIGHT
from cosim.report.style import (
    LIMIT,
    PLANNED,
    PRICE,
    PRICE_LINE,
    RUN,
    RUN_LIGHT,
    SUN,
    THEME,
    import_before_price,
)
from cosim.run.study import Study

BRANCHES_SHOWN = 20
LOG_BELOW_PU = 1e-4
"""Errors this small only show their size on a logarithmic axis."""
LEAST_ERROR_PU = 1e-16
"""Stands for an error of exactly zero on that axis."""


# --- what the figures share -----------------------------------------------------------------------


def _figure(height: int = HEIGHT) -> Any:
    return go.Figure(layout=go.Layout(template=THEME, height=height))


def _clock_ms(result: Replay, time_s: FloatArray) -> FloatArray:
    """Local wall-clock time as plotly counts it: milliseconds, without a zone."""
    start = Study.from_json(result.planned.study).grid.start
    start_s = start.replace(tzinfo=UTC).timestamp()
    return np.asarray(1e3 * (start_s + time_s), dtype=np.float64)


def _period_edges_s(result: Replay) -> FloatArray:
    """Start of every period and the end of the last one, shape (period + 1,)."""
    plan = result.planned.plan
    return np.asarray(plan.time_s + np.concatenate([[0.0], np.cumsum(plan.period_s)]))


def _step_edges_s(result: Replay) -> FloatArray:
    """Start of every step and the end of the last one, shape (step + 1,)."""
    steps = np.arange(len(result.period_of) + 1, dtype=np.float64)
    return np.asarray(3600.0 * result.realised.step_h * steps, dtype=np.float64)


def _held(
    result: Replay, edges_s: FloatArray, values: FloatArray, name: str, colour: str, dash: str = "solid"
) -> Any:
    """A line that is constant between two edges."""
    return go.Scatter(
        x=_clock_ms(result, edges_s),
        y=np.append(values, values[-1:]),
        name=name,
        mode="lines",
        line={"color": colour, "dash": dash, "width": 1.8, "shape": "hv"},
    )


def _planned(result: Replay, values: FloatArray, name: str) -> Any:
    return _held(result, _period_edges_s(result), values, name, PLANNED, "dot")


def _realised(result: Replay, values: FloatArray, name: str) -> Any:
    return _held(result, _step_edges_s(result), values, name, RUN)


def _time_axis(figure: Any, result: Replay) -> Any:
    """Local time below the lowest panel, one hover box for all lines."""
    offset = Study.from_json(result.planned.study).grid.start.strftime("%z")
    span = _clock_ms(result, _step_edges_s(result)[[0, -1]]).tolist()
    figure.update_xaxes(type="date", hoverformat="%d %b %H:%M", range=span)
    figure.update_xaxes(title_text=f"local time (UTC{offset[:3]}:{offset[3:5]})", selector=-1)
    return figure.update_layout(hovermode="x unified")


def _decades(lowest: float, highest: float) -> dict[str, Any]:
    """A logarithmic axis of whole decades, so that at least two of them carry a number."""
    extent = [float(np.floor(np.log10(lowest))) - 0.05, float(np.ceil(np.log10(highest))) + 0.05]
    return {"range": extent, "dtick": 1, "exponentformat": "power"}


# --- the figures ----------------------------------------------------------------------------------


def import_and_price(result: Replay) -> Any:
    """Import over the substation in kW, planned and realised, and the price behind it."""
    figure = _figure(420)
    price = _held(result, _step_edges_s(result), result.realised.price_per_kwh, "price", PRICE_LINE).update(
        fill="tozeroy", fillcolor=PRICE, line={"width": 1.0}
    )
    figure.add_trace(price)
    figure.add_trace(_realised(result, result.realised.import_kw, "realised").update(yaxis="y2"))
    figure.add_trace(_planned(result, result.planned.import_kw, "planned").update(yaxis="y2"))
    return import_before_price(_time_axis(figure, result))


def voltage_band(result: Replay) -> Any:
    """Lowest and highest voltage of all nodes in per unit, planned and realised, and the limits."""
    figure = _figure(420)
    realised, planned = result.realised.voltage_pu, result.planned.voltage_pu
    figure.add_trace(_realised(result, realised.min(axis=1), "lowest, realised"))
    band = _realised(result, realised.max(axis=1), "highest, realised")
    figure.add_trace(band.update(fill="tonexty", fillcolor=RUN_LIGHT))
    figure.add_trace(_planned(result, planned.min(axis=1), "lowest, planned"))
    figure.add_trace(_planned(result, planned.max(axis=1), "highest, planned"))
    low, high = result.realised.limits_pu
    for limit in (high, low):
        figure.add_hline(
            y=limit,
            line={"color": LIMIT, "dash": "dash", "width": 1.4},
            annotation={"text": f"{limit:g} pu", "font": {"color": LIMIT, "size": 11}},
            annotation_position="top left",
        )
    figure.update_yaxes(title_text="voltage (pu)", tickformat=".3f")
    figure.update_layout(legend={"traceorder": "normal"})
    return _time_axis(figure, result)


def voltage_error(result: Replay) -> Any:
    """Largest and mean distance between realised and planned voltage of the nodes, per step, in pu."""
    figure = _figure()
    error_pu = np.abs(result.voltage_error_pu)
    tiny = bool(error_pu.max() < LOG_BELOW_PU)
    nodes = [result.planned.nodes[i] for i in error_pu.argmax(axis=1)]
    for name, values, dash in (
        ("largest of all nodes", error_pu.max(axis=1), "solid"),
        ("mean of all nodes", error_pu.mean(axis=1), "dot"),
    ):
        shown = np.maximum(values, LEAST_ERROR_PU) if tiny else values
        line = _realised(result, shown, name).update(line={"dash": dash}, hovertemplate="%{y:.2e} pu")
        if dash == "solid":
            line.update(customdata=[*nodes, nodes[-1]], hovertemplate="%{y:.2e} pu at node %{customdata}")
        figure.add_trace(line)
    if tiny:
        lowest = max(float(error_pu.mean(axis=1).min()), LEAST_ERROR_PU)
        highest = max(float(error_pu.max()), 10.0 * LEAST_ERROR_PU)
        figure.update_yaxes(type="log", **_decades(lowest, highest))
    else:
        figure.update_yaxes(rangemode="tozero", exponentformat="none")
    figure.update_yaxes(title_text="error of voltage (pu)")
    return _time_axis(figure, result)


def stored_energy(result: Replay) -> Any | None:
    """Energy in all batteries in kWh, planned and realised; None without batteries."""
    if not result.planned.of_kind("storage"):
        return None
    figure = _figure()
    here = result.planned.of_kind("storage")
    planned_kwh = result.planned.plan.stored_kwh[:, here].sum(axis=1)
    realised_kwh = np.append(planned_kwh[:1], result.realised.stored_kwh[:, here].sum(axis=1))
    for edges_s, values, name, colour, dash in (
        (_step_edges_s(result), realised_kwh, "realised", RUN, "solid"),
        (_period_edges_s(result), planned_kwh, "planned", PLANNED, "dot"),
    ):
        figure.add_trace(
            go.Scatter(
                x=_clock_ms(result, edges_s),
                y=values,
                name=name,
                mode="lines",
                line={"color": colour, "dash": dash, "width": 1.8},
            )
        )
    figure.update_yaxes(title_text="stored energy (kWh)", rangemode="tozero")
    return _time_axis(figure, result)


def setpoints(result: Replay) -> Any:
    """Planned set-points of all batteries and of all PV systems, active in kW above reactive in kvar."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    figure.update_layout(template=THEME, height=520)
    planned, edges_s = result.planned, _period_edges_s(result)
    plan, batteries, pvs = planned.plan, planned.of_kind("storage"), planned.of_kind("pv")
    for row, name, values, colour, dash in (
        (1, "batteries", plan.p_kw[:, batteries], RUN, "solid"),
        (1, "PV, upper limit", plan.p_kw[:, pvs], SUN, "dash"),
        (2, "batteries, reactive", plan.q_kvar[:, batteries], RUN, "solid"),
        (2, "PV, reactive", plan.q_kvar[:, pvs], SUN, "solid"),
    ):
        if values.shape[1]:
            line = _held(result, edges_s, values.sum(axis=1), name, colour, dash)
            figure.add_trace(line, row=row, col=1)
    figure.update_yaxes(title_text="into the network (kW)", row=1, col=1)
    figure.update_yaxes(title_text="into the network (kvar)", row=2, col=1)
    return _time_axis(figure, result)


def relaxation_gap(result: Replay) -> Any | None:
    """Branches in which the relaxation invents the largest losses in kVA; None where nothing is relaxed."""
    gap_kva = result.planned.relaxation_gap_kva
    worst = np.argsort(-gap_kva, kind="stable")[:BRANCHES_SHOWN]
    worst = worst[gap_kva[worst] > 0][::-1]
    if not worst.size:
        return None
    figure = _figure(110 + 24 * len(worst))
    figure.add_trace(
        go.Scatter(
            x=gap_kva[worst],
            y=[result.planned.branches[i] for i in worst],
            mode="markers",
            marker={"color": RUN, "size": 9},
            hovertemplate="%{y}: %{x:.2e} kVA<extra></extra>",
        )
    )
    # Dots, not bars: a logarithmic axis has no zero for a bar to stand on.
    extent = _decades(float(gap_kva[worst].min()), float(gap_kva[worst].max()))
    figure.update_xaxes(title_text="largest invented loss of the day (kVA)", type="log", **extent)
    figure.update_layout(margin={"t": 16})
    return figure.update_yaxes(title_text="branch", type="category", range=[-1, len(worst)])
