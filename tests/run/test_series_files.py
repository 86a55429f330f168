"""Files as people have them: separators, encodings, long tables, parquet, several files."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest

from cosim.errors import SeriesError
from cosim.run.input_config import FormatConfig
from cosim.run.series import Points, points_of
from cosim.run.series_file import paths_of, read_series_file

HOURS = ["2024-06-21T00:00:00Z", "2024-06-21T01:00:00Z", "2024-06-21T02:00:00Z"]
PLAIN = "time,x\n" + "".join(f"{hour},{i + 1}.5\n" for i, hour in enumerate(HOURS))


def points(path: Path, column: str = "x", **form: str) -> Points:
    return points_of([read_series_file(path, path.name, FormatConfig(**form))], column)


def written(tmp_path: Path, text: str, *, encoding: str = "utf-8", name: str = "s.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


# --- how cells are written ------------------------------------------------------------------------


def test_semicolons_decimal_commas_and_a_time_format(tmp_path):
    text = "Zeit;Last\n21.06.2024 02:00;1,5\n21.06.2024 03:00;2,5\n21.06.2024 04:00;3,5\n"
    german = points(
        written(tmp_path, text), "Last", separator=";", decimal=",", time_column="Zeit",
        time_format="%d.%m.%Y %H:%M", timezone="Europe/Berlin",
    )  # fmt: skip
    plain = points(written(tmp_path, PLAIN, name="plain.csv"))
    assert german.value.tolist() == plain.value.tolist() == [1.5, 2.5, 3.5]
    assert german.second.tolist() == plain.second.tolist()


def test_a_time_format_may_hold_the_offset(tmp_path):
    text = "time,x\n21.06.2024 02:00 +0200,1.5\n21.06.2024 02:00 +0100,2.5\n21.06.2024 02:00 +0000,3.5\n"
    found = points(written(tmp_path, text), time_format="%d.%m.%Y %H:%M %z")
    assert found.second.tolist() == points(written(tmp_path, PLAIN, name="plain.csv")).second.tolist()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_a_file_shows(tmp_path, encoding, caplog):
    text = PLAIN.replace("x", "Größe")
    assert points(written(tmp_path, text, encoding=encoding), "Größe").value.tolist() == [1.5, 2.5, 3.5]
    assert not caplog.records


def test_latin_1_is_stated_or_read_with_one_warning(tmp_path, caplog):
    path = written(tmp_path, PLAIN.replace("x", "Größe"), encoding="latin-1")
    assert points(path, "Größe", encoding="latin-1").value.tolist() == [1.5, 2.5, 3.5]
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert points(path, "Größe").value.tolist() == [1.5, 2.5, 3.5]
    assert [record.getMessage() for record in caplog.records] == [
        "s.csv is no UTF-8 and is read as latin-1; say so with 'format: {encoding: latin-1}'"
    ]


def test_blank_lines_do_not_move_the_numbers_of_rows(tmp_path):
    lines = PLAIN.splitlines()
    text = "\n".join(["", lines[0], "", lines[1], "", lines[2], f"{HOURS[2]},much", ""])
    with pytest.raises(SeriesError, match=r"s.csv row 7: x is not a finite number: 'much'"):
        points(written(tmp_path, text))


def test_a_column_without_name_at_the_end_is_no_column(tmp_path):
    found = points(written(tmp_path, PLAIN.replace("\n", ",\n")))
    assert found.value.tolist() == [1.5, 2.5, 3.5]


@pytest.mark.parametrize(
    ("text", "form", "message"),
    [
        ("time;x\n2024-06-21T00:00:00Z;1\n", {}, r"separated by ';': 'format: \{separator: \";\"\}'"),
        ("stamp,x\n1,2\n", {}, r"no column 'time'; it has stamp, x; name it with 'format: \{time_column"),
        (PLAIN.replace("1.5", '"1,5"'), {}, r"row 2: x is not a finite number: '1,5'; .* 'format: \{decimal"),
        (PLAIN, {"separator": "."}, "cells and decimals cannot both be marked by '.'"),
        (PLAIN, {"decimal": ","}, "cells and decimals cannot both be marked by ','"),
        (PLAIN.replace("time,x", "time,x,x").replace(".5", ".5,1"), {}, "two columns 'x'"),
        (PLAIN.replace(".5", ".5,7"), {}, "cannot be read"),
        (PLAIN + "2024-06-21T03:00:00Z,1,2\n", {}, "cannot be read: .*line 5"),
        (PLAIN.replace("time,x", "time,").replace("x", ""), {}, "column 2 has no name"),
        (PLAIN, {"time_format": "%d.%m.%Y"}, "row 2: time '2024-06-21T00:00:00Z' is not written as time_format"),
        (PLAIN.replace("2024-06-21T01:00:00Z", ""), {}, "row 3 has no time"),
        (PLAIN.replace("T01:00:00Z", "T01:00:00"), {}, "row 3: time .* has no UTC offset, while others have one"),
        (PLAIN.replace("2024", "9999"), {}, "row 2: 9999.* is not between 1900 and 2200"),
        (PLAIN.replace("1.5", "inf"), {}, "row 2: x is not a finite number: 'inf'"),
        (PLAIN, {"key_column": "time"}, "needs both 'key_column' and 'value_column'"),
        ("time,x\n", {}, "has no rows"),
        ("", {}, "is empty"),
        ("\n\n", {}, "is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_the_next_move(tmp_path, text, form, message):
    with pytest.raises(SeriesError, match=message):
        points(written(tmp_path, text), **form)


def test_columns_equal_but_for_case_are_not_confused(tmp_path):
    path = written(tmp_path, "time,Load,load\n" + "".join(f"{hour},1,2\n" for hour in HOURS))
    assert points(path, "load").value.tolist() == [2, 2, 2]
    assert points(path, "Load").value.tolist() == [1, 1, 1]
    with pytest.raises(
        SeriesError, match="columns 'Load' and 'load' are both 'LOAD' but for upper and lower"
    ):
        points(path, "LOAD")
    assert points(written(tmp_path, PLAIN), "X").value.tolist() == [1.5, 2.5, 3.5]


# --- parquet --------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", ["text", "aware", "naive", "index"])
def test_parquet_gives_the_same_as_csv(tmp_path, times):
    stamps = pd.to_datetime(HOURS)
    table = pd.DataFrame({"x": [1.5, 2.5, 3.5]}, index=pd.DatetimeIndex(stamps, name="time"))
    if times != "index":
        table = table.reset_index()
    if times == "text":
        table["time"] = HOURS
    if times == "naive":
        table["time"] = table["time"].dt.tz_localize(None)
    table.to_parquet(tmp_path / "s.parquet")
    form = {"decimal": ","} | ({"timezone": "UTC"} if times == "naive" else {})
    found = points(tmp_path / "s.parquet", **form)
    plain = points(written(tmp_path, PLAIN))
    assert found.second.tolist() == plain.second.tolist()
    assert found.value.tolist() == plain.value.tolist()


def test_what_is_no_number_in_parquet_is_named(tmp_path):
    table = pd.DataFrame({"time": HOURS, "x": pd.to_datetime(HOURS), "y": [1.0, None, 3.0]})
    table.to_parquet(tmp_path / "s.parquet")
    with pytest.raises(SeriesError, match=r"s.parquet: x holds times, no numbers"):
        points(tmp_path / "s.parquet")
    assert str(points(tmp_path / "s.parquet", "y").value[1]) == "nan"


# --- long tables ----------------------------------------------------------------------------------


def long_table(order: list[int]) -> str:
    rows = [
        f"{hour},{key},{10 * i + number}" for i, hour in enumerate(HOURS) for number, key in enumerate("ab")
    ]
    return "time,meter,kw\n" + "".join(f"{rows[at]}\n" for at in order)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [0, 2, 4, 1, 3, 5]], ids=["by time", "by key"])
def test_a_long_table_holds_several_series(tmp_path, order):
    path = written(tmp_path, long_table(order))
    found = points(path, "b", key_column="meter", value_column="kw")
    assert found.value.tolist() == [1, 11, 21]
    assert found.place(0) == f"s.csv row {order.index(1) + 2}"
    with pytest.raises(SeriesError, match="has no column 'c'; it has a, b"):
        points(path, "c", key_column="meter", value_column="kw")


def test_a_doubled_row_of_a_long_table_is_named_with_both_places(tmp_path):
    path = written(tmp_path, long_table([0, 1, 2, 3, 0, 4, 5]))
    with pytest.raises(
        SeriesError, match=r"row 6: time .* is earlier than .* row 4 and repeats row 2; sort"
    ):
        points(path, "a", key_column="meter", value_column="kw")


def test_a_row_without_key_is_named(tmp_path):
    path = written(tmp_path, long_table([0, 1, 2, 3]).replace(",b,1\n", ",,1\n"))
    with pytest.raises(SeriesError, match=r"s.csv row 3 has no meter"):
        points(path, "a", key_column="meter", value_column="kw")


# --- several files --------------------------------------------------------------------------------


def monthly(tmp_path: Path, *parts: list[int]) -> list:
    """Files of some rows each, in the order of their names."""
    lines = [f"2024-06-21T{hour:02d}:00:00Z,{hour}\n" for hour in range(24)]
    files = []
    for number, part in enumerate(parts):
        text = "time,x\n" + "".join(lines[hour] for hour in part)
        path = written(tmp_path, text, name=f"m{number}.csv")
        files.append(read_series_file(path, path.name, FormatConfig()))
    return files


def test_files_are_joined_in_time(tmp_path):
    found = points_of(monthly(tmp_path, [2, 3], [0, 1], [4]), "x")
    assert found.value.tolist() == [0, 1, 2, 3, 4]
    assert found.place(2) == "m0.csv row 2"


def test_files_that_overlap_are_named_with_both_places(tmp_path):
    with pytest.raises(
        SeriesError, match=r"m0.csv row 4 \(.* 02:00.*\) and m1.csv row 2 \(.* 02:00.*\) overlap"
    ):
        points_of(monthly(tmp_path, [0, 1, 2], [2, 3]), "x")


def test_globs_are_written_out_and_a_file_called_like_one_is_itself(tmp_path):
    for name in ("b.csv", "a.csv", "[a].csv", "c.txt"):
        (tmp_path / name).touch()
    names = [path.name for path in paths_of(tmp_path, Path("*.csv"))]
    assert names == ["[a].csv", "a.csv", "b.csv"]
    assert [path.name for path in paths_of(tmp_path, Path("[a].csv"))] == ["[a].csv"]
    assert next(path.name for path in paths_of(tmp_path, [Path("b.csv"), Path("*.csv")])) == "b.csv"
    assert paths_of(tmp_path, Path("*.parquet")) == []
    assert [path.name for path in paths_of(Path(), tmp_path / "*.txt")] == ["c.txt"]
