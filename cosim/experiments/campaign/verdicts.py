"""What a campaign states about its runs, row by row; rules of acceptance add rows of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from cosim.experiments.campaign.attribution import LINES, VOLTAGE, cheaper_than_bound
from cosim.experiments.campaign.limits import LimitOutcome

MOST_NAMED = 5
"""Variants that the statement about a limit names; the matrix of limits has all."""
ACCEPTED = "every complete run keeps the limits under accept"


@dataclass(frozen=True)
class VerdictRow:
    """A statement that the runs keep or break.

    Attributes:
        rule: the statement.
        state: note where it is broken and the reader only has to know; unjudged where nothing can be said.
        found: what was found, in a sentence.
        accepts: whether the campaign asked for it under ``accept``.
    """

    rule: str
    state: Literal["pass", "note", "fail", "unjudged"]
    found: str
    accepts: bool = False


def verdict_rows(
    table: pd.DataFrame,
    planned: int,
    outcomes: Sequence[LimitOutcome] = (),
    bound_of: Mapping[str, str] | None = None,
) -> tuple[VerdictRow, ...]:
    """What holds of every campaign, and what it asked for.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        planned: number of runs.
        outcomes: of the campaign's own limits.
        bound_of: the bound of each variant that has one.
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
        rows += _bound(complete, bound_of or {})
    return (*rows, *_own_limits(outcomes))


def _acceptance(complete: pd.DataFrame) -> list[VerdictRow]:
    """Whether all runs keep the limits under ``accept``; nothing where none has limits."""
    judged = complete[complete["accepted"].notna()]
    if judged.empty:
        return []
    rejected = judged[~judged["accepted"].astype(bool)]
    named = "; ".join(sorted(set(rejected["rejected_for"].astype(str))))
    found = f"{len(rejected)} of {len(judged)} runs do not" + (f": {named}" if named else "")
    return [VerdictRow(ACCEPTED, "pass" if rejected.empty else "fail", found, accepts=True)]


def _bound(complete: pd.DataFrame, bound_of: Mapping[str, str]) -> list[VerdictRow]:
    """Whether bounds are bounds. A run that leaves the limits more than its bound may be cheaper."""
    if not bound_of:
        return []
    cheaper = cheaper_than_bound(complete, bound_of)
    within = cheaper[~cheaper[VOLTAGE] & ~cheaper[LINES]]
    found = (
        f"{len(within)} of {int(complete['variant'].isin(list(bound_of)).sum())} runs are, "
        f"{len(cheaper) - len(within)} more that leave limits for longer or farther than the run of their "
        f"bound (voltage: {int(cheaper[VOLTAGE].sum())}, lines: {int(cheaper[LINES].sum())})"
    )
    if not within.empty:
        worst = within.sort_values("part").iloc[-1]
        found += (
            f"; most: {worst['variant']}, seed {worst['seed']:.0f}, by {worst['part']:.2g} of the bound"
        )
    return [
        VerdictRow(
            "no run is cheaper than its bound by more than 1e-6 and keeps voltage and line limits as well",
            "pass" if within.empty else "fail",
            found,
        )
    ]


def _own_limits(outcomes: Sequence[LimitOutcome]) -> list[VerdictRow]:
    """One statement per limit; some of the variants that break it are named."""
    rows = []
    for limit in dict.fromkeys(outcome.limit for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.limit == limit]
        broken = [outcome for outcome in mine if not outcome.passed]
        found = f"{len(mine) - len(broken)} of {len(mine)} variants keep it"
        named = "; ".join(outcome.sentence for outcome in broken[:MOST_NAMED])
        if len(broken) > MOST_NAMED:
            named += f"; and {len(broken) - MOST_NAMED} more variants"
        found += f". {named}" if named else ""
        rows.append(VerdictRow(limit, "fail" if broken else "pass", found, accepts=True))
    return rows
