"""Batteries hold a stated energy at stated times, by every planner, as far as they can."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from pydantic import ValidationError

from cosim.devices.energy_targets import EnergyTarget, EnergyTargetConfig, expand, least_with_targets
from cosim.devices.kind import Placement
from cosim.devices.storage import StorageConfig
from cosim.model.timegrid import Horizon, TimeGrid
from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.study import study_in_code
from tests.conftest import small_scenario

GRID = TimeGrid(datetime(2024, 6, 21, 22, tzinfo=UTC), 3600, 24)
PLACE = Placement("675", (1, 2, 3), False, grid=GRID)


def test_a_clock_time_is_expanded_for_every_day_and_beyond():
    targets = expand([EnergyTargetConfig(at="06:00", soc=0.8)], 100.0, PLACE)
    assert [target.at_s / 3600 for target in targets] == [8, 32, 56, 80]
    assert {target.kwh for target in targets} == {80.0}


def test_a_date_is_one_moment_whatever_its_offset():
    targets = expand([EnergyTargetConfig(at="2024-06-22T03:00:00+02:00", soc=0.5)], 100.0, PLACE)
    assert targets == (EnergyTarget(3 * 3600.0, 50.0),)
    assert expand([EnergyTargetConfig(at="2024-06-20T03:00:00+02:00", soc=0.5)], 100.0, PLACE) == ()


@pytest.mark.parametrize(
    ("at_s", "due"),
    [(7200.0, [10, 40, 10, 10]), (5400.0, [40, 40, 10, 10]), (14400.0, [10, 10, 10, 40]), (0.0, [10] * 4),
     (20000.0, [10] * 4)],
)  # fmt: skip
def test_it_holds_at_the_ends_of_periods_about_it(at_s, due):
    found = least_with_targets(
        [EnergyTarget(at_s, 40.0)], np.full(4, 10.0), most_kwh=90.0, start_kwh=20.0, charge_kw=30.0,
        horizon=Horizon((3600,) * 4), time_s=0.0,
    )  # fmt: skip
    assert found.tolist() == due


def test_a_target_out_of_reach_asks_for_what_can_be_reached():
    found = least_with_targets(
        [EnergyTarget(7200.0, 85.0)], np.full(2, 10.0), most_kwh=80.0, start_kwh=20.0, charge_kw=15.0,
        horizon=Horizon((3600,) * 2), time_s=0.0,
    )  # fmt: skip
    assert found.tolist() == [10.0, 50.0]


@pytest.mark.parametrize("soc", [0.1, 0.97])
def test_a_target_outside_the_window_is_refused(soc):
    with pytest.raises(
        ValidationError, match=r"a target of 0\.\d+ is outside soc_min 0\.2 \.\. soc_max 0\.95"
    ):
        StorageConfig(name="b", bus="675", kw=10, kwh=40, targets=[{"at": "06:00", "soc": soc}])


@pytest.mark.parametrize("planner", ["lindistflow", "tangent", "copper_plate"])
def test_the_closed_loop_holds_it(planner, tmp_path):
    """Without a price for energy left, plans empty the battery but for its target."""
    scenario = small_scenario(
        time={"start": "2024-06-21T12:00:00+00:00", "step_s": 900, "steps": 8},
        storages=[
            {"name": "b1", "bus": "675", "kw": 100, "kwh": 100, "targets": [{"at": "13:00", "soc": 0.7}]},
            {"name": "b2", "bus": "611.3", "kw": 5, "kwh": 100, "targets": [{"at": "13:00", "soc": 0.9}]},
        ],
        control={"horizon_s": 7200, "planner": {"type": planner}},
        baseline=False,
    )
    execute(study_in_code(scenario, tmp_path), tmp_path / "run", over="local", overwrite=False,
            progress=lambda _done: None)  # fmt: skip
    steps = read_record(tmp_path / "run").steps
    assert steps.source.eq("PLAN").all()
    stored = np.array(steps.stored_kwh.to_list())
    assert stored[3, 0] >= 70.0 - 1e-3
    assert stored[-1, 0] < stored[3, 0]
    # Out of reach: charged at full power until then.
    assert stored[3, 1] == pytest.approx(50.0 + 5 * 0.95, abs=1e-2)
