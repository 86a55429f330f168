"""Long lines are thinned without losing what the eye would see."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.report.figure_parts import MOST_POINTS, edge_line, shown_places
from tests.report.records import record_of, step


def test_a_short_line_keeps_all_its_points():
    assert shown_places(np.zeros(MOST_POINTS)).tolist() == list(range(MOST_POINTS))


def test_a_long_line_keeps_its_ends_its_peaks_and_its_gaps():
    values = np.sin(np.arange(50_000) / 3000.0)
    values[31_234], values[44_444], values[7_777] = 9.0, -9.0, np.nan
    shown = shown_places(values)
    assert len(shown) <= 1.1 * MOST_POINTS
    assert {0, 7_777, 31_234, 44_444, 49_999} <= set(shown.tolist())
    assert (np.diff(shown) > 0).all()


def test_a_line_of_nothing_is_a_gap():
    shown = shown_places(np.full(10 * MOST_POINTS, np.nan))
    assert 0 < len(shown) <= MOST_POINTS


def test_the_points_of_a_thinned_line_keep_their_times_and_texts():
    rows = [step(0, step=k, time_s=1800.0 * k) for k in range(2)]
    values = np.zeros(3 * MOST_POINTS)
    values[1_234] = 1.0
    texts = [f"line {i}" for i in range(len(values))]
    line = edge_line(record_of(rows), values, "long", colour="#000000", hover=texts)
    at = int(np.argmax(line.y))
    assert line.customdata[at] == "line 1234"
    assert line.x[at] - line.x[0] == pytest.approx(1e3 * 1800.0 * 1234)
