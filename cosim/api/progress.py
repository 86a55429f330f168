"""The bar that long work shows."""

from __future__ import annotations

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


def bar(what: str, *, shown: bool = True) -> Progress:
    """A progress bar on standard error that counts things of a kind.

    Args:
        what: the kind, e.g. ``steps``.
        shown: False for work that is done silently.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(what),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown,
    )


def describe(progress: Progress, task: TaskID, name: str, waits: str) -> None:
    """Show in the line of a bar for whom its run waits; an empty text takes that back."""
    text = escape(name) + (f": [yellow]{escape(waits)}[/yellow]" if waits else "")
    progress.update(task, description=text)
