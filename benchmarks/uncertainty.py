"""Planning for scenarios on IEEE 123: CPU seconds and memory over the number of scenarios.

    python -m benchmarks.uncertainty [--planner tangent] [--counts 1 5 20] [--steps 6] [--out DIR]

Eight batteries and eight PV systems, 24 periods of a quarter of an hour, noisy forecasts, limits on
voltages and lines, regulators that react in every scenario. Each number of scenarios runs in a process of
its own: a first plan, then the plans of the steps that follow in closed loop. Reported are the CPU seconds
of the first plan, the median of those that follow, the largest memory, and the exponent b of
``seconds = a count^b``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from cosim.experiments.memory import peak_mb
from cosim.model.roles import Controller
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement
from cosim.run.assembly import Assembly
from cosim.run.loop import StepRecord, run_loop
from cosim.run.settings import changed_study
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

COUNTS = (1, 5, 20)
SETTINGS: dict[str, Any] = {
    # When the sun lifts voltages and loadings to their limits.
    "time.start": "2024-06-21T10:00:00-07:00",
    "siting.0.share_of_load_buses": 0.094,
    "siting.1.share_of_load_buses": 0.094,
    "siting.0.times_local_load": 3.0,
    "siting.1.times_local_load": 11.0,
    "control.horizon_s": 21600,
    "control.tail": None,
    "control.forecast": "noisy",
    "baseline": False,
}


class Timed:
    """A controller whose decisions are timed, in CPU seconds of the process."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.cpu_s: list[float] = []

    def start(self, site: Site) -> None:
        """See :class:`Controller`."""
        self._controller.start(site)

    def step(self, measurement: Measurement) -> Decision:
        """See :class:`Controller`."""
        began = time.process_time()
        decision = self._controller.step(measurement)
        self.cpu_s.append(time.process_time() - began)
        return decision


def study_of(planner: str, count: int, steps: int) -> Study:
    """The study with so many scenarios; 0: the forecast is taken for true."""
    uncertainty = {"type": "scenarios", "count": count} if count else None
    settings = SETTINGS | {"control.planner.type": planner, "control.planner.uncertainty": uncertainty}
    if planner != "tangent":
        settings |= {"control.planner.reactive_cost_per_kvarh": 0.002}
    return changed_study(open_study(find_scenario("ieee123"), steps=steps), settings)


def row(planner: str, count: int, steps: int) -> dict[str, Any]:
    """CPU seconds of the plans of a loop, in this process."""
    with Assembly(study_of(planner, count, steps)) as assembly:
        timed, kept = Timed(assembly.controller), list[StepRecord]()
        run_loop(assembly.plant, timed, kept.append)
        devices, periods = len(assembly.site.devices), len(assembly.study.horizon)
    plans = [one.decision.plan for one in kept]
    return {
        "scenarios": count,
        "devices": devices,
        "periods": periods,
        "planned": sum(plan is not None for plan in plans),
        "first_cpu_s": timed.cpu_s[0],
        "later_cpu_s": float(np.median(timed.cpu_s[1:])),
        "each_cpu_s": timed.cpu_s,
        "programs": [getattr(getattr(plan, "certificate", None), "iterations", None) for plan in plans],
        "peak_mib": peak_mb(),
    }


def exponent(rows: list[dict[str, Any]], part: str) -> float:
    """Slope of the logarithms; rows of one scenario or more."""
    count = np.log([one["scenarios"] for one in rows])
    return float(np.polyfit(count, np.log([one[part] for one in rows]), 1)[0])


def table(found: dict[str, Any]) -> str:
    """The rows as a page."""
    planner, rows = found["planner"], found["rows"]
    first, later = found["first_exponent"], found["later_exponent"]
    return f"""# Planning for scenarios: planner {planner} on IEEE 123

{rows[0]["devices"]} devices, {rows[0]["periods"]} periods, noisy forecasts; made by
`python -m benchmarks.uncertainty --planner {planner}`. 0 scenarios: the forecast is taken for true.

| scenarios | first plan, CPU s | later plans, median CPU s | largest memory, MiB |
|---:|---:|---:|---:|
{"".join(map(line, rows))}
CPU seconds grow as the number of scenarios to the power of {first:.2f} (first plan) and {later:.2f} (later
plans).
"""


def line(one: dict[str, Any]) -> str:
    """A row of the table."""
    seconds = f"{one['first_cpu_s']:.2f} | {one['later_cpu_s']:.2f}"
    return f"| {one['scenarios']} | {seconds} | {one['peak_mib']:.0f} |\n"


def main() -> None:
    """Run each number of scenarios in its own process and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--planner", default="tangent")
    parser.add_argument("--counts", type=int, nargs="+", default=[0, *COUNTS])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("docs/results/uncertainty"))
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(row(options.planner, options.one, options.steps)))
        return
    rows = []
    for count in options.counts:
        command = [sys.executable, "-m", "benchmarks.uncertainty", "--planner", options.planner]
        command += ["--one", str(count), "--steps", str(options.steps)]
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
        rows.append(json.loads(said.splitlines()[-1]))
        print(json.dumps(rows[-1]), flush=True)
    several = [one for one in rows if one["scenarios"]]
    found = {
        "planner": options.planner,
        "rows": rows,
        "first_exponent": exponent(several, "first_cpu_s"),
        "later_exponent": exponent(several, "later_cpu_s"),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    page = options.out / f"{options.planner}.md"
    page.write_text(table(found), encoding="utf-8")
    page.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
