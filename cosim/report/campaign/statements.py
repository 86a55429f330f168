"""What a campaign states about its runs, at the head of its page: short, however many limits it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cosim.experiments.campaign.limits import LimitOutcome
from cosim.experiments.campaign.verdicts import VerdictRow
from cosim.report.campaign.matrix import limits_matrix
from cosim.report.page import Banner, Listing, Mark, State

WORDS: dict[State, str] = {"fail": "Fail", "note": "Note", "unjudged": "Not judged", "pass": "Pass"}
"""States of statements from the worst to the best, and their words."""
MOST_OPEN = 5
"""Limits that are shown without a click; where there are more, those that are kept are folded."""
MOST_NAMED = 3
"""Broken limits that the banner names."""


def banner_of(verdicts: Sequence[VerdictRow]) -> Banner:
    """The worst statement, or what was found where all hold; limits are counted, and few are named.

    Args:
        verdicts: see :func:`cosim.experiments.campaign.verdicts.verdict_rows`.
    """
    limits = [row for row in verdicts if row.accepts]
    others = [row for row in verdicts if not row.accepts]
    found = {row.state for row in verdicts}
    state: State = next((state for state in WORDS if state in found), "pass")
    if state == "pass":
        said = [*(row.found for row in others), *_counted(limits)]
        return Banner("pass", WORDS["pass"], "; ".join(said))
    lines = [f"{row.rule}: {row.found}" for row in others if row.state == state]
    broken = [row for row in limits if row.state == state]
    if broken:
        lines += [*_counted(limits), *(f"{row.rule}: {row.found}" for row in broken[:MOST_NAMED])]
        if len(broken) > MOST_NAMED:
            lines.append(f"and {len(broken) - MOST_NAMED} more limits, see Statements")
    return Banner(state, WORDS[state], lines[0], tuple(lines[1:]))


def statement_cards(
    verdicts: Sequence[VerdictRow], outcomes: Sequence[LimitOutcome] = ()
) -> Iterator[Listing]:
    """Tables of all statements, and of limits by variant.

    Args:
        verdicts: see :func:`cosim.experiments.campaign.verdicts.verdict_rows`.
        outcomes: of the limits under ``accept``.
    """
    limits = [row for row in verdicts if row.accepts]
    kept = [row for row in limits if row.state == "pass"] if len(limits) > MOST_OPEN else []
    yield Listing("", "What is stated about all runs.", HEADS, _rows(verdicts, without=kept))
    if kept:
        title = f"{len(kept)} of {len(limits)} limits are kept"
        yield Listing(title, "By enough seeds of all variants.", HEADS, _rows(kept), folded=True)
    if outcomes:
        yield limits_matrix(outcomes, folded=len(limits) > MOST_OPEN)


HEADS = ("statement", "", "found")


def _rows(verdicts: Sequence[VerdictRow], without: Sequence[VerdictRow] = ()) -> list[list[str | Mark]]:
    return [[row.rule, Mark(row.state, row.state), row.found] for row in verdicts if row not in without]


def _counted(limits: Sequence[VerdictRow]) -> list[str]:
    """How many limits are kept, in a sentence; nothing where there are none."""
    if not limits:
        return []
    broken = sum(row.state != "pass" for row in limits)
    if broken:
        return [f"{broken} of {len(limits)} limits are not kept"]
    return [f"all {len(limits)} limits are kept" if len(limits) > 1 else "the limit is kept"]
