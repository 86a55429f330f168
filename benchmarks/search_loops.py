"""Planners that search or decide positions, six steps over both drivers: are the records equal?

    python -m benchmarks.search_loops [--out DIR]

Budgets are small: this is about loops, not about cost. Every planner runs on every feeder or is refused.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cosim.errors import CosimError
from cosim.run.execute import execute
from cosim.run.record import Record, read_record
from cosim.run.same_steps import CLOCKED, same
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

STEPS = 6
DRIVERS = ("local", "helics")
FEEDERS = ("ads10_1ph", "ieee13", "ieee13_taps", "ieee123_1ph", "ieee123")
FEW = {"evaluations": 80, "warm_evaluations": 40, "population": 20}
PLANNERS: dict[str, dict[str, Any]] = {
    "particle_swarm": FEW,
    "grey_wolf_equilibrium": FEW,
    "nsga2": FEW,
    "hybrid": FEW | {"rounds": 1},
    "tangent_rounding": {"rounds": 1},
    "tangent_binary": {"rounds": 1},
}


@dataclass(frozen=True)
class Row:
    """One planner on one feeder.

    Attributes:
        feeder, planner: which.
        outcome: ``equal records``, the columns that differ, or why the planner refuses.
        planned: steps whose set-points come from a new plan.
        reasons: of steps that have none.
    """

    feeder: str
    planner: str
    outcome: str
    planned: int
    reasons: str = ""


def study_of(feeder: str, planner: str) -> Study:
    """The shipped scenario over six steps."""
    study = open_study(find_scenario(feeder), steps=STEPS)
    scenario = study.scenario.model_copy(update={"baseline": False})
    chosen = scenario.control.planner.model_copy(
        update={"type": planner, "options": PLANNERS[planner], "inverter": "polygon", "solver": "auto"}
    )
    return replace(study, scenario=scenario).with_planner(chosen)


def row_of(feeder: str, planner: str) -> Row:
    """Run over both drivers and compare."""
    study = study_of(feeder, planner)
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        for over in DRIVERS:
            try:
                execute(study, Path(folder) / over, over=over, overwrite=False, progress=lambda _done: None)
            except CosimError as error:
                return Row(feeder, planner, f"refused: {error}", 0)
            records.append(read_record(Path(folder) / over))
    one, other = (record.steps for record in records)
    apart = [
        name
        for name in one.columns
        if name not in CLOCKED and not all(same(a, b) for a, b in zip(one[name], other[name], strict=True))
    ]
    planned = int((one.source == "PLAN").sum())
    reasons = "; ".join(sorted({*one.reason, *other.reason} - {""}))
    outcome = f"differ: {', '.join(apart)}" if apart else "equal records"
    return Row(feeder, planner, outcome, planned, reasons)


def main() -> None:
    """Run all pairs and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results/metaheuristics"))
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    rows: list[Row] = []
    options.out.mkdir(parents=True, exist_ok=True)
    for feeder in FEEDERS:
        for planner in PLANNERS:
            rows.append(row_of(feeder, planner))
            print(rows[-1], flush=True)
            content = json.dumps({"rows": [asdict(row) for row in rows]}, indent=1) + "\n"
            (options.out / "loops.json").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
