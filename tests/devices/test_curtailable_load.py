"""Curtailable loads: allowance, acceptance, and agreement of planners and plant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.devices.curtailable_load import CurtailableLoad
from cosim.model.device import DeviceState
from cosim.run.study import open_study
from tests.devices.kit import (
    assert_plan_is_what_the_plant_does,
    assert_planners_find_the_exact_optimum,
    flexible_scenario,
)

DEVICE = {
    "kind": "curtailable_load", "name": "c1", "bus": "671", "share": 0.3, "hours_per_day": 1.5,
    "cost_per_kwh": 0.2,
}  # fmt: skip


def a_load(**changes) -> CurtailableLoad:
    values = {
        "loads": (0,), "share": 0.3, "depth": 0.8, "allowance_kwh": 60.0, "cost_per_kwh": 0.2,
        "since_midnight_s": 0.0, "kvar_max": 0.0, "kvar_max_abs": 0.0,
    }  # fmt: skip
    return CurtailableLoad("c", "1", (1,), False, 30.0, 30.0, **(values | changes))


@given(st.floats(-50, 50), st.floats(0, 60), st.floats(0, 50), st.floats(0, 86_000))
def test_no_more_is_shed_than_is_flexible_and_allowed(kw, stored, available, time_s):
    load = a_load()
    state = DeviceState(0.25, stored, available, time_s)
    got = load.accept(kw, 0.0, state).kw
    assert 0.0 <= got <= min(30.0, 0.8 * available) + 1e-12
    assert got <= max(kw, 0.0) + 1e-12
    assert load.next_stored_kwh(stored, got, 0.25, time_s) >= -1e-9
    assert load.accept(got, 0.0, state).kw == pytest.approx(got, abs=1e-9)


def test_the_allowance_grows_at_midnight_and_carries_over():
    load = a_load(since_midnight_s=23 * 3600.0)
    assert load.next_stored_kwh(10.0, 20.0, 0.25, 0.0) == pytest.approx(5.0)
    assert load.next_stored_kwh(10.0, 0.0, 1.0, 0.0) == pytest.approx(70.0)


def test_reactive_power_is_none_of_its_offers():
    got = a_load().accept(10.0, 5.0, DeviceState(0.25, 60.0, 50.0))
    assert (got.kvar, got.reason) == (0.0, "kvarmax 0 kvar")


@pytest.mark.parametrize("planner", ["tangent", "lindistflow", "copper_plate"])
def test_the_plan_is_what_the_plant_does(tmp_path, planner):
    study = open_study(flexible_scenario(tmp_path, [DEVICE]))
    study = study.with_planner(study.scenario.control.planner.model_copy(update={"type": planner}))
    assert_plan_is_what_the_plant_does(study, "curtailable_load")


def test_planners_find_the_exact_optimum(tmp_path):
    device = DEVICE | {"bus": "9", "share": 0.5, "cost_per_kwh": 0.12}
    assert_planners_find_the_exact_optimum(tmp_path, [device])


def test_available_is_the_share_of_its_loads():
    assert a_load(loads=(1, 2)).available_kw(0.0, np.array([5.0, 10.0, 20.0])) == pytest.approx(9.0)
