"""From times as people write them to seconds since 1970, UTC; both nights of a clock change included."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from cosim.errors import SeriesError
from cosim.model.arrays import IntArray
from cosim.run.bounded import STRANGE
from cosim.run.input_config import ISO, FormatConfig

FIRST_YEAR, LAST_YEAR = 1900, 2200
DAY_S = 86_400
Stamps = pd.DatetimeIndex


def seconds_of(
    times: pd.Series, rows: IntArray, form: FormatConfig, groups: Iterable[IntArray], source: str
) -> IntArray:
    """Seconds since 1970, UTC, of a column of times.

    Args:
        times: as they were read: text, or times of a parquet file.
        rows: number of each in its file, for messages.
        form: tells how times are written and where clocks without UTC offset stand.
        groups: positions of the rows that are one series each, in their order in the file.
        source: name of the file for messages.

    Raises:
        SeriesError: a time cannot be read, or it cannot be told which moment it is.
    """
    empty = np.flatnonzero(times.isna())
    if empty.size:
        raise SeriesError(f"{source} row {rows[empty[0]]} has no time; fill the cell or take the row out")
    written = [str(value) for value in times]
    try:
        stamps = _parsed(times, written, rows, form, source)
        if stamps.tz is not None:
            return _seconds(stamps)
        if form.timezone is None:
            raise SeriesError(
                f"{source} row {rows[0]}: time {written[0]} has no UTC offset; write it with one, e.g. "
                f"2024-06-21T00:15:00+02:00, or name the clock, e.g. 'format: {{timezone: Europe/Berlin}}'"
            )
        return _localized(stamps, form.timezone, rows, groups, source)
    except STRANGE as error:
        raise SeriesError(
            f"{source}: times cannot be read: {' '.join(str(error).split())[:200]}"
        ) from error


def utc_text(second: int) -> str:
    """A second as a time with its offset."""
    return datetime.fromtimestamp(second, tz=UTC).isoformat(sep=" ")


def _seconds(stamps: Stamps) -> IntArray:
    # Floor, so that parts of a second before and after 1970 are cut alike.
    return np.asarray(stamps.floor("s").tz_localize(None).astype("datetime64[s]").astype("int64"))


def _parsed(
    times: pd.Series, written: list[str], rows: IntArray, form: FormatConfig, source: str
) -> Stamps:
    """Aware stamps in UTC, or naive ones where no time has an offset."""
    if pd.api.types.is_datetime64_any_dtype(times.dtype):
        stamps = pd.DatetimeIndex(times)
        stamps = stamps if stamps.tz is None else stamps.tz_convert("UTC")
    elif form.time_format in (None, ISO):
        stamps = _from_iso(written, rows, source)
    else:
        stamps = _from_format(written, str(form.time_format), rows, source)
    strange = np.flatnonzero((stamps.year < FIRST_YEAR) | (stamps.year > LAST_YEAR))
    if strange.size:
        at = strange[0]
        raise SeriesError(
            f"{source} row {rows[at]}: {written[at]} is not between {FIRST_YEAR} and {LAST_YEAR}"
        )
    return stamps


def _from_iso(written: list[str], rows: IntArray, source: str) -> Stamps:
    found: list[datetime] = []
    for at, text in enumerate(written):
        try:
            found.append(datetime.fromisoformat(text.strip()))
        except ValueError:
            raise SeriesError(
                f"{source} row {rows[at]}: {text[:40]!r} is no ISO time; write times as "
                "2024-06-21T00:15:00+02:00, or say how they are written, e.g. "
                "'format: {time_format: \"%d.%m.%Y %H:%M\"}'"
            ) from None
        if not FIRST_YEAR <= found[-1].year <= LAST_YEAR:
            raise SeriesError(
                f"{source} row {rows[at]}: {text} is not between {FIRST_YEAR} and {LAST_YEAR}"
            )
    naive = np.array([stamp.tzinfo is None for stamp in found])
    if naive.all():
        return pd.DatetimeIndex(found)
    if naive.any():
        at = int(np.flatnonzero(naive)[0])
        raise SeriesError(
            f"{source} row {rows[at]}: time {written[at]} has no UTC offset, while others have one; "
            f"write it as the others, e.g. {found[at].isoformat()}+02:00"
        )
    return pd.DatetimeIndex([stamp.astimezone(UTC) for stamp in found])


def _from_format(written: list[str], time_format: str, rows: IntArray, source: str) -> Stamps:
    offsets = "%z" in time_format
    text = pd.Series(written).str.strip()
    found: Any = pd.to_datetime(text, format=time_format, errors="coerce", utc=offsets)
    failed = np.flatnonzero(found.isna())
    if failed.size:
        at = failed[0]
        raise SeriesError(
            f"{source} row {rows[at]}: time {written[at][:40]!r} is not written as time_format "
            f"{time_format!r}; correct the one or the other"
        )
    return pd.DatetimeIndex(found)


def _localized(
    naive: Stamps, zone: str, rows: IntArray, groups: Iterable[IntArray], source: str
) -> IntArray:
    """UTC seconds of times of a clock on the wall.

    An hour that the clock shows twice is told apart by the order in the file: what comes before the step
    back is summer time, what comes after it is not.
    """
    first = np.ones(len(naive), dtype=bool)
    clock = ZoneInfo(zone)
    early = naive.tz_localize(clock, ambiguous=first, nonexistent="NaT")
    missing = np.flatnonzero(early.isna())
    if missing.size:
        at = missing[0]
        raise SeriesError(
            f"{source} row {rows[at]}: {naive[at]} does not exist in {zone}: clocks skip this hour; "
            "take the row out if it is filled up, or give the zone that the times are written in, e.g. UTC"
        )
    seconds = _seconds(early.tz_convert("UTC"))
    late = _seconds(naive.tz_localize(clock, ambiguous=~first).tz_convert("UTC"))
    shown = _seconds(naive)
    twice = seconds != late
    if not twice.any():
        return seconds
    for group in groups:
        for night in _nights(group[twice[group]], shown):
            back = np.flatnonzero(np.diff(shown[night]) <= 0)
            if len(back) != 1:
                raise SeriesError(_untold(naive, night, rows, zone, source, len(back)))
            second_time = night[back[0] + 1 :]
            seconds[second_time] = late[second_time]
    return seconds


def _nights(positions: IntArray, shown: IntArray) -> list[IntArray]:
    """Positions of doubled times, night by night."""
    if not positions.size:
        return []
    cuts = np.flatnonzero(np.abs(np.diff(shown[positions])) > DAY_S) + 1
    return np.split(positions, cuts)


def _untold(naive: Stamps, night: IntArray, rows: IntArray, zone: str, source: str, steps_back: int) -> str:
    """Why it cannot be told which of two hours is meant."""
    at = night[0]
    times = "once" if steps_back == 0 else f"{steps_back + 1} times"
    return (
        f"{source} row {rows[at]}: {naive[at]} comes twice in the night of a clock change in {zone}, and "
        f"the file goes through that hour {times}, so it cannot be told which one is meant; give both "
        "hours, in order, write times with UTC offset, or name a zone whose clocks never change, e.g. UTC"
    )
