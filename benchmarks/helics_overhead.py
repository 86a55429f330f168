"""What HELICS costs per step: the same scenario over HELICS and in process, in turn.

    python -m benchmarks.helics_overhead --scenario ieee123 --json FILE

Measured between the first and the last finished step, so that starting processes does not count, with
the scenario's controller and without one (where the difference is not hidden by the solver's noise).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study


def seconds_per_step(study: Study, over: str) -> tuple[float, float]:
    """Seconds per step once started, and those of them that the planner spent."""
    finished: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        execute(
            study,
            Path(folder) / "run",
            over=over,
            overwrite=False,
            progress=lambda _done: finished.append(time.perf_counter()),
        )
        steps = read_record(Path(folder) / "run").steps
    planning = (steps.plan_build_s.fillna(0) + steps.plan_solve_s.fillna(0)).iloc[1:].mean()
    return (finished[-1] - finished[0]) / (study.grid.steps - 1), float(planning)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="ieee123")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    study = open_study(find_scenario(options.scenario))
    result: dict[str, object] = {"scenario": options.scenario, "steps": study.grid.steps}
    measure(
        result, [("without_control", study.without_control()), ("with_control", study)], options.repeats
    )
    text = json.dumps(result, indent=2)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")


def measure(result: dict[str, object], variants: list[tuple[str, Study]], repeats: int) -> None:
    """Add the medians of each variant to the result."""
    for name, variant in variants:
        pairs = []
        for _ in range(repeats):
            local, local_planning = seconds_per_step(variant, "local")
            helics, helics_planning = seconds_per_step(variant, "helics")
            pairs.append(
                {
                    "local_ms": 1e3 * local,
                    "helics_ms": 1e3 * helics,
                    "difference_ms": 1e3 * (helics - local),
                    "difference_without_planner_ms": 1e3
                    * ((helics - helics_planning) - (local - local_planning)),
                }
            )
        result[name] = {key: median(pair[key] for pair in pairs) for key in pairs[0]}


if __name__ == "__main__":
    main()
