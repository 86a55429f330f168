"""The kits let sound plug-ins pass and name the mistake of each broken one."""

import re
from dataclasses import dataclass, fields

import pytest

from cosim import testing
from cosim.control.idle import IdleController
from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.model.device import Accepted
from tests.api import broken_plugins as broken


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


@pytest.mark.parametrize("name", ["persistence"])
def test_sound_forecasters_pass(name):
    assert testing.check_forecaster(name, steps=4) == ()


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
