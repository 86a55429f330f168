"""Links that delay, lose and cut off: what acts when, alike in both drivers, and carried on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from cosim.model.timegrid import TimeGrid
from cosim.run.execute import execute
from cosim.run.links import Link, LinkConfig
from cosim.run.record import read_record
from cosim.run.same_steps import CLOCKED, same
from cosim.run.study import open_study
from tests.conftest import START

GRID = TimeGrid(START, 900, 2000)
ECHO = {"horizon_s": 7200, "type": "tests.controllers:EchoController"}
pytestmark = pytest.mark.usefixtures("importable_tests")


def run(scenario_file, folder, over="local", steps=6, **changes):
    study = open_study(scenario_file(control=ECHO, baseline=False, **changes), steps=steps)
    execute(study, folder / over, over=over, overwrite=False, progress=lambda _done: None)
    return read_record(folder / over)


def acted(record) -> list[float]:
    """Power asked of the first battery in each step; the echo is 0.25 kW per step, from 1."""
    return [float(row[0]) for row in record.steps.requested_storage_kw]


def test_a_perfect_link_changes_nothing():
    link = Link(LinkConfig(), 7, 0, GRID)
    assert [link.arrival(step) for step in range(5)] == [0, 1, 2, 3, 4]


def test_losses_have_their_probability_and_jitter_its_range():
    link = Link(LinkConfig(loss=0.2, delay_s=900, jitter_s=2700), 7, 1, GRID)
    arrivals = [link.arrival(step) for step in range(2000)]
    assert np.mean([a is None for a in arrivals]) == pytest.approx(0.2, abs=0.03)
    late = [a - step for step, a in enumerate(arrivals) if a is not None]
    assert set(late) == {2, 3, 4}
    other = Link(LinkConfig(loss=0.2), 7, 0, GRID)
    assert [other.arrival(s) is None for s in range(50)] != [a is None for a in arrivals[:50]]
    again = Link(LinkConfig(loss=0.2, delay_s=900, jitter_s=2700), 7, 1, GRID)
    assert [again.arrival(step) for step in (1999, 3, 3, 0)] == [arrivals[s] for s in (1999, 3, 3, 0)]


def test_lost_setpoints_leave_the_last_ones_in_force(scenario_file, tmp_path):
    cut = {"setpoints": {"outages": [[1800, 3600]]}}
    record = run(scenario_file, tmp_path, communication=cut)
    assert acted(record) == [0.25, 0.5, 0.5, 0.5, 1.25, 1.5]
    assert record.steps.setpoint_age_s.tolist() == [0, 0, 900, 1800, 0, 0]
    assert list(record.steps.events[2]) == ["communication: the set-points of step 2 were lost"]
    aged = run(scenario_file, tmp_path / "aged", communication=cut, setpoint_ttl_s=900)
    assert acted(aged) == [0.25, 0.5, 0.5, 0.0, 1.25, 1.5]
    assert aged.steps.why_safe[3] == "set-points are 1800 s old, limit 900 s"


def test_delayed_setpoints_never_replace_newer_ones(scenario_file, tmp_path):
    link = {"setpoints": {"jitter_s": 3600}, "seed": 3}
    record = run(scenario_file, tmp_path, steps=20, time={
        "start": "2024-06-21T12:00:00+00:00", "step_s": 900, "steps": 20,
    }, communication=link)  # fmt: skip
    kw = acted(record)
    assert all(later >= earlier for earlier, later in pairwise(kw))
    assert record.steps.setpoint_age_s.max() >= 1800


def test_rounded_setpoints(scenario_file, tmp_path):
    record = run(scenario_file, tmp_path, communication={"setpoints": {"resolution_kw": 1.0}})
    assert acted(record) == [0.0, 0.0, 1.0, 1.0, 1.0, 2.0]


def test_a_controller_behind_an_outage_decides_on_what_it_last_heard(scenario_file, tmp_path):
    record = run(
        scenario_file, tmp_path, communication={"measurements": {"outages": [[0, 900], [2700, 4500]]}}
    )
    assert record.steps.source.tolist() == ["FALLBACK", "PLAN", "PLAN", "PLAN", "PLAN", "PLAN"]
    assert record.steps.reason[0] == "no measurement has arrived yet; devices rest"
    assert record.steps.reason[4] == "decided on the measurement of second 1800"
    assert record.steps.setpoint_age_s.tolist() == [0, 0, 0, 900, 1800, 0]


HARSH = {
    "measurements": {"loss": 0.3, "jitter_s": 1800},
    "setpoints": {"loss": 0.3, "delay_s": 900, "resolution_kw": 0.5},
    "seed": 11,
}


def test_both_drivers_meet_the_same_links(scenario_file, tmp_path):
    local, helics = (
        run(scenario_file, tmp_path, over, communication=HARSH).steps for over in ("local", "helics")
    )
    for column in set(local.columns) - CLOCKED:
        assert all(same(a, b) for a, b in zip(local[column], helics[column], strict=True)), column
    assert any("lost" in event for events in local.events for event in events)
