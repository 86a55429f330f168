"""Areas against one controller in closed loop, over both drivers, and by the number of areas.

    python -m benchmarks.areas_closed_loop [--steps 24] [--counts 2 4 8 16] [--out docs/results]

Closed loop: scenario ieee123_areas (unbalanced, voltage limits bind) with one controller, with planner admm
and with planner enapp in four areas: in one process, and over HELICS with a process for each area.
Cost is that of the energy less the value of what batteries store at the end, as in every campaign.

Growth: the plan of the first step with more and more areas, and with more and more messages lost. Areas
plan one after the other in one process. The time of the longest area is what a plan would take with a core
for each area, without messages: it is calculated and not measured.

Rows that are done are kept in ``--rows``; the same command goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.loops import run_loops
from benchmarks.tables import table
from cosim.errors import FormulationRefused, RecordError
from cosim.experiments.loop_case import LoopCase, LoopRow, loop_case
from cosim.experiments.open_loop import Day, open_day
from cosim.model.roles import Planner
from cosim.model.state import NoPlan, Plan
from cosim.opf.distributed.admm import AdmmOptions, AdmmPlanner
from cosim.opf.distributed.exchange import AreasInProcess
from cosim.opf.distributed.planner import areas_of
from cosim.opf.planners import lindistflow
from cosim.run.planner_options import planner_options
from cosim.run.record import Record
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

SCENARIO = "ieee123_areas"
FIGURES = "benchmarks.areas_closed_loop:area_figures"
CLOCKED = ("plan_build_s", "plan_solve_s")
DIGEST_BYTES = 6
"""So many bytes of a hash are exact as a double."""
AREAS, SEED = 4, 1
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


# --- growth ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Growth:
    """The plan of the first step with a number of areas.

    Attributes:
        areas: number of areas.
        loss: share of messages that get lost.
        rounds: last round in which an area solved.
        above_central_percent: cost of the planned import, less the value of stored energy, beside that of
            one controller with the same model.
        mismatch: largest difference of boundary values.
        messages, message_bytes: of the plan.
        all_areas_s: seconds in set-up and solver, all areas.
        longest_area_s: of the area that took longest.
        per_round_ms: of that area and round, milliseconds.
        central_s: of one controller.
    """

    areas: int
    loss: float
    rounds: int
    above_central_percent: float
    mismatch: float
    messages: int
    message_bytes: int
    all_areas_s: float
    longest_area_s: float
    per_round_ms: float
    central_s: float


def timed(planner: Planner, day: Day) -> tuple[Plan, float]:
    """A plan and its seconds, without those of compiling the program."""
    began = time.perf_counter()
    plan = planner.plan(day.measurement, day.forecast)
    seconds = time.perf_counter() - began
    if isinstance(plan, NoPlan):
        raise RecordError(f"no plan: {plan.reason}")
    return plan, seconds


def growth(day: Day, study: Study, count: int, chosen: dict[str, Any]) -> Growth:
    """Plan once with a number of areas."""
    shared, horizon, forecast = planner_options(study.scenario), study.horizon, day.forecast
    asked = AdmmOptions(**{**chosen, "areas": count, "cuts": ()})
    areas = areas_of(day.site, asked)
    agents = [
        AdmmPlanner.part_of(day.site, horizon, shared, place, options=asked).agent
        for place in range(len(areas.areas))
    ]
    inside = AreasInProcess(agents, AdmmPlanner.slots_of(areas, asked))
    central, central_s = timed(lindistflow(day.site, horizon, shared), day)
    plan, _ = timed(AdmmPlanner(day.site, horizon, shared, options=asked, areas=inside), day)
    figures = [answer.figures for answer in inside.last]
    value = study.scenario.control.planner.terminal.per_kwh

    def cost(of: Plan) -> float:
        energy = float(forecast.price_per_kwh @ (of.import_kw * horizon.hours))
        return energy - value * float(of.stored_kwh[-1].sum())

    spent = [item.build_s + item.solve_s for item in figures]
    rounds = int(max(item.last_round for item in figures))
    return Growth(
        areas=count,
        loss=asked.loss,
        rounds=rounds,
        above_central_percent=round(100.0 * (cost(plan) / cost(central) - 1.0), 4),
        mismatch=round(max(item.mismatch for item in figures), 5),
        messages=int(sum(item.messages for item in figures)),
        message_bytes=int(sum(item.message_bytes for item in figures)),
        all_areas_s=round(sum(spent), 3),
        longest_area_s=round(max(spent), 3),
        per_round_ms=round(1000.0 * max(spent) / rounds, 2),
        central_s=round(central_s, 3),
    )


def growth_rows(study: Study, cases: list[tuple[int, float]], kept: Path) -> list[dict[str, Any]]:
    """Rows by number of areas and loss; those in the file ``kept`` are not computed again."""
    known: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    missing = [case for case in cases if str(case) not in known]
    if missing:
        with open_day(study) as day:
            for count, loss in missing:
                chosen = {**study.scenario.control.planner.options, "loss": loss, "seed": SEED}
                try:
                    row = growth(day, study, count, chosen)
                except FormulationRefused as error:
                    print(f"{count} areas: {error}")
                    continue
                known[str((count, loss))] = asdict(row)
                kept.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return [known[str(case)] for case in cases if str(case) in known]


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
    parser.add_argument("--counts", type=int, nargs="*", default=[2, 4, 8, 16], help="numbers of areas")
    parser.add_argument("--losses", type=float, nargs="*", default=[0.0, 0.1, 0.2, 0.3])
    parser.add_argument("--scenario", default=SCENARIO)
    parser.add_argument("--rows", type=Path, default=Path("runs/areas_closed_loop"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    asked = parser.parse_args()
    study = open_study(find_scenario(asked.scenario), steps=asked.steps)
    asked.rows.mkdir(parents=True, exist_ok=True)
    kept = asked.rows / "growth.json"
    grown = growth_rows(study, [(count, 0.0) for count in asked.counts], kept)
    lost = growth_rows(study, [(AREAS, loss) for loss in asked.losses], kept)
    loops = loop_rows(run_loops(cases(study), asked.rows))
    text = f"{HEADING}\n## Closed loop\n\n{table(loops)}\n{ENDING}\n## Growth\n\n{table(grown)}\n"
    text += f"\n## Lost messages\n\n{table(lost)}\n"
    asked.out.mkdir(parents=True, exist_ok=True)
    found = json.dumps({"loops": loops, "growth": grown, "loss": lost}, indent=1)
    (asked.out / "areas_closed_loop.json").write_text(found + "\n", encoding="utf-8")
    (asked.out / "areas_closed_loop.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
