"""Voltages and stored energy over time, from kept steps or records, over the seeds of each variant."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cosim.experiments.campaign.courses import read_courses, with_summaries
from cosim.experiments.campaign.store import Store
from cosim.report.campaign.courses import MOST_POINTS, course_panels

RUNS = pd.DataFrame(
    {
        "key": ["k0", "k1", "k2", "k3"],
        "variant": ["a", "a", "b", "b"],
        "status": ["complete", "complete", "complete", "failed"],
    }
)


def record(voltage_pu, stored_kwh):
    """The steps of a record, an hour each."""
    count = len(voltage_pu)
    return pa.table(
        {
            "step": range(count), "time_s": [3600.0 * step for step in range(count)],
            "voltage_pu": pa.array(voltage_pu, pa.list_(pa.float64())),
            "stored_kwh": pa.array(stored_kwh, pa.list_(pa.float64())),
        }
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Steps of k0 and k1 are kept, of k2 the record in two files, of k3 nothing."""
    store = Store(tmp_path)
    store.keep_steps("k0", with_summaries(record([[1.0, 0.98], None], [[4.0, 5.0], [3.0, 5.0]])))
    store.keep_steps("k1", with_summaries(record([[1.02, 0.96], [1.0, 0.99]], [[1.0, 2.0], [3.0, 5.0]])))
    steps = record([[1.03, 1.01], [1.04, 1.0]], [[7.0, 0.0], [8.0, 0.0]])
    place = store.record("k2") / "steps"
    place.mkdir(parents=True)
    for number in (0, 1):
        pq.write_table(steps.slice(number, 1), place / f"part-{number}.parquet")
    return tmp_path


def test_courses_are_means_and_ranges_over_the_seeds(folder):
    found = read_courses(RUNS, folder)
    lowest = found["lowest_pu"]["a"]
    # By hand: 0.98 and 0.96 in the first hour; one of the two runs has no power flow in the second.
    np.testing.assert_allclose(lowest.time_h, [0.0, 1.0])
    np.testing.assert_allclose(lowest.mean, [0.97, 0.99])
    np.testing.assert_allclose((lowest.least, lowest.most), [[0.96, 0.99], [0.98, 0.99]])
    np.testing.assert_allclose(found["all_stored_kwh"]["a"].mean, [6.0, 8.0])
    np.testing.assert_allclose(found["highest_pu"]["b"].mean, [1.03, 1.04])
    np.testing.assert_allclose(found["all_stored_kwh"]["b"].most, [7.0, 8.0])


def test_without_kept_steps_there_are_none(tmp_path):
    assert read_courses(RUNS, tmp_path) == {}
    assert list(course_panels({})) == []


def test_every_variant_has_its_chart_and_a_long_course_keeps_its_extremes(tmp_path):
    voltage_pu = np.ones((1000, 1))
    voltage_pu[517] = 0.8
    steps = record(voltage_pu.tolist(), [[1.0]] * 1000)
    for key in ("k0", "k2"):
        Store(tmp_path).keep_steps(key, with_summaries(steps))
    voltage, stored = course_panels(read_courses(RUNS, tmp_path))
    assert [note.text for note in voltage.figure.layout.annotations] == ["a", "b"]
    band, line = voltage.figure.data[:2]
    assert len(line.x) == MOST_POINTS
    assert min(band.y) == np.float32(0.8)
    # Five steps are a point: four at 1 and one at 0.8.
    assert min(line.y) == pytest.approx(0.96)
    assert stored.figure.layout.yaxis.title.text == "stored (kWh)"
