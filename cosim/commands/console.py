"""Where commands write, and the bar they show."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

FINE, FAILED, INVALID = 0, 1, 2
out = Console()
err = Console(stderr=True)


TrustOption = Annotated[
    bool,
    typer.Option("--trust", help="execute modules that lie beside the scenario: read them before"),
]


def bar(what: str) -> Progress:
    """A progress bar that counts things of a kind."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(what),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=err,
    )


def describe(progress: Progress, task: TaskID, name: str, waits: str) -> None:
    """Show in the line of a bar for whom its run waits; an empty text takes that back."""
    text = escape(name) + (f": [yellow]{escape(waits)}[/yellow]" if waits else "")
    progress.update(task, description=text)
