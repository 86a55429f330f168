"""Every mistake in a scenario is found before anything runs, with its place and the next move."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cosim.errors import ScenarioError
from cosim.run.check import check_study
from cosim.run.scenario import Scenario
from cosim.run.scenario_file import load_scenario
from cosim.run.schema import scenario_schema
from cosim.run.shipped import find_scenario, shipped_scenarios
from cosim.run.study import open_study
from tests.conftest import shipped_master, small_scenario


def problems_of(path: Path) -> list[str]:
    """All problems, of the file alone or of the file against feeder and series."""
    try:
        study = open_study(path)
    except ScenarioError as error:
        return list(error.problems)
    problems, site = check_study(study)
    assert (site is None) == bool(problems)
    return problems


def storage(**changes):
    return [{"name": "b1", "bus": "675", "kw": 100, "kwh": 400} | changes]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"storages": storage(bus="676")}, "storages.0.bus: '676' is no bus of master.dss; nearest: 67"),
        ({"storages": storage(bus="611.1")}, "'611.1' is no node of master.dss; this bus has 611.3"),
        ({"storages": storage(kw=-5)}, "storages.0.kw: -5: input should be greater than 0"),
        ({"storages": storage(kwhh=3)}, "storages.0.kwhh: unknown key; did you mean 'kwh'?"),
        ({"storages": storage(soc_start=0.1)}, "soc_start 0.1 is outside soc_min 0.2 .. soc_max 0.95"),
        ({"storages": storage(kva=50)}, "kva 50 is below kw 100; the inverter must carry the battery"),
        ({"storages": storage() + storage()}, "device names must differ; b1 is used twice"),
        ({"storages": storage(bus="611.3", delta=True)}, "a delta connection needs two or three phases"),
        ({"control": {"horizon_s": 5000}}, "control.horizon_s: 5000 is not a multiple of resolution_s 900"),
        ({"control": {"horizon_s": 3600, "interval_s": 1000}}, "interval_s: 1000 is not a multiple of time.step_s"),
        ({"control": {"horizon_s": 3600, "forecast": "perfekt"}}, "did you mean 'perfect'?"),
        ({"control": {"horizon_s": 3600, "planner": {"type": "linearflow"}}}, "no planner 'linearflow'"),
        ({"control": {"horizon_s": 3600, "planner": {"solver": "gurobi"}}}, "solver 'gurobi' is not installed"),
        ({"control": {"type": "nowhere:Controller"}}, "'nowhere:Controller' cannot be imported"),
        ({"feeder": {"model": "ieee14"}}, "no shipped feeder is called 'ieee14'; there are ads10_1ph, ieee123, ieee123_1ph, ieee13"),
        ({"feeder": {"master": "gone/Master.dss"}}, "gone/Master.dss does not exist"),
        ({"feeder": {}}, "give exactly one of 'model' and 'master'"),
        ({"time": {"start": "2024-06-21T12:00:00"}}, "time.start: '2024-06-21T12:00:00': input should have timezone"),
        ({"inputs": {"price": {"file": "none.csv", "column": "p"}}}, "none.csv does not exist"),
        ({"inputs": {"irradiance": {"constant": -1}}}, "-1 kW/m² is negative"),
        ({"inputs": {"load": {"feeder_shapes": True}}}, "no load of this feeder has a yearly, daily or duty shape"),
        ({"limits": {"voltage_min_pu": 1.1}}, "voltage_min_pu 1.1 is not below voltage_max_pu 1.05"),
        ({"setpoint_ttl_s": 900, "feedback": {"delay_s": 1800}}, "setpoint_ttl_s: 900 is shorter than the feedback delay"),
        ({"feedback": {"delay_s": 3600}}, "feedback: a delay of 3600 s reaches beyond horizon_s 3600"),
        ({"control": {"horizon_s": 3600, "interval_s": 7200}}, "interval_s: 7200 is longer than horizon_s 3600"),
        ({"control": {"horizon_s": 3600, "planner": {"terminal": {"type": "hard", "soc": 0.99}}}}, "soc: 0.99 is outside soc_min"),
        ({"storages": [], "pvs": []}, "has nothing to plan: the scenario has no device"),
        ({"inputs": {"price": {"constant": float("nan")}}}, "inputs.price.constant"),
        ({"schema": 2}, "schema: 2: input should be 1"),
        ({"feedback": "sometimes"}, "feedback"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(scenario_file, changes, expected):
    problems = problems_of(scenario_file(**changes))
    assert any(expected in problem for problem in problems), problems


def test_all_mistakes_come_at_once_with_their_lines(tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text(
        "schema: 1\nname: two\nfeeder: {model: ieee13}\n"
        "time: {start: 2024-06-21T00:00:00Z, stps: 4}\n"
        "storages:\n  - {name: b1, bus: '675', kw: -1, kwh: 4}\n"
    )
    problems = problems_of(path)
    assert problems == [
        "line 4, time.stps: unknown key; did you mean 'steps'?",
        "line 6, storages.0.kw: -1: input should be greater than 0",
    ]


def test_mistakes_that_need_the_feeder_come_together_too(scenario_file):
    problems = problems_of(
        scenario_file(storages=storage(bus="999"), inputs={"price": {"file": "none.csv", "column": "p"}})
    )
    assert len(problems) == 2
    assert all(problem.startswith("line ") for problem in problems)


def test_a_meshed_feeder_is_refused_by_the_planner_with_the_loop(tmp_path, scenario_file):
    master = tmp_path / "meshed.dss"
    master.write_text(
        f'redirect "{shipped_master("ieee123")}"\nedit line.sw54_94 enabled=yes\n', encoding="utf-8"
    )
    problems = problems_of(
        scenario_file(
            feeder={"master": str(master)},
            storages=[{"name": "b1", "bus": 65, "kw": 10, "kwh": 40}],
            pvs=[],
        )
    )
    assert len(problems) == 1
    assert "planner lindistflow needs a radial feeder: the feeder is meshed: loop" in problems[0]
    assert " 54 " in problems[0]


@pytest.mark.parametrize("name", shipped_scenarios())
def test_shipped_scenarios_are_valid(name):
    assert problems_of(find_scenario(name)) == []


def test_a_coarser_tail_extends_the_horizon():
    scenario = Scenario.model_validate(
        small_scenario(control={"horizon_s": 7200, "tail": {"after_s": 1800, "resolution_s": 2700}})
    )
    assert scenario.period_s() == (900, 900, 2700, 2700)


def test_the_schema_knows_every_key_and_is_json():
    schema = json.loads(json.dumps(Scenario.model_json_schema(by_alias=True)))
    assert schema["properties"]["schema"]["const"] == 1
    assert schema["additionalProperties"] is False


def test_a_bus_that_looks_like_a_number_is_a_bus(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        yaml.safe_dump(small_scenario(storages=[{"name": "b1", "bus": 611.3, "kw": 1, "kwh": 4}]))
    )
    assert load_scenario(path).storages[0].bus == "611.3"


def test_a_table_of_loads_must_name_them_all(tmp_path, scenario_file):
    table = tmp_path / "loads.csv"
    table.write_text("time,s671,nobody\n2024-06-21T12:00:00Z,1,1\n2024-06-21T16:00:00Z,1,1\n")
    problems = problems_of(scenario_file(inputs={"load": {"table_kw": "loads.csv"}}))
    assert any("no load is called nobody" in problem for problem in problems)
    assert any("loads have no column" in problem for problem in problems)


def test_the_schema_knows_the_options_of_plugins():
    definitions = scenario_schema()["$defs"]
    rules = {
        rule["if"]["properties"]["type"]["const"]: rule["then"]["properties"]["options"]
        for rule in definitions["PlannerConfig"]["allOf"]
    }
    assert rules["tangent"]["properties"]["iteration_limit"]["default"] == 16
    assert rules["lindistflow"]["additionalProperties"] is False
    forecast = next(form for form in definitions["ForecastConfig"]["anyOf"] if "allOf" in form)
    assert {rule["if"]["properties"]["type"]["const"] for rule in forecast["allOf"]} >= {"perfect"}
