"""A planner at three times its deadline: is every step decided, and what does the feeder see?

    python -m benchmarks.deadline [--scenario ieee123] [--steps 96] [--deadline 0.2] [--out FILE]

Planner tangent, as it is and with a pause after every plan. A late plan is for the next step: its own step
follows the plan before.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from cosim.experiments.control_metrics import control_metrics
from cosim.experiments.run_metrics import run_metrics
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.model.twin import OpenTwin
from cosim.opf.options import PlannerOptions
from cosim.opf.tangent.planner import TangentOptions, tangent
from cosim.plugins import Options, needs, options
from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

SLOWED = 3.0


class SlowOptions(Options):
    """How long the pause is."""

    pause_s: float


@needs("twin")
@options(SlowOptions)
class SlowTangent:
    """Planner tangent with a pause after every plan."""

    def __init__(
        self, site: Site, horizon: Horizon, common: PlannerOptions, twin: OpenTwin, *, options: SlowOptions
    ) -> None:
        # The solver is not told of the deadline: it shall be late.
        unhurried = replace(common, solver_seconds=None)
        self._inner = tangent(site, horizon, unhurried, twin, options=TangentOptions())
        self._pause_s = options.pause_s

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Plan, and pause."""
        outcome = self._inner.plan(measurement, forecast)
        time.sleep(self._pause_s)
        return outcome


def slowed(study: Study, deadline_s: float, pause_s: float) -> Study:
    """The study with a deadline, and with the slow planner where a pause is asked for."""
    control = study.scenario.control
    planner = control.planner
    if pause_s:
        changes = {"type": "benchmarks.deadline:SlowTangent", "options": {"pause_s": pause_s}}
        planner = planner.model_copy(update=changes)
    control = control.model_copy(update={"deadline_s": deadline_s, "planner": planner})
    return replace(
        study, scenario=study.scenario.model_copy(update={"control": control, "baseline": False})
    )


def row(study: Study) -> dict[str, Any]:
    """Figures of one run in this process."""
    with tempfile.TemporaryDirectory() as folder:
        execute(study, Path(folder) / "run", over="local", overwrite=False, progress=lambda _done: None)
        record = read_record(Path(folder) / "run")
    metrics, control = run_metrics(record), control_metrics(record)
    assert control is not None
    return {
        "steps": metrics.steps,
        "decisions": control.decisions,
        "adjusted_cost": metrics.adjusted_cost,
        "violation_node_h": metrics.violation_node_h,
        "worst_excess_pu": metrics.worst_excess_pu,
        "overloaded_h": metrics.overloaded_h,
        "setpoints_cut": control.setpoints_cut,
    }


def main() -> None:
    """Run both and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenario", default="ieee123")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--deadline", type=float, default=0.2)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    study = open_study(find_scenario(given.scenario), steps=given.steps)
    rows = {
        "no deadline": row(slowed(study, 3600.0, 0.0)),
        "slowed": row(slowed(study, given.deadline, SLOWED * given.deadline)),
    }
    print(json.dumps(rows, indent=1))
    if given.out is not None:
        given.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
