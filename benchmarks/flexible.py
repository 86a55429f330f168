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
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.loops import run_loops
from cosim.devices.kind import Figure
from cosim.devices.registry import by_kind
from cosim.experiments.device_history import history
from cosim.experiments.loop_case import LoopCase, LoopRow, loop_case
from cosim.run.record import Record
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

FLEXIBLE = ("curtailable_load", "shiftable_load", "ev_charger")
COSTS = "benchmarks.flexible:device_costs"
PAID, OWED = "paid for it", "not yet received by vehicles that stay"


def device_costs(record: Record) -> dict[str, float]:
    """What owners of loads are paid, and what vehicles that stay have yet to receive, currency."""
    figures: list[Figure] = []
    for kind, _, devices in by_kind(record.site.devices):
        if kind.figures is not None:
            figures += kind.figures(devices, history(record, kind))
    owed_kwh = sum(figure.value for figure in figures if figure.label == OWED)
    return {
        "paid": sum(figure.value for figure in figures if figure.label == PAID),
        "owed_to_vehicles": owed_kwh * float(record.steps["price_per_kwh"].mean()),
    }


def cost_of(row: LoopRow) -> dict[str, float]:
    """Cost of a run and its parts, currency."""
    paid, owed = row.figures["paid"], row.figures["owed_to_vehicles"]
    return {
        "energy_less_stored": row.run["adjusted_cost"],
        "paid": paid,
        "owed_to_vehicles": owed,
        "cost": row.run["adjusted_cost"] + paid + owed,
        "violation_node_h": row.run["violation_node_h"],
        "overloaded_h": row.run["overloaded_h"],
    }


def with_kinds(study: Study, kinds: tuple[str, ...]) -> Study:
    """The study with only some kinds of flexible devices."""
    rules = tuple(rule for rule in study.scenario.siting if rule.kind not in FLEXIBLE or rule.kind in kinds)
    return replace(study, scenario=study.scenario.model_copy(update={"siting": rules}))


def cases(study: Study) -> list[LoopCase]:
    """Each kind alone, all and none of them; and each alone and none without control."""
    commanded = {"none": (), **{kind: (kind,) for kind in FLEXIBLE}, "all": FLEXIBLE}
    resting = {"none": (), **{kind: (kind,) for kind in FLEXIBLE}}
    return [
        *(loop_case(name, with_kinds(study, kinds), COSTS) for name, kinds in commanded.items()),
        *(
            loop_case(f"{name}, at rest", with_kinds(study, kinds).without_control(), COSTS)
            for name, kinds in resting.items()
        ),
    ]


def earned(rows: dict[str, LoopRow]) -> dict[str, Any]:
    """Cost of each run, and what its flexible devices earn in it."""
    cost = {key: cost_of(row) for key, row in rows.items()}
    found: dict[str, Any] = {"none": cost["none"]}
    for name in (*FLEXIBLE, "all"):
        kinds = FLEXIBLE if name == "all" else (name,)
        bare = cost["none, at rest"]["cost"]
        resting = sum(cost[f"{kind}, at rest"]["cost"] - bare for kind in kinds)
        found[name] = cost[name] | {"earns": cost["none"]["cost"] + resting - cost[name]["cost"]}
    return found


def main() -> None:
    """Run all cases that are missing and print what each kind earns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="ieee123_flexible")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--rows", type=Path, default=Path("runs/flexible"), help="where rows are kept")
    options = parser.parse_args()
    study = open_study(find_scenario(options.scenario), steps=options.steps)
    figures = earned(run_loops(cases(study), options.rows))
    print(json.dumps(figures, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
