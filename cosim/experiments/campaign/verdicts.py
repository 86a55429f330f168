"""What a campaign states about its runs, row by row; rules of acceptance add rows of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

ACCEPTED = "every complete run keeps the limits under accept"


@dataclass(frozen=True)
class VerdictRow:
    """A statement that the runs keep or break.

    Attributes:
        rule: the statement.
        state: note where it is broken and the reader only has to know; unjudged where nothing can be said.
        found: what was found, in a sentence.
    """

    rule: str
    state: Literal["pass", "note", "fail", "unjudged"]
    found: str


def verdict_rows(table: pd.DataFrame, planned: int) -> tuple[VerdictRow, ...]:
    """What holds of every campaign.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        planned: number of runs.
    """
    failed = int((table["status"] == "failed").sum())
    missing = planned - len(table)
    rows = [
        VerdictRow(
            "every run comes to its end",
            "pass" if not failed and not missing else "fail",
            f"{len(table) - failed} of {planned} complete, {failed} failed, {missing} not computed",
        )
    ]
    complete = table[table["status"] == "complete"]
    if len(complete):
        unsound = int((~complete["sound"].astype(bool)).sum())
        rows.append(
            VerdictRow(
                "every complete run is sound: no events, safe states, late plans or unsolved steps",
                "pass" if not unsound else "note",
                f"{unsound} of {len(complete)} complete runs are not",
            )
        )
        rows += _acceptance(complete)
    return tuple(rows)


def _acceptance(complete: pd.DataFrame) -> list[VerdictRow]:
    """Whether all runs keep the limits under ``accept``; nothing where none has limits."""
    judged = complete[complete["accepted"].notna()]
    if judged.empty:
        return []
    rejected = judged[~judged["accepted"].astype(bool)]
    named = "; ".join(sorted(set(rejected["rejected_for"].astype(str))))
    found = f"{len(rejected)} of {len(judged)} runs do not" + (f": {named}" if named else "")
    return [VerdictRow(ACCEPTED, "pass" if rejected.empty else "fail", found)]
