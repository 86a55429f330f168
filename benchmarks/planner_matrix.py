"""Every planner on every feeder, in closed loop over both drivers: plans, or is refused by name.

    python -m benchmarks.planner_matrix [--steps 6] [--planners NAME ...] [--feeders NAME ...]
        [--most-s 900] [--out FILE.json]

Feeders are ``ads10_1ph`` and ``ieee123_1ph`` (single-phase), ``ieee13`` and ``ieee123`` (unbalanced). A
cell runs the scenario twice in process and once over HELICS. Reported are decisions that came from a
plan, whether the second run repeats the first to the last bit, whether the record over HELICS is the
same, the highest and lowest voltage, and CPU seconds per step. A planner that does not cover a feeder
says why. Rows that are in the file already are kept; a cell that takes longer than ``--most-s`` is ended
and says so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import tempfile
import time
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from benchmarks.resume import descendants, differing
from cosim.errors import CosimError, FormulationRefused
from cosim.run.execute import execute
from cosim.run.record import Record, read_record
from cosim.run.settings import changed_study
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

FEEDERS = ("ads10_1ph", "ieee123_1ph", "ieee13", "ieee123")
POSITIONS = ("hybrid", "tangent_binary", "tangent_rounding", "lindistflow_taps")
WITH_POSITIONS = {"ieee13": "ieee13_taps", "ieee123": "ieee123_taps"}
"""Scenarios whose taps and capacitor banks are devices."""
FEW = {"evaluations": 80, "warm_evaluations": 40, "population": 20}
OPTIONS: dict[str, dict[str, Any]] = {
    # Small budgets: the matrix asks whether a planner works, not how well.
    "particle_swarm": FEW,
    "grey_wolf_equilibrium": FEW,
    "nsga2": FEW,
    "hybrid": FEW | {"rounds": 1},
    # The smallest feeder has four devices.
    "admm": {"areas": 2},
    "enapp": {"areas": 2},
    "dual_price": {"areas": 2},
    "lindistflow_taps": {"reach": 1},
}
WITHOUT_SQUARES: dict[str, dict[str, Any]] = {
    "lindistflow_taps": {"control.planner.objective.losses_per_kwh": 0.0}
}
"""A mixed-integer program with squares takes minutes, and one that is stopped is not repeatable."""
COMMON = {
    "control.forecast": "perfect",
    # The machine may be busy, and a run that waited too long says nothing of its planner.
    "control.hang_limit_s": 900.0,
    "baseline": False,
    "control.planner.inverter": "polygon",
    "control.planner.solver": "auto",
}


def study_of(planner: str, feeder: str, steps: int) -> Study:
    """The scenario of a feeder with one planner."""
    name = WITH_POSITIONS.get(feeder, feeder) if planner in POSITIONS else feeder
    settings: dict[str, Any] = {"control.planner.type": planner}
    settings["control.planner.options"] = OPTIONS.get(planner, {})
    settings |= WITHOUT_SQUARES.get(planner, {})
    return changed_study(open_study(find_scenario(name), steps=steps), COMMON | settings)


def record_of(study: Study, over: str) -> tuple[Record, float]:
    """A run, and CPU seconds of this process per step."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        execute(study, Path(folder) / "run", over=over, overwrite=False, progress=lambda _done: None)
        seconds = (time.process_time() - began) / study.grid.steps
        return read_record(Path(folder) / "run"), seconds


def cell(planner: str, feeder: str, steps: int) -> dict[str, Any]:
    """One planner on one feeder."""
    try:
        study = study_of(planner, feeder, steps)
        first, seconds = record_of(study, "local")
    except FormulationRefused as error:
        return {"refused": f"{error}"}
    except CosimError as error:
        return {"failed": f"{error}"}
    again, _ = record_of(study, "local")
    helics, _ = record_of(study, "helics")
    voltage = first.vector("voltage_pu")
    return {
        "steps": len(first.steps),
        "from_plans": int((first.steps["source"] == "PLAN").sum()),
        "not_repeated": differing(first, again),
        "different_over_helics": differing(first, helics),
        "highest_pu": float(voltage.max()),
        "lowest_pu": float(voltage.min()),
        "cpu_s_per_step": round(seconds, 3),
    }


def _to(pipe: Any, planner: str, feeder: str, steps: int) -> None:
    pipe.send(cell(planner, feeder, steps))


def in_time(planner: str, feeder: str, steps: int, most_s: float) -> dict[str, Any]:
    """A cell in a process of its own, which is ended when it takes too long."""
    here, there = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_to, args=(there, planner, feeder, steps))
    process.start()
    there.close()
    row: dict[str, Any] = {"ended_after_s": most_s}
    try:
        if here.poll(most_s):
            row = here.recv()
    except EOFError:
        row = {"failed": f"the process ended with code {process.exitcode}"}
    finally:
        federates = descendants(process.pid) if process.pid else {}
        process.kill()
        for pid in federates:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.join()
    return row


def main() -> None:
    """Fill the matrix, and write it after every cell."""
    installed = sorted(entry.name for entry in entry_points(group="cosim.planners"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--planners", nargs="+", choices=installed, default=installed)
    parser.add_argument("--feeders", nargs="+", choices=FEEDERS, default=FEEDERS)
    parser.add_argument("--most-s", type=float, default=900.0)
    parser.add_argument("--out", type=Path, default=Path("docs/results/planner_matrix.json"))
    options = parser.parse_args()
    found = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    for planner in options.planners:
        for feeder in options.feeders:
            if feeder in found.get(planner, {}):
                continue
            row = in_time(planner, feeder, options.steps, options.most_s)
            found.setdefault(planner, {})[feeder] = row
            options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(planner, feeder, json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
