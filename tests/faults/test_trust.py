"""A module beside a scenario is executed only with trust; installed ones as ever."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from cosim.cli import app
from cosim.experiments.open_loop import plan_day, read_plan, study_of
from cosim.run.check import check_study
from cosim.run.execute import execute
from cosim.run.manifest import read_manifest
from cosim.run.study import Study, open_study

MODULE = """
from pathlib import Path
Path(__file__).with_name("executed.txt").write_text("yes")
from cosim.control.idle import IdleController
class Mine(IdleController):
    commands = True
"""


@pytest.fixture
def beside(scenario_file, tmp_path):
    """A scenario with a controller in a module of its own folder; the name is new in each test."""
    name = f"stranger_{abs(hash(str(tmp_path))) % 10**9}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    return scenario_file(control={"horizon_s": 3600, "type": f"{name}:Mine"}, baseline=False)


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_module_beside_the_scenario_is_not_executed(beside, tmp_path, command):
    words = [command, str(beside)] + (["--out", str(tmp_path / "run")] if command == "run" else [])
    result = CliRunner().invoke(app, words)
    assert result.exit_code != 0
    assert "lies beside the scenario" in str(result.exception)
    assert "--trust" in str(result.exception)
    assert not (tmp_path / "executed.txt").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("over", ["local", "helics"])
def test_with_trust_it_runs_over_both_drivers_and_the_manifest_says_so(beside, tmp_path, over):
    study = replace(open_study(beside, steps=2), trusted=True)
    execute(study, tmp_path / "run", over=over, overwrite=False, progress=lambda _done: None)
    assert (tmp_path / "executed.txt").exists()
    manifest = read_manifest(tmp_path / "run")
    assert (manifest["status"], manifest["trusted"]) == ("complete", True)
    assert Study.from_json(study.to_json()).trusted


def test_a_plan_does_not_vouch_for_itself(scenario_file, tmp_path):
    study = replace(open_study(scenario_file()), trusted=True)
    plan_day(study).write(tmp_path / "plan.json")
    assert not study_of(read_plan(tmp_path / "plan.json")).trusted


def test_a_planner_and_a_forecaster_beside_the_scenario_are_not_executed_either(beside, tmp_path):
    text = beside.read_text()
    name = text.split("type: ")[1].split(":Mine")[0]
    for control in (
        f"control: {{planner: {{type: '{name}:Mine'}}}}",
        f"control: {{forecast: '{name}:Mine'}}",
    ):
        start = text.index("control:")
        end = text.index("feeder:") if text.index("feeder:") > start else len(text)
        beside.write_text(text[:start] + control + "\n" + text[end:])
        problems, opened = check_study(open_study(beside))
        assert opened is None
        assert any("lies beside the scenario" in problem for problem in problems)
        assert not (tmp_path / "executed.txt").exists()
