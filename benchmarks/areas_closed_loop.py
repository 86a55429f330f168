"""Areas against one controller in closed loop, over both drivers.

    python -m benchmarks.areas_closed_loop [--steps 24] [--out docs/results]

Closed loop: scenario ieee123_areas (unbalanced, voltage limits bind) with one controller, with planner admm
and with planner enapp in four areas: in one process, and over HELICS with a process for each area.
Cost is that of the energy less the value of what batteries store at the end, as in every campaign.

Rows that are done are kept in ``--rows``; the same command goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.loops import run_loops
from benchmarks.tables import table
from cosim.experiments.loop_case import LoopCase, LoopRow, loop_case
from cosim.run.record import Record
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

SCENARIO = "ieee123_areas"
FIGURES = "benchmarks.areas_closed_loop:area_figures"
CLOCKED = ("plan_build_s", "plan_solve_s")
DIGEST_BYTES = 6
"""So many bytes of a hash are exact as a double."""
ENAPP: dict[str, Any] = {"areas": 4, "order": "gauss_seidel", "rounds": 5}


def area_figures(record: Record) -> dict[str, float]:
    """Exchange and seconds of a run, and a hash of its rows without seconds."""
    steps = record.steps
    told = steps.drop(columns=[name for name in CLOCKED if name in steps])
    digest = hashlib.sha256(repr(told.to_dict(orient="list")).encode()).digest()[:DIGEST_BYTES]
    exchanged = {
        name: float(steps[name].mean()) if name in steps else 0.0
        for name in ("plan_rounds", "plan_messages", "plan_message_bytes")
    }
    return exchanged | {
        "solve_s": float(steps["plan_solve_s"].mean()),
        "settled": float((steps["plan_status"] == "settled").mean()),
        "digest": float(int.from_bytes(digest, "big")),
    }


# --- closed loop ----------------------------------------------------------------------------------


def cases(study: Study) -> list[LoopCase]:
    """One controller, and areas by both planners over both drivers."""
    config = study.scenario.control.planner
    alone = study.with_planner(config.model_copy(update={"type": "lindistflow", "options": {}}))
    federates = tuple(item for item in study.scenario.federates if item.role != "area")
    alone = replace(alone, scenario=alone.scenario.model_copy(update={"federates": federates}))
    enapp = study.with_planner(config.model_copy(update={"type": "enapp", "options": ENAPP}))
    made = [loop_case("central, local", alone, FIGURES)]
    for name, planned in (("admm", study), ("enapp", enapp)):
        local = loop_case(f"{name}, local", planned, FIGURES)
        made += [local, replace(local, key=f"{name}, helics", over="helics")]
    return made


def counted(mean: float) -> float | None:
    """A mean of counts; None for one controller."""
    return None if math.isnan(mean) else round(mean, 1)


def loop_rows(rows: dict[str, LoopRow]) -> list[dict[str, Any]]:
    """Key figures of the closed loops beside those of one controller."""
    central = rows["central, local"].run["adjusted_cost"]
    found = []
    for key, row in rows.items():
        twin = rows.get(key.replace("helics", "local"), row)
        steps = max(sum(row.decisions.values()), 1)
        found.append(
            {
                "run": key,
                "adjusted_cost": round(row.run["adjusted_cost"], 3),
                "above_central_percent": round(100.0 * (row.run["adjusted_cost"] / central - 1.0), 4),
                "energy_cost": round(row.run["energy_cost"], 3),
                "violation_node_h": row.run["violation_node_h"],
                "settled_share": round(row.figures["settled"], 3),
                "rounds": counted(row.figures["plan_rounds"]),
                "messages": counted(row.figures["plan_messages"]),
                "message_bytes": counted(row.figures["plan_message_bytes"]),
                "solve_s_per_step": round(row.figures["solve_s"], 3),
                "wall_s_per_step": round((row.wall_s or 0.0) / steps, 3),
                "same_as_local": row.figures["digest"] == twin.figures["digest"],
            }
        )
    return found


# --- results --------------------------------------------------------------------------------------


HEADING = """# Areas against one controller in closed loop

Made by `python -m benchmarks.areas_closed_loop`, whose text says what was run. Rounds, messages, bytes and
seconds are means of a step. Seconds depend on the machine and on what else it does. `solve s per step` is
the sum over all areas; over HELICS they solve at the same time, here on two cores. `above central percent`
is of the adjusted cost. `same as local` compares all columns of the record but seconds.
"""


ENDING = """
Planner enapp is cheaper here because its areas do not agree: voltages leave their limits for two
node-hours. At this size areas are no faster than one controller, also with a core for each of them. They
are for feeders with several owners. Messages are counted also where an area repeats its last one, because
slots are fixed.
"""


def main() -> None:
    """Run what is missing and write ``areas_closed_loop.json`` and ``areas_closed_loop.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.areas_closed_loop", description=__doc__)
    parser.add_argument("--steps", type=int, default=None, help="of the closed loops; default: all")
    parser.add_argument("--scenario", default=SCENARIO)
    parser.add_argument("--rows", type=Path, default=Path("runs/areas_closed_loop"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    asked = parser.parse_args()
    study = open_study(find_scenario(asked.scenario), steps=asked.steps)
    asked.rows.mkdir(parents=True, exist_ok=True)
    loops = loop_rows(run_loops(cases(study), asked.rows))
    text = f"{HEADING}\n{table(loops)}\n{ENDING}"
    asked.out.mkdir(parents=True, exist_ok=True)
    found = json.dumps({"loops": loops}, indent=1)
    (asked.out / "areas_closed_loop.json").write_text(found + "\n", encoding="utf-8")
    (asked.out / "areas_closed_loop.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
