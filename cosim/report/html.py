"""The report of a run: figures as ``metrics.json``, and one page that needs no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from cosim.devices.registry import counted
from cosim.experiments.acceptance import Figure
from cosim.experiments.compared import read_compared
from cosim.experiments.metrics import Report, measure_report, metrics_to_dict
from cosim.experiments.score import read_bound
from cosim.report.key_figures import key_figure_groups
from cosim.report.lists import events, manifest_rows
from cosim.report.page import Section, render
from cosim.report.panels import first_picture, sections
from cosim.report.verdict_text import headline, tiles
from cosim.run.record import Record


def write_report(folder: Path, own: Mapping[str, Figure] | None = None) -> Report:
    """Write ``metrics.json`` and ``report.html`` into a run's folder.

    Args:
        folder: of the run; a baseline is looked for in ``baseline/``.
        own: metrics of users.

    Returns:
        The figures in both files.

    Raises:
        RecordError: the folder is no run, or holds no finished step.
    """
    record, baseline, note = read_compared(folder)
    report = measure_report(record, baseline, baseline_note=note, own=own, bound=read_bound(folder))
    text = json.dumps(metrics_to_dict(report), indent=2, allow_nan=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(report, record, baseline), encoding="utf-8")
    return report


def page(report: Report, record: Record, baseline: Record | None) -> str:
    """The whole page."""
    note = (
        "Without control is the same feeder over the same steps. A tick marks an improvement, a cross the "
        "contrary; limits are counted without any tolerance."
    )
    if report.baseline is None:
        note = f"There is nothing to compare with: {report.baseline_note}."
    content = {
        "verdict": headline(report),
        "tiles": tiles(report),
        "picture": first_picture(report, record, baseline),
        "figures_note": note,
        "groups": key_figure_groups(report),
        "sections": (*sections(report, record, baseline), Section("Events", (events(record),))),
        "manifest": manifest_rows(record.manifest),
    }
    return render("report.html.j2", f"{report.name}: report", _facts(report, record), content)


def _facts(report: Report, record: Record) -> str:
    grid, manifest = record.site.grid, record.manifest
    control = manifest.get("controller") or "unknown controller"
    planner = f" with planner {manifest['planner']}" if manifest.get("planner") else ""
    return (
        f"{report.run.hours:g} h from {grid.start:%d %B %Y %H:%M %z} in steps of {grid.step_s} s; "
        f"{len(record.site.nodes)} nodes, "
        f"{counted(device.kind for device in record.site.devices)}; {control}{planner}"
    )
