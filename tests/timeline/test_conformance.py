"""What a controller may not do is refused by both drivers with the same words; what it may, is the same."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.errors import CosimError
from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.same_steps import CLOCKED, same
from cosim.run.study import open_study

DRIVERS = ("local", "helics")
pytestmark = pytest.mark.usefixtures("importable_tests")


def run(scenario_file, tmp_path, name: str, over: str, **changes):
    control = {"horizon_s": 3600, "type": f"tests.careless:{name}"}
    study = open_study(scenario_file(control=control, baseline=False, **changes), steps=3)
    execute(study, tmp_path / over, over=over, overwrite=False, progress=lambda _done: None)
    return read_record(tmp_path / over)


REFUSED = [
    ("ReturnsADict", "returned dict at step 1; 'step' must return a cosim.model.state.Decision"),
    (
        "Complex",
        "p_kw of step 1 from 'controller' is no vector of real numbers: it is of type complex128",
    ),
    ("UnknownSource", "source of step 1 from 'controller' is 'LUCK', expected one of PLAN"),
    ("FromTheFuture", "issued_at_s of step 1 from 'controller' is 1000000000000.0; it is the time"),
    ("WrongStep", "answered step 7 where it was asked about step 1"),
    ("Infinite", "p_kw[0] (b1) of step 1 from 'controller' is inf; set-points must be finite"),
    ("WritesToTheMeasurement", "ValueError: assignment destination is read-only"),
]
"""One for each rule, and how the refusal begins."""
REFUSED_ALIKE = [
    ("Matrix", "p_kw of step 1 from 'controller' has shape (1, 3); send one value per device"),
    ("Words", "p_kw of step 1 from 'controller' is no vector of real numbers"),
    ("Timeless", "issued_at_s of step 1 from 'controller' is nan; it is the time"),
]
"""More ways to break a rule of the list above; one driver shows them, because both check by the same function."""


@pytest.mark.parametrize(
    ("name", "words", "over"),
    [(*case, over) for case in REFUSED for over in DRIVERS] + [(*case, "local") for case in REFUSED_ALIKE],
)
def test_a_careless_controller_ends_the_run_with_a_reason(scenario_file, tmp_path, name, words, over):
    # In process a controller's own exception comes as it is, with its type.
    with pytest.raises((CosimError, ValueError)) as ended:
        run(scenario_file, tmp_path, name, over)
    assert words.removeprefix("ValueError: ") in str(ended.value)
    record = read_record(tmp_path / over)
    assert record.manifest["status"] == "aborted"
    assert words.removeprefix("ValueError: ") in record.manifest["reason"]
    assert list(record.steps.step) == [0]


@pytest.mark.parametrize("name", ["ReusesItsArray", "Lists", "KeepsTheMeasurement"])
def test_both_drivers_give_the_same_record(scenario_file, tmp_path, name):
    """With a delay of a step: a value that is shared by reference would act at once in one process."""
    local, helics = (
        run(scenario_file, tmp_path, name, over, feedback="next_step").steps for over in DRIVERS
    )
    for column in set(local.columns) - CLOCKED:
        assert all(same(a, b) for a, b in zip(local[column], helics[column], strict=True)), column
    assert np.array(local["decided_storage_kw"].tolist())[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert np.array(local["storage_kw"].tolist())[1:, 0] == pytest.approx([1.0, 2.0], abs=1e-6)
