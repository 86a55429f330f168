"""Memory of a process that computes many runs one after another, as a worker of a campaign does.

    python -m benchmarks.worker_memory [--scenario ieee123] [--runs 100] [--steps 2] [--json FILE]

Resident memory after runs 1, 20, 40 ... and its growth per run from the twentieth run on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from cosim.experiments.campaign.work import tidy
from cosim.run.execute import execute
from cosim.run.settings import changed_study
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

EVERY = 20


def resident_mib() -> float:
    """Resident memory of this process now."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return float(kib) / 1024.0


def measured(study: Study, runs: int) -> dict[int, float]:
    """Resident memory in MiB by the number of runs."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(1, runs + 1):
            execute(study, Path(folder) / str(run), over="local", overwrite=False, progress=_silent)
            tidy()
            if run == 1 or run % EVERY == 0:
                found[run] = resident_mib()
                print(f"{run} runs: {found[run]:.1f} MiB", flush=True)
    return found


def _silent(_done: int) -> None:
    pass


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenario", default="ieee123")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of the scenario")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    settings = dict(text.split("=", 1) for text in asked.set)
    study = changed_study(open_study(find_scenario(asked.scenario), steps=asked.steps), settings)
    found = measured(study, asked.runs)
    last = max(found)
    per_run = (found[last] - found[EVERY]) / (last - EVERY) if last > EVERY else None
    row = {"scenario": asked.scenario, "steps": asked.steps, "settings": settings, "resident_mib": found}
    text = json.dumps(row | {"growth_mib_per_run": per_run}, indent=2)
    print(text)
    if asked.json is not None:
        asked.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
