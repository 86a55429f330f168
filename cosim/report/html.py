"""The report as one page that needs no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from cosim.devices.registry import counted
from cosim.errors import RecordError
from cosim.experiments.metrics import (
    ControlMetrics,
    Report,
    cut_setpoints,
    measure_report,
    metrics_to_dict,
    same_steps,
)
from cosim.report import device_charts, figures
from cosim.report.device_figures import device_figures
from cosim.report.feeder_map import feeder_map, frame_steps
from cosim.report.key_figures import NO_BREAK, key_figure_rows
from cosim.report.page import Banner, Listing, Panel, banner_card, header, list_card, panel_card, whole_page
from cosim.run.record import Record, read_record

CUTS_SHOWN = 50
EVENTS_SHOWN = 200


def write_report(folder: Path) -> Report:
    """Write ``metrics.json`` and ``report.html`` into a run's folder.

    Args:
        folder: of the run; a baseline is looked for in ``baseline/``.

    Returns:
        The figures in both files.

    Raises:
        RecordError: the folder is no run, or holds no finished step.
    """
    record = read_record(folder)
    baseline, note = _read_baseline(folder, record)
    report = measure_report(record, baseline, baseline_note=note)
    text = json.dumps(metrics_to_dict(report), indent=2, allow_nan=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(report, record, baseline), encoding="utf-8")
    return report


def _read_baseline(folder: Path, record: Record) -> tuple[Record | None, str]:
    """The baseline over the steps of the run, or why there is none."""
    if not (folder / "baseline" / "manifest.json").is_file():
        return None, "no baseline was run"
    try:
        whole = read_record(folder / "baseline")
    except RecordError:
        return None, "the baseline holds no finished step"
    baseline = same_steps(whole, record)
    if baseline is None:
        return None, "the baseline lacks steps or nodes of the run, so the two are not compared"
    return baseline, ""


def page(report: Report, record: Record, baseline: Record | None) -> str:
    """The whole page."""
    parts = [
        _header(report, record),
        banner_card(banner(report)),
        _key_figures(report),
        *_promises(report, record, baseline),
        "<h2>The feeder</h2>",
        *map(panel_card, _feeder_panels(record, baseline)),
        *_other_devices(record, baseline),
        *_control(report, record),
        _events(record),
        _facts(record),
    ]
    return whole_page(f"{report.name}: report", parts)


# --- head -----------------------------------------------------------------------------------------


def banner(report: Report) -> Banner:
    """Red for a run that is not whole, amber for one with something to explain, else green."""
    reached = f"{report.run.steps} of {report.planned_steps} steps"
    if report.status == "aborted":
        headline = f"ABORTED after step {report.last_step}: {report.reason or 'no reason was recorded'}"
        return Banner("red", headline, (f"Only {reached} are in this report.", *_remarks(report)))
    if not report.finished:
        headline = f"NOT FINISHED: {reached} are on disk"
        detail = "The run is still going, or it was killed and could not say why."
        return Banner("red", headline, (detail, *_remarks(report)))
    remarks = _remarks(report)
    if report.unsolved_steps:
        headline = f"NO POWER FLOW in {report.unsolved_steps} of {report.planned_steps} steps"
        return Banner("red", headline, (*remarks, _outcome(report)))
    if remarks:
        return Banner("amber", f"Complete, {reached}, but not as planned", (*remarks, _outcome(report)))
    calm = "no fallback, no cut set-point, no event"
    return Banner("green", f"Complete, {reached}: {calm}", (_outcome(report),))


def _outcome(report: Report) -> str:
    """What no banner should hide, whatever its colour."""
    run = report.run
    return (
        f"Voltage outside the limits for {run.violation_node_h:.2f} node-hours, "
        f"a line above its rating for {run.overloaded_h:.2f} h."
    )


def _remarks(report: Report) -> tuple[str, ...]:
    control = report.control
    found: list[tuple[int, str]] = [
        (report.unsolved_steps, "steps without a power flow, which are left out of all figures"),
        (report.undelivered, "times a device did not deliver what was accepted"),
        (report.events - report.undelivered, "other events reported by the plant"),
    ]
    if control is not None:
        found += [
            (control.fallback_decisions, f"decisions that did not come from the plan due{_cause(control)}"),
            (control.safe_state_steps, "steps in the safe state"),
            (control.setpoints_cut, f"set-points cut, {control.not_delivered_kwh:.2f} kWh not delivered"),
            (control.inexact_plans, "plans that ended before their solver was done"),
        ]
    remarks = [f"{count} {text}" for count, text in found if count]
    ratio = None if control is None else control.computational_time_ratio
    if ratio is not None and ratio > 1.0:
        remarks.append(f"Decisions take {ratio:.1f} times the length of a step: too slow for real time")
    if report.baseline is None and report.baseline_note != "no baseline was run":
        remarks.append(report.baseline_note)
    return tuple(remarks)


def _cause(control: ControlMetrics) -> str:
    """Why, as far as one reason stands for most."""
    return f", mostly because {control.fallback_cause}" if control.fallback_cause else ""


def _header(report: Report, record: Record) -> str:
    grid, manifest = record.site.grid, record.manifest
    control = manifest.get("controller") or "unknown controller"
    planner = f" with planner {manifest['planner']}" if manifest.get("planner") else ""
    facts = (
        f"{report.run.hours:g} h from {grid.start:%d %B %Y %H:%M %z} in steps of {grid.step_s} s; "
        f"{len(record.site.nodes)} nodes, "
        f"{counted(device.kind for device in record.site.devices)}; {control}{planner}"
    )
    return header(report.name, facts)


def _key_figures(report: Report) -> str:
    rows = "".join(
        f'<tr><td>{escape(row.label)}</td><td class="number run">{row.run_text}</td>'
        f'<td class="number">{row.baseline_text}</td>'
        f'<td class="number difference {row.verdict}">{row.difference_text}</td>'
        f"<td>{escape(row.unit)}</td></tr>"
        for row in key_figure_rows(report)
    )
    note = (
        "The baseline is the same feeder over the same steps without control. Green differences are "
        "improvements; limits are counted without any tolerance."
    )
    if report.baseline is None:
        note = f"There is nothing to compare with: {report.baseline_note}."
    return (
        f'<h2>Key figures</h2><section class="card scroll"><p>{escape(note)}</p><table><thead><tr><th></th>'
        '<th class="number">run</th><th class="number">baseline</th><th class="number">difference</th>'
        f"<th>unit</th></tr></thead><tbody>{rows}</tbody></table></section>"
    )


# --- figures --------------------------------------------------------------------------------------


def _promises(report: Report, record: Record, baseline: Record | None) -> list[str]:
    """Plans against what happened; nothing for a run without plans."""
    if report.control is None:
        return []
    heading = "<h2>Did the controller keep its promises?</h2>"
    if not report.control.plans:
        return [heading, '<section class="card"><p>No plan was made in this run.</p></section>']
    panels = [
        Panel(
            "Plan against outcome, by lead time",
            "How far off the plans were, by how far ahead they looked: low and flat lines mean that "
            "plans can be trusted. Errors grow with the lead time because every later plan may change "
            "its mind; the first point is the promise for the step about to begin.",
            figures.lead_time_errors(report.control.lead_errors) if report.control.lead_errors else None,
        ),
        Panel(
            "Import, planned and actual",
            "Dark dots are what each plan said about its first period and should lie on the blue line; "
            "faint lines are whole plans, which later ones replaced.",
            figures.planned_import(record),
        ),
        Panel(
            "Stored energy, planned and actual",
            "Faint lines that leave the blue line show plans that were not carried out; choose a "
            "single battery in the menu.",
            device_charts.stored_energy(record, baseline),
        ),
    ]
    return [heading, *map(panel_card, panels)]


def _feeder_panels(record: Record, baseline: Record | None) -> list[Panel]:
    return [
        Panel(
            "Import and price",
            "Import below the baseline while the shaded price is high is what saves money; negative "
            "import is export.",
            figures.import_and_price(record, baseline),
        ),
        Panel(
            "Voltage of all nodes",
            "The blue band spans the lowest and highest node, and must stay between the dashed limits; "
            "grey lines are the same extremes without control.",
            figures.voltage_envelope(record, baseline),
        ),
        Panel(
            "Nodes outside the voltage limits",
            f"The worst nodes, at most {figures.NODES_SHOWN}, with the hours they spent outside; "
            "no blue bar means that control removed the violation.",
            figures.violating_nodes(record, baseline),
        ),
        Panel("Map", _map_caption(record), feeder_map(record)),
        Panel(
            "Photovoltaics",
            "A gap between the shaded area and the blue line is curtailed energy; the red line is the "
            "limit that curtails it.",
            device_charts.photovoltaics(record),
        ),
        Panel(
            "Regulator taps",
            "The tap counts steps of 0.625 % from neutral, and every jump is wear; a panel with more blue "
            "jumps than grey ones belongs to a regulator that control made work harder.",
            figures.tap_positions(record, baseline),
        ),
        Panel(
            "Losses",
            "Losses grow with the square of the current, so flattening peaks lowers them.",
            figures.losses(record, baseline),
        ),
        Panel(
            "Line loading",
            "The most loaded line of each step; above the dashed line its rating is exceeded.",
            figures.line_loading(record, baseline),
        ),
    ]


def _map_caption(record: Record) -> str:
    shown, steps = len(frame_steps(record)), len(record.steps)
    extent = f"all {steps} steps" if shown == steps else f"{shown} of {steps} steps"
    return (
        "Colour is the voltage of the bus's node farthest from 1 pu: pale is the middle of the band, "
        "full red or blue is outside the limits. It opens at the step with the voltage farthest from "
        f"the middle; the slider holds {extent}."
    )


def _other_devices(record: Record, baseline: Record | None) -> list[str]:
    """What kinds beside batteries and PV systems did."""
    found = device_figures(record, baseline)
    if not found:
        return []
    rows = [
        (item.kind, item.label, f"{item.run:,.2f}", _or_dash(item.baseline), item.unit) for item in found
    ]
    heads = ("kind", "", "run", "without control", "unit")
    listing = Listing("Figures", "By the laws of each kind.", heads, rows, numbers=range(2, 4))
    panel = Panel(
        "Power of flexible devices",
        "Positive is power given to the network: load that is left out, or discharge.",
        device_charts.device_power(record, baseline),
    )
    positions = Panel(
        "Positions of network devices",
        "Set by the controller; without control by the feeder's own controls.",
        device_charts.device_positions(record, baseline),
    )
    shown = [panel_card(item) for item in (panel, positions) if item.figure is not None]
    return ["<h2>Flexible and network devices</h2>", *shown, list_card(listing)]


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _control(report: Report, record: Record) -> list[str]:
    if report.control is None:
        return []
    panels = [
        Panel(
            "Battery set-points, requested, accepted and delivered",
            "The three lines lie on each other when the plant could do everything it was asked to.",
            device_charts.storage_setpoints(record),
        )
    ]
    if report.control.plans:
        panels.append(
            Panel(
                "Time per decision",
                "Dots must stay far below the dashed line, or the set-points would come too late.",
                figures.decision_time(record),
            )
        )
    return [
        "<h2>The controller</h2>",
        panel_card(panels[0]),
        _cuts(report, record),
        *map(panel_card, panels[1:]),
    ]


# --- lists ----------------------------------------------------------------------------------------


def _cuts(report: Report, record: Record) -> str:
    total = 0 if report.control is None else report.control.setpoints_cut
    if not total:
        return '<section class="card"><h3>Cut set-points</h3><p>None.</p></section>'
    rows = [
        (
            _moment(record, cut.step),
            cut.device,
            f"{cut.requested_kw:.3f}",
            f"{cut.accepted_kw:.3f}",
            f"{cut.requested_kvar:.3f}",
            f"{cut.accepted_kvar:.3f}",
            cut.reason,
        )
        for cut in cut_setpoints(record, at_most=CUTS_SHOWN)
    ]
    heads = ("step from", "device", "asked kW", "accepted kW", "asked kvar", "accepted kvar", "reason")
    note = _extent(rows, total)
    return list_card(Listing("Cut set-points", note, heads, rows, numbers=range(2, 6)))


def _events(record: Record) -> str:
    """Everything that was unusual, in the order of time."""
    rows: list[tuple[str, str, str]] = []
    columns = ("step", "source", "reason", "why_safe", "events")
    for step, source, reason, why_safe, events in zip(
        *(record.steps[name] for name in columns), strict=True
    ):
        moment = _moment(record, int(step))
        if source != "PLAN":
            rows.append((moment, "decision", f"{source}: {reason}"))
        if why_safe:
            rows.append((moment, "safe state", str(why_safe)))
        rows += [(moment, "plant", str(event)) for event in events]
    if not rows:
        return '<h2>Events</h2><section class="card"><p>None.</p></section>'
    shown = rows[:EVENTS_SHOWN]
    listing = Listing("", _extent(shown, len(rows)), ("step from", "of", "what"), shown)
    return "<h2>Events</h2>" + list_card(listing)


def _extent(shown: Sequence[object], total: int) -> str:
    return f"{total} in all." if len(shown) == total else f"The first {len(shown)} of {total}."


def _moment(record: Record, step: int) -> str:
    return f"{record.site.grid.timestamp(step):%d %b %H:%M} (step {step})".replace(" ", NO_BREAK)


def _facts(record: Record) -> str:
    """The manifest, so that the run can be repeated."""
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="hash">{escape(value)}</td></tr>'
        for name, value in _flat("", record.manifest)
    )
    return (
        "<details><summary>How this run was made: versions, hashes, seeds, limits</summary>"
        f'<section class="card scroll"><table><tbody>{rows}</tbody></table></section></details>'
    )


def _flat(prefix: str, values: dict[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        found += _flat(f"{path} / ", value) if isinstance(value, dict) else [(path, str(value))]
    return found
