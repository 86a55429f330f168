"""A manifest tells what a run was made of: the study as it ran, files, seeds, versions."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml

from cosim.errors import UnknownPlugin
from cosim.run.execute import execute, execute_baseline
from cosim.run.manifest import effective_scenario, seeds_of, software_versions
from cosim.run.scenario import Scenario
from cosim.run.scenario_file import load_scenario
from cosim.run.shipped import find_scenario, shipped_scenarios
from cosim.run.sources import feeder_files, sources_of
from cosim.run.study import Study, open_study
from tests.conftest import shipped_master

SITING = [{"kind": "storage", "share_of_load_buses": 0.2, "times_local_load": 0.5, "seed": 41}]


def run(study: Study, folder: Path) -> dict:
    execute(study, folder, over="local", overwrite=False, progress=lambda _n: None)
    return json.loads((folder / "manifest.json").read_text())


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_manifest_tells_status_seeds_and_hashes(scenario_file, tmp_path):
    study = open_study(scenario_file(siting=SITING))
    manifest = run(study, tmp_path / "run")
    assert (manifest["status"], manifest["last_step"]) == ("complete", 5)
    assert manifest["seeds"] == {
        "siting[0].seed": 41, "control.seed": 0, "control.twin.seed": 0, "sensing.seed": 0,
        "communication.seed": 0, "faults.seed": 0,
    }  # fmt: skip
    assert manifest["sha256"]["scenario"] == sha256(tmp_path / "run" / "scenario.yaml")
    assert len(manifest["sha256"]["feeder"]) == 64
    assert manifest["versions"] == software_versions()
    assert manifest["study"] == {
        "scenario": str(study.path),
        "folder": str(tmp_path),
        "master": str(shipped_master("ieee13")),
        "modules": None,
    }


def test_every_file_is_hashed_by_its_own_name():
    study = open_study(find_scenario("ieee13"))
    sources = sources_of(study)
    assert set(sources.feeder) == {path.name for path in feeder_files(study.master)}
    assert sources.feeder["master.dss"] == sha256(study.master)
    series = study.folder / "series" / "summer_days.csv"
    assert sources.inputs == {"series/summer_days.csv": sha256(series)}
    assert sources.code == {}


def test_files_of_devices_are_inputs_of_a_run(scenario_file, tmp_path):
    sessions = tmp_path / "sessions.csv"
    sessions.write_text("arrival,departure,energy_kwh\n")
    car = {
        "kind": "ev_charger", "name": "car", "bus": "671.1", "kw": 7.0,
        "sessions": {"file": "sessions.csv"},
    }  # fmt: skip
    study = open_study(scenario_file(devices=[car]))
    assert sources_of(study).inputs["sessions.csv"] == sha256(sessions)


def test_names_with_blanks_lead_to_files_too(tmp_path):
    (tmp_path / "m.dss").write_text(
        "redirect \"my loads.dss\"\nnew loadshape.a mult=(file='my shape.csv')\n"
    )
    (tmp_path / "my loads.dss").write_text("! nothing")
    (tmp_path / "my shape.csv").write_text("1\n2\n")
    found = {path.name for path in feeder_files(tmp_path / "m.dss")}
    assert found == {"m.dss", "my loads.dss", "my shape.csv"}


def test_the_module_of_a_controller_is_hashed(scenario_file, tmp_path):
    module = tmp_path / "hashed_controller.py"
    module.write_text("from cosim.control.idle import IdleController\nclass Mine(IdleController): pass\n")
    study = replace(open_study(scenario_file(control={"type": "hashed_controller:Mine"})), trusted=True)
    assert sources_of(study).code == {str(module): sha256(module)}


def test_modules_of_forecaster_and_planner_are_hashed_where_they_are_read(scenario_file):
    control = {
        "horizon_s": 3600,
        "forecast": "tests.forecasters:NoisyTruth",
        "planner": {"type": "tests.planners:CautiousPlanner", "options": {"share": 1}},
    }
    study = open_study(scenario_file(control=control))
    assert {Path(name).name for name in sources_of(study).code} == {"forecasters.py", "planners.py"}
    assert sources_of(study.without_control()).code == {}


def test_a_controller_that_is_not_there_leaves_no_folder(scenario_file, tmp_path):
    study = open_study(scenario_file(control={"type": "no_such_module:Mine"}))
    with pytest.raises(UnknownPlugin, match="cannot be imported"):
        run(study, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_versions_name_every_requirement():
    # "numpy<3,>=2.0" names a package, "ruff<1,>=0.8; extra == 'dev'" none that a run needs.
    texts = [text for text in requires("cosim-opf") or () if "extra" not in text]
    needed = {re.split(r"[^A-Za-z0-9._-]", text)[0] for text in texts}
    found = {re.sub(r"[._-]+", "-", name).lower() for name in software_versions()}
    assert {re.sub(r"[._-]+", "-", name).lower() for name in needed} <= found
    assert {"python", "cosim-opf", "dss-python", "dss-python-backend", "highspy", "piqp", "numba"} <= found
    assert "ruff" not in found


def test_a_seed_is_found_wherever_it_stands(scenario_file):
    scenario = load_scenario(
        scenario_file(siting=SITING * 2, control={"horizon_s": 3600, "seed": 3, "twin": {"seed": 7}})
    )
    assert seeds_of(scenario) == {
        "siting[0].seed": 41, "siting[1].seed": 41, "control.seed": 3, "control.twin.seed": 7, "sensing.seed": 0,
        "communication.seed": 0, "faults.seed": 0,
    }  # fmt: skip


@pytest.mark.parametrize("name", shipped_scenarios())
def test_an_effective_scenario_reads_back_as_it_was(name):
    path = find_scenario(name)
    scenario = load_scenario(path)
    text = effective_scenario(Study(path, scenario, path))
    assert Scenario.model_validate(yaml.safe_load(text)) == scenario


def test_a_record_holds_the_scenario_as_it_ran(scenario_file, tmp_path):
    master = shipped_master("ieee123")
    study = open_study(scenario_file(storages=[], pvs=[], siting=SITING), steps=2, master=master)
    manifest = run(study, tmp_path / "run")
    scenario = load_scenario(tmp_path / "run" / "scenario.yaml")
    assert scenario.time.steps == manifest["steps"] == 2
    assert (scenario.feeder.model, scenario.feeder.master) == (None, master)
    assert manifest["feeder"] == "master.dss"


def test_the_scenario_of_a_baseline_is_idle(scenario_file, tmp_path):
    control = {"horizon_s": 4200, "resolution_s": 2100, "planner": {"type": "tangent"}}
    time = {"start": "2024-06-21T12:00:00+00:00", "step_s": 2100, "steps": 2}
    study = open_study(scenario_file(control=control, time=time))
    execute_baseline(study, tmp_path, progress=lambda _n: None)
    text = (tmp_path / "baseline" / "scenario.yaml").read_text()
    assert "tangent" not in text
    # 2100 s do not divide the default horizon of 21 600 s: the times of the scenario stay.
    scenario = load_scenario(tmp_path / "baseline" / "scenario.yaml")
    assert (scenario.control.type, scenario.control.horizon_s) == ("idle", 4200)


def test_hashes_are_those_of_the_start(scenario_file, tmp_path):
    path = scenario_file()
    study = open_study(path)

    def edit(_done: int) -> None:
        path.write_text("name: something else")

    execute(study, tmp_path / "run", over="local", overwrite=False, progress=edit)
    assert load_scenario(tmp_path / "run" / "scenario.yaml") == study.scenario
