"""What a step costs in process and over HELICS: wall and CPU time, and what the feeder spends in HELICS.

    python -m benchmarks.helics_share [--steps 3000] [--step-s 900] [--out FILE]

IEEE 13 under constant load without control, as in :mod:`benchmarks.year`: nothing but the loop itself takes
time. CPU time is that of all processes, read from the system at the first and the last sample of the run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.resume import COSIM, descendants
from benchmarks.timed_feeder import TIMES, WARM_STEPS
from benchmarks.year import scenario
from cosim.run.manifest import read_manifest

SAMPLE_S = 0.25
TICKS = os.sysconf("SC_CLK_TCK")
FEEDER = [
    sys.executable, "-m", "benchmarks.timed_feeder", "--port", "{port}", "--core", "{core}",
    "--study", "{study}",
]  # fmt: skip


def cpu_seconds(members: dict[int, list[str]]) -> dict[str, float]:
    """CPU time so far by role."""
    found: dict[str, float] = {}
    for pid, words in members.items():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        except OSError:
            continue
        found[role_of(words)] = (int(fields[11]) + int(fields[12])) / TICKS
    return found


def role_of(words: list[str]) -> str:
    """What a process of a run is for, by its command line."""
    if "benchmarks.timed_feeder" in words:
        return "feeder"
    return words[words.index("federates") + 1] if "federates" in words else "run"


def last_kept(folder: Path) -> int:
    """Last step on disk, -1 before the first."""
    return max((int(path.stem[-7:]) for path in (folder / "steps").glob("step-*.parquet")), default=-1)


def measure(over: str, step_s: int, steps: int, home: Path) -> dict[str, Any]:
    """One run, between two samples."""
    data = scenario(step_s, steps, "idle")
    if over == "helics":
        others = [{"role": role, "name": role} for role in ("controller", "recorder")]
        data["federates"] = [{"role": "feeder", "name": "feeder", "command": FEEDER}, *others]
    path, folder = home / f"{over}.yaml", home / over
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        [*COSIM, "run", str(path), "--over", over, "--out", str(folder)], stdout=quiet, stderr=quiet
    )
    samples: list[tuple[int, float, dict[str, float]]] = []
    while process.poll() is None:
        step = last_kept(folder)
        if step >= WARM_STEPS:
            members = {process.pid: [""], **descendants(process.pid)}
            samples.append((step, time.perf_counter(), cpu_seconds(members)))
        time.sleep(SAMPLE_S)
    if read_manifest(folder)["status"] != "complete":
        raise RuntimeError(str(read_manifest(folder)["reason"]))
    most = max(len(cpu) for _, _, cpu in samples)
    whole = [sample for sample in samples if len(sample[2]) == most]
    (first, began, before), (last, ended, after) = whole[0], whole[-1]
    count = last - first
    cpu_ms = {role: round(1e3 * (after[role] - before[role]) / count, 3) for role in sorted(after)}
    return {
        "steps": count,
        "wall_ms_per_step": round(1e3 * (ended - began) / count, 3),
        "cpu_ms_per_step": round(sum(cpu_ms.values()), 3),
        "cpu_ms_per_step_by_process": cpu_ms,
    }


def share_of(folder: Path) -> dict[str, Any]:
    """What the feeder's clock says."""
    times = json.loads((folder / TIMES).read_text(encoding="utf-8"))
    wall_s, steps = float(times["wall_s"]), int(times["steps"])
    seconds: dict[str, float] = times["seconds"]
    waiting_s = sum(s for name, s in seconds.items() if name.startswith("wait"))
    return {
        "steps": steps,
        "wall_ms_per_step": round(1e3 * wall_s / steps, 3),
        "cpu_ms_per_step": round(1e3 * float(times["cpu_s"]) / steps, 3),
        "in_helics_ms_per_step": {name: round(1e3 * s / steps, 3) for name, s in sorted(seconds.items())},
        "share_waiting": round(waiting_s / wall_s, 3),
        "share_publishing_and_reading": round((seconds["publish"] + seconds["read"]) / wall_s, 3),
    }


def main() -> int:
    """Run both drivers, in turn, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--step-s", type=int, default=900)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    row: dict[str, Any] = {"scenario": "ieee13, idle", "step_s": options.step_s, "cores": os.cpu_count()}
    row["load_before"] = round(os.getloadavg()[0], 2)
    with tempfile.TemporaryDirectory() as home:
        for over in ("local", "helics"):
            row[over] = measure(over, options.step_s, options.steps, Path(home))
        row["feeder_over_helics"] = share_of(Path(home) / "helics")
    row["load_after"] = round(os.getloadavg()[0], 2)
    text = json.dumps(row, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
