"""The command line as a user or a script meets it: words, pictures of state, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, published_feeder, shipped_master


def cosim(*arguments: str, cwd: Path = ROOT) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "cosim.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(cwd)},
    )
    return done.returncode, done.stdout + done.stderr


def test_a_run_leaves_record_metrics_and_report(scenario_file, tmp_path):
    out = tmp_path / "run"
    code, output = cosim("run", str(scenario_file()), "--over", "local", "--out", str(out), "--steps", "3")
    assert code == 0, output
    assert "Energy cost" in output
    assert str(out / "report.html") in output
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["status"], manifest["steps"], manifest["last_step"]) == ("complete", 3, 2)
    assert json.loads((out / "baseline" / "manifest.json").read_text())["controller"] == "idle"
    assert json.loads((out / "metrics.json").read_text())
    assert (out / "report.html").stat().st_size > 1_000_000  # plotly is inside


def test_an_invalid_scenario_is_exit_2_and_writes_nothing(scenario_file, tmp_path):
    out = tmp_path / "run"
    scenario = scenario_file(control={"horizon_s": 3600, "planner": {"solver": "gurobi"}})
    code, output = cosim("run", str(scenario), "--out", str(out))
    assert code == 2
    assert "control.planner.solver: solver 'gurobi' is not installed" in output
    assert not out.exists()


def test_a_failing_run_is_exit_1_and_points_to_what_is_there(scenario_file, tmp_path):
    out = tmp_path / "run"
    scenario = scenario_file(control={"type": "tests.controllers:BrokenController"})
    code, output = cosim("run", str(scenario), "--out", str(out))
    assert code == 1
    assert f"see them with: cosim report {out}" in output
    code, output = cosim("report", str(out))
    assert code == 0, output
    assert "ABORTED" in (out / "report.html").read_text().upper()


def test_check_says_what_is_there(scenario_file):
    code, output = cosim("check", str(scenario_file()))
    assert code == 0, output
    assert "is valid" in output
    assert "2 batteries, 1 PV system, 3 regulators" in output


def test_check_finds_all_mistakes(scenario_file):
    code, output = cosim("check", str(scenario_file(name="9 lives", time={"steps": 4})))
    assert code == 2
    assert "has 2 problems" in output
    assert "name: '9 lives'" in output
    assert "time.start: is missing" in output


def test_a_missing_scenario_is_exit_2(tmp_path):
    code, output = cosim("check", str(tmp_path / "nowhere.yaml"))
    assert code == 2
    assert "cannot be read" in output


def test_inspect_describes_a_feeder():
    code, output = cosim("inspect", str(shipped_master("ieee123")))
    assert code == 0, output
    for text in ("radial", "yes", "271 phase to ground, 3 phase to phase", "91, 3490 kW"):
        assert text in output


def test_inspect_names_a_file_that_is_not_there(tmp_path):
    code, output = cosim("inspect", str(tmp_path / "none.dss"))
    assert code == 1
    assert "does not exist" in output


def test_a_report_of_no_run_says_so(tmp_path):
    code, output = cosim("report", str(tmp_path))
    assert code == 1
    assert "it has no manifest.json" in output


def test_the_doctor_finds_this_machine_well():
    code, output = cosim("doctor")
    assert code == 0, output
    assert output.count("ok  ") == 4


def test_the_schema_is_json():
    code, output = cosim("schema")
    assert code == 0
    assert json.loads(output)["title"] == "Scenario"


@pytest.mark.parametrize("command", ["run", "check", "report", "inspect", "doctor", "schema"])
def test_every_command_explains_itself(command):
    code, output = cosim(command, "--help")
    assert code == 0
    assert "Usage" in output


def test_any_master_can_take_the_place_of_the_feeder(scenario_file, tmp_path):
    master = published_feeder("13Bus/IEEE13Nodeckt.dss")
    code, output = cosim(
        "run", str(scenario_file()), "--over", "local", "--out", str(tmp_path / "run"),
        "--steps", "2", "--master", str(master),
    )  # fmt: skip
    assert code == 0, output


@pytest.mark.parametrize(
    "arguments", [("run", "ieee13", "--stps", "3"), ("run",), ("compare",), ("nonsense",)]
)
def test_a_wrong_use_of_the_command_line_is_exit_2_and_a_sentence(arguments):
    code, output = cosim(*arguments)
    assert code == 2
    assert "--help' for help" in output
    assert "Traceback" not in output


def test_scenarios_plugins_settings_and_comparison(tmp_path):
    code, output = cosim("scenarios")
    assert code == 0
    assert "ieee13" in output
    code, output = cosim("plugins")
    assert code == 0
    assert "tangent" in output
    folders = []
    for name, setting in (("a", "control.horizon_s=7200"), ("b", "control.planner.type=copper_plate")):
        folders.append(str(tmp_path / name))
        code, output = cosim(
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
        assert code == 0, output
    assert "horizon_s: 7200" in (tmp_path / "a" / "scenario.yaml").read_text()
    code, output = cosim("compare", *folders, "--csv", str(tmp_path / "c.csv"))
    assert code == 0, output
    assert (tmp_path / "c.csv").read_text().startswith("figure,a,b,unit")
    code, output = cosim("run", "ieee13", "--set", "control.horizn_s=7200")
    assert code == 2
    assert "control.horizn_s" in output
    code, output = cosim("run", "ieee13", "--set", "control")
    assert code == 2
    assert "KEY=VALUE" in output
