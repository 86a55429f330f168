"""Kill a campaign at random times, carry it on, and compare with one that nobody disturbed.

    python -m benchmarks.campaign_faults planners_ieee123 [--steps 16] [--kills 6] [--seed 1]
        [--folder DIR] [--undisturbed DIR] [--out FILE.json]

The disturbed campaign computes on processes of its own. With SIGKILL end, in turn, one of its workers, its
scheduler (the process of the command), and all of its processes at once. The other campaign computes on a
dask scheduler and two dask workers that are started separately. Reported are runs that were lost, runs that
were computed twice, and columns of the two tables that differ (none should, but for seconds, memory and the
like). Folders of campaigns that are finished already are used as they are.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks.resume import COSIM, descendants
from cosim.api.campaign import planned
from cosim.experiments.campaign.config import find_campaign
from cosim.run.same_steps import same

VICTIMS = ("worker", "scheduler", "all")
POLL_S = 0.05
CLOCKED = ("seconds", "peak_memory_mib", "computational_time_", "decision_", "solve_", "build_")
"""Beginnings of the names of columns that a clock or the machine decides."""
WORKER = "spawn_main"


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    """When and as which file each run was committed."""
    found = {}
    for path in folder.glob("finished/*.json"):
        facts = path.stat()
        found[path.stem] = (facts.st_ino, facts.st_mtime_ns)
    return found


@contextmanager
def campaign(file: str, folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """``cosim campaign`` in a process group of its own; it is ended at the end."""
    command = [*COSIM, "campaign", file, "--out", str(folder), *options]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        yield process
    finally:
        end(process, *descendants(process.pid))


def end(process: subprocess.Popen[bytes], *others: int) -> None:
    """Kill a process, and others with it."""
    process.kill()
    for pid in others:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def strike(process: subprocess.Popen[bytes], victim: str, choice: np.random.Generator) -> None:
    """Kill a worker, the command, or everything."""
    children = descendants(process.pid)
    workers = [pid for pid, words in children.items() if any(WORKER in word for word in words)]
    if victim == "worker":
        # There may be none while the pool replaces one.
        for pid in choice.permutation(workers)[:1]:
            os.kill(int(pid), signal.SIGKILL)
    elif victim == "scheduler":
        end(process)
    else:
        end(process, *children)


def disturbed(file: str, folder: Path, kills: int, seed: int, total: int) -> dict[str, Any]:
    """Run a campaign, kill in it, and carry it on until it is finished."""
    choice = np.random.default_rng(seed)
    moments = sorted(int(count) for count in choice.integers(1, max(2, total - 4), kills))
    rows: list[dict[str, Any]] = []
    again: set[str] = set()
    began = time.perf_counter()
    while True:
        with campaign(file, folder, "--workers", "2") as process:
            while process.poll() is None:
                done = finished(folder)
                if moments and len(done) >= moments[0]:
                    moments.pop(0)
                    time.sleep(float(choice.uniform(0.0, 8.0)))
                    before, victim = finished(folder), VICTIMS[len(rows) % len(VICTIMS)]
                    strike(process, victim, choice)
                    after = finished(folder)
                    again |= {key for key, file_of in before.items() if after.get(key) != file_of}
                    rows.append({"victim": victim, "finished": len(before)})
                    print(json.dumps(rows[-1]), flush=True)
                    if victim != "worker":
                        break
                time.sleep(POLL_S)
            else:
                code = process.returncode
                break
    return {
        "kills": rows,
        "exit_code": code,
        "computed_twice": sorted(again),
        "wall_s": time.perf_counter() - began,
    }


@contextmanager
def cluster() -> Iterator[str]:
    """A scheduler and two workers, started separately; the address of the scheduler."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, quiet = f"tcp://127.0.0.1:{port}", subprocess.DEVNULL
    commands = [
        ["dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        *[["dask_worker", address, "--nthreads", "1", "--no-dashboard", "--death-timeout", "60"]] * 2,
    ]
    with tempfile.TemporaryDirectory() as place:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{words[0]}", *words[1:]],
                cwd=place, stdout=quiet, stderr=quiet, start_new_session=True,
            )
            for words in commands
        ]  # fmt: skip
        try:
            yield address
        finally:
            for process in started:
                end(process, *descendants(process.pid))


def undisturbed(file: str, folder: Path) -> dict[str, Any]:
    """Run a campaign on a cluster that exists."""
    began = time.perf_counter()
    with cluster() as address:
        time.sleep(5.0)
        with campaign(file, folder, "--scheduler", address) as process:
            code = process.wait()
    return {"exit_code": code, "wall_s": time.perf_counter() - began}


def table_of(folder: Path) -> pd.DataFrame:
    """The runs of a campaign in an order of their own."""
    return pd.read_parquet(folder / "runs").sort_values(["variant", "seed", "key"]).reset_index(drop=True)


def differing(one: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """Columns that are not the same to the last bit."""
    if list(one.columns) != list(other.columns) or len(one) != len(other):
        return ["number of runs or columns"]
    return [
        name
        for name in one.columns
        if not all(same(a, b) for a, b in zip(one[name], other[name], strict=True))
    ]


def main() -> None:
    """Disturb, carry on, compare, and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("--steps", type=int, help="of each run; default: the campaign's")
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/disturbed"))
    parser.add_argument("--undisturbed", type=Path, default=Path("runs/undisturbed"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/campaign_faults.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        file = (
            options.file if options.steps is None else shortened(options.file, options.steps, Path(place))
        )
        found = compared(file, options)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def shortened(file: str, steps: int, folder: Path) -> str:
    """A copy of a campaign file whose runs have so many steps."""
    values = yaml.safe_load(find_campaign(file).read_text(encoding="utf-8"))
    copy = folder / "campaign.yaml"
    copy.write_text(yaml.safe_dump(values | {"steps": steps}, sort_keys=False), encoding="utf-8")
    return str(copy)


def compared(file: str, options: argparse.Namespace) -> dict[str, Any]:
    """What the disturbed campaign lost, did twice, or has otherwise than the other."""
    total = len(planned(file).distinct())
    found: dict[str, Any] = {"campaign": options.file, "steps": options.steps, "runs": total}
    found["disturbed"] = disturbed(file, options.folder, options.kills, options.seed, total)
    found["undisturbed"] = undisturbed(file, options.undisturbed)
    one, other = table_of(options.folder), table_of(options.undisturbed)
    found["lost"] = total - one["key"].nunique()
    different = differing(one, other)
    found["clocked"] = [name for name in different if name.startswith(CLOCKED)]
    found["different"] = [name for name in different if not name.startswith(CLOCKED)]
    return found


if __name__ == "__main__":
    main()
