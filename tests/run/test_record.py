"""The record survives what the run does not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from cosim.api.study import fresh_folder
from cosim.errors import ControllerError, RecordError
from cosim.model.site import Site
from cosim.run.assembly import Assembly
from cosim.run.examine import examine
from cosim.run.execute import execute
from cosim.run.json_values import json_converter
from cosim.run.loop import run_loop
from cosim.run.record import RecordWriter, last_step, read_record
from cosim.run.run_folder import in_use, prepare_folder
from cosim.run.same_steps import CLOCKED, same
from cosim.run.study import Study, open_study


def test_every_step_is_on_disk_before_the_next_one(scenario_file, tmp_path):
    study = open_study(scenario_file())
    assembly = Assembly(study)
    plant = assembly.plant
    writer = RecordWriter(tmp_path, plant.site)
    seen = []

    def keep(record):
        writer.keep(record)
        seen.append(len(list((tmp_path / "steps").glob("step-*.parquet"))))

    run_loop(plant, assembly.controller, keep)
    assert seen == [1, 2, 3, 4, 5, 6]
    writer.close()
    assert [path.name for path in (tmp_path / "steps").iterdir()] == ["part-0000000.parquet"]


def test_a_record_that_is_written_in_parts_is_the_same_in_the_end(scenario_file, tmp_path):
    each = open_study(scenario_file())
    whole = Study.from_json(replace(each, kept_whole=True).to_json())
    seen, records = {}, []
    for study in (each, whole):
        folder = tmp_path / str(study.kept_whole)
        steps = seen.setdefault(study.kept_whole, [])
        execute(
            study, folder, over="local", overwrite=False,
            progress=lambda _n, at=folder, steps=steps: steps.append(len(list(at.glob("steps/*")))),
        )  # fmt: skip
        assert [path.name for path in (folder / "steps").iterdir()] == ["part-0000000.parquet"]
        records.append(read_record(folder).steps)
    assert seen == {False: [1, 2, 3, 4, 5, 6], True: [0] * 6}
    first, second = records
    for name in first.columns.difference(list(CLOCKED)):
        assert all(map(same, first[name], second[name])), name
    assert list(first) == list(second)


def test_a_failed_run_is_readable_and_says_so(scenario_file, tmp_path):
    path = scenario_file(control={"type": "tests.controllers:BrokenController"})
    with pytest.raises(ControllerError, match="number it did not like"):
        execute(open_study(path), tmp_path / "run", over="local", overwrite=False, progress=lambda _n: None)
    record = read_record(tmp_path / "run")
    assert record.manifest["status"] == "aborted"
    assert record.manifest["reason"] == (
        "controller failed at step 3: RuntimeError: the solver met a number it did not like"
    )
    assert list(record.steps.step) == [0, 1, 2]


def test_an_earlier_run_is_not_overwritten_by_accident(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(RecordError, match="is not empty; choose another --out or add --overwrite"):
        prepare_folder(tmp_path, overwrite=False)
    with in_use(tmp_path):
        prepare_folder(tmp_path, overwrite=True)
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_folder_that_is_no_run_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RecordError, match=r"is not a run \(no manifest.json\)"):
        prepare_folder(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()
    with pytest.raises(RecordError), in_use(tmp_path):
        prepare_folder(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_with_foreign_files_in_its_folder_is_not_overwritten(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("what I saw")
    (tmp_path / ".git").mkdir()
    foreign = r"holds \.git, notes\.txt, which no run has written"
    with in_use(tmp_path), pytest.raises(RecordError, match=foreign):
        prepare_folder(tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "what I saw"
    assert (tmp_path / "manifest.json").exists()


def test_a_damaged_part_leaves_the_rest_readable(scenario_file, tmp_path, caplog):
    execute(
        open_study(scenario_file(baseline=False), steps=4),
        tmp_path / "run",
        over="local",
        overwrite=False,
        progress=lambda _done: None,
    )
    record = read_record(tmp_path / "run")
    (part,) = (tmp_path / "run" / "steps").iterdir()
    (tmp_path / "run" / "steps" / "step-0000004.parquet").write_bytes(part.read_bytes()[:500])
    (tmp_path / "run" / "steps" / "step-0000005.parquet").write_bytes(b"")
    again = read_record(tmp_path / "run")
    assert list(again.steps.step) == list(record.steps.step) == [0, 1, 2, 3]
    assert "step-0000004.parquet is damaged and left out" in caplog.text
    assert last_step(tmp_path / "run") == 3


def test_folders_of_runs_in_the_same_second_differ(scenario_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = open_study(scenario_file())
    folders = {fresh_folder(study.scenario.name) for _ in range(50)}
    assert len(folders) == 50
    assert all(folder.is_dir() for folder in folders)


def test_a_record_can_be_read_where_helics_was_loaded_first(scenario_file, tmp_path):
    """Pitfall: pyarrow makes a time zone and crashes if the HELICS library was loaded before it."""
    study = open_study(scenario_file(), steps=1)
    execute(study, tmp_path / "run", over="local", overwrite=False, progress=lambda _done: None)
    lines = (
        "import helics, sys, pathlib",
        "from cosim.run.record import read_record",
        "print(read_record(pathlib.Path(sys.argv[1])).steps.timestamp[0].isoformat())",
    )
    command = [sys.executable, "-c", "\n".join(lines), str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "2024-06-21T12:00:00+00:00"), ended.stderr


def test_the_site_survives_json_to_the_last_bit(scenario_file):
    site = Assembly(open_study(scenario_file())).site
    converter = json_converter()
    back = converter.loads(converter.dumps(site), Site)
    assert back.network is not None
    assert site.network is not None
    for name in ("base_kv", "limit_kva", "tap", "shunt_kvar", "load_zip_p"):
        assert np.array_equal(getattr(back.network, name), getattr(site.network, name))
    assert np.array_equal(back.network.drop.imaginary, site.network.drop.imaginary)
    assert back.devices == site.devices
    assert back.grid == site.grid
    assert back.feeder_map == site.feeder_map


def test_the_doctor_examines_a_record(scenario_file, tmp_path):
    study = open_study(scenario_file(baseline=False), steps=3)
    execute(study, tmp_path / "run", over="local", overwrite=False, progress=lambda _done: None)
    assert all(fine for _, fine, _ in examine(tmp_path / "run"))
    (tmp_path / "run" / "steps" / "step-0000007.parquet").write_bytes(b"PAR1")
    (tmp_path / "run" / "scenario.yaml").write_text("schema: 1")
    found = {name: (fine, detail) for name, fine, detail in examine(tmp_path / "run")}
    assert found["files of steps"] == (False, "1 of 2 are damaged: step-0000007.parquet")
    assert found["steps"] == (True, "3 of 3, without a gap")
    assert not found["files it was made of"][0]
    assert not any(fine for _, fine, _ in examine(tmp_path / "nothing"))
