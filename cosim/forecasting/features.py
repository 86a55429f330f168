"""Examples for a learner: what is known at an issue about a target some steps ahead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray, IntArray
from cosim.model.timegrid import TimeGrid

DAY_S, WEEK_DAYS = 86_400, 7


@dataclass(frozen=True)
class Table:
    """Totals of all steps up to the present one.

    Attributes:
        totals: NaN where nothing was measured, shape (step, quantity).
        before: how many of the steps are before the run.
        grid: the steps of the run.
    """

    totals: FloatArray
    before: int
    grid: TimeGrid

    def examples(self, window: int, ahead: int, most: int, seed: list[int]) -> tuple[IntArray, IntArray]:
        """Pairs of issue and lead whose target is known.

        Args:
            window: how many of the last steps may be targets.
            ahead: leads are 1 .. ahead - 1.
            most: where there are more pairs, so many are drawn.
            seed: of the draw.

        Returns:
            Rows of the table, and leads in steps.
        """
        last = len(self.totals) - 1
        targets = np.arange(max(last - window + 1, 1), last + 1)
        issue = (targets[:, None] - np.arange(1, ahead)[None, :]).ravel()
        lead = np.tile(np.arange(1, ahead), len(targets))
        there = issue >= 0
        issue, lead = issue[there], lead[there]
        if len(issue) > most:
            chosen = np.sort(np.random.default_rng(seed).choice(len(issue), most, replace=False))
            issue, lead = issue[chosen], lead[chosen]
        return issue, lead


def rows_of(table: Table, column: int, issue: IntArray, lead: IntArray) -> FloatArray:
    """Features of examples; none reads a row after its issue.

    Args:
        table: what is known.
        column: quantity.
        issue: rows of the table.
        lead: steps from issue to target.

    Returns:
        Shape (example, feature): hour and weekday of the target, lead, last value, the value of the same
        clock time on the last day and in the last week that were known at the issue, and how far the last
        value is from that of a day before it. NaN is unknown.
    """
    grid, values = table.grid, table.totals[:, column]
    local = grid.start
    midnight_s = local.hour * 3600 + local.minute * 60 + local.second
    second = midnight_s + (issue + lead - table.before) * grid.step_s
    weekday = (local.weekday() + second // DAY_S) % WEEK_DAYS
    day = _day(table)
    return np.column_stack(
        [
            (second % DAY_S) / 3600.0,
            weekday,
            lead,
            values[issue],
            _season_before(values, issue, lead, day),
            _season_before(values, issue, lead, WEEK_DAYS * day),
            values[issue] - _season_before(values, issue, np.zeros_like(lead), day, skipped=1),
        ]
    ).astype(np.float64)


def day_before(table: Table, column: int, issue: IntArray, lead: IntArray) -> FloatArray:
    """Value of the same clock time on the last day that was known at the issue, shape (example,)."""
    return _season_before(table.totals[:, column], issue, lead, _day(table))


def targets_of(table: Table, column: int, issue: IntArray, lead: IntArray) -> FloatArray:
    """What came, shape (example,)."""
    return np.asarray(table.totals[issue + lead, column])


def _day(table: Table) -> int:
    """Steps of a day."""
    return max(DAY_S // table.grid.step_s, 1)


def _season_before(
    values: FloatArray, issue: IntArray, lead: IntArray, season: int, skipped: int = 0
) -> FloatArray:
    """Value of the target's place in the last season that was known at the issue, or in one before it."""
    at = issue + lead - season * (skipped + -(-lead // season))
    return np.where(at >= 0, values[np.maximum(at, 0)], np.nan)
