"""Whatever a file holds: a series, or one sentence."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosim.errors import SeriesError
from cosim.run.input_config import FormatConfig, GapConfig
from cosim.run.series import Rules, Span, at_steps, points_of
from cosim.run.series_file import read_series_file

PLAIN = b"time,key,x\n" + b"".join(b"2024-10-27 %02d:00,a,%d\n" % (hour, hour) for hour in range(4, 9))
FORMS = [
    FormatConfig(),
    FormatConfig(timezone="Europe/Berlin"),
    FormatConfig(timezone="Europe/Berlin", key_column="key", value_column="x"),
    FormatConfig(separator=";", decimal=",", time_format="%d.%m.%Y", timezone="UTC"),
    FormatConfig(encoding="utf-16"),
    FormatConfig(encoding="utf-8", time_format="%Y-%m-%d %H:%M %z"),
]
CELLS = st.sampled_from(
    [b"", b'"', b"1", b"-1e308", b"1e309", b"nan", b"inf", b"0x1", b"1,5", b"a", b"\xff\xfe", b"\x00", b"2024",
     b"2024-10-27 02:30", b"2024-03-31 02:30", b"24:00", b"99999-01-01", b"2024-06-21T00:00:00Z", b"time", b"x",
     b"27.10.2024", b"\xe4", b"\r", b"\n", b",", b";", b"key"],
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good file with some parts replaced, or rows of strange cells."""
    if draw(st.booleans()):
        data = bytearray(PLAIN)
        for part in draw(st.lists(CELLS, max_size=4)):
            at = draw(st.integers(0, len(data)))
            data[at : at + draw(st.integers(0, 12))] = part
        return bytes(data)
    rows = draw(st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=5))
    return b"time,key,x\n" + b"\n".join(b",".join(row) for row in rows)


def use(path: Path, form: FormatConfig, rules: Rules) -> None:
    file = read_series_file(path, "s.csv", form)
    for column in file.columns or ["x"]:
        points = points_of([file], column)
        values, _ = at_steps(points, Span(int(points.second[0]), 900, 3), rules)
        assert len(values) == 3


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=damaged(),
    form=st.sampled_from(FORMS),
    resample=st.sampled_from(["refuse", "hold", "linear", "mean"]),
)
def test_no_csv_ends_in_a_traceback(tmp_path, data, form, resample):
    path = tmp_path / "s.csv"
    path.write_bytes(data)
    with contextlib.suppress(SeriesError):
        use(path, form, Rules(resample, GapConfig(rule="hold", up_to=3)))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_no_parquet_ends_in_a_traceback(tmp_path, data):
    path = tmp_path / "s.parquet"
    path.write_bytes(b"PAR1" + data + b"PAR1")
    with pytest.raises(SeriesError):
        use(path, FormatConfig(), Rules())
