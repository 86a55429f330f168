"""Closed loops of a benchmark, with a progress bar; an interrupted benchmark goes on where it stopped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cosim.api.progress import bar
from cosim.experiments.executor import Budget
from cosim.experiments.loop_case import CLOSED_LOOPS, LoopCase, LoopRow

SECONDS = 7200.0


def run_loops(cases: Sequence[LoopCase], folder: Path) -> dict[str, LoopRow]:
    """Rows of all cases by key; ends the program where one of them failed."""
    with bar("runs") as progress:
        task = progress.add_task("", total=len(cases))
        rows = CLOSED_LOOPS.campaign(
            cases,
            folder,
            Budget(SECONDS),
            lambda done, _total, key: progress.update(task, completed=done, description=key),
        )
    failed = {key: row.status for key, row in rows.items() if row.status != "complete"}
    if failed:
        sys.exit("\n".join(f"{key}: {why}" for key, why in failed.items()))
    return rows
