"""The command line as a user or a script meets it: words, pictures of state, exit codes."""

from __future__ import annotations

import json

import pytest

from tests.command import cosim, process
from tests.conftest import published_feeder, shipped_master


def test_a_run_leaves_record_metrics_and_report(scenario_file, tmp_path):
    out = tmp_path / "run"
    ended = cosim("run", str(scenario_file()), "--over", "local", "--out", str(out), "--steps", "3")
    assert ended.code == 0, ended.said
    assert "Energy cost" in ended.said
    assert str(out / "report.html") in ended.said
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["status"], manifest["steps"], manifest["last_step"]) == ("complete", 3, 2)
    assert json.loads((out / "baseline" / "manifest.json").read_text())["controller"] == "idle"
    assert json.loads((out / "metrics.json").read_text())
    assert (out / "report.html").stat().st_size > 1_000_000  # plotly is inside


def test_an_invalid_scenario_is_exit_2_and_writes_nothing(scenario_file, tmp_path):
    out = tmp_path / "run"
    scenario = scenario_file(control={"horizon_s": 3600, "planner": {"solver": "gurobi"}})
    ended = cosim("run", str(scenario), "--out", str(out))
    assert ended.code == 2
    assert "control.planner.solver: solver 'gurobi' is not installed" in ended.said
    assert not out.exists()


def test_a_failing_run_is_exit_1_and_points_to_what_is_there(scenario_file, tmp_path):
    out = tmp_path / "run"
    scenario = scenario_file(control={"type": "tests.controllers:BrokenController"})
    ended = cosim("run", str(scenario), "--out", str(out))
    assert ended.code == 1
    assert f"see them with: cosim report {out}" in ended.said
    ended = cosim("report", str(out))
    assert ended.code == 0, ended.said
    assert "ABORTED" in (out / "report.html").read_text().upper()


def test_check_says_what_is_there(scenario_file):
    ended = cosim("check", str(scenario_file()))
    assert ended.code == 0, ended.said
    assert "is valid" in ended.said
    assert "2 batteries, 1 PV system, 3 regulators" in ended.said


def test_check_finds_all_mistakes(scenario_file):
    ended = cosim("check", str(scenario_file(name="9 lives", time={"steps": 4})))
    assert ended.code == 2
    assert "has 2 problems" in ended.said
    assert "name: '9 lives'" in ended.said
    assert "time.start: is missing" in ended.said


@pytest.mark.parametrize("call", [cosim, process])
def test_a_missing_scenario_is_exit_2(call, tmp_path):
    ended = call("check", str(tmp_path / "nowhere.yaml"))
    assert ended.code == 2
    assert "cannot be read" in ended.said


def test_inspect_describes_a_feeder():
    ended = cosim("inspect", str(shipped_master("ieee123")))
    assert ended.code == 0, ended.said
    for text in ("radial", "yes", "271 phase to ground, 3 phase to phase", "91, 3490 kW"):
        assert text in ended.said


def test_inspect_names_a_file_that_is_not_there(tmp_path):
    ended = cosim("inspect", str(tmp_path / "none.dss"))
    assert ended.code == 1
    assert "does not exist" in ended.said


@pytest.mark.parametrize("call", [cosim, process])
def test_a_report_of_no_run_says_so(call, tmp_path):
    ended = call("report", str(tmp_path))
    assert ended.code == 1
    assert "it has no manifest.json" in ended.said


def test_the_doctor_finds_this_machine_well():
    ended = cosim("doctor")
    assert ended.code == 0, ended.said
    assert ended.said.count("ok  ") == 4


@pytest.mark.parametrize("call", [cosim, process])
def test_the_schema_is_json(call):
    ended = call("schema")
    assert ended.code == 0
    assert json.loads(ended.said)["title"] == "Scenario"


@pytest.mark.parametrize("command", ["run", "campaign", "check", "report", "inspect", "doctor", "schema"])
def test_every_command_explains_itself(command):
    ended = cosim(command, "--help")
    assert ended.code == 0
    assert "Usage" in ended.said


def test_any_master_can_take_the_place_of_the_feeder(scenario_file, tmp_path):
    master = published_feeder("13Bus/IEEE13Nodeckt.dss")
    ended = cosim(
        "run", str(scenario_file()), "--over", "local", "--out", str(tmp_path / "run"),
        "--steps", "2", "--master", str(master),
    )  # fmt: skip
    assert ended.code == 0, ended.said


@pytest.mark.parametrize(
    "arguments", [("run", "ieee13", "--stps", "3"), ("run",), ("compare",), ("nonsense",)]
)
def test_a_wrong_use_of_the_command_line_is_exit_2_and_a_sentence(arguments):
    ended = process(*arguments)
    assert ended.code == 2
    assert "--help' for help" in ended.said
    assert "Traceback" not in ended.said


def test_scenarios_plugins_settings_and_comparison(tmp_path):
    ended = cosim("scenarios")
    assert ended.code == 0
    assert "ieee13" in ended.said
    ended = cosim("plugins")
    assert ended.code == 0
    assert "tangent" in ended.said
    folders = []
    for name, setting in (("a", "control.horizon_s=7200"), ("b", "control.planner.type=copper_plate")):
        folders.append(str(tmp_path / name))
        ended = cosim(
            "run",
            "ieee13",
            "--over",
            "local",
            "--steps",
            "2",
            "--no-baseline",
            "--out",
            folders[-1],
            "--set",
            setting,
        )
        assert ended.code == 0, ended.said
    assert "horizon_s: 7200" in (tmp_path / "a" / "scenario.yaml").read_text()
    page = tmp_path / "pages" / "c.html"
    ended = cosim("compare", *folders, "--csv", str(tmp_path / "c.csv"), "--html", str(page))
    assert ended.code == 0, ended.said
    text = page.read_text(encoding="utf-8")
    assert all(f'<a href="../{name}/report.html">' in text for name in ("a", "b"))
    assert "Lowest and highest voltage" in text
    assert (tmp_path / "c.csv").read_text().startswith("figure,a,b,unit")
    ended = cosim("run", "ieee13", "--set", "control.horizn_s=7200")
    assert ended.code == 2
    assert "control.horizn_s" in ended.said
    ended = cosim("run", "ieee13", "--set", "control")
    assert ended.code == 2
    assert "KEY=VALUE" in ended.said
