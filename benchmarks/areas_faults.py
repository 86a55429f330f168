"""Areas whose messages are lost or late, and an area that dies, in closed loop.

    python -m benchmarks.areas_faults [--steps 24] [--losses 0.1 0.3] [--delays 2 5 10]

Scenario ieee123_areas: IEEE 123 unbalanced in four areas, 24 periods, voltage limits bind. Planners admm,
enapp and dual_price in one process with lost and late messages. Then one area is silent from step
``--dies-at`` on: as a fault of the scenario in one process, and over HELICS, where this benchmark kills its
process with SIGKILL when as many steps are on record. The others go on with its last values for
``--hold-s`` seconds, then its devices are in the safe state.

The killed process dies in the midst of a step, at a moment that the operating system chooses. So its run
need not be equal to the run with the fault in that step; ``first silent step`` says when it was.

Cost is that of the energy less the value of what batteries store at the end, as in every campaign. Rows
that are done are kept in ``--rows``; the same command goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.loops import run_loops
from benchmarks.tables import table
from cosim.errors import CosimError, RecordError
from cosim.experiments.control_metrics import control_metrics
from cosim.experiments.loop_case import LoopCase, LoopRow, loop_case
from cosim.experiments.run_metrics import run_metrics
from cosim.model.state import Source
from cosim.run.execute import execute
from cosim.run.injected import AreaOutage, FaultsConfig
from cosim.run.manifest import read_manifest
from cosim.run.record import Record, read_record
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

SCENARIO = "ieee123_areas"
FIGURES = "benchmarks.areas_faults:area_figures"
AREA, SEED, HANG_LIMIT_S = "area3", 1, 900.0
PLANNERS: dict[str, dict[str, Any]] = {
    "admm": {"areas": 4, "rounds": 40},
    "enapp": {"areas": 4, "rounds": 15},
    "dual_price": {"areas": 4, "rounds": 40},
}
"""Options of each planner; enapp needs 5 rounds, and more where messages are late."""


def area_figures(record: Record) -> dict[str, float]:
    """Exchange of a run, and which areas were silent."""
    steps = record.steps
    columns = ("plan_rounds", "plan_messages", "plan_messages_lost")
    exchanged = {
        name: float(steps[name].mean()) for name in columns if name in steps and steps[name].notna().any()
    }
    sources = [list(value) if value is not None else [] for value in steps["plan_area_source"]]
    silent = [step for step, found in enumerate(sources) if set(found) - {Source.PLAN}]
    of_areas = [source for found in sources for source in found]
    return exchanged | {
        "settled": float((steps["plan_status"] == "settled").mean()),
        "first_silent": float(silent[0]) if silent else -1.0,
        "area_steps_earlier": float(of_areas.count(Source.EARLIER_PLAN)),
        "area_steps_rest": float(of_areas.count(Source.FALLBACK)),
    }


# --- cases ----------------------------------------------------------------------------------------


def with_areas(study: Study, planner: str, **chosen: object) -> Study:
    """The study with a planner of areas and options."""
    config = study.scenario.control.planner
    options = PLANNERS[planner] | {"seed": SEED} | chosen
    return study.with_planner(config.model_copy(update={"type": planner, "options": options}))


def patient(study: Study) -> Study:
    """The study with time for decisions on a machine that does other work."""
    control = study.scenario.control.model_copy(update={"hang_limit_s": HANG_LIMIT_S})
    return replace(study, scenario=study.scenario.model_copy(update={"control": control}))


def alone(study: Study) -> Study:
    """The study with one controller that plans with the same model."""
    config = study.scenario.control.planner
    planned = study.with_planner(config.model_copy(update={"type": "lindistflow", "options": {}}))
    federates = tuple(item for item in study.scenario.federates if item.role != "area")
    return replace(planned, scenario=planned.scenario.model_copy(update={"federates": federates}))


def with_outage(study: Study, step: int) -> Study:
    """The study in which an area is out of service from a step on."""
    fault = AreaOutage(kind="area_outage", area=AREA, from_step=step, steps=study.grid.steps)
    faults = FaultsConfig(inject=(fault,))
    return replace(study, scenario=study.scenario.model_copy(update={"faults": faults}))


def cases(study: Study, asked: argparse.Namespace) -> list[LoopCase]:
    """All runs in one process."""
    made = [loop_case("central", alone(study), FIGURES)]
    for planner in asked.planners:
        made.append(loop_case(f"{planner}, perfect", with_areas(study, planner), FIGURES))
        for loss in asked.losses:
            lossy = with_areas(study, planner, loss=loss)
            made.append(loop_case(f"{planner}, loss {100 * loss:g} %", lossy, FIGURES))
        for delay in asked.delays:
            late = with_areas(study, planner, delay_rounds=delay)
            made.append(loop_case(f"{planner}, delay {delay} rounds", late, FIGURES))
        silent = with_outage(with_areas(study, planner, hold_s=asked.hold_s), asked.dies_at)
        made.append(loop_case(f"{planner}, {AREA} silent from step {asked.dies_at}", silent, FIGURES))
    return made


# --- a process that is killed ---------------------------------------------------------------------


@dataclass(frozen=True)
class Killed:
    """A run whose area was killed.

    Attributes:
        status: of the manifest.
        lost_federates: who died and how, by the manifest.
        reasons: of decisions, each once, with the step where it began.
        run, decisions, figures: see :class:`cosim.experiments.loop_case.LoopRow`.
        wall_s: of the run.
    """

    status: str
    lost_federates: dict[str, str]
    reasons: list[str]
    run: dict[str, Any]
    decisions: dict[str, int]
    figures: dict[str, float]
    wall_s: float


def killer(name: str, step: int) -> Callable[[int], None]:
    """Kills the process of a federate when as many steps are on record."""

    def progress(done: int) -> None:
        if done != step:
            return
        for child in psutil.Process().children():
            if name in child.cmdline() and "area" in child.cmdline():
                child.kill()
                return
        raise RecordError(f"no process of {name} runs after {step} steps")

    return progress


def kill_in_run(study: Study, folder: Path, step: int) -> Killed:
    """Run over HELICS and kill an area."""
    finished = execute(study, folder, over="helics", overwrite=True, progress=killer(AREA, step))
    record, manifest = read_record(folder), read_manifest(folder)
    reasons: dict[str, int] = {}
    for row in record.steps.itertuples():
        if row.reason:
            reasons.setdefault(str(row.reason), int(str(row.step)))
    control = control_metrics(record)
    return Killed(
        status=str(manifest["status"]),
        lost_federates=dict(manifest.get("lost_federates", {})),
        reasons=[f"step {first}: {reason}" for reason, first in reasons.items()],
        run=asdict(run_metrics(record)),
        decisions={} if control is None else control.decisions,
        figures=area_figures(record),
        wall_s=round(finished.wall_s, 1),
    )


def killed_rows(study: Study, asked: argparse.Namespace) -> dict[str, Killed]:
    """Runs with a killed area; those that are kept are not computed again."""
    kept = asked.rows / f"killed_{study.grid.steps}_{asked.dies_at}_{asked.hold_s:g}.json"
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for planner in asked.planners:
        if planner in known:
            continue
        chosen = with_areas(study, planner, hold_s=asked.hold_s).without_baseline()
        try:
            killed = kill_in_run(chosen, asked.rows / f"killed_{planner}", asked.dies_at)
        except CosimError as error:
            raise SystemExit(f"{planner}, {AREA} killed: {error}") from error
        known[planner] = asdict(killed)
        kept.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return {planner: Killed(**known[planner]) for planner in asked.planners}


# --- results --------------------------------------------------------------------------------------


def row_of(key: str, row: LoopRow | Killed, central: float) -> dict[str, Any]:
    """A run as a row of the table."""
    figures, cost = row.figures, row.run["adjusted_cost"]
    exchange = {
        title: round(figures[name], 1) if name in figures else None
        for title, name in (
            ("rounds", "plan_rounds"), ("messages", "plan_messages"), ("lost", "plan_messages_lost")
        )
    }  # fmt: skip
    first = int(figures["first_silent"])
    return {
        "run": key,
        "adjusted_cost": round(cost, 3),
        "above_central_percent": round(100.0 * (cost / central - 1.0), 4),
        "violation_node_h": row.run["violation_node_h"],
        "settled_share": round(figures["settled"], 3),
        **exchange,
        "decisions_not_new": sum(count for name, count in row.decisions.items() if name != Source.PLAN),
        "first_silent_step": None if first < 0 else first,
        "area_steps_with_last_plan": int(figures["area_steps_earlier"]),
        "area_steps_at_rest": int(figures["area_steps_rest"]),
    }


HEADING = """# Areas under imperfect communication

Made by `python -m benchmarks.areas_faults`, whose text says what was run. `above central percent` is of the
adjusted cost. Rounds, messages and lost messages are means of a step; a message that has not arrived at the
end of a plan counts as lost. `decisions not new` counts steps that followed no new plan of the feeder.

"""


def page(rows: list[dict[str, Any]], killed: dict[str, Killed]) -> str:
    """The results as a page."""
    parts = [HEADING + table(rows), "\n\n## What the record says of a killed area\n"]
    for planner, row in killed.items():
        how = "; ".join(f"{name} {text}" for name, text in row.lost_federates.items()) or "nobody"
        lines = [f"\n`{planner}`: status `{row.status}`, lost: {how}. Reasons of decisions:\n"]
        parts += [*lines, *(f"- {reason}" for reason in row.reasons), ""]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Run what is missing and write ``areas_faults.json`` and ``areas_faults.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.areas_faults", description=__doc__)
    parser.add_argument("--steps", type=int, default=None, help="of the closed loops; default: all")
    parser.add_argument(
        "--planners", nargs="*", choices=[*PLANNERS], default=["admm", "enapp", "dual_price"]
    )
    parser.add_argument("--losses", type=float, nargs="*", default=[0.1, 0.3])
    parser.add_argument("--delays", type=int, nargs="*", default=[2, 5, 10], help="rounds")
    parser.add_argument("--dies-at", type=int, default=7, help="step")
    parser.add_argument("--hold-s", type=float, default=7200.0)
    parser.add_argument("--rows", type=Path, default=Path("runs/areas_faults"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    asked = parser.parse_args()
    study = patient(open_study(find_scenario(SCENARIO), steps=asked.steps))
    asked.rows.mkdir(parents=True, exist_ok=True)
    found = run_loops(cases(study, asked), asked.rows)
    central = found["central"].run["adjusted_cost"]
    killed = killed_rows(study, asked)
    rows = [row_of(key, row, central) for key, row in found.items()]
    rows += [
        row_of(f"{planner}, {AREA} killed at step {asked.dies_at}, helics", row, central)
        for planner, row in killed.items()
    ]
    asked.out.mkdir(parents=True, exist_ok=True)
    told = {"rows": rows, "killed": {planner: asdict(row) for planner, row in killed.items()}}
    (asked.out / "areas_faults.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    text = page(rows, killed)
    (asked.out / "areas_faults.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
