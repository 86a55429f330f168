"""A master that ends with every command that writes leaves nothing outside the folder of the run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from cosim.run.record import read_record
from tests.conftest import ROOT, shipped_master, small_scenario

COSIM = (sys.executable, "-m", "cosim.cli", "run", "--steps", "3", "--no-baseline")
WHAT = (
    "voltages", "seqvoltages", "currents", "seqcurrents", "powers", "seqpowers", "faultstudy", "generators",
    "loads", "meters", "monitors", "yprims", "y", "capacity", "overloads", "unserved", "eventlog", "losses",
    "summary", "profile", "buscoords", "taps", "nodenames", "sections", "result", "elempowers", "estimation",
    "cdpm100", "guids", "ynodelist", "yvoltages", "ycurrents", "pvsystem_meters", "storage_meters", "errorlog",
)  # fmt: skip
SHOWN = (
    "voltages ln nodes",
    "currents elem",
    "powers kva elem",
    "taps",
    "isolated",
    "loops",
    "topology",
    "losses",
)
WRITES = (
    "new monitor.m element=line.l650_rg60 terminal=1 mode=1",
    "new energymeter.em element=line.l650_rg60 terminal=1",
    "edit regcontrol.reg_a debugtrace=yes",
    "solve mode=daily number=2",
    *(f"export {what}" for what in WHAT),
    *(f"export {what} file=mine_{what}.csv" for what in ("voltages", "summary")),
    *(f"show {what}" for what in SHOWN),
    "plot profile phases=all",
    "save circuit dir=saved",
    "save voltages",
    "dump",
    "formedit line.l650_rg60",
    "fileedit mine.txt",
    "visualize voltages line.l650_rg60",
    "set datapath=elsewhere",
    "set mode=snapshot",
)


def snapshot(*folders: Path) -> dict[str, tuple[int, int]]:
    """Every file below some folders, with size and time of its last change."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                found[str(path)] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found


def test_two_runs_side_by_side_write_into_their_own_folders_only(tmp_path):
    feeder, home, place, runs = (tmp_path / name for name in ("feeder", "home", "place", "runs"))
    for folder in (feeder, home, place, runs):
        folder.mkdir()
    regulator = next(
        line.split()[1]
        for line in _lines(shipped_master("ieee13").parent)
        if line.startswith("new regcontrol.")
    )
    line = next(
        line.split()[1] for line in _lines(shipped_master("ieee13").parent) if line.startswith("new line.")
    )
    text = "\n".join([f'redirect "{shipped_master("ieee13")}"', *WRITES])
    text = text.replace("regcontrol.reg_a", regulator).replace("line.l650_rg60", line)
    (feeder / "master.dss").write_text(text, encoding="utf-8")
    scenario = small_scenario(feeder={"master": str(feeder / "master.dss")})
    (feeder / "scenario.yaml").write_text(yaml.safe_dump(scenario), encoding="utf-8")
    before = snapshot(feeder, home, place, shipped_master("ieee13").parent)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(home), "TMPDIR": str(home)}
    started = [
        subprocess.Popen(
            [*COSIM, str(feeder / "scenario.yaml"), "--over", over, "--out", str(runs / over)],
            cwd=place,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for over in ("local", "helics")
    ]
    said = [process.communicate(timeout=200)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert all("not followed to the letter" in text for text in said)
    after = snapshot(feeder, home, place, shipped_master("ieee13").parent)
    assert after == before
    for over in ("local", "helics"):
        assert read_record(runs / over).manifest["status"] == "complete"
        inside = {path.suffix for path in (runs / over).rglob("*") if path.is_file()}
        assert ".csv" not in inside
        assert ".txt" not in inside


def _lines(folder: Path) -> list[str]:
    texts = (path.read_text(encoding="utf-8").lower() for path in sorted(folder.glob("*.dss")))
    return [line.strip() for text in texts for line in text.splitlines()]
