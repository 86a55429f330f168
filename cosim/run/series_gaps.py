"""Missing rows and empty cells: refused, or filled by a stated rule and put on record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cosim.errors import SeriesError
from cosim.model.arrays import FloatArray, IntArray
from cosim.run.input_config import GapConfig, GapFill
from cosim.run.series_times import utc_text


@dataclass(frozen=True)
class Filled:
    """A gap that was filled.

    Attributes:
        file, column: where.
        first, last: times of the first and the last value that was missing.
        rule: how it was filled.
        count: how many values.
    """

    file: str
    column: str
    first: str
    last: str
    rule: GapFill
    count: int


class Values(Protocol):
    """Values in order of time, see :class:`cosim.run.series.Points`."""

    @property
    def column(self) -> str:
        """Name of the series."""
        ...

    @property
    def second(self) -> IntArray:
        """Of each value."""
        ...

    @property
    def value(self) -> FloatArray:
        """NaN where the cell is empty."""
        ...

    def source(self, at: int) -> str:
        """File of a value."""
        ...

    def place(self, at: int) -> str:
        """File and row of a value."""
        ...


@dataclass(frozen=True)
class _Gap:
    """Values that are missing.

    Attributes:
        first_s, last_s: times of the first and the last of them.
        near: the empty cell, or the row after the missing one.
        open_end: what has no value: ``before`` it, ``after`` it, or neither.
    """

    first_s: int
    last_s: int
    near: int
    open_end: str = ""


def filled_up(
    points: Values, spacing: int, gaps: GapConfig, step_s: int
) -> tuple[IntArray, FloatArray, list[Filled]]:
    """Times and values at equal distances, and what was filled.

    Args:
        points: as the files hold them.
        spacing: seconds between rows.
        gaps: what may be done.
        step_s: length of a step of the run, which counts how long a gap may be.

    Raises:
        SeriesError: a row is between the others, or a gap is not allowed.
    """
    offset = points.second - points.second[0]
    if (offset % spacing).any():
        at = int(np.flatnonzero(offset % spacing)[0])
        raise SeriesError(_uneven(points, at, spacing, "take the row out, or give rows at equal distances"))
    found = list(_gaps(points, spacing))
    # Before memory is taken for what is missing.
    for gap in found:
        _must_be_allowed(points, gap, spacing, gaps, step_s)
    stamps = np.arange(points.second[0], points.second[-1] + 1, spacing, dtype=np.int64)
    values = np.full(len(stamps), np.nan)
    values[offset // spacing] = points.value
    present = np.flatnonzero(np.isfinite(values))
    if found and gaps.rule == "hold":
        values = values[np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), 0))]
    elif found:
        values = np.interp(stamps, stamps[present], values[present])
    return stamps, values, [_on_record(points, gap, spacing, gaps.rule) for gap in found]


def _gaps(points: Values, spacing: int) -> Iterator[_Gap]:
    """Missing rows and empty cells, in order of time."""
    second, present = points.second, np.flatnonzero(np.isfinite(points.value))
    if not present.size:
        yield _Gap(int(second[0]), int(second[-1]), 0, "before")
        return
    if present[0] > 0:
        yield _Gap(int(second[0]), int(second[present[0]]) - spacing, 0, "before")
    for at in np.flatnonzero(np.diff(second[present]) > spacing):
        one, other = int(present[at]), int(present[at + 1])
        yield _Gap(int(second[one]) + spacing, int(second[other]) - spacing, one + 1)
    if present[-1] < len(second) - 1:
        end = int(present[-1])
        yield _Gap(int(second[end]) + spacing, int(second[-1]), end + 1, "after")


def _on_record(points: Values, gap: _Gap, spacing: int, rule: GapFill) -> Filled:
    count = (gap.last_s - gap.first_s) // spacing + 1
    first, last = utc_text(gap.first_s), utc_text(gap.last_s)
    return Filled(points.source(gap.near), points.column, first, last, rule, count)


def _must_be_allowed(points: Values, gap: _Gap, spacing: int, gaps: GapConfig, step_s: int) -> None:
    lasts_s = gap.last_s - gap.first_s + spacing
    steps = -(-lasts_s // step_s)
    if gaps.rule == "refuse":
        rule = f"say how with 'gaps: {{rule: hold, up_to: {steps}}}' or 'interpolate'"
        if points.second[gap.near] != gap.first_s:
            raise SeriesError(_uneven(points, gap.near, spacing, f"fill the gap, or {rule}"))
        raise SeriesError(
            f"{points.place(gap.near)}: {points.column} is not a finite number: the cell is empty; fill "
            f"it, or {rule}"
        )
    where = f"{points.place(gap.near)}: {points.column} has no value from {utc_text(gap.first_s)} on"
    if gaps.up_to is not None and lasts_s > gaps.up_to * step_s:
        raise SeriesError(
            f"{where}, for {lasts_s} s or {steps} steps, and 'gaps' fills up to {gaps.up_to}; fill the "
            "gap, or raise 'up_to'"
        )
    if gap.open_end == "before" or (gap.open_end and gaps.rule == "interpolate"):
        raise SeriesError(
            f"{where}, and no value {gap.open_end} it to {gaps.rule} from; fill it, or choose another time"
        )


def _uneven(points: Values, at: int, spacing: int, advice: str) -> str:
    distance = int(points.second[at] - points.second[at - 1])
    return (
        f"{points.place(at)}: {distance} s after the row before it, the other rows are {spacing} s apart; "
        f"{advice}"
    )
