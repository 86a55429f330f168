"""Series from files, checked before they are believed: joined, without gaps, one value per step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from cosim.errors import SeriesError
from cosim.model.arrays import FloatArray, IntArray
from cosim.run.bounded import STRANGE
from cosim.run.input_config import FormatConfig, GapConfig, Resample
from cosim.run.series_bounds import Bounds
from cosim.run.series_file import SeriesFile, name_of, paths_of, read_series_file
from cosim.run.series_gaps import Filled, filled_up
from cosim.run.series_times import utc_text


@dataclass(frozen=True)
class Span:
    """The steps that a series must cover.

    Attributes:
        start_s: start of the first step, seconds since 1970, UTC.
        step_s: length of a step.
        steps: how many.
        before_run: they end where the run begins: rows that tell of a later time are not read.
    """

    start_s: int
    step_s: int
    steps: int
    before_run: bool = False

    @classmethod
    def of(cls, start: datetime, step_s: int, steps: int, *, before_run: bool = False) -> Span:
        """Steps from a moment on."""
        return cls(int(start.timestamp()), step_s, steps, before_run)

    @property
    def end_s(self) -> int:
        """End of the last step."""
        return self.start_s + self.step_s * self.steps

    @property
    def seconds(self) -> IntArray:
        """Start of each step."""
        return (self.start_s + self.step_s * np.arange(self.steps)).astype(np.int64)


@dataclass(frozen=True)
class Points:
    """A series as its files hold it, in order of time.

    Attributes:
        column: its name in the files.
        sources: names of the files.
        second: of each value, seconds since 1970, UTC.
        value: NaN where the cell is empty.
        file, row: where each value stands: number in ``sources``, row in that file.
    """

    column: str
    sources: tuple[str, ...]
    second: IntArray
    value: FloatArray
    file: IntArray
    row: IntArray

    def source(self, at: int) -> str:
        """File of a value."""
        return self.sources[int(self.file[at])]

    def place(self, at: int) -> str:
        """File and row of a value."""
        return f"{self.source(at)} row {self.row[at]}"

    def part(self, first: int, last: int) -> Points:
        """Values ``first .. last - 1``."""
        cut = slice(first, last)
        return Points(
            self.column, self.sources, self.second[cut], self.value[cut], self.file[cut], self.row[cut]
        )

    def places(self) -> Iterator[str]:
        """Where each value stands, with the column."""
        return (f"{self.place(at)}: {self.column} " for at in range(len(self.value)))


REFUSED = GapConfig()


@dataclass(frozen=True)
class Rules:
    """What may be done to the values of a series.

    Attributes:
        resample: where rows are not steps.
        gaps: where values are missing.
        scale: that every value is multiplied by.
        bounds: of the scaled values.
    """

    resample: Resample = "refuse"
    gaps: GapConfig = REFUSED
    scale: float = 1.0
    bounds: Bounds | None = None


class SeriesReader:
    """Reads series of one study; a file that holds several is read once.

    Args:
        folder: where relative paths start.
        span: steps that every series must cover.

    Attributes:
        filled: every gap that was filled, in the order of reading.
    """

    def __init__(self, folder: Path, span: Span) -> None:
        self._folder, self._span = folder, span
        self._read: dict[tuple[Path, FormatConfig], SeriesFile] = {}
        self.filled: list[Filled] = []

    @property
    def steps(self) -> int:
        """How many values a series gets."""
        return self._span.steps

    def files(self, names: Path | Iterable[Path], form: FormatConfig) -> list[SeriesFile]:
        """The files of one entry.

        Raises:
            SeriesError: one cannot be read, or a glob matches none.
        """
        paths = paths_of(self._folder, names)
        if not paths:
            raise SeriesError(f"no file in {self._folder} matches {names}; the path is relative to it")
        for path in paths:
            if (path, form) not in self._read:
                self._read[path, form] = read_series_file(path, name_of(path, self._folder), form)
        return [self._read[path, form] for path in paths]

    def values(self, files: list[SeriesFile], column: str, rules: Rules) -> FloatArray:
        """One value per step.

        Raises:
            SeriesError: see :func:`points_of` and :func:`at_steps`.
        """
        if problems := list(_without(files, column)):
            second = np.unique(np.concatenate([file.second for file in files]))
            if len(second) > 1:
                spacing = _spacing(second)
                problems += _misfits(second, spacing, self._span, rules.resample, files[0].source)
            raise SeriesError("; ".join(problems))
        points = points_of(files, column)
        if self._span.before_run:
            points = _until(points, self._span.end_s)
        values, filled = at_steps(points, self._span, rules)
        self.filled += filled
        return values


def _until(points: Points, end_s: int) -> Points:
    """Rows whose value stands for a time that is over by then.

    Raises:
        SeriesError: fewer than two are left.
    """
    count = int(np.searchsorted(points.second, end_s - _spacing(points.second), side="right"))
    if count < 2:
        raise SeriesError(
            f"{points.sources[0]} has {count} rows of {points.column} before the run, which begins at "
            f"{utc_text(end_s)}; a history needs at least two"
        )
    return points.part(0, count)


def _without(files: list[SeriesFile], column: str) -> Iterator[str]:
    """A sentence for each file that has no such column."""
    for file in files:
        try:
            file.match(column)
        except SeriesError as error:
            yield str(error)


def points_of(files: list[SeriesFile], column: str) -> Points:
    """One series of one or several files, joined in time.

    Raises:
        SeriesError: a file does not hold it, or rows are unsorted, double or overlap.
    """
    parts = sorted((_points_of_file(file, column) for file in files), key=lambda part: int(part.second[0]))
    for one, other in pairwise(parts):
        if other.second[0] <= one.second[-1]:
            # The first row of the earlier file that is not before the later one.
            at = int(np.searchsorted(one.second, other.second[0]))
            raise SeriesError(
                f"{one.place(at)} ({utc_text(int(one.second[at]))}) and {other.place(0)} "
                f"({utc_text(int(other.second[0]))}) overlap; files of one series must follow each other"
            )
    count = [len(part.second) for part in parts]
    joined = Points(
        parts[0].column,
        tuple(part.sources[0] for part in parts),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.repeat(np.arange(len(parts)), count),
        np.concatenate([part.row for part in parts]),
    )
    if len(joined.second) < 2:
        raise SeriesError(f"{joined.sources[0]} has {len(joined.second)} rows; a series needs at least two")
    return joined


def _points_of_file(file: SeriesFile, column: str) -> Points:
    name = file.match(column)
    at = np.arange(len(file.row)) if file.keys is None else file.keys[name]
    cells = file.cells[name if file.keys is None else file.cells.columns[0]].iloc[at]
    second, row = file.second[at], file.row[at]
    back = np.flatnonzero(np.diff(second) <= 0)
    if back.size:
        raise SeriesError(_unsorted(file.source, second, row, int(back[0])))
    value = _numbers(cells, row, name, file.source)
    return Points(name, (file.source,), second, value, np.zeros(len(at), dtype=np.int64), row)


def _unsorted(source: str, second: IntArray, row: IntArray, at: int) -> str:
    """What is wrong with the row after ``at``, which is not later than it."""
    now, here = utc_text(int(second[at + 1])), f"{source} row {row[at + 1]}: time"
    double = np.flatnonzero(second[: at + 1] == second[at + 1])
    if second[at + 1] == second[at]:
        return (
            f"{here} {now} repeats the row before it, row {row[at]}; take one of them out, or sort the file"
        )
    again = f" and repeats row {row[double[0]]}" if double.size else ""
    return f"{here} {now} is earlier than the row before it, row {row[at]}{again}; sort the file"


def _numbers(cells: pd.Series, row: IntArray, column: str, source: str) -> FloatArray:
    """Numbers, NaN where a cell is empty."""
    try:
        if pd.api.types.is_datetime64_any_dtype(cells.dtype):
            raise TypeError("times")
        value = np.array(pd.to_numeric(cells, errors="coerce"), dtype=np.float64)
    except STRANGE as error:
        raise SeriesError(f"{source}: {column} holds {str(error)[:100]}, no numbers") from error
    wrong = np.flatnonzero(np.isinf(value) | (np.isnan(value) & cells.notna().to_numpy()))
    if wrong.size:
        text = str(cells.iloc[wrong[0]])[:40]
        hint = "; with a decimal comma give 'format: {decimal: \",\"}'" if "," in text else ""
        raise SeriesError(
            f"{source} row {row[wrong[0]]}: {column} is not a finite number: {text!r}; correct it{hint}"
        )
    return value


def at_steps(points: Points, span: Span, rules: Rules) -> tuple[FloatArray, list[Filled]]:
    """One value per step, and the gaps that were filled.

    A value stands for the time from its stamp to the next. ``refuse`` accepts only rows that are
    exactly the steps; ``hold`` repeats a coarser value, ``linear`` draws straight lines between
    coarser values, ``mean`` averages finer ones.

    Raises:
        SeriesError: too short, a gap or resampling that was not allowed, or a value out of bounds.
    """
    spacing = _spacing(points.second)
    source = points.sources[0] if len(points.sources) == 1 else f"{points.sources[0]} and others"
    if problems := _misfits(points.second, spacing, span, rules.resample, source):
        raise SeriesError("; ".join(problems))
    part = _scaled(_needed(points, span, spacing, rules.resample), rules)
    stamps, values, filled = filled_up(part, spacing, rules.gaps, span.step_s)
    with np.errstate(over="ignore"):
        found = _resampled(values, stamps, spacing, span, rules.resample, source)
    if not np.isfinite(found).all():
        raise SeriesError(f"{source}: {points.column} holds numbers too large to work with; correct them")
    return found, filled


def _misfits(second: IntArray, spacing: int, span: Span, resample: Resample, source: str) -> list[str]:
    """How rows do not fit the steps, whatever they hold."""
    problems, first, end = [], int(second[0]), int(second[-1]) + spacing
    if span.start_s < first or span.end_s > end:
        who, what = "the run with its look-ahead needs", "steps or horizon"
        if span.before_run:
            who, what = "the history needs", "'inputs.history.length_s'"
        problems.append(
            f"{source} covers {utc_text(first)} to {utc_text(end)}, {who} "
            f"{utc_text(span.start_s)} to {utc_text(span.end_s)}; lengthen the series or shorten {what}"
        )
    rows = f"{source} has a row every {spacing} s, the steps are {span.step_s} s"
    if resample == "refuse" and not _are_steps(first, spacing, span):
        problems.append(
            f"{rows}; say how for this series or for all, with 'resample: hold', 'linear' or 'mean'"
        )
    if resample in {"hold", "linear"} and spacing < span.step_s:
        problems.append(
            f"{rows}: 'resample: {resample}' would leave finer rows out; give this series 'resample: mean'"
        )
    return problems


def _are_steps(first: int, spacing: int, span: Span) -> bool:
    return spacing == span.step_s and (span.start_s - first) % spacing == 0


def _spacing(second: IntArray) -> int:
    """The most frequent distance of rows, the shortest of these where several are."""
    distance = np.diff(second)
    if (distance == distance[0]).all():
        return int(distance[0])
    distances, counts = np.unique(distance, return_counts=True)
    return int(distances[counts.argmax()])


def _needed(points: Points, span: Span, spacing: int, resample: Resample) -> Points:
    """The part that the steps depend on, from one value that is there to another."""
    first = int(np.searchsorted(points.second, span.start_s, side="right")) - 1
    last = int(np.searchsorted(points.second, span.end_s)) - 1
    if last + 1 < len(points.second) and (
        resample == "linear" or points.second[last] + spacing < span.end_s
    ):
        last += 1
    present = np.flatnonzero(np.isfinite(points.value))
    before, after = present[present <= first], present[present >= last]
    first, last = int(before[-1]) if before.size else first, int(after[0]) if after.size else last
    return points.part(first, last + 1)


def _scaled(points: Points, rules: Rules) -> Points:
    with np.errstate(over="ignore"):
        value = points.value if rules.scale == 1.0 else rules.scale * points.value
    if rules.bounds is not None:
        rules.bounds.check(value, points.places())
    return Points(points.column, points.sources, points.second, value, points.file, points.row)


def _resampled(
    values: FloatArray, stamps: IntArray, spacing: int, span: Span, resample: Resample, source: str
) -> FloatArray:
    if _are_steps(int(stamps[0]), spacing, span):
        at = int((span.start_s - stamps[0]) // spacing)
        return values[at : at + span.steps]
    if resample == "mean":
        return _mean(values, stamps, spacing, span, source)
    if resample == "hold":
        return values[np.searchsorted(stamps, span.seconds, side="right") - 1]
    return np.interp(span.seconds, stamps, values)


def _mean(values: FloatArray, stamps: IntArray, spacing: int, span: Span, source: str) -> FloatArray:
    if span.step_s % spacing or (span.start_s - stamps[0]) % spacing:
        other = (
            "use 'resample: hold' or 'linear' for it"
            if spacing > span.step_s
            else f"choose steps of a multiple of {spacing} s that begin with a row"
        )
        raise SeriesError(
            f"{source}: steps of {span.step_s} s are not whole groups of rows {spacing} s apart; {other}"
        )
    per_step = span.step_s // spacing
    at = int((span.start_s - stamps[0]) // spacing)
    groups = values[at : at + per_step * span.steps].reshape(span.steps, per_step)
    return np.asarray(groups.mean(axis=1))
