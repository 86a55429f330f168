"""Shiftable loads: windows, payback without loss, and agreement of planners and plant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.devices.shiftable_load import ShiftableLoad
from cosim.model.device import DeviceState
from cosim.run.study import open_study
from tests.devices.kit import (
    assert_plan_is_what_the_plant_does,
    assert_planners_find_the_exact_optimum,
    flexible_scenario,
)

DEVICE = {
    "kind": "shiftable_load", "name": "s1", "bus": "671", "share": 0.3, "hours": 1.0, "window_h": 6,
    "payback": 0.8, "comfort_cost_per_kwh": 0.01,
}  # fmt: skip


def a_load(**changes) -> ShiftableLoad:
    values = {
        "loads": (0,), "share": 0.3, "payback_kw": 20.0, "most_kwh": 50.0, "window_h": 6.0,
        "comfort_cost_per_kwh": 0.01, "since_midnight_s": 0.0, "kvar_max": 0.0, "kvar_max_abs": 0.0,
    }  # fmt: skip
    return ShiftableLoad("s", "1", (1,), False, 30.0, 30.0, **(values | changes))


@given(st.lists(st.tuples(st.floats(-60, 60), st.floats(0, 40)), min_size=48, max_size=48))
def test_whatever_is_asked_everything_is_served_by_the_end_of_each_window(requests):
    """No net loss: over a window the power adds up to nothing."""
    load, stored = a_load(), 50.0
    for step, (kw, available) in enumerate(requests):
        state = DeviceState(0.25, stored, available, 900.0 * step)
        got = load.accept(kw, 0.0, state).kw
        assert -20.0 - 1e-9 <= got <= max(min(30.0, available), 0.0) + 1e-9
        stored = load.next_stored_kwh(stored, got, 0.25, 900.0 * step)
        assert -1e-9 <= stored <= 50.0 + 1e-9
        if (step + 1) % 24 == 0:
            assert stored == pytest.approx(50.0, abs=1e-9)


def test_a_payback_that_is_due_is_drawn_and_named():
    load = a_load()
    got = load.accept(0.0, 0.0, DeviceState(0.25, 46.0, 40.0, 5.75 * 3600))
    assert got.kw == pytest.approx(-16.0)
    assert got.reason == "payback: 4.000 kWh are due"


def test_nothing_is_served_that_was_not_deferred():
    got = a_load().accept(-10.0, 0.0, DeviceState(0.25, 49.0, 40.0, 0.0))
    assert got.kw == pytest.approx(-4.0)
    assert got.reason == "only 1.000 kWh were deferred"


@pytest.mark.parametrize("planner", ["tangent", "lindistflow", "copper_plate"])
def test_the_plan_is_what_the_plant_does(tmp_path, planner):
    study = open_study(flexible_scenario(tmp_path, [DEVICE]))
    study = study.with_planner(study.scenario.control.planner.model_copy(update={"type": planner}))
    assert_plan_is_what_the_plant_does(study, "shiftable_load")


def test_planners_find_the_exact_optimum(tmp_path):
    assert_planners_find_the_exact_optimum(tmp_path, [DEVICE | {"bus": "9", "share": 0.5}])
