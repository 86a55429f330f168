"""What it costs to force the record onto the disk: milliseconds per step by ``record.sync``.

    python -m benchmarks.record_sync [--steps 300] [--folder DIR] [--out FILE]

IEEE 13 without control in process; each choice in turn, three times; the median is given. DIR is on the
disk that is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, get_args

import yaml

from benchmarks.year import scenario
from cosim.run.disk import Sync
from cosim.run.execute import execute
from cosim.run.study import open_study

STEP_S, REPEATS = 900, 3


def ms_per_step(sync: str, steps: int, home: Path) -> float:
    """Milliseconds per step of one run, its start left out and its end included."""
    path = home / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario(STEP_S, steps, "idle") | {"record": {"sync": sync}}))
    began: list[float] = []
    execute(
        open_study(path),
        home / "run",
        over="local",
        overwrite=True,
        progress=lambda _done: began.append(time.perf_counter()),
    )
    return 1e3 * (time.perf_counter() - began[0]) / (steps - 1)


def main() -> int:
    """Measure all choices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    found: dict[str, list[float]] = {sync: [] for sync in get_args(Sync)}
    load = round(os.getloadavg()[0], 2)
    for _ in range(REPEATS):
        for sync, times in found.items():
            with tempfile.TemporaryDirectory(dir=options.folder) as home:
                times.append(ms_per_step(sync, options.steps, Path(home)))
    row: dict[str, Any] = {"scenario": "ieee13, idle", "steps": options.steps, "load": load}
    row["ms_per_step"] = {sync: round(median(times), 2) for sync, times in found.items()}
    row["all_ms_per_step"] = {sync: [round(ms, 2) for ms in times] for sync, times in found.items()}
    print(json.dumps(row, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
