"""A forecast that another program publishes: over HELICS, and by its stand-in in one process."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from cosim.errors import ContractError, ControllerError, ScenarioError
from cosim.model.published import published_of
from cosim.run.assembly import Assembly
from cosim.run.check import check_study
from cosim.run.execute import execute
from cosim.run.policy import make_forecaster
from cosim.run.record import read_record
from cosim.run.sources import sources_of
from cosim.run.study import open_study
from federates.published import Inbox
from tests.command import cosim
from tests.federates.weather import values

CLOCKED = {"plan_build_s", "plan_solve_s"}
PROGRAM = str(Path(__file__).with_name("weather.py"))
OWN = [{"role": role, "name": role} for role in ("feeder", "controller", "recorder")]
COMMAND = [sys.executable, PROGRAM, "{core}", "{port}", "{key}", "{name}", "900", "3"]
WEATHER = {"role": "forecast", "name": "weather", "command": COMMAND}
STAND_IN = {"stand_in": "tests.federates.weather:values"}
LISTENING = {"control": {"horizon_s": 3600, "forecast": "federate"}, "record": {"forecasts": True}}
"""Four periods of a quarter of an hour: three steps after the present one."""


def too_short(step):
    return {"price_per_kwh": [0.3, 0.5]}


def broken(step):
    raise RuntimeError("of no use")


def listening(scenario_file, **federate):
    return scenario_file(federates=[*OWN, WEATHER | federate], **LISTENING)


def run(path, out, over):
    execute(open_study(path, steps=3), out, over=over, overwrite=False, progress=lambda _done: None)
    return read_record(out)


def forecast_of(scenario_file, stand_in, **options):
    """What the forecaster says at step 0, by its stand-in."""
    forecast = {"type": "federate", "options": options}
    path = scenario_file(
        federates=[*OWN, WEATHER | {"stand_in": stand_in}],
        control={"horizon_s": 3600, "forecast": forecast},
    )
    study = open_study(path, steps=3)
    with Assembly(study) as assembly:
        forecaster = make_forecaster(study, assembly.knowledge)
        measurement = assembly.plant.measure(0)
        return measurement, forecaster.forecast(measurement, study.horizon)


def test_the_federate_and_its_stand_in_give_the_same_record(scenario_file, tmp_path):
    # With a meter, whose column both drivers must have too.
    meters = {"meters": [{"name": "m", "element": "line.l650_632"}]}
    path = scenario_file(federates=[*OWN, WEATHER | STAND_IN], metrics=meters, **LISTENING)
    helics, local = run(path, tmp_path / "helics", "helics"), run(path, tmp_path / "local", "local")
    for step in range(3):
        said, row = values(step), helics.steps.iloc[step]
        assert list(row["forecast_price_per_kwh"]) == [0.2, *said["price_per_kwh"][:3]]
        assert list(row["forecast_load_kw"])[1:] == pytest.approx(said["load_kw"][:3], rel=1e-12)
    assert set(helics.steps) == set(local.steps) >= {"meter_kw"}
    for column in set(local.steps) - CLOCKED:
        ours, theirs = (record.steps[column].tolist() for record in (helics, local))
        assert repr(ours) == repr(theirs), column
    # Prices that alternate move the batteries; their sum is what plans of a constant price leave alone.
    assert any(abs(kw).max() > 1.0 for kw in helics.steps["accepted_storage_kw"])
    assert "tests/federates/weather.py" in " ".join(sources_of(open_study(path)).code)


def test_what_is_not_said_stays_as_measured(scenario_file):
    measurement, found = forecast_of(scenario_file, "tests.federates.test_published:too_short", gaps="hold")
    assert found.price_per_kwh.tolist() == [0.2, 0.3, 0.5, 0.5]
    assert (found.demand_kw == measurement.demand_kw).all()
    assert (found.available_kw == measurement.available_kw).all()


def test_too_few_values_are_refused_by_name(scenario_file):
    with pytest.raises(
        ContractError, match=r"weather published the price of 2 steps after step 0, the hor.* 3"
    ):
        forecast_of(scenario_file, "tests.federates.test_published:too_short")


def test_a_stand_in_that_fails_is_named(scenario_file):
    with pytest.raises(
        ControllerError, match=r"broken, which stands in for weather, failed at step 0: Runt"
    ):
        forecast_of(scenario_file, "tests.federates.test_published:broken")


def test_without_a_stand_in_a_run_in_one_process_is_refused_and_check_is_content(scenario_file, tmp_path):
    path = listening(scenario_file)
    with pytest.raises(ContractError, match=r"run over helics, or give this federate a 'stand_in'"):
        run(path, tmp_path / "run", "local")
    ended = cosim("check", path)
    assert ended.code == 0, ended.said


def test_check_asks_for_the_federate(scenario_file):
    problems, assembly = check_study(open_study(scenario_file(**LISTENING)))
    assert assembly is None
    assert "forecaster 'federate' listens to a federate with role forecast; add one" in problems[0]


@pytest.mark.parametrize(
    ("federates", "words"),
    [
        ([*OWN, {"role": "forecast", "name": "w"}], "forecast w needs a command"),
        ([*OWN, WEATHER, WEATHER | {"name": "x"}], "there may be one forecast, not 2"),
        ([*OWN[:2], OWN[2] | STAND_IN], "recorder recorder takes no stand_in"),
        ([*OWN, WEATHER | {"stand_in": "no function"}], "stand_in"),
    ],
)
def test_a_list_that_cannot_run_is_refused(scenario_file, federates, words):
    with pytest.raises(ScenarioError, match=words):
        open_study(scenario_file(federates=federates))


def test_values_that_are_none_are_refused():
    with pytest.raises(ContractError, match="weather published wind at step 4; it may publish load_kw"):
        published_of(4, {"wind": [1.0]}, "weather")
    for wrong in ([math.nan], [[1.0]], ["x"]):
        with pytest.raises(ContractError, match=r"weather/load_kw of step 4 is no vector"):
            published_of(4, {"load_kw": wrong}, "weather")


def test_the_controller_takes_only_what_is_published_for_its_step():
    inbox, nothing = Inbox("weather"), {"load_kw": [], "irradiance": [], "price_per_kwh": []}
    with pytest.raises(ContractError, match="weather published no forecast for step 0"):
        inbox.at(0)
    inbox.take(nothing | {"step": 0}, 0)
    assert inbox.at(0).step == 0
    with pytest.raises(ContractError, match="weather published no forecast for step 1"):
        inbox.at(1)
    with pytest.raises(ContractError, match="forecast of step 0 where step 1 is due"):
        inbox.take(nothing | {"step": 0}, 1)


def test_a_late_measurement_is_answered_with_the_forecast_of_now(scenario_file, tmp_path):
    late = {"communication": {"measurements": {"delay_s": 900}}}
    path = scenario_file(federates=[*OWN, WEATHER | STAND_IN], **LISTENING, **late)
    record = run(path, tmp_path / "run", "local")
    # Nothing has arrived at step 0; at step 1 the measurement is that of step 0.
    assert list(record.steps["forecast_price_per_kwh"].iloc[1])[1:] == values(1)["price_per_kwh"][:3]
    assert "decided on the measurement of second 0" in record.steps["reason"].iloc[1]
