"""Does planner tangent hold line ratings, and what does that cost in time?

    python -m benchmarks.line_limits --master DIR/8500-Node/Master.dss [--steps 96] [--out FILE.json]

Three closed loops of one scenario in one process: without control, planned without line limits, and planned
with them. Given are hours with a line above its rating, the worst line, cost, and the seconds per decision
without the first one, which has no earlier plan to start from.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cosim.experiments.run_metrics import column, run_metrics
from cosim.run.execute import execute
from cosim.run.record import Record, read_record
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study


def with_lines(study: Study, *, lines: bool) -> Study:
    """The study with line ratings as limits, or without."""
    limits = study.scenario.limits.model_copy(update={"lines": lines})
    scenario = study.scenario.model_copy(update={"limits": limits, "baseline": False})
    return replace(study, scenario=scenario)


def figures(study: Study) -> dict[str, Any]:
    """Key figures of one closed loop."""
    with tempfile.TemporaryDirectory() as folder:
        execute(study, Path(folder) / "run", over="local", overwrite=False, progress=lambda _done: None)
        record = read_record(Path(folder) / "run")
    metrics = run_metrics(record)
    return {
        "steps": metrics.steps,
        "overloaded_h": metrics.overloaded_h,
        "highest_loading": metrics.highest_loading,
        "highest_loading_line": metrics.highest_loading_line,
        "violation_node_h": metrics.violation_node_h,
        "worst_excess_pu": metrics.worst_excess_pu,
        "adjusted_cost": metrics.adjusted_cost,
        **(decision_times(record) if study.plans else {}),
    }


def decision_times(record: Record) -> dict[str, float]:
    """Seconds and programs per decision; the first decision apart."""
    seconds = column(record, "plan_build_s") + column(record, "plan_solve_s")
    programs = column(record, "plan_iterations")
    later = seconds[1:]
    return {
        "first_decision_s": float(seconds[0]),
        "decision_median_s": float(np.median(later)),
        "decision_p95_s": float(np.percentile(later, 95)),
        "programs_mean": float(programs[1:].mean()),
        "programs_max": float(programs[1:].max()),
    }


def main() -> None:
    """Run the three loops and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenario", default="ieee8500")
    parser.add_argument("--master", type=Path, default=None)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    study = open_study(find_scenario(given.scenario), steps=given.steps, master=given.master)
    rows = {
        "without control": figures(with_lines(study, lines=False).without_control()),
        "lines: false": figures(with_lines(study, lines=False)),
        "lines: true": figures(with_lines(study, lines=True)),
    }
    print(json.dumps(rows, indent=1))
    if given.out is not None:
        given.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
