"""Runs with forecasters that have a state: cut short, carried on, and over both drivers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from cosim.experiments.forecast_skill import forecast_skill
from cosim.run.checkpoint import Checkpoints
from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.same_steps import CLOCKED, same
from cosim.run.study import open_study
from tests.conftest import small_scenario
from tests.faults.test_resume import assert_same_record, resumed, run_until, values, whole_run

LEARNED = {
    "type": "learned",
    "options": {"quantiles": True, "retrain_s": 1800, "trees": 20, "most_examples": 1000},
}
SEASONAL = {"type": "seasonal_naive", "options": {"season": "week"}}
NOISY = {"type": "noisy", "options": {"load": "high"}}
FILE = {"type": "file", "options": {"gaps": "hold"}}
HISTORY_DAYS = 2


def write_inputs(folder: Path) -> dict:
    """Load, sun and vintages of the price around the start of the run."""
    steps = HISTORY_DAYS * 96
    times = pd.date_range("2024-06-19T12:00", periods=steps + 40, freq="15min", tz="UTC")
    stamps = [stamp.isoformat() for stamp in times]
    random = np.random.default_rng(7)
    hour = np.arange(len(times)) / 4.0
    table = {
        "time": stamps,
        "m": 0.8 + 0.2 * np.sin(hour) * random.random(len(times)),
        "g": 0.5 + 0.4 * random.random(len(times)),
    }
    pd.DataFrame(table).to_csv(folder / "series.csv", index=False)
    rows = [
        (
            stamps[steps + issue],
            stamps[steps + issue + lead],
            0.1 + 0.01 * ((issue + lead) % 5) + 0.001 * issue,
        )
        for issue in range(0, 8, 2)
        for lead in range(4)
    ]
    pd.DataFrame(rows, columns=["issue_time", "time", "p"]).to_csv(folder / "price.csv", index=False)
    return {
        "load": {"multiplier": {"file": "series.csv", "column": "m"}},
        "irradiance": {"file": "series.csv", "column": "g"},
        "price": {"constant": 0.2},
        "history": {"length_s": HISTORY_DAYS * 86_400},
        "vintages": {"price": {"file": "price.csv", "column": "p"}},
    }


def scenario(folder: Path, forecast) -> Path:
    made = values("lindistflow", inputs=write_inputs(folder), record={"forecasts": True})
    made["control"]["forecast"] = forecast
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(small_scenario(**made)), encoding="utf-8")
    return path


ALL = {"load": LEARNED, "irradiance": SEASONAL, "price": FILE}


@pytest.mark.parametrize("forecast", [ALL, {"load": NOISY, "irradiance": LEARNED, "price": "perfect"}])
def test_a_run_that_was_cut_short_goes_on_to_the_same_record(tmp_path, forecast):
    path = scenario(tmp_path, forecast)
    whole = whole_run(path, tmp_path / "whole")
    run_until(path, tmp_path / "run", 4)
    assert "the controller goes on at step" in resumed(tmp_path / "run")
    assert_same_record(tmp_path / "run", whole)


def test_both_drivers_keep_the_same_forecasts(tmp_path):
    path = scenario(tmp_path, ALL)
    records = {}
    for over in ("local", "helics"):
        execute(open_study(path), tmp_path / over, over=over, overwrite=False, progress=lambda _done: None)
        records[over] = read_record(tmp_path / over)
    local, helics = records["local"].steps, records["helics"].steps
    assert list(local.columns) == list(helics.columns)
    for name in set(local.columns) - CLOCKED:
        for step, (one, other) in enumerate(zip(local[name], helics[name], strict=True)):
            assert same(one, other), f"{name} of step {step}"
    assert len(local["forecast_load_quantiles"].iloc[0]) == 3 * 4
    assert local["forecast_available_level"].isna().all(), "only the load is learned"
    assert Checkpoints(tmp_path / "helics").latest(7) is not None
    assert local["forecast_price_per_kwh"].iloc[2].tolist() == pytest.approx([0.2, 0.132, 0.142, 0.102])
    found = forecast_skill(records["local"])
    assert {(one.quantity, one.lead_s) for one in found} == {
        (quantity, 900.0 * lead) for quantity in ("load", "sun", "price") for lead in range(4)
    }
    assert all(one.rmse == 0.0 for one in found if not one.lead_s), "the present is as measured"


def test_without_the_option_nothing_of_forecasts_is_on_record(tmp_path):
    made = values("lindistflow")
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(small_scenario(**made)), encoding="utf-8")
    whole_run(path, tmp_path / "run")
    assert not [
        name for name in read_record(tmp_path / "run").steps.columns if name.startswith("forecast_")
    ]
