"""A full disk ends a run with its name, keeps what was finished, and leaves a manifest that says so."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from cosim.errors import CosimError, DiskFull
from cosim.run import disk
from cosim.run.assembly import Assembly
from cosim.run.checkpoint import Checkpoints
from cosim.run.execute import execute, resume
from cosim.run.manifest import read_manifest
from cosim.run.record import read_record
from cosim.run.study import open_study

FULL = "/dev/full"
"""Every write to it fails as on a full disk."""
SLOW = {"type": "tests.controllers:SlowController"}


@pytest.mark.usefixtures("importable_tests")
@pytest.mark.parametrize("over", ["local", "helics"])
def test_a_full_disk_is_named_and_the_run_can_go_on(scenario_file, tmp_path, over):
    study, folder = open_study(scenario_file(control=SLOW, baseline=False)), tmp_path / "run"

    def fill(done: int) -> None:
        if done == 1:
            # Whole files are written beside their place first. The manifest has room at its second try.
            (folder / "steps" / "step-0000003.parquet.writing").symlink_to(FULL)
            (folder / "manifest.json.writing").symlink_to(FULL)

    with pytest.raises(CosimError, match=r"the disk is full: .*step-0000003\.parquet cannot be written"):
        execute(study, folder, over=over, overwrite=False, progress=fill)
    manifest = read_manifest(folder)
    assert manifest["status"] == "aborted"
    assert "No space left on device" in manifest["reason"]
    assert read_record(folder).steps.step.tolist() == [0, 1, 2]
    resume(folder, progress=lambda _done: None, opened=Assembly(study), repeats=lambda _text: None)
    assert read_record(folder).steps.step.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_record_that_is_written_in_parts_does_not_lose_them_in_silence(scenario_file, tmp_path):
    study = replace(open_study(scenario_file(control={"type": "idle"}, baseline=False)), kept_whole=True)
    folder = tmp_path / "run"

    def fill(done: int) -> None:
        if done == 1:
            (folder / "steps" / "part-0000000.parquet.writing").symlink_to(FULL)

    with pytest.raises(DiskFull, match=r"part-0000000\.parquet cannot be written"):
        execute(study, folder, over="local", overwrite=False, progress=fill)
    assert read_manifest(folder)["status"] == "aborted"


def test_half_a_file_is_never_left(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    (tmp_path / "file.writing").symlink_to(FULL)
    with pytest.raises(DiskFull):
        disk.write_text(path, "after")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "before"


def test_a_state_that_finds_no_room_does_not_end_the_run(tmp_path, caplog):
    class Controller:
        resumable = True

        def state(self) -> int:
            return 1

        def restore(self, _state: int) -> None:
            pass

    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "step-0000004.state.writing").symlink_to(FULL)
    Checkpoints(tmp_path).offer(4, Controller())
    assert "no state after step 4: the disk is full" in caplog.text


@pytest.mark.parametrize(("sync", "least", "most"), [("never", 0, 0), ("end", 2, 4), ("each_step", 12, 20)])
def test_steps_are_forced_onto_the_disk_as_often_as_asked(
    scenario_file, tmp_path, monkeypatch, sync, least, most
):
    forced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(disk.os, "fsync", lambda handle: (forced.append(handle), fsync(handle)))
    path = scenario_file(control={"type": "idle"}, baseline=False, record={"sync": sync})
    execute(open_study(path), tmp_path / "run", over="local", overwrite=False, progress=lambda _done: None)
    assert least <= len(forced) <= most
