"""What each kind of flexible device earns in closed loop: a scenario with one kind at a time, and with all.

    python -m benchmarks.flexible [--scenario ieee123_flexible] [--steps 96] [--out FILE.json]

Every run has the same batteries and PV systems. The cost of a run is that of the energy, less the value of
what batteries store at the end, plus what is paid to owners of loads, plus what vehicles that are still
there have yet to receive, at the mean price. A kind earns what the cost is lower by, beside the same
devices left as they are without control (vehicles charge when they come, loads stay).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cosim.devices.kind import Figure
from cosim.devices.registry import by_kind
from cosim.report.device_figures import history
from cosim.report.metrics import run_metrics
from cosim.run.execute import execute
from cosim.run.record import Record, read_record
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

FLEXIBLE = ("curtailable_load", "shiftable_load", "ev_charger")
PAID, OWED = "paid for it", "not yet received by vehicles that stay"


def cost_of(record: Record) -> dict[str, float]:
    """Cost of a run and its parts, currency."""
    metrics = run_metrics(record)
    mean_price = float(record.steps["price_per_kwh"].mean())
    figures: list[Figure] = []
    for kind, _, devices in by_kind(record.site.devices):
        if kind.figures is not None:
            figures += kind.figures(devices, history(record, kind))
    paid = sum(figure.value for figure in figures if figure.label == PAID)
    owed = sum(figure.value for figure in figures if figure.label == OWED)
    return {
        "energy_less_stored": metrics.adjusted_cost,
        "paid": paid,
        "owed_to_vehicles": owed * mean_price,
        "cost": metrics.adjusted_cost + paid + owed * mean_price,
        "violation_node_h": metrics.violation_node_h,
        "overloaded_h": metrics.overloaded_h,
    }


def with_kinds(study: Study, kinds: tuple[str, ...]) -> Study:
    """The study with only some kinds of flexible devices."""
    rules = tuple(rule for rule in study.scenario.siting if rule.kind not in FLEXIBLE or rule.kind in kinds)
    return replace(study, scenario=study.scenario.model_copy(update={"siting": rules}))


def run(study: Study) -> Record:
    """One run in this process."""
    with tempfile.TemporaryDirectory() as folder:
        execute(study, Path(folder) / "run", over="local", overwrite=False, progress=lambda _done: None)
        return read_record(Path(folder) / "run")


def rest_cost(study: Study, kind: str) -> float:
    """Cost that the devices of a kind add when nobody commands them, beside a feeder without control."""
    bare = cost_of(run(with_kinds(study, ()).without_control()))["cost"]
    return cost_of(run(with_kinds(study, (kind,)).without_control()))["cost"] - bare


def main() -> None:
    """Run all combinations and print what each kind earns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="ieee123_flexible")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    study = open_study(find_scenario(options.scenario), steps=options.steps)
    rows: dict[str, Any] = {"none": cost_of(run(with_kinds(study, ())))}
    for kinds in (*((kind,) for kind in FLEXIBLE), FLEXIBLE):
        name = "all" if len(kinds) > 1 else kinds[0]
        row = cost_of(run(with_kinds(study, kinds)))
        resting = sum(rest_cost(study, kind) for kind in kinds)
        rows[name] = row | {"earns": float(np.float64(rows["none"]["cost"] + resting - row["cost"]))}
        print(name, json.dumps(rows[name]), flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
