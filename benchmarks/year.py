"""A year over HELICS: wall time, memory of every process over the run, stale set-points.

    python -m benchmarks.year [--steps 35040] [--step-s 900] [--controller NAME] [--out FILE]

NAME is idle or receding_horizon, which plans with lindistflow. IEEE 13 with one battery and one PV system
under constant load, sun and price, so that nothing but the number of steps is large. Memory is resident,
sampled while the run goes; given are the values after a tenth of the run and near its end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.resume import COSIM, descendants
from cosim.run.manifest import read_manifest
from cosim.run.record import read_record

SAMPLE_S = 2.0
KIB_PER_MIB = 1024.0


def scenario(step_s: int, steps: int, controller: str) -> dict[str, Any]:
    """A small scenario of many steps."""
    control: dict[str, Any] = {"type": controller, "horizon_s": 6 * max(step_s, 3600), "interval_s": step_s}
    if controller == "receding_horizon":
        control |= {"forecast": "persistence", "planner": {"type": "lindistflow"}}
    return {
        "schema": 1,
        "name": "year",
        "feeder": {"model": "ieee13"},
        "time": {"start": "2024-01-01T00:00:00+00:00", "step_s": step_s, "steps": steps},
        "inputs": {"irradiance": {"constant": 0.6}, "price": {"constant": 0.2}},
        "storages": [{"name": "b1", "bus": "675", "kw": 100, "kwh": 400}],
        "pvs": [{"name": "p1", "bus": "680", "kw": 300}],
        "control": control,
        "baseline": False,
    }


def resident_mib(members: dict[int, list[str]]) -> dict[str, float]:
    """Resident memory by role."""
    found: dict[str, float] = {}
    for pid, words in members.items():
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        except OSError:
            continue
        kib = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")), "0")
        role = words[words.index("federates") + 1] if "federates" in words else "launcher"
        found[role] = float(kib) / KIB_PER_MIB
    return found


def measure(step_s: int, steps: int, controller: str, home: Path) -> dict[str, Any]:
    """One run over HELICS."""
    path, folder = home / "scenario.yaml", home / "run"
    path.write_text(yaml.safe_dump(scenario(step_s, steps, controller)), encoding="utf-8")
    began = time.perf_counter()
    with (home / "terminal.txt").open("wb") as terminal:
        process = subprocess.Popen(
            [*COSIM, "run", str(path), "--over", "helics", "--out", str(folder)],
            stdout=terminal,
            stderr=subprocess.STDOUT,
        )
        samples: list[tuple[int, dict[str, float]]] = []
        while process.poll() is None:
            members = {process.pid: [""], **descendants(process.pid)}
            done = max((int(path.stem[-7:]) for path in (folder / "steps").glob("*.parquet")), default=-1)
            if done >= 0:
                samples.append((done, resident_mib(members)))
            time.sleep(SAMPLE_S)
    wall_s = time.perf_counter() - began
    record, manifest = read_record(folder), read_manifest(folder)
    early = next((memory for done, memory in samples if done >= steps // 10), {})
    whole = [memory for _, memory in samples if len(memory) == len(early)]
    late = whole[-1] if whole else {}
    grows = {role: round(late.get(role, 0.0) - value, 1) for role, value in early.items()}
    return {
        "controller": controller,
        "steps": len(record.steps),
        "status": manifest["status"],
        "exit_code": process.returncode,
        "wall_s": round(wall_s, 1),
        "run_s": manifest["wall_s"],
        "ms_per_step": round(1e3 * float(manifest["wall_s"]) / steps, 2),
        "rss_mib_at_a_tenth": early,
        "rss_mib_at_the_end": late,
        "rss_mib_growth": grows,
        "stale_setpoints": int((record.steps["setpoint_age_s"].fillna(0.0) > 0).sum()),
        "decisions": record.steps["source"].value_counts().to_dict(),
        "events": int(record.steps["events"].map(len).sum()),
    }


def main() -> int:
    """Run and print; exit code 1 where the run did not end well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=35_040)
    parser.add_argument("--step-s", type=int, default=900)
    parser.add_argument("--controller", default="idle")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        row = measure(options.step_s, options.steps, options.controller, Path(home))
    print(json.dumps(row, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    return 0 if row["status"] == "complete" and row["steps"] == options.steps else 1


if __name__ == "__main__":
    sys.exit(main())
