"""A record can be run again, and gives the same record, or says which file is no longer the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cosim.errors import ScenarioError
from cosim.run.execute import execute, execute_baseline
from cosim.run.record import Record, read_record
from cosim.run.repeat import is_record, open_recorded
from cosim.run.shipped import find_scenario, shipped
from cosim.run.sources import feeder_files
from cosim.run.study import Study, open_study
from tests.command import cosim
from tests.conftest import shipped_master
from tests.timeline.test_two_drivers import CLOCKED, same


def run(study: Study, folder: Path) -> Record:
    execute(study, folder, over="local", overwrite=False, progress=lambda _n: None)
    return read_record(folder)


def assert_same(one: Record, other: Record) -> None:
    """Every column equal to the last bit, seconds on the wall apart."""
    assert list(one.steps.columns) == list(other.steps.columns)
    assert len(one.steps) == len(other.steps)
    for column in set(one.steps.columns) - CLOCKED:
        for step, (mine, theirs) in enumerate(zip(one.steps[column], other.steps[column], strict=True)):
            assert same(mine, theirs), f"{column} of step {step}"


@pytest.fixture
def own_study(tmp_path) -> Study:
    """Four steps of the shipped scenario, with feeder and series in a folder that may be edited."""
    folder = tmp_path / "study"
    shutil.copytree(shipped("dss_models") / "ieee13", folder / "feeder")
    shutil.copytree(shipped("configs") / "series", folder / "series")
    text = find_scenario("ieee13").read_text().replace("{model: ieee13}", "{master: feeder/master.dss}")
    (folder / "mine.yaml").write_text(text)
    return open_study(folder / "mine.yaml", steps=4)


def test_a_repeated_run_is_the_same_run(own_study, tmp_path):
    first = run(own_study, tmp_path / "first")
    own_study.path.unlink()  # the record holds the scenario; the file is not needed again
    again = open_recorded(tmp_path / "first")
    assert (again.scenario, again.master, again.folder) == (
        own_study.scenario,
        own_study.master,
        own_study.folder,
    )
    second = run(again, tmp_path / "second")
    assert len(first.steps) == 4
    assert first.vector("storage_kw").any(), "a run in which nothing happens proves nothing"
    assert_same(first, second)
    for key in ("sha256", "seeds", "versions", "steps", "feeder"):
        assert first.manifest[key] == second.manifest[key]


def test_a_repeat_can_be_repeated(own_study, tmp_path):
    run(own_study, tmp_path / "first")
    run(open_recorded(tmp_path / "first"), tmp_path / "second")
    assert replace(open_recorded(tmp_path / "second"), path=own_study.path, home=None) == own_study


def test_a_repeated_baseline_is_idle(own_study, tmp_path):
    execute_baseline(own_study, tmp_path, progress=lambda _n: None)
    again = open_recorded(tmp_path / "baseline")
    assert (again.scenario.control.type, again.commanded) == ("idle", False)
    second = run(again, tmp_path / "second")
    assert_same(read_record(tmp_path / "baseline"), second)
    assert not second.vector("decided_storage_kw").any()


def test_a_study_of_a_record_is_the_same_in_another_process(own_study, tmp_path):
    run(own_study, tmp_path / "first")
    study = open_recorded(tmp_path / "first")
    there = Study.from_json(study.to_json())
    assert (there.scenario, there.folder, there.master) == (study.scenario, study.folder, study.master)


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("study/feeder/master.dss", "feeder file"),
        ("study/series/summer_days.csv", "input file"),
        ("first/scenario.yaml", "scenario"),
    ],
)
def test_a_file_that_changed_or_is_gone_is_named(own_study, tmp_path, file, what):
    run(own_study, tmp_path / "first")
    path = tmp_path / file
    before = path.read_text()
    path.write_text(before + "\n")
    with pytest.raises(ScenarioError, match=f"{what} {path} has changed since the run: sha256 "):
        open_recorded(tmp_path / "first")
    path.unlink()
    with pytest.raises(ScenarioError, match=f"{what} {path} is missing"):
        open_recorded(tmp_path / "first")
    path.write_text(before)
    open_recorded(tmp_path / "first")


def test_all_changed_files_are_named_at_once(own_study, tmp_path):
    run(own_study, tmp_path / "first")
    shutil.rmtree(own_study.folder)
    with pytest.raises(ScenarioError) as caught:
        open_recorded(tmp_path / "first")
    files = [path.name for path in feeder_files(shipped_master("ieee13"))] + ["summer_days.csv"]
    assert len(caught.value.problems) == len(files)
    for name in files:
        assert f"{name} is missing; restore it" in str(caught.value)


def test_a_file_the_feeder_finds_only_now_is_named(own_study, tmp_path):
    master = own_study.master
    # A name that differs by upper and lower case is found; one that is spelled as written comes first.
    (master.parent / "later.dss").write_text("! nothing yet\n")
    master.write_text(master.read_text() + "\nredirect Later.DSS\n")
    run(own_study, tmp_path / "first")
    later = master.parent / "Later.DSS"
    later.write_text("! nothing yet\n")
    with pytest.raises(ScenarioError, match=f"feeder file {later} was not there when the run was made"):
        open_recorded(tmp_path / "first")


def test_a_controller_that_was_edited_is_named(scenario_file, tmp_path):
    module = tmp_path / "edited_controller.py"
    module.write_text("from cosim.control.idle import IdleController\nclass Mine(IdleController): pass\n")
    study = open_study(scenario_file(control={"type": "edited_controller:Mine"}), steps=1)
    study = replace(study, trusted=True)
    run(study, tmp_path / "first")
    assert open_recorded(tmp_path / "first").folder == tmp_path
    module.write_text("class Mine: pass\n")
    with pytest.raises(ScenarioError, match=f"module of a plug-in {module} has changed"):
        open_recorded(tmp_path / "first")


def test_other_versions_are_named_in_a_warning(own_study, tmp_path, caplog):
    run(own_study, tmp_path / "first")
    path = tmp_path / "first" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["versions"]["numpy"] = "1.0"
    path.write_text(json.dumps(manifest))
    open_recorded(tmp_path / "first")
    assert "was made with numpy 1.0 (now " in caplog.text


def test_a_record_of_an_earlier_release_says_so(tmp_path):
    (tmp_path / "manifest.json").write_text('{"name": "old"}')
    assert is_record(tmp_path)
    with pytest.raises(ScenarioError, match="does not tell the study"):
        open_recorded(tmp_path)


def test_the_command_repeats_a_record(scenario_file, tmp_path):
    scenario, first, second = scenario_file(), tmp_path / "first", tmp_path / "second"
    ended = cosim("run", str(scenario), "--over", "local", "--out", str(first), "--steps", "2")
    assert ended.code == 0, ended.said
    ended = cosim("run", str(first), "--over", "local", "--out", str(second))
    assert ended.code == 0, ended.said
    assert_same(read_record(first), read_record(second))
    assert_same(read_record(first / "baseline"), read_record(second / "baseline"))
    ended = cosim("run", str(first), "--steps", "3")
    assert ended.code == 2
    assert "leave out --steps, --master and --set" in ended.said


def test_the_command_refuses_a_record_whose_files_changed(own_study, tmp_path):
    run(own_study, tmp_path / "first")
    own_study.master.unlink()
    ended = cosim("run", str(tmp_path / "first"), "--out", str(tmp_path / "second"))
    assert ended.code == 2
    assert f"feeder file {own_study.master} is missing" in ended.said
    assert not (tmp_path / "second").exists()


def test_a_folder_that_is_no_record_is_no_scenario_either(tmp_path):
    ended = cosim("run", str(tmp_path))
    assert ended.code == 2
    assert "is a folder without manifest.json" in ended.said
