"""The fault table: what is injected, who notices, how long it takes, what is left.

    python -m benchmarks.faults [--out DIR] [--only TEXT] [--driver local|helics]

Every fault is a run of eight steps of IEEE 13 with a fault at step 2. Written are ``table.json`` and
``table.md``: exit code, seconds from the fault (kills) or from the start (others) to the end, steps on
record, processes left behind, what the manifest says, and the last line on the terminal. A row is wrong if
it ends otherwise than it should, blames somebody else, loses a step, leaves a process, or takes longer than
10 s after a kill and 75 s after a hang.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.fault_cases import AT_STEP, STEPS, Fault, faults
from benchmarks.resume import COSIM, descendants, is_federate
from cosim.errors import RecordError
from cosim.run.manifest import read_manifest
from cosim.run.record import read_record

DISK_BYTES = 4_000_000


@dataclass
class Row:
    """What happened.

    Attributes:
        fault, driver: what was injected.
        exit_code, seconds, steps, orphans: how it ended.
        manifest: its status and reason.
        terminal: last line.
        wrong: what is not as it should be.
    """

    fault: str
    driver: str
    exit_code: int | None
    seconds: float
    steps: int
    orphans: int
    manifest: str
    terminal: str
    wrong: list[str] = field(default_factory=list)


# --- running one ----------------------------------------------------------------------------------


def scenario_of(fault: Fault, folder: Path) -> Path:
    """The scenario with its series, written to a folder."""
    rows = ["time,load"]
    rows += [f"2024-06-21T12:{15 * i:02d}:00+00:00,{60.0 if i == AT_STEP else 1.0}" for i in range(4)]
    rows += [f"2024-06-21T{13 + i // 4}:{15 * (i % 4):02d}:00+00:00,1.0" for i in range(12)]
    (folder / "load.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    scenario: dict[str, Any] = {
        "schema": 1,
        "name": "fault",
        "feeder": {"model": "ieee13"},
        "time": {"start": "2024-06-21T12:00:00+00:00", "step_s": 900, "steps": STEPS},
        "inputs": {"irradiance": {"constant": 0.6}, "price": {"constant": 0.2}},
        "storages": [{"name": "b1", "bus": "675", "kw": 100, "kwh": 400}],
        "pvs": [{"name": "p1", "bus": "680", "kw": 300}],
        "control": fault.control,
        "baseline": False,
    }
    inputs = scenario["inputs"]
    scenario |= {key: value for key, value in fault.changes.items() if key != "load"}
    if "load" in fault.changes:
        scenario["inputs"] = inputs | {"load": fault.changes["load"]}
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    return path


def inject(fault: Fault) -> Row:
    """Run with a fault and look at what is left."""
    with tempfile.TemporaryDirectory() as home, _disk(fault, Path(home)) as disk, _port(fault) as port:
        folder = disk / "run"
        words = ["run", str(scenario_of(fault, Path(home))), "--over", fault.driver, "--out", str(folder)]
        if fault.disk == "start":
            _fill(disk)
        began = time.perf_counter()
        with (Path(home) / "terminal.txt").open("wb") as terminal:
            process = subprocess.Popen(
                [*COSIM, *words, *fault.options, *port],
                stdout=terminal,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"COLUMNS": "200"},
            )
            seen = descendants(process.pid)
            if fault.signals or fault.disk == "step" or fault.from_fault:
                _wait_for(fault, folder, process)
                seen |= descendants(process.pid)
                began = time.perf_counter()
                _send(fault, process, seen)
            if fault.disk == "step":
                _fill(disk)
            code = _wait(process, seen, fault.within_s + 30.0)
        seconds = time.perf_counter() - began
        text = (Path(home) / "terminal.txt").read_text(encoding="utf-8", errors="replace")
        return _row(fault, code, seconds, folder, text, _left_behind(seen))


@contextmanager
def _disk(fault: Fault, home: Path) -> Iterator[Path]:
    """Where the record goes: a small file system of its own where the disk is to be full.

    Raises:
        CalledProcessError: this user may not mount one.
    """
    if fault.disk == "never":
        yield home
        return
    disk = home / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _fill(disk: Path) -> None:
    """Leave no room."""
    with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 512)


@contextmanager
def _port(fault: Fault) -> Iterator[tuple[str, ...]]:
    """Options of a run whose port is taken."""
    if not fault.takes_port:
        yield ()
        return
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield ("--port", str(taken.getsockname()[1]))


def _wait_for(fault: Fault, folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait for the moment of a fault."""
    while process.poll() is None:
        if fault.when == "step":
            if (folder / "steps" / f"step-{AT_STEP - 1:07d}.parquet").is_file():
                return
        elif any(is_federate(words, fault.when) for words in descendants(process.pid).values()):
            return
        time.sleep(0.005)


def _send(fault: Fault, process: subprocess.Popen[bytes], members: dict[int, list[str]]) -> None:
    for target, number in fault.signals:
        if target == "run":
            os.kill(process.pid, number)
            time.sleep(0.02)
        else:
            for pid, words in members.items():
                if is_federate(words, target):
                    os.kill(pid, number)


def _wait(process: subprocess.Popen[bytes], seen: dict[int, list[str]], most_s: float) -> int | None:
    """The exit code; None where the run had to be killed."""
    deadline = time.monotonic() + most_s
    while process.poll() is None:
        seen |= descendants(process.pid)
        if time.monotonic() > deadline:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return None
        time.sleep(0.02)
    return process.returncode


def _left_behind(seen: dict[int, list[str]]) -> int:
    """Processes of the run that are still there after three seconds; a fault's own helper is ended."""
    deadline = time.monotonic() + 3.0
    while True:
        alive = [pid for pid, words in seen.items() if _is_alive(pid) and "federates" in words]
        if not alive or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    for pid in seen:
        if _is_alive(pid):
            os.kill(pid, signal.SIGKILL)
    return len(alive)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def _row(fault: Fault, code: int | None, seconds: float, folder: Path, text: str, orphans: int) -> Row:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        recorded = read_record(folder).steps["step"].tolist()
    except RecordError:
        recorded = []
    status, reason = "none", ""
    if (folder / "manifest.json").is_file():
        manifest = read_manifest(folder)
        status, reason = str(manifest["status"]), str(manifest["reason"])
    said, last = f"{status}: {reason}", lines[-1] if lines else ""
    row = Row(fault.name, fault.driver, code, round(seconds, 2), len(recorded), orphans, said, last)
    expected = fault.manifest or {0: "complete", 1: "aborted", 2: "none", -9: "running"}[fault.ends]
    wrong = {
        f"exit code {code}, should be {fault.ends}": code != fault.ends,
        f"does not say {fault.says!r}": fault.says not in reason + text,
        f"took {seconds:.1f} s, at most {fault.within_s:g}": seconds > fault.within_s,
        f"{orphans} processes left behind": orphans > 0,
        "a step is missing in the record": recorded != list(range(len(recorded))),
        f"only {len(recorded)} steps on record": (
            fault.when == "step"
            and (bool(fault.signals) or fault.disk == "step")
            and len(recorded) < AT_STEP
        ),
        f"manifest says {status}, should be {expected}": status != expected,
        "a traceback on the terminal": "Traceback" in text,
    }
    row.wrong.extend(sentence for sentence, is_so in wrong.items() if is_so)
    return row


# --- all of them ----------------------------------------------------------------------------------


def as_markdown(rows: list[Row]) -> str:
    """The table for people."""
    heads = ("fault", "driver", "exit", "s", "steps", "left", "manifest", "wrong")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        said = row.manifest.replace("|", "/").replace("\n", " ")[:120]
        cells = (row.fault, row.driver, row.exit_code, f"{row.seconds:.1f}", row.steps, row.orphans, said)
        lines.append("| " + " | ".join(map(str, (*cells, "; ".join(row.wrong)))) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Inject all faults; exit code 1 if a row is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--only", default="")
    parser.add_argument("--driver", default="")
    options = parser.parse_args()
    rows: list[Row] = []
    for fault in faults():
        if options.only in fault.name and options.driver in fault.driver:
            rows.append(inject(fault))
            row = rows[-1]
            print(
                f"{row.fault} ({row.driver}): exit {row.exit_code}, {row.seconds} s", *row.wrong, flush=True
            )
    wrong = [row for row in rows if row.wrong]
    print(f"{len(rows)} faults, {len(wrong)} rows wrong")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps([asdict(row) for row in rows], indent=1)
        (options.out / "table.json").write_text(text + "\n", encoding="utf-8")
        (options.out / "table.md").write_text(as_markdown(rows), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
