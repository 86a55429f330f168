"""Time series from CSV and parquet, checked before they are believed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from cosim.bounded import Unreadable, must_be_bounded
from cosim.errors import SeriesError
from cosim.model.arrays import FloatArray, IntArray
from cosim.run.bounded import MOST_SERIES_BYTES, STRANGE
from cosim.run.scenario import Resample

TIME_COLUMN = "time"
FIRST_YEAR, LAST_YEAR = 1900, 2200


def read_table(path: Path) -> pd.DataFrame:
    """A table of series with an aware, sorted, gapless time index.

    Raises:
        SeriesError: the file cannot be read, times are naive, unsorted, double or have gaps.
    """
    if not path.exists():
        raise SeriesError(f"{path} does not exist")
    try:
        must_be_bounded(path, MOST_SERIES_BYTES)
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, low_memory=False)
    except Unreadable as error:
        raise SeriesError(f"{path} {error}") from error
    except (*STRANGE, OSError, pa.ArrowException) as error:
        raise SeriesError(f"{path} cannot be read: {str(error)[:300]}") from error
    table.columns = [str(column) for column in table.columns]
    if table.columns.has_duplicates:
        double = sorted(table.columns[table.columns.duplicated()])
        raise SeriesError(f"{path} has two columns {double[0]!r}")
    if TIME_COLUMN not in table.columns:
        raise SeriesError(f"{path} has no column {TIME_COLUMN!r}; it has {', '.join(table.columns)}")
    table.index = _times(path, table[TIME_COLUMN])
    table = table.drop(columns=TIME_COLUMN)
    _check_index(path, table.index)
    return table


def _times(path: Path, column: pd.Series) -> pd.DatetimeIndex:
    try:
        stamps = [datetime.fromisoformat(str(value)) for value in column]
        index = pd.DatetimeIndex(pd.to_datetime([s for s in stamps if s.tzinfo is not None], utc=True))
    except STRANGE as error:
        raise SeriesError(
            f"{path}: {str(error)[:200]}; write times as 2024-06-21T00:15:00+02:00"
        ) from error
    naive = [row for row, stamp in enumerate(stamps) if stamp.tzinfo is None]
    if naive:
        raise SeriesError(
            f"{path} row {naive[0] + 2}: time {column.iloc[naive[0]]} has no UTC offset; "
            f"write it with one, e.g. {stamps[naive[0]].isoformat()}+02:00"
        )
    strange = [s for s in stamps if not FIRST_YEAR <= s.year <= LAST_YEAR]
    if strange:
        raise SeriesError(f"{path}: {strange[0].isoformat()} is not between {FIRST_YEAR} and {LAST_YEAR}")
    return index


def _check_index(path: Path, index: pd.Index) -> None:
    if len(index) < 2:
        raise SeriesError(f"{path} has {len(index)} rows; a series needs at least two")
    seconds = np.asarray(index.astype("datetime64[ns, UTC]").astype("int64")) // 1_000_000_000
    steps = np.diff(seconds)
    if (steps <= 0).any():
        row = int(np.flatnonzero(steps <= 0)[0]) + 3
        what = "repeats" if steps[row - 3] == 0 else "is earlier than"
        raise SeriesError(
            f"{path} row {row}: time {index[row - 2]} {what} the row before it; sort the file"
        )
    if (steps != steps[0]).any():
        row = int(np.flatnonzero(steps != steps[0])[0]) + 3
        raise SeriesError(
            f"{path} row {row}: {steps[row - 3]} s after the row before it, the rows above are "
            f"{steps[0]} s apart; fill the gap"
        )


def column_at_steps(
    table: pd.DataFrame,
    column: str,
    *,
    source: str,
    start: datetime,
    step_s: int,
    steps: int,
    resample: Resample,
) -> FloatArray:
    """One column as one value per step.

    A value stands for the time from its stamp to the next. ``refuse`` accepts only rows that are
    exactly the steps; ``hold`` repeats a coarser value, ``linear`` draws straight lines between
    coarser values, ``mean`` averages finer ones.

    Args:
        table: from :func:`read_table`.
        column: name of the column.
        source: file name for messages.
        start, step_s, steps: the steps.
        resample: what may be done where the file's rows are not the steps.

    Raises:
        SeriesError: unknown column, no number, series too short, or resampling that was not allowed.
    """
    problems: list[str] = []
    values = _numbers(table, column, source, problems)
    stamps = np.asarray(table.index.astype("datetime64[ns, UTC]").astype("int64")) // 1_000_000_000
    spacing = int(stamps[1] - stamps[0])
    first = int(start.timestamp())
    wanted = (first + step_s * np.arange(steps)).astype(np.int64)
    end_s = first + step_s * steps
    if first < stamps[0] or end_s > stamps[-1] + spacing:
        problems.append(
            f"{source} covers {_utc(int(stamps[0]))} to {_utc(int(stamps[-1]) + spacing)}, the run with "
            f"its look-ahead needs {_utc(first)} to {_utc(end_s)}; lengthen the series or shorten steps "
            "or horizon"
        )
    rows_are_steps = spacing == step_s and (wanted[0] - stamps[0]) % step_s == 0
    if not rows_are_steps and resample == "refuse":
        problems.append(
            f"{source} has a row every {spacing} s, the steps are {step_s} s; "
            "say how with 'resample: hold', 'linear' or 'mean'"
        )
    if problems:
        raise SeriesError("; ".join(problems))
    if rows_are_steps:
        at = int((wanted[0] - stamps[0]) // step_s)
        return values[at : at + steps]
    if resample == "mean":
        return _mean(values, stamps, spacing, wanted, step_s, source)
    if resample == "hold":
        return values[np.searchsorted(stamps, wanted, side="right") - 1]
    return np.interp(wanted, stamps, values)


def _numbers(table: pd.DataFrame, column: str, source: str, problems: list[str]) -> FloatArray:
    """The values of a column; what is wrong with them is added to ``problems``."""
    if column not in table.columns:
        problems.append(f"{source} has no column {column!r}; it has {', '.join(table.columns)}")
        return np.zeros(0)
    values = np.asarray(pd.to_numeric(table[column], errors="coerce"), dtype=np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        problems.append(f"{source} row {row + 2}: {column} is not a finite number")
    return values


def _utc(second: int) -> str:
    return datetime.fromtimestamp(second, tz=UTC).isoformat(sep=" ")


def _mean(
    values: FloatArray, stamps: IntArray, spacing: int, wanted: IntArray, step_s: int, source: str
) -> FloatArray:
    if step_s % spacing or (wanted[0] - stamps[0]) % spacing:
        raise SeriesError(
            f"{source}: steps of {step_s} s are not whole groups of rows {spacing} s apart; "
            "use 'resample: hold' or 'linear'"
        )
    per_step = step_s // spacing
    at = int((wanted[0] - stamps[0]) // spacing)
    groups = values[at : at + per_step * len(wanted)].reshape(len(wanted), per_step)
    return np.asarray(groups.mean(axis=1))
