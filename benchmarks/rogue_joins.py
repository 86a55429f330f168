"""Join a running federation without being asked, and compare its record with that of an undisturbed run.

    python -m benchmarks.rogue_joins [--scenario ieee13] [--steps 24] [--out docs/results/rogue_joins.json]

A rogue joins with a wrong key, with none, or with the right one: while the federation starts ("start"),
and when step 0, 3 and 20 are on record. Reported are what the broker said to it, the exit code of the run,
the steps on record, the columns that differ (none should, but for seconds on the wall), and the reason
where the run ended. It goes on where it stopped; remove the file to begin again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.resume import WAIT_S, descendants, differing, start, wait_for
from benchmarks.rogue import KEY
from cosim.run.manifest import MANIFEST
from cosim.run.record import Record, read_record
from cosim.run.shipped import find_scenario
from federates import events

KEYS: tuple[str, ...] = ("wrong", "none", "right")
MOMENTS: tuple[str | int, ...] = ("start", 0, 3, 20)


def broker_of(run: int) -> tuple[int, list[str]]:
    """Number and command line of the broker's process of a run, once it is there.

    Raises:
        TimeoutError: it never was.
    """
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        for process, words in descendants(run).items():
            if "federates" in words and "broker" in words:
                return process, words
        time.sleep(0.005)
    raise TimeoutError(f"no broker in {WAIT_S:.0f} s")


def _command_and_environment(run: int) -> tuple[list[str], list[str]]:
    """Of the broker, which is started again where a rogue disturbed its start."""
    while True:
        process, words = broker_of(run)
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            return words, Path(f"/proc/{process}/environ").read_text(encoding="utf-8").split("\0")


def rogue_of(run: int, key: str) -> subprocess.Popen[str]:
    """A rogue that is ready to join the federation of a run.

    Args:
        run: number of the run's process.
        key: one of :data:`KEYS`.
    """
    words, environment = _command_and_environment(run)
    core, port = (words[words.index(option) + 1] for option in ("--core", "--port"))
    right = next(entry.partition("=")[2] for entry in environment if entry.startswith(f"{events.KEY}="))
    keys = {"wrong": "wrong", "none": "", "right": right}
    rogue = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.rogue", core, port],
        env={**os.environ, KEY: keys[key]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert rogue.stdout is not None
    rogue.stdout.readline()
    return rogue


def join(rogue: subprocess.Popen[str]) -> None:
    """Let a rogue join."""
    assert rogue.stdin is not None
    rogue.stdin.write("\n")
    rogue.stdin.flush()


def heard_by(rogue: subprocess.Popen[str]) -> str:
    """What the rogue was told; it ends with the run, or is ended."""
    try:
        said, _ = rogue.communicate(timeout=30.0)
    except subprocess.TimeoutExpired:
        rogue.kill()
        said, _ = rogue.communicate()
    return said.strip().replace("\n", "; ")


def one_join(
    scenario: str, steps: int, key: str, moment: str | int, folder: Path, whole: Record
) -> dict[str, Any]:
    """Disturb one run, and compare."""
    process = start(scenario, steps, "helics", folder)
    rogue = rogue_of(process.pid, key)
    if isinstance(moment, int):
        wait_for(folder, moment)
    join(rogue)
    began = time.perf_counter()
    code = process.wait(timeout=WAIT_S)
    seconds = time.perf_counter() - began
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return {
        "key": key,
        "joins_at": moment,
        "rogue": heard_by(rogue),
        "exit_code": code,
        "seconds_after": round(seconds, 1),
        "steps": manifest["last_step"] + 1 if manifest["last_step"] is not None else 0,
        "different": differing(read_record(folder), whole) if code == 0 else None,
        "reason": manifest["reason"],
    }


def rows_of(file: Path, scenario: str, steps: int) -> list[dict[str, Any]]:
    """Rows that an earlier call has written for the same scenario and steps."""
    if not file.is_file():
        return []
    table = json.loads(file.read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = table["rows"]
    return rows if (table["scenario"], table["steps"]) == (scenario, steps) else []


def main() -> int:
    """Run the benchmark; the exit code says whether every refused join left its run unharmed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="ieee13")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--out", type=Path, default=Path("docs/results/rogue_joins.json"))
    options = parser.parse_args()
    scenario, steps = str(find_scenario(options.scenario)), options.steps
    rows = rows_of(options.out, options.scenario, steps)
    with tempfile.TemporaryDirectory() as folder:
        whole_folder = Path(folder) / "whole"
        start(scenario, steps, "helics", whole_folder).wait(timeout=WAIT_S)
        whole = read_record(whole_folder)
        for key, moment in product(KEYS, MOMENTS):
            if any((row["key"], row["joins_at"]) == (key, moment) for row in rows):
                continue
            rows.append(one_join(scenario, steps, key, moment, Path(folder) / f"{key}-{moment}", whole))
            print(json.dumps(rows[-1]), flush=True)
            table = {"scenario": options.scenario, "steps": steps, "rows": rows}
            options.out.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    harmed = [row for row in rows if row["key"] != "right" and (row["exit_code"] or row["different"])]
    return 1 if harmed else 0


if __name__ == "__main__":
    sys.exit(main())
