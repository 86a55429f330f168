"""Figures of devices: what they deliver, hold, and where they stand."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from cosim.devices.registry import by_kind, by_network_kind
from cosim.devices.storage import StorageRating
from cosim.experiments.control_metrics import CUT_TOLERANCE_KW
from cosim.experiments.lead_errors import planned_stored_kwh
from cosim.experiments.run_metrics import stored_kwh
from cosim.model.arrays import FloatArray
from cosim.report.figure_parts import (
    edge_line,
    held,
    new_figure,
    new_panels,
    plan_edges,
    plan_lines,
    some_plans,
    time_axis,
)
from cosim.report.style import (
    BASELINE,
    LIMIT,
    PLAN,
    PLANNED,
    PRICE,
    REQUESTED,
    RUN,
    SUN,
)
from cosim.run.record import Record

BATTERIES_SHOWN = 40


def photovoltaics(record: Record) -> Any | None:
    """Power the sun offered, power produced and the limit in kW; None without PV."""
    if not record.site.of_kind("pv"):
        return None
    figure = new_figure()
    available_kw = record.vector("pv_available_kw")
    offered = held(record, available_kw.sum(axis=1), "available", colour=SUN, width=1.2)
    figure.add_trace(offered.update(fill="tozeroy", fillcolor=PRICE))
    allowed_kw = np.minimum(record.vector("accepted_pv_kw_limit"), available_kw)
    # Limits above what the sun offers say nothing, so the line is only drawn where one binds.
    binds = (allowed_kw < available_kw - CUT_TOLERANCE_KW).any(axis=1)
    limit_kw = np.where(binds, allowed_kw.sum(axis=1), np.nan)
    figure.add_trace(held(record, record.vector("pv_kw").sum(axis=1), "produced", colour=RUN))
    figure.add_trace(held(record, limit_kw, "limit, where it binds", colour=LIMIT, dash="dash"))
    figure.update_yaxes(title_text="PV power (kW)", rangemode="tozero")
    return time_axis(figure, record)


# --- the controller -------------------------------------------------------------------------------


def stored_energy(record: Record, baseline: Record | None) -> Any | None:
    """Stored energy in kWh, actual and in some plans; all batteries or one of them."""
    storages = [item for item in record.site.devices if isinstance(item, StorageRating)]
    if not storages:
        return None
    biggest = sorted(range(len(storages)), key=lambda i: -storages[i].kwh)[:BATTERIES_SHOWN]
    figure = new_figure(440)
    choices = [("all batteries", None), *((storages[i].name, i) for i in sorted(biggest))]
    for _, battery in choices:
        for trace in _stored_traces(record, baseline, battery):
            figure.add_trace(trace.update(visible=battery is None))
    per_choice = len(figure.data) // len(choices)
    shown = np.repeat(np.eye(len(choices), dtype=bool), per_choice, axis=1)
    figure.update_yaxes(title_text="stored energy (kWh)", rangemode="tozero")
    menu = [[name, visible] for (name, _), visible in zip(choices, shown.tolist(), strict=True)]
    return time_axis(figure, record).update_layout(meta={"choices": menu})


def _stored_traces(record: Record, baseline: Record | None, battery: int | None) -> list[Any]:
    plans = some_plans(record)
    starts = [plan_edges(row) for row in zip(plans["time_s"], plans["plan_period_s"], strict=True)]
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
                **plan_lines(record, starts, planned),
                name=f"{len(plans)} of the plans",
                mode="lines",
                line={"color": PLAN, "width": 1},
                hoverinfo="skip",
            )
        ]
        if len(plans)
        else []
    )
    for name, source, colour in (("without control", baseline, BASELINE), ("actual", record, RUN)):
        if source is not None:
            width = 2.2 if source is record else 1.4
            traces.append(edge_line(source, _stored_of(source, battery), name, colour=colour, width=width))
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
    figure = new_figure()
    for name, quantity, colour, dash, width in (
        ("delivered", "storage_kw", REQUESTED, "solid", 4.0),
        ("requested", "requested_storage_kw", PLANNED, "dot", 1.6),
        ("accepted", "accepted_storage_kw", RUN, "solid", 1.6),
    ):
        total_kw = record.vector(quantity).sum(axis=1)
        figure.add_trace(held(record, total_kw, name, colour=colour, dash=dash, width=width))
    figure.update_yaxes(title_text="power, discharging > 0 (kW)")
    return time_axis(figure, record)


FLEXIBLE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
"""One per kind, told apart by colour-blind readers (Okabe and Ito, 2008)."""


def device_power(record: Record, baseline: Record | None) -> Any | None:
    """Total power in kW of each kind that declares figures, in the run and without control."""
    kinds = [kind for kind, _, _ in by_kind(record.site.devices) if kind.figures is not None]
    if not kinds:
        return None
    figure = new_figure()
    for i, kind in enumerate(kinds):
        colour = FLEXIBLE_COLOURS[i % len(FLEXIBLE_COLOURS)]
        total_kw = record.vector(kind.columns["kw"]).sum(axis=1)
        figure.add_trace(held(record, total_kw, kind.plural, colour=colour, dash="solid", width=1.8))
        if baseline is not None:
            before_kw = baseline.vector(kind.columns["kw"]).sum(axis=1)
            name = f"{kind.plural}, without control"
            figure.add_trace(held(baseline, before_kw, name, colour=colour, dash="dot", width=1.4))
    figure.update_yaxes(title_text="power into the network (kW)")
    return time_axis(figure, record)


def device_positions(record: Record, baseline: Record | None) -> Any | None:
    """Position of each network device, in the run and under the feeder's own controls."""
    devices = record.site.network_devices
    if not devices:
        return None
    figure = new_panels(len(devices), 160 * len(devices))
    row = 0
    for kind, _, items in by_network_kind(devices):
        position = {
            name: source.vector(kind.columns["position"])
            for name, source in (("run", record), ("without control", baseline))
            if source is not None
        }
        for i, device in enumerate(items):
            row += 1
            for name, values in position.items():
                colour, dash, width = (RUN, "solid", 1.8) if name == "run" else (BASELINE, "dot", 1.4)
                trace = held(
                    record, values[:, i], name, colour=colour, dash=dash, width=width, legend=row == 1
                )
                figure.add_trace(trace, row=row, col=1)
            span = device.highest - device.lowest
            ticks = {"tick0": 0, "dtick": max(1, -(-span // 4))}
            title = f"{device.name}<br>(position)"
            figure.update_yaxes(title_text=title, tickformat="d", row=row, col=1, **ticks)
    return time_axis(figure, record)
