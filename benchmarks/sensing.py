"""A day of a scenario with perfect sensing, with poor sensing, and with poor sensing and an estimator.

    python -m benchmarks.sensing [--scenario ieee123] [--planner NAME ...] [--steps 96] [--out FILE.json]

Rows are kept in a folder (--rows); a run that is there is not run again.

Poor sensing: voltages at 30 nodes with 1 % noise, one of them dead and one frozen, demand by meters with
10 % noise every hour and a quarter of an hour late, import with 0.5 % noise. Forecasts are persistence of
what is seen. Given are the error of the voltages that the controller believes in against the true ones of
the same moment, over all nodes and steps, and what the day cost and violated in the plant.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loops import run_loops
from cosim.experiments.loop_case import LoopCase, LoopRow, loop_case
from cosim.run.assembly import Assembly
from cosim.run.forecast_config import ForecastConfig
from cosim.run.record import Record
from cosim.run.sensing_stage import SensingConfig
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

SEED, NODES = 3, 30


def poor_sensing(study: Study) -> dict[str, Any]:
    """Sensors at places drawn by the seed; the first is dead, the second frozen."""
    with Assembly(study.without_control(), needs=()) as assembly:
        nodes = assembly.site.nodes
    chosen = np.random.default_rng(SEED).choice(len(nodes), size=NODES, replace=False)
    places = [nodes[i] for i in sorted(chosen)]
    return {
        "voltage": {"noise": 0.01, "only": places, "dead": places[:1], "frozen": places[1:2]},
        "demand": {"noise": 0.1, "every_s": 3600, "delay_s": 900},
        "substation": {"noise": 0.005},
        "seed": SEED,
    }


def belief_error(record: Record) -> dict[str, float]:
    """How far the voltages that the controller believes in are from the true ones."""
    found: dict[str, float] = {}
    if record.steps["belief_voltage_pu"].notna().all():
        error = record.vector("belief_voltage_pu") - record.vector("measured_voltage_pu")
        deviation = record.vector("belief_voltage_std_pu")
        found |= {
            "voltage_rms_error_pu": float(np.sqrt((error**2).mean())),
            "voltage_largest_error_pu": float(np.abs(error).max()),
        }
        if np.isfinite(deviation).all():
            found["within_two_sigma"] = float((np.abs(error) < 2.0 * deviation).mean())
    return found


def cases(study: Study, planners: list[str]) -> list[LoopCase]:
    """Three ways of sensing per planner."""
    control = study.scenario.control.model_copy(update={"forecast": ForecastConfig(type="persistence")})
    poor = poor_sensing(study)
    found: list[LoopCase] = []
    for planner in planners:
        # A lossless model needs a small cost of reactive power, or it circulates.
        changed = {"type": planner, "reactive_cost_per_kvarh": 0.0 if planner == "tangent" else 0.002}
        chosen = control.model_copy(update={"planner": control.planner.model_copy(update=changed)})
        for name, sensing in (
            ("perfect", {}),
            ("poor", poor),
            ("poor, estimator", poor | {"estimator": "twin_wls"}),
        ):
            changes = {"control": chosen, "sensing": SensingConfig.model_validate(sensing)}
            case = replace(study, scenario=study.scenario.model_copy(update=changes))
            found.append(loop_case(f"{planner}: {name}", case, "benchmarks.sensing:belief_error"))
    return found


def main() -> None:
    """Run all cases that are missing and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="ieee123")
    parser.add_argument("--planner", nargs="*", default=["tangent", "lindistflow"])
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--rows", type=Path, default=Path("runs/sensing"), help="where rows are kept")
    options = parser.parse_args()
    study = open_study(find_scenario(options.scenario), steps=options.steps)
    rows = run_loops(cases(study, options.planner), options.rows)
    figures = {key: {**key_figures(row), **row.figures} for key, row in rows.items()}
    print(json.dumps(figures, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def key_figures(row: LoopRow) -> dict[str, float]:
    """Cost and violations of a run."""
    return {
        "cost": row.run["adjusted_cost"],
        "violation_node_h": row.run["violation_node_h"],
        "worst_excess_pu": row.run["worst_excess_pu"],
        "overloaded_h": row.run["overloaded_h"],
    }


if __name__ == "__main__":
    main()
