"""Series are checked before they are believed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.errors import SeriesError
from cosim.run.series import column_at_steps, read_table

START = datetime(2024, 6, 21, tzinfo=UTC)


def table_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "series.csv"
    path.write_text(text)
    return path


def hourly(values: list[float], spacing_s: int = 3600) -> pd.DataFrame:
    index = pd.date_range(START, periods=len(values), freq=f"{spacing_s}s")
    return pd.DataFrame({"x": values}, index=index)


def at_steps(table: pd.DataFrame, step_s: int, steps: int, resample: str) -> np.ndarray:
    return column_at_steps(
        table, "x", source="f.csv", start=START, step_s=step_s, steps=steps, resample=resample
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,x\n2024-06-21T00:00:00,1\n2024-06-21T01:00:00,1\n", "row 2: time .* has no UTC offset"),
        ("time,x\n2024-06-21T01:00:00Z,1\n2024-06-21T00:00:00Z,1\n", "row 3: .* is earlier than the row before"),
        ("time,x\n2024-06-21T00:00:00Z,1\n2024-06-21T00:00:00Z,1\n", "row 3: .* repeats the row before"),
        ("time,x\n2024-06-21T00:00:00Z,1\n2024-06-21T01:00:00Z,1\n2024-06-21T03:00:00Z,1\n", "row 4: 7200 s after"),
        ("time,x\nyesterday,1\ntoday,1\n", "write times as"),
        ("x\n1\n2\n", "has no column 'time'; it has x"),
        ("time,x\n2024-06-21T00:00:00Z,1\n", "needs at least two"),
    ],
)  # fmt: skip
def test_bad_times_are_refused_with_their_row(tmp_path, text, message):
    with pytest.raises(SeriesError, match=message):
        read_table(table_of(tmp_path, text))


def test_a_value_that_is_no_number_is_named(tmp_path):
    path = table_of(tmp_path, "time,x\n2024-06-21T00:00:00Z,1\n2024-06-21T01:00:00Z,\n")
    with pytest.raises(SeriesError, match=r"series.csv row 3: x is not a finite number"):
        column_at_steps(
            read_table(path), "x", source="series.csv", start=START, step_s=3600, steps=2, resample="refuse"
        )


def test_a_series_that_is_too_short_says_what_it_covers():
    with pytest.raises(SeriesError, match=r"f.csv covers 2024-06-21 00:00.* needs .* to 2024-06-21 05:00"):
        at_steps(hourly([1, 2, 3, 4]), 3600, 5, "refuse")


def test_an_unknown_column_lists_the_known_ones():
    with pytest.raises(SeriesError, match="has no column 'y'; it has x"):
        column_at_steps(
            hourly([1, 2]), "y", source="f.csv", start=START, step_s=3600, steps=2, resample="refuse"
        )


def test_nothing_is_resampled_silently():
    with pytest.raises(SeriesError, match="a row every 3600 s, the steps are 900 s"):
        at_steps(hourly([1, 2]), 900, 4, "refuse")


def test_hold_linear_and_mean_by_hand():
    assert at_steps(hourly([1, 2]), 1800, 4, "hold").tolist() == [1, 1, 2, 2]
    assert at_steps(hourly([1, 2, 3]), 1800, 4, "linear").tolist() == [1, 1.5, 2, 2.5]
    assert at_steps(hourly([1, 2, 3, 6], 900), 1800, 2, "mean").tolist() == [1.5, 4.5]


@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=48).filter(lambda v: len(v) % 4 == 0))
def test_the_mean_keeps_the_energy(values):
    coarse = at_steps(hourly(values, 900), 3600, len(values) // 4, "mean")
    assert coarse.sum() * 4 == pytest.approx(sum(values), rel=1e-9, abs=1e-6)


def test_parquet_and_csv_give_the_same(tmp_path):
    table = pd.DataFrame(
        {"time": ["2024-06-21T00:00:00+00:00", "2024-06-21T01:00:00+00:00"], "x": [1.0, 2.0]}
    )
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.csv").equals(read_table(tmp_path / "a.parquet"))
