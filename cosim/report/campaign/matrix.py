"""Which variants of a campaign keep which of its limits."""

from __future__ import annotations

from collections.abc import Sequence

from cosim.experiments.campaign.limits import LimitOutcome
from cosim.report.key_figures import ABSENT
from cosim.report.page import Cell, Listing, Mark


def limits_matrix(outcomes: Sequence[LimitOutcome], *, folded: bool = False) -> Listing:
    """Variants by limits: how many seeds keep each limit, and whether these are enough.

    Args:
        outcomes: one per limit and judged variant; a variant that a limit compares with has none.
        folded: whether the table is closed at first.
    """
    limits = list(dict.fromkeys(outcome.limit for outcome in outcomes))
    found = {(outcome.variant, outcome.limit): outcome for outcome in outcomes}
    rows: list[list[Cell]] = []
    for variant in dict.fromkeys(outcome.variant for outcome in outcomes):
        there = [found.get((variant, limit)) for limit in limits]
        rows.append([variant, *(ABSENT if one is None else _cell(one) for one in there)])
    return Listing(
        "Limits by variant",
        "Seeds that keep each limit, of all complete ones. ✓: enough of them; ✗: too few; ?: seeds lack "
        f"the figure or a counterpart. {ABSENT}: the limit compares with this variant.",
        ("variant", *limits),
        rows,
        folded=folded,
    )


def _cell(outcome: LimitOutcome) -> Mark:
    if outcome.value is None:
        return Mark("not known", "unjudged")
    text = f"{100.0 * outcome.kept / outcome.seeds:.3g} % ({outcome.kept} of {outcome.seeds})"
    return Mark(text, "pass" if outcome.passed else "unjudged" if outcome.reason else "fail")
