"""Time slots are exact for decades, and runs beyond 2^22 seconds come to their end."""

from __future__ import annotations

import pytest

from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.study import open_study
from federates.session import ACT_S, DECIDE_S, KEEP_S

TEN_YEARS_S = 10 * 366 * 86_400
NS = 1_000_000_000


@pytest.mark.parametrize("step_s", [1, 7, 60, 900, 3600])
@pytest.mark.parametrize("offset_s", [0.0, DECIDE_S, ACT_S, KEEP_S])
def test_every_slot_of_ten_years_is_exact_in_nanoseconds(step_s, offset_s):
    """HELICS turns a double into nanoseconds by rounding the double 1e9 t; the exact value is an integer."""
    offset_ns = round(offset_s * NS)
    last = TEN_YEARS_S // step_s
    # Every binade up to ten years, and steps around its edge, where the spacing of doubles changes.
    edges = [2**power // step_s for power in range(29)]
    steps = {step for edge in (*edges, last) for step in range(max(edge - 3, 0), edge + 4)}
    for step in sorted(step for step in steps if step <= last):
        exact_ns = step * step_s * NS + offset_ns
        slot_s = step * step_s + offset_s
        assert int(1e9 * slot_s + 0.5) == exact_ns
        assert exact_ns / 1e9 == slot_s


def test_slots_are_multiples_of_two_to_the_seventh_nanoseconds_so_doubles_carry_them():
    """A multiple of 2^7 below 2^60 has at most 53 significant bits."""
    assert TEN_YEARS_S * NS < 2**60
    for slot in (DECIDE_S, ACT_S, KEEP_S):
        assert round(slot * NS) % 2**7 == 0
    assert NS % 2**7 == 0
    assert 0.0 < DECIDE_S < ACT_S < KEEP_S < 1.0


@pytest.mark.slow
def test_thirteen_hundred_hours_over_helics(scenario_file, tmp_path):
    """Beyond 2^22 s = 1165 hours feeder and recorder used to wait for each other, whatever the step."""
    path = scenario_file(
        time={"start": "2024-01-01T00:00:00+00:00", "step_s": 4 * 3600, "steps": 325},
        control={"type": "idle", "horizon_s": 4 * 3600},
        pvs=[],
    )
    execute(open_study(path), tmp_path / "run", over="helics", overwrite=False, progress=lambda _d: None)
    record = read_record(tmp_path / "run")
    assert len(record.steps) == 325
    assert record.steps.time_s.iloc[-1] == 324 * 4 * 3600.0 > 2**22
