"""The kits let sound plug-ins pass and name the mistake of each broken one."""

import re
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import pytest

import cosim
from cosim import testing
from cosim.control.idle import IdleController
from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.model.device import Accepted
from tests.api import broken_plugins as broken
from tests.conftest import small_scenario


@pytest.mark.parametrize("sound", [broken.PeakShaver, IdleController])
def test_sound_controllers_pass(sound):
    assert testing.check_controller(sound, steps=4) == ()


@pytest.mark.parametrize(
    ("controller", "sentence"),
    [
        (broken.WrongLength, "has 2 values, the plant has 7 devices; send one value per device"),
        (broken.WithoutStep, "the controller has no step: add step"),
        (broken.ReturnsADict, "returned dict at step 0; 'step' must return a cosim.model.state.Decision"),
        (broken.WritesIntoTheMeasurement, "it writes into an array that it was given"),
        (broken.ReusesItsArray, "an array that was returned earlier is written to later"),
        (broken.ThrowsDice, "two fresh controllers decide differently on the same measurements"),
        (broken.Forgetful, r"after restore\(state\(\)\) the decisions differ"),
        (broken.Raises, "step 0 raised ZeroDivisionError"),
    ],
)
def test_the_mistake_of_a_broken_controller_is_named(controller, sentence):
    found = testing.check_controller(controller, steps=4)
    assert len(found) == 1
    assert re.search(sentence, found[0]), found


@pytest.fixture
def with_history(tmp_path):
    """A scenario whose demand changes, with two days of history and a vintage of prices per quarter."""
    times = pd.date_range("2024-06-19T12:00", periods=2 * 96 + 24, freq="15min", tz="UTC")
    stamps = [stamp.isoformat() for stamp in times]
    load = 0.8 + 0.2 * np.random.default_rng(0).random(len(times))
    pd.DataFrame({"time": stamps, "m": load}).to_csv(tmp_path / "load.csv", index=False)
    rows = [
        (stamps[issue], stamps[issue + lead], 0.1 + 0.01 * issue)
        for issue in range(192, 200)
        for lead in range(8)
    ]
    pd.DataFrame(rows, columns=["issue_time", "time", "p"]).to_csv(tmp_path / "price.csv", index=False)
    inputs = {
        "load": {"multiplier": {"file": "load.csv", "column": "m"}},
        "irradiance": {"constant": 0.5},
        "history": {"length_s": 2 * 86_400},
        "vintages": {"price": {"file": "price.csv", "column": "p"}},
    }
    return cosim.load(small_scenario(inputs=inputs), folder=tmp_path)


@pytest.mark.parametrize("name", ["persistence", "seasonal_naive", "file", "learned"])
def test_sound_forecasters_pass(name, with_history):
    assert testing.check_forecaster(name, with_history, steps=4) == ()


def test_errors_on_purpose_know_the_truth_and_may(with_history):
    assert testing.check_forecaster("noisy", with_history, steps=4, may_know_truth=True) == ()
    assert any("it peeks" in found for found in testing.check_forecaster("noisy", with_history, steps=4))


@pytest.mark.usefixtures("importable_tests")
@pytest.mark.parametrize(
    ("broken_one", "sentence"),
    [
        ("Peeks", "it peeks: .* only the true series after"),
        ("TrainsOnTheFuture", "because it looks at them or was trained on them"),
        ("ReadsTooEarly", "it reads vintages too early: .*issued after the step"),
        ("ForgetsWhatItSaw", r"after restore\(state\(\)\) the forecasts differ"),
    ],
)
def test_a_forecaster_that_knows_too_much_or_too_little_is_named(broken_one, sentence, with_history):
    (found,) = testing.check_forecaster(f"tests.api.broken_plugins:{broken_one}", with_history, steps=4)
    assert re.search(sentence, found), found


def test_perfect_foresight_peeks_and_may():
    assert any("it peeks" in sentence for sentence in testing.check_forecaster("perfect", steps=4))
    assert testing.check_forecaster("perfect", steps=4, may_know_truth=True) == ()


def test_peeking_and_wrong_shapes_are_named():
    (peeks,) = testing.check_forecaster("tests.api.broken_plugins:Peeks", steps=4)
    assert "it peeks" in peeks
    found = testing.check_forecaster("tests.api.broken_plugins:WrongShape", steps=4)
    assert "demand_kw has shape (1, " in found[0]


@pytest.mark.parametrize("name", ["lindistflow", "copper_plate"])
def test_sound_planners_pass(name):
    assert testing.check_planner(name) == ()


def test_a_planner_that_returns_no_plan_object_is_named():
    (found,) = testing.check_planner("tests.api.broken_plugins:answers_with_text")
    assert "plan() returned str: return a cosim.model.state.Plan" in found
    (unknown,) = testing.check_planner("lindistflo")
    assert "did you mean 'lindistflow'?" in unknown


@pytest.mark.parametrize(
    ("planner", "sentence"),
    [
        ("beyond_ratings", "its rating is"),
        ("outside_the_window", "its window is"),
        ("starts_elsewhere", "begin with the measurement"),
    ],
)
def test_plans_that_no_battery_can_follow_are_named(planner, sentence):
    found = testing.check_planner(f"tests.api.broken_plugins:{planner}")
    assert any(sentence in mistake for mistake in found), found


STORAGE = StorageRating(
    "b", "675", (1, 2, 3), False, 100.0, 120.0, 400.0, 40.0, 400.0, 200.0, 0.95, 0.95, 0.0
)


@dataclass(frozen=True)
class TakesEverything(StorageRating):
    def accept(self, kw, kvar, state):
        return Accepted(kw, kvar, "")


@dataclass(frozen=True)
class SaysNothing(StorageRating):
    def accept(self, kw, kvar, state):
        return super().accept(kw, kvar, state)._replace(reason="")


def _like_storage(kind):
    return kind(**{part.name: getattr(STORAGE, part.name) for part in fields(STORAGE)})


def test_shipped_devices_keep_their_laws():
    assert testing.check_device(STORAGE) == ()
    assert testing.check_device(PvRating("p", "675", (1, 2, 3), False, 300.0, 330.0)) == ()


def test_devices_that_break_a_law_are_named():
    assert any(
        "beyond its rating" in found for found in testing.check_device(_like_storage(TakesEverything))
    )
    assert any("gives no reason" in found for found in testing.check_device(_like_storage(SaysNothing)))
