"""What the map of a run holds."""

from __future__ import annotations

import numpy as np

from cosim.report.feeder_map import FRAME_BUDGET, FRAMES, feeder_map, frame_steps, worst_step
from tests.report.records import record_of, step


def test_the_map_of_a_long_run_is_thinned_and_keeps_the_worst_step():
    rows = [step(0, step=k, time_s=1800.0 * k) for k in range(3 * FRAMES)]
    rows[201]["voltage_pu"] = np.array([1.0, 0.8])
    record = record_of(rows)
    shown = frame_steps(record)
    assert len(shown) <= FRAMES + 1
    assert worst_step(record) == 201
    assert 201 in shown
    assert FRAME_BUDGET < 5_000_000  # with the library the page stays below 10 MB


def test_the_map_says_who_commands_a_device_where_there_are_several_controllers():
    rows = [step(0), step(1)]
    alone = {trace.name for trace in feeder_map(record_of(rows)).data if trace.name}
    assert alone == {"battery", "PV system"}
    found = feeder_map(record_of(rows, controllers=[{"name": "north", "devices": ["bess"]}]))
    assert {trace.name for trace in found.data if trace.name} == {"battery, north", "PV system, nobody"}
    assert "commanded by north" in "".join(str(trace.hovertemplate) for trace in found.data)
