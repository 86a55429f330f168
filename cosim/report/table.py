"""The verdict and the key figures in a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cosim.experiments.metrics import Report
from cosim.report.key_figures import key_figure_groups
from cosim.report.page import SIGNS, Banner
from cosim.report.verdict_text import headline, tiles

COLOURS = {"better": "green", "worse": "red", "same": ""}
STATES = {"pass": "green", "note": "yellow", "fail": "red", "unjudged": "magenta"}


def key_figures(report: Report) -> Group:
    """The verdict and the rows of the page."""
    verdict = headline(report)
    return Group(_line(verdict), *map(_line, tiles(report)), _table(report))


def _line(banner: Banner) -> Text:
    """The state with its sign and word, the sentence, and what it rests on."""
    text = Text(f"{SIGNS[banner.state]} {banner.word}", style=f"bold {STATES[banner.state]}")
    text.append(f"  {banner.headline}", style="not bold default")
    for detail in banner.details:
        text.append(f"\n    {detail}", style="not bold default")
    return text


def _table(report: Report) -> Table:
    sound = report.verdict.soundness
    title = f"{escape(report.name)}: {sound.steps} of {sound.planned_steps} steps"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("")
    for heading in ("run", "without control", "difference"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    for group in key_figure_groups(report):
        table.add_row(f"[bold]{group.title}[/bold]")
        for row in group.rows:
            colour = COLOURS[row.verdict]
            difference = f"[{colour}]{row.difference_text}[/{colour}]" if colour else row.difference_text
            table.add_row(row.label, row.run_text, row.baseline_text, difference, row.unit)
    return table
