"""Series are checked before they are believed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.errors import SeriesError
from cosim.run.input_config import FormatConfig
from cosim.run.series import Points, Rules, Span, at_steps, points_of
from cosim.run.series_bounds import Bounds
from cosim.run.series_file import SeriesFile, read_series_file

START = datetime(2024, 6, 21, tzinfo=UTC)


def file_of(tmp_path: Path, text: str) -> SeriesFile:
    path = tmp_path / "series.csv"
    path.write_text(text)
    return read_series_file(path, "series.csv", FormatConfig())


def hourly(values: list[float], spacing_s: int = 3600) -> Points:
    count = len(values)
    second = int(START.timestamp()) + spacing_s * np.arange(count)
    return Points("x", ("f.csv",), second, np.array(values), np.zeros(count, int), np.arange(count) + 2)


def at_steps_of(points: Points, step_s: int, steps: int, resample: str) -> np.ndarray:
    return at_steps(points, Span.of(START, step_s, steps), Rules(resample))[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,x\n2024-06-21T00:00:00,1\n2024-06-21T01:00:00,1\n", "row 2: time .* has no UTC offset"),
        ("time,x\n2024-06-21T01:00:00Z,1\n2024-06-21T00:00:00Z,1\n", "row 3: .* is earlier than the row before"),
        ("time,x\n2024-06-21T00:00:00Z,1\n2024-06-21T00:00:00Z,1\n", "row 3: .* repeats the row before"),
        ("time,x\nyesterday,1\ntoday,1\n", "write times as"),
        ("x\n1\n2\n", "has no column 'time'; it has x"),
        ("time,x\n2024-06-21T00:00:00Z,1\n", "needs at least two"),
    ],
)  # fmt: skip
def test_bad_times_are_refused_with_their_row(tmp_path, text, message):
    with pytest.raises(SeriesError, match=message):
        points_of([file_of(tmp_path, text)], "x")


def test_a_value_that_is_no_number_is_named(tmp_path):
    file = file_of(tmp_path, "time,x\n2024-06-21T00:00:00Z,1\n2024-06-21T01:00:00Z,\n")
    with pytest.raises(SeriesError, match=r"series.csv row 3: x is not a finite number: the cell is empty"):
        at_steps_of(points_of([file], "x"), 3600, 2, "refuse")


def test_a_series_that_is_too_short_says_what_it_covers():
    with pytest.raises(SeriesError, match=r"f.csv covers 2024-06-21 00:00.* needs .* to 2024-06-21 05:00"):
        at_steps_of(hourly([1, 2, 3, 4]), 3600, 5, "refuse")


def test_an_unknown_column_lists_the_known_ones(tmp_path):
    file = file_of(tmp_path, "time,x\n2024-06-21T00:00:00Z,1\n2024-06-21T01:00:00Z,2\n")
    with pytest.raises(SeriesError, match="has no column 'y'; it has x"):
        points_of([file], "y")


def test_nothing_is_resampled_silently():
    with pytest.raises(SeriesError, match="a row every 3600 s, the steps are 900 s"):
        at_steps_of(hourly([1, 2]), 900, 4, "refuse")


def test_hold_linear_and_mean_by_hand():
    assert at_steps_of(hourly([1, 2]), 1800, 4, "hold").tolist() == [1, 1, 2, 2]
    assert at_steps_of(hourly([1, 2, 3]), 1800, 4, "linear").tolist() == [1, 1.5, 2, 2.5]
    assert at_steps_of(hourly([1, 2, 3, 6], 900), 1800, 2, "mean").tolist() == [1.5, 4.5]


@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=48).filter(lambda v: len(v) % 4 == 0))
def test_the_mean_keeps_the_energy(values):
    coarse = at_steps_of(hourly(values, 900), 3600, len(values) // 4, "mean")
    assert coarse.sum() * 4 == pytest.approx(sum(values), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("resample", ["hold", "linear"])
def test_finer_rows_are_never_left_out(resample):
    with pytest.raises(
        SeriesError, match=f"every 300 s, the steps are 900 s: 'resample: {resample}' would leave"
    ):
        at_steps_of(hourly([1.0, 0.25, 0.25] * 4, 300), 900, 4, resample)
    assert at_steps_of(hourly([1.0, 0.25, 0.25] * 4, 300), 900, 4, "mean").tolist() == [0.5] * 4


def test_groups_that_are_not_whole_are_refused_with_the_next_move():
    with pytest.raises(SeriesError, match="600 s apart; choose steps of a multiple of 600 s"):
        at_steps_of(hourly([1] * 10, 600), 900, 4, "mean")
    with pytest.raises(SeriesError, match="3600 s apart; use 'resample: hold' or 'linear' for it"):
        at_steps_of(hourly([1] * 10), 900, 4, "mean")


def test_numbers_that_overflow_are_refused():
    with pytest.raises(SeriesError, match="numbers too large"):
        at_steps_of(hourly([1.7e308] * 4, 900), 1800, 2, "mean")


def test_a_bound_names_place_value_and_advice():
    bounds = Bounds(0.0, 2.0, "kW/m²", "is it W/m²?")
    with pytest.raises(
        SeriesError, match=r"f.csv row 3: x 850 kW/m² is outside 0 .. 2 kW/m²; is it W/m²\?"
    ):
        at_steps(hourly([0.5, 850.0]), Span.of(START, 3600, 2), Rules(bounds=bounds))
    with pytest.raises(SeriesError, match=r"f.csv row 3: x -1 kW/m² is negative$"):
        at_steps(hourly([0.5, -1.0]), Span.of(START, 3600, 2), Rules(bounds=bounds))
