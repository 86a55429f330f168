"""Kill runs with SIGKILL at random steps, resume them, and compare with the run that nobody disturbed.

    python -m benchmarks.resume [--scenario ieee123] [--steps 24] [--kills 20] [--seed 1] [--out FILE.json]

Kills in turn: the whole run in process; over HELICS feeder, controller, recorder, broker, and all processes
at once. Reported are the columns of the record that differ (none should, but for seconds on the wall), the
step of the kill, the step at which the controller went on, and the seconds that a checkpoint takes.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from cosim.control.receding_horizon import RecedingHorizonController
from cosim.run.assembly import Assembly
from cosim.run.checkpoint import Checkpoints
from cosim.run.loop import StepRecord, run_loop
from cosim.run.record import Record, read_record
from cosim.run.same_steps import CLOCKED, same
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

VICTIMS = ("local", "feeder", "controller", "recorder", "broker", "all")
WAIT_S = 300.0
COSIM = (sys.executable, "-P", "-c", "from cosim.cli import main; main()")


def start(scenario: str, steps: int, over: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start a run in a process group of its own."""
    words = ["run", scenario, "--over", over, "--steps", str(steps), "--no-baseline", "--out", str(folder)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen([*COSIM, *words], stdout=quiet, stderr=quiet, start_new_session=True)


def wait_for(folder: Path, step: int) -> None:
    """Wait until a step is on disk.

    Raises:
        TimeoutError: it never was.
    """
    deadline = time.monotonic() + WAIT_S
    while not (folder / "steps" / f"step-{step:07d}.parquet").is_file():
        if time.monotonic() > deadline:
            raise TimeoutError(f"step {step} was not reached in {WAIT_S:.0f} s")
        time.sleep(0.005)


def descendants(process: int) -> dict[int, list[str]]:
    """Command lines of the processes below one, by their number."""
    found: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words = (entry / "cmdline").read_text().split("\0")
        except (OSError, ValueError, IndexError):
            continue
        if parent == process:
            found |= {int(entry.name): words, **descendants(int(entry.name))}
    return found


def is_federate(words: list[str], name: str) -> bool:
    """Whether a command line starts a federate; that of the broker names the others too."""
    return ("federates", name) in pairwise(words)


def kill(process: subprocess.Popen[bytes], victim: str) -> None:
    """Kill one federate, or everything."""
    children = descendants(process.pid)
    if victim in {"local", "all"}:
        for pid in (process.pid, *children):
            os.kill(pid, signal.SIGKILL)
    else:
        for pid, words in children.items():
            if is_federate(words, victim):
                os.kill(pid, signal.SIGKILL)
    process.wait(timeout=WAIT_S)


def differing(one: Record, other: Record) -> list[str]:
    """Columns that are not the same to the last bit."""
    if list(one.steps.columns) != list(other.steps.columns) or len(one.steps) != len(other.steps):
        return ["number of steps or columns"]
    return [
        name
        for name in one.steps.columns
        if name not in CLOCKED
        and not all(same(a, b) for a, b in zip(one.steps[name], other.steps[name], strict=True))
    ]


def one_kill(
    scenario: str, steps: int, victim: str, at_step: int, folder: Path, whole: Record
) -> dict[str, Any]:
    """Kill at a step, resume, compare."""
    process = start(scenario, steps, "local" if victim == "local" else "helics", folder)
    wait_for(folder, at_step)
    kill(process, victim)
    began = time.perf_counter()
    ended = subprocess.run([*COSIM, "resume", str(folder)], capture_output=True, text=True, check=False)
    row: dict[str, Any] = {"victim": victim, "at_step": at_step, "exit_code": ended.returncode}
    if ended.returncode:
        return row | {"error": ended.stderr.strip()[-400:]}
    record = read_record(folder)
    return row | {
        "resumed": record.manifest["resumed"],
        "resume_s": time.perf_counter() - began,
        "different": differing(record, whole),
    }


def checkpoint_cost(study: Study, folder: Path) -> dict[str, float]:
    """Median seconds of a state and of a step, and its size, in this process."""
    seconds: list[float] = []
    sizes: list[int] = []
    states = Checkpoints(folder)
    with Assembly(study) as assembly:
        controller = assembly.controller
        if not isinstance(controller, RecedingHorizonController):
            return {}

        def keep(record: StepRecord) -> None:
            began = time.perf_counter()
            states.keep(record.measurement.step, controller.state())
            seconds.append(time.perf_counter() - began)
            sizes.append(len(pickle.dumps(controller.state(), protocol=5)))

        began = time.perf_counter()
        run_loop(assembly.plant, controller, keep)
        step_s = (time.perf_counter() - began) / study.grid.steps
    return {
        "checkpoint_s": float(np.median(seconds)),
        "step_s": step_s,
        "state_mb": float(np.median(sizes)) / 2**20,
    }


def main() -> int:
    """All kills; exit code 1 if a record differs or a resumption fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenario", default="ieee123")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as home:
        start(options.scenario, options.steps, "local", Path(home) / "whole").wait()
        whole = read_record(Path(home) / "whole")
        for number in range(options.kills):
            victim = VICTIMS[number % len(VICTIMS)]
            at_step = int(random.integers(0, options.steps - 2))
            folder = Path(home) / f"kill{number}"
            rows.append(one_kill(options.scenario, options.steps, victim, at_step, folder, whole))
            print(json.dumps(rows[-1]), flush=True)
        study = open_study(find_scenario(options.scenario), steps=options.steps)
        cost = checkpoint_cost(study, Path(home))
    bad = [row for row in rows if row["exit_code"] or row["different"]]
    print(f"{len(rows)} kills, {len(bad)} not the same as undisturbed; {json.dumps(cost)}")
    if options.out is not None:
        text = json.dumps({"kills": rows, "checkpoint": cost}, indent=1)
        options.out.write_text(text + "\n", encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
