"""Gaps are refused, or filled by a stated rule and put on record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from cosim.errors import SeriesError
from cosim.run.input_config import FormatConfig, GapConfig
from cosim.run.series import Rules, Span, at_steps, points_of
from cosim.run.series_file import read_series_file
from cosim.run.series_gaps import Filled

START = datetime(2024, 6, 21, tzinfo=UTC)
HOLD, LINE = GapConfig(rule="hold", up_to=3), GapConfig(rule="interpolate", up_to=3)


def at_hours(
    tmp_path: Path, rows: dict[int, object], gaps: GapConfig, *, steps: int = 6, step_s: int = 3600
) -> tuple[list[float], list[Filled]]:
    """Values of a file with some hours of a day."""
    path = tmp_path / "s.csv"
    path.write_text("time,x\n" + "".join(f"2024-06-21T{hour:02d}:00Z,{x}\n" for hour, x in rows.items()))
    points = points_of([read_series_file(path, "s.csv", FormatConfig())], "x")
    resample = "refuse" if step_s == 3600 else "hold"
    values, filled = at_steps(points, Span.of(START, step_s, steps), Rules(resample, gaps))
    return values.tolist(), filled


@pytest.mark.parametrize(
    "rows",
    [
        {0: 1, 1: 2, 4: 5, 5: 6},
        {0: 1, 1: 2, 2: "", 3: "NaN", 4: 5, 5: 6},
        {0: 1, 1: 2, 3: "", 4: 5, 5: 6},
    ],
    ids=["rows", "cells", "both"],
)
def test_missing_rows_and_empty_cells_are_filled_alike_and_recorded(tmp_path, rows):
    gap = ("s.csv", "x", "2024-06-21 02:00:00+00:00", "2024-06-21 03:00:00+00:00")
    assert at_hours(tmp_path, rows, HOLD) == ([1, 2, 2, 2, 5, 6], [Filled(*gap, "hold", 2)])
    assert at_hours(tmp_path, rows, LINE) == ([1, 2, 3, 4, 5, 6], [Filled(*gap, "interpolate", 2)])
    with pytest.raises(SeriesError, match=r"s.csv row 4: .*say how with 'gaps: \{rule: hold, up_to: 2\}'"):
        at_hours(tmp_path, rows, GapConfig())


def test_a_gap_is_filled_up_to_a_number_of_steps_of_the_run(tmp_path):
    rows = {0: 1, 1: 2, 5: 6}
    assert at_hours(tmp_path, rows, HOLD)[0] == [1, 2, 2, 2, 2, 6]
    with pytest.raises(
        SeriesError, match=r"row 4: x has no value from .* 02:00:00.*, for 10800 s or 6 steps"
    ):
        at_hours(tmp_path, rows, HOLD, steps=12, step_s=1800)


def test_several_gaps_are_recorded_each(tmp_path):
    values, filled = at_hours(tmp_path, {0: 1, 2: 3, 3: 4, 4: "", 5: 6}, LINE)
    assert values == [1, 2, 3, 4, 5, 6]
    assert [(gap.first[11:16], gap.count) for gap in filled] == [("01:00", 1), ("04:00", 1)]


@pytest.mark.parametrize(
    ("rows", "gaps", "message"),
    [
        ({0: "", 1: 2, 2: 3, 3: 4, 4: 5, 5: 6}, HOLD, "row 2: .* and no value before it to hold from"),
        ({0: "", 1: 2, 2: 3, 3: 4, 4: 5, 5: 6}, LINE, "and no value before it to interpolate from"),
        ({0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: ""}, LINE, "row 7: .* and no value after it to interpolate from"),
        (dict.fromkeys(range(3), ""), GapConfig(rule="hold", up_to=9), "covers"),
        (dict.fromkeys(range(6), ""), GapConfig(rule="hold", up_to=9), "and no value before it"),
    ],
)  # fmt: skip
def test_a_gap_without_an_end_is_refused(tmp_path, rows, gaps, message):
    with pytest.raises(SeriesError, match=message):
        at_hours(tmp_path, rows, gaps)


def test_the_last_value_may_be_held(tmp_path):
    assert at_hours(tmp_path, {0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: ""}, HOLD)[0] == [1, 2, 3, 4, 5, 5]


def test_a_gap_that_the_run_does_not_reach_does_not_matter(tmp_path):
    rows = {0: 1, 1: 2, 2: 3, 5: 6, 6: 7, 7: ""}
    assert at_hours(tmp_path, rows, GapConfig(), steps=3) == ([1, 2, 3], [])


def test_a_row_between_the_others_is_refused(tmp_path):
    path = tmp_path / "s.csv"
    times = ["00:00", "01:00", "01:20", "02:00", "03:00", "04:00"]
    path.write_text("time,x\n" + "".join(f"2024-06-21T{time}Z,1\n" for time in times))
    points = points_of([read_series_file(path, "s.csv", FormatConfig())], "x")
    with pytest.raises(
        SeriesError, match="row 4: 1200 s after the row before it, the other rows are 3600 s"
    ):
        at_steps(points, Span.of(START, 3600, 4), Rules(gaps=HOLD))


def test_a_huge_gap_takes_no_memory(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("time,x\n2024-06-21T00:00:00Z,1\n2024-06-21T00:00:01Z,1\n2199-01-01T00:00:00Z,1\n")
    points = points_of([read_series_file(path, "s.csv", FormatConfig())], "x")
    for gaps in (GapConfig(), HOLD):
        with pytest.raises(SeriesError, match="row 4: "):
            at_steps(points, Span.of(START, 1, 4), Rules(gaps=gaps))


def test_a_rule_needs_its_bound():
    assert GapConfig.model_validate("refuse") == GapConfig()
    with pytest.raises(
        ValidationError, match=r"say how many steps it may fill, e.g. \{rule: hold, up_to: 4\}"
    ):
        GapConfig.model_validate("hold")
    with pytest.raises(ValidationError, match="'up_to' fills nothing"):
        GapConfig(rule="refuse", up_to=3)
