"""Times without UTC offset: both nights of a clock change, in wide and in long tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosim.errors import SeriesError
from cosim.run.input_config import FormatConfig
from cosim.run.series import points_of
from cosim.run.series_file import read_series_file

BERLIN = {"timezone": "Europe/Berlin"}
AUTUMN = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]


def seconds(tmp_path: Path, day: str, clock: list[str], **form: str) -> list[int]:
    """Seconds between the rows and the first one."""
    path = tmp_path / "s.csv"
    path.write_text("time,x\n" + "".join(f"{day} {time},1\n" for time in clock))
    found = points_of([read_series_file(path, "s.csv", FormatConfig(**(BERLIN | form)))], "x")
    return (found.second - found.second[0]).tolist()


def test_the_doubled_hour_is_told_by_the_order_in_the_file(tmp_path):
    assert seconds(tmp_path, "2024-10-27", AUTUMN) == (1800 * np.arange(6)).tolist()
    # 00:00 UTC is 02:00 in summer time.
    path = tmp_path / "s.csv"
    found = points_of([read_series_file(path, "s.csv", FormatConfig(**BERLIN))], "x")
    assert found.second[1] == np.datetime64("2024-10-27T00:00", "s").astype(int)


def test_a_file_may_begin_within_the_doubled_hour(tmp_path):
    assert seconds(tmp_path, "2024-10-27", AUTUMN[2:]) == [0, 1800, 3600, 5400]
    assert seconds(tmp_path, "2024-10-27", ["02:00", "02:00"]) == [0, 3600]


@pytest.mark.parametrize(
    ("clock", "times"),
    [
        (["01:30", "02:00", "02:30", "03:00"], "once"),
        (["02:30", "03:00", "03:30"], "once"),
        (["02:00", "02:30", "02:30", "02:00", "02:30"], "3 times"),
    ],
)
def test_a_doubled_hour_that_cannot_be_told_is_refused(tmp_path, clock, times):
    row = 2 + clock.index(next(time for time in clock if time.startswith("02")))
    with pytest.raises(
        SeriesError,
        match=rf"s.csv row {row}: 2024-10-27 .* comes twice in the night of a clock change in Europe/Berlin, and "
        rf"the file goes through that hour {times}, so it cannot be told",
    ):
        seconds(tmp_path, "2024-10-27", clock)


def test_the_missing_hour_is_refused_with_its_row(tmp_path):
    assert seconds(tmp_path, "2024-03-31", ["01:00", "01:30", "03:00", "03:30"]) == [0, 1800, 3600, 5400]
    with pytest.raises(
        SeriesError, match=r"s.csv row 4: 2024-03-31 02:00:00 does not exist in Europe/Berlin"
    ):
        seconds(tmp_path, "2024-03-31", ["01:00", "01:30", "02:00", "02:30"])


def test_clocks_that_never_change_know_every_hour(tmp_path):
    assert seconds(tmp_path, "2024-03-31", ["01:00", "02:00", "03:00"], timezone="UTC") == [0, 3600, 7200]


def test_times_with_offset_need_no_zone_and_keep_theirs(tmp_path):
    assert seconds(tmp_path, "2024-10-27", ["02:30+02:00", "02:30+01:00"]) == [0, 3600]


def test_a_time_format_meets_the_doubled_hour_too(tmp_path):
    day = "2024-10-27"
    assert seconds(tmp_path, day, AUTUMN, time_format="%Y-%m-%d %H:%M") == (1800 * np.arange(6)).tolist()


@pytest.mark.parametrize("by_key", [False, True])
def test_every_series_of_a_long_table_goes_through_the_doubled_hour(tmp_path, by_key):
    rows = [(time, key) for time in AUTUMN for key in "ab"]
    if by_key:
        rows.sort(key=lambda row: row[1])
    path = tmp_path / "long.csv"
    path.write_text("time,key,x\n" + "".join(f"2024-10-27 {time},{key},1\n" for time, key in rows))
    form = FormatConfig(timezone="Europe/Berlin", key_column="key", value_column="x")
    file = read_series_file(path, "long.csv", form)
    for key in "ab":
        found = points_of([file], key).second
        assert (found - found[0]).tolist() == (1800 * np.arange(6)).tolist()


def test_standard_time_all_year_is_a_zone_without_clock_changes(tmp_path):
    """As meters often keep it: Etc/GMT-1 is UTC+1, also in summer."""
    times = seconds(tmp_path, "2024-03-31", ["01:00", "02:00", "03:00"], timezone="Etc/GMT-1")
    assert [time - times[0] for time in times] == [0, 3600, 7200]
