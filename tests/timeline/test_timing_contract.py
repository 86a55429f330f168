"""When a decision acts: proven by set-points that carry the number of their measurement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosim.run.execute import execute
from cosim.run.record import Record, read_record
from cosim.run.study import open_study
from tests.controllers import kw_of

STEPS = 8
CASES = [
    ("same_step", 0, "local"),
    ("next_step", 1, "local"),
    ({"delay_s": 900}, 1, "local"),
    ({"delay_s": 1000}, 2, "local"),  # the first step that starts at or after the delay
    ({"delay_s": 2700}, 3, "local"),
    # The plant waits by the same code over both drivers: at once, a step later, and several are enough.
    ("same_step", 0, "helics"),
    ("next_step", 1, "helics"),
    ({"delay_s": 2700}, 3, "helics"),
]


def recorded(scenario: Path, folder: Path, over: str) -> Record:
    execute(open_study(scenario), folder, over=over, overwrite=False, progress=lambda _done: None)
    return read_record(folder)


@pytest.mark.usefixtures("importable_tests")
@pytest.mark.parametrize(("feedback", "late_by", "over"), CASES)
def test_a_decision_acts_when_the_contract_says(scenario_file, tmp_path, over, feedback, late_by):
    path = scenario_file(
        feedback=feedback,
        control={"type": "tests.controllers:EchoController"},
        time={"start": "2024-06-21T12:00:00+00:00", "step_s": 900, "steps": STEPS},
    )
    record = recorded(path, tmp_path / "run", over)
    accepted, acted = record.vector("accepted_storage_kw"), record.vector("storage_kw")
    for step in range(STEPS):
        expected = kw_of(step - late_by) if step >= late_by else 0.0
        assert accepted[step] == pytest.approx([expected, expected], abs=0), f"step {step}"
        if expected:  # at rest the terminal draws the idling loss
            assert acted[step] == pytest.approx([expected, expected], abs=1e-4), f"step {step}"
        age = record.steps.setpoint_age_s[step]
        assert (age == late_by * 900.0) if step >= late_by else np.isnan(age)
    assert (record.steps.issued_at_s == 900.0 * np.arange(STEPS)).all()


@pytest.mark.usefixtures("importable_tests")
@pytest.mark.parametrize("over", ["local", "helics"])
def test_old_setpoints_give_way_to_the_safe_state(scenario_file, tmp_path, over):
    """The controller repeats its first answer with its old stamp, as one whose clock stopped would."""
    path = scenario_file(setpoint_ttl_s=1800, control={"type": "tests.controllers:StoppedClockController"})
    record = recorded(path, tmp_path / "run", over)
    first = [kw_of(0), kw_of(0)]
    assert record.vector("accepted_storage_kw").tolist() == [first] * 3 + [[0.0, 0.0]] * 3
    assert record.steps.why_safe.tolist() == ["", "", ""] + [
        f"set-points are {age} s old, limit 1800 s" for age in (2700, 3600, 4500)
    ]
