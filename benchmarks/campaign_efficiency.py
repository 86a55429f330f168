"""How well a campaign uses its processes: its wall time against the sum of its runs measured alone.

    python -m benchmarks.campaign_efficiency planners_ieee123 [--workers 2] [--folder DIR] [--alone DIR]
        [--out FILE.json]

The whole campaign runs on ``--workers`` processes in an empty folder. Then the runs of its first seed run
one after the other in one process, with nothing beside them. That tells how much longer a run takes
beside others. The seconds of all runs of the campaign, less this part, stand for their sum alone. The
efficiency is that sum over workers times wall time, starts of the processes, reading of the feeder and
the page included. A folder that holds finished runs already is refused for the first part, because its
wall time is not known.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.campaign_faults import campaign, finished, table_of
from cosim.experiments.campaign.config import find_campaign


def timed(file: str, folder: Path, workers: int) -> float:
    """Wall time of a campaign in seconds."""
    began = time.perf_counter()
    with campaign(file, folder, "--workers", str(workers)) as process:
        code = process.wait()
    if code not in {0, 3}:
        raise SystemExit(f"the campaign ended with exit code {code}; see {folder}")
    return time.perf_counter() - began


def of_first_seed(file: str, folder: Path) -> str:
    """A copy of a campaign file with its first seed alone."""
    values = yaml.safe_load(find_campaign(file).read_text(encoding="utf-8"))
    values["seeds"] = values["seeds"] | {"values": values["seeds"]["values"][:1]}
    copy = folder / "campaign.yaml"
    copy.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return str(copy)


def efficiency(runs: pd.DataFrame, alone: pd.DataFrame, wall_s: float, workers: int) -> dict[str, Any]:
    """What the two tables say.

    Args:
        runs: of the whole campaign.
        alone: of its first seed, one at a time.
        wall_s: of the whole campaign.
        workers: its processes.
    """
    beside = runs[runs["key"].isin(alone["key"])]
    slower = float(beside["seconds"].sum() / alone["seconds"].sum())
    sum_s = float(runs["seconds"].sum())
    return {
        "runs": len(runs),
        "runs_alone": len(alone),
        "workers": workers,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "wall_s": round(wall_s, 1),
        "sum_of_runs_s": round(sum_s, 1),
        "part_of_the_time_in_runs": round(sum_s / (workers * wall_s), 4),
        "longer_beside_others": round(slower, 4),
        "sum_of_runs_alone_s": round(sum_s / slower, 1),
        "efficiency": round(sum_s / slower / (workers * wall_s), 4),
        "peak_memory_of_a_worker_mib": round(float(runs["peak_memory_mib"].max()), 1),
        "median_peak_memory_mib": round(float(runs["peak_memory_mib"].median()), 1),
    }


def main() -> None:
    """Run, compare, and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("runs/efficiency"))
    parser.add_argument("--alone", type=Path, default=Path("runs/efficiency_alone"))
    parser.add_argument("--wall-s", type=float, help="of a campaign that is finished in --folder")
    parser.add_argument("--out", type=Path, default=Path("docs/results/campaign_efficiency.json"))
    options = parser.parse_args()
    if options.wall_s is None and finished(options.folder):
        parser.error(f"{options.folder} holds finished runs; give another folder, or their --wall-s")
    wall_s = options.wall_s or timed(options.file, options.folder, options.workers)
    with tempfile.TemporaryDirectory() as place:
        timed(of_first_seed(options.file, Path(place)), options.alone, 1)
    tables = table_of(options.folder), table_of(options.alone)
    found = {"campaign": options.file} | efficiency(*tables, wall_s, options.workers)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
