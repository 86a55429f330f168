"""The key figures in a terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from cosim.experiments.metrics import Report
from cosim.report.key_figures import key_figure_rows

COLOURS = {"better": "green", "worse": "red", "same": ""}


def key_figures(report: Report) -> Table:
    """The same rows as in the page."""
    state = "" if report.finished else f" [red]{report.status.upper()}, not all steps are there[/red]"
    if report.unsolved_steps:
        state += f" [red]{report.unsolved_steps} WITHOUT A POWER FLOW[/red]"
    table = Table(title=f"{escape(report.name)}: {report.run.steps} of {report.planned_steps} steps{state}")
    table.add_column("")
    for heading in ("run", "baseline", "difference"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    for row in key_figure_rows(report):
        colour = COLOURS[row.verdict]
        difference = f"[{colour}]{row.difference_text}[/{colour}]" if colour else row.difference_text
        table.add_row(row.label, row.run_text, row.baseline_text, difference, row.unit)
    return table
