"""More and more areas on one feeder, against one controller.

    python -m benchmarks.areas_growth [--scenario ieee123_areas] [--counts 2 4 8 16]
    python -m benchmarks.areas_growth --scenario ieee8500 --master PATH/8500-Node/Master.dss

The first two plans of the scenario's horizon by planner admm: the first from the measurement, the second
from the same measurement with what was agreed before. Areas plan one after the other in one process. The
seconds of a plan are the sum over its rounds of the area that took longest in that round: what it would
take with a core for each area and without messages. They are calculated and not measured.

One controller plans with lindistflow, the model of the areas, and with tangent on the exact power flow;
seconds are of a second plan, without compiling. Costs are of the planned import less the value of stored
energy; those of areas and of lindistflow are of the same model.

Rows that are done are kept in ``--rows``; the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.tables import table
from cosim.errors import FormulationRefused, RecordError
from cosim.experiments.open_loop import Day, open_day
from cosim.model.forecast import Forecast
from cosim.model.roles import Planner
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.opf.distributed.admm import AdmmOptions, AdmmPlanner
from cosim.opf.distributed.exchange import AreasInProcess
from cosim.opf.distributed.messages import AreaAgent, AreaAnswer, Message
from cosim.opf.distributed.planner import areas_of
from cosim.run.planner_options import planner_options
from cosim.run.policy import make_planner
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

SCENARIO, ROUNDS = "ieee123_areas", 40
CENTRAL = ("lindistflow", "tangent")


class TimedAgent:
    """An area whose seconds in each round are kept.

    Args:
        agent: the area.

    Attributes:
        seconds: by round, of the present plan.
    """

    def __init__(self, agent: AreaAgent) -> None:
        self._agent, self.name, self.neighbours = agent, agent.name, agent.neighbours
        self.seconds: dict[int, float] = {}

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        self.seconds = {}
        self._agent.begin(measurement, forecast)

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """See :class:`AreaAgent`."""
        began = time.perf_counter()
        sent = self._agent.round(number, received)
        self.seconds[number] = self.seconds.get(number, 0.0) + time.perf_counter() - began
        return sent

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer | None:
        """See :class:`AreaAgent`."""
        return self._agent.answer(received)


@dataclass(frozen=True)
class Row:
    """A plan with a number of areas.

    Attributes:
        areas: number of areas; 1: one controller.
        planner: which.
        plan: 1 for the first plan, 2 for the one after it.
        nodes, devices: of the largest area.
        rounds: last round in which an area solved.
        above_lindistflow_percent: of the cost of one controller with the same model.
        mismatch: largest difference of boundary values.
        messages, message_bytes: of the plan.
        all_areas_s: seconds of all areas, one after the other.
        parallel_s: seconds with a core for each area, calculated.
        per_round_ms: of that, by round.
    """

    areas: int
    planner: str
    plan: int
    nodes: int
    devices: int
    rounds: int | None
    above_lindistflow_percent: float
    mismatch: float | None
    messages: int | None
    message_bytes: int | None
    all_areas_s: float
    parallel_s: float
    per_round_ms: float | None


def planned(planner: Planner, day: Day) -> tuple[Plan, float]:
    """A plan and its seconds."""
    began = time.perf_counter()
    plan = planner.plan(day.measurement, day.forecast)
    seconds = time.perf_counter() - began
    if isinstance(plan, NoPlan):
        raise RecordError(f"no plan: {plan.reason}")
    return plan, seconds


def cost_of(plan: Plan, study: Study, day: Day) -> float:
    """Cost of the planned import, less the value of stored energy."""
    energy = float(day.forecast.price_per_kwh @ (plan.import_kw * study.horizon.hours))
    return energy - study.scenario.control.planner.terminal.per_kwh * float(plan.stored_kwh[-1].sum())


def with_planner(study: Study, name: str) -> Study:
    """The study with another planner and its default options."""
    config = study.scenario.control.planner
    return study.with_planner(config.model_copy(update={"type": name, "options": {}}))


def central_rows(study: Study) -> tuple[list[Row], float]:
    """One controller by each planner; cost by that with the model of the areas."""
    found: dict[str, tuple[float, float, int, int]] = {}
    for name in CENTRAL:
        chosen = with_planner(study, name)
        with open_day(chosen) as day:
            planner = make_planner(chosen, day.assembly.knowledge)
            planned(planner, day)
            plan, seconds = planned(planner, day)
            cost = cost_of(plan, study, day)
            found[name] = cost, seconds, len(day.site.nodes), len(day.site.devices)
    least = found[CENTRAL[0]][0]
    rows = [
        Row(
            areas=1,
            planner=name,
            plan=2,
            nodes=nodes,
            devices=devices,
            rounds=None,
            above_lindistflow_percent=percent_above(cost, least),
            mismatch=None,
            messages=None,
            message_bytes=None,
            all_areas_s=round(seconds, 3),
            parallel_s=round(seconds, 3),
            per_round_ms=None,
        )
        for name, (cost, seconds, nodes, devices) in found.items()
    ]
    return rows, least


def percent_above(cost: float, of: float) -> float:
    """How far a cost is above another, in percent of its amount."""
    return round(100.0 * (cost - of) / abs(of), 4)


def area_rows(study: Study, count: int, central_cost: float) -> list[Row]:
    """Two plans with a number of areas."""
    shared, horizon = planner_options(study.scenario), study.horizon
    chosen = AdmmOptions(areas=count, rounds=ROUNDS)
    with open_day(with_planner(study, "admm")) as day:
        areas = areas_of(day.site, chosen)
        places = range(len(areas.areas))
        parts = [AdmmPlanner.part_of(day.site, horizon, shared, place, options=chosen) for place in places]
        agents = [TimedAgent(part.agent) for part in parts]
        inside = AreasInProcess(agents, parts[0].slots)
        planner = AdmmPlanner(day.site, horizon, shared, options=chosen, areas=inside)
        rows = []
        for number in (1, 2):
            plan, _ = planned(planner, day)
            proof = plan.certificate
            rounds = proof.rounds or 0
            parallel_s = sum(max(agent.seconds.get(i, 0.0) for agent in agents) for i in range(rounds + 1))
            rows.append(
                Row(
                    areas=count,
                    planner="admm",
                    plan=number,
                    nodes=max(len(area.nodes) for area in areas.areas),
                    devices=max(len(area.devices) for area in areas.areas),
                    rounds=rounds,
                    above_lindistflow_percent=percent_above(cost_of(plan, study, day), central_cost),
                    mismatch=round(mismatch_of(inside), 5),
                    messages=proof.messages,
                    message_bytes=proof.message_bytes,
                    all_areas_s=round(sum(sum(agent.seconds.values()) for agent in agents), 3),
                    parallel_s=round(parallel_s, 3),
                    per_round_ms=round(1000.0 * parallel_s / max(rounds, 1), 1),
                )
            )
    return rows


def mismatch_of(inside: AreasInProcess) -> float:
    """Largest difference of boundary values in the last plan."""
    return max(answer.figures.mismatch for answer in inside.last if answer is not None)


HEADING = """# Growth of the number of areas

Made by `python -m benchmarks.areas_growth`, whose text says what was run. `parallel s` is what a plan would
take with a core for each area; it is calculated and not measured. `nodes` and `devices` are of the largest
area.

"""


def main() -> None:
    """Plan what is missing and write ``areas_growth_SCENARIO.json`` and ``.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.areas_growth", description=__doc__)
    parser.add_argument("--scenario", default=SCENARIO)
    parser.add_argument("--master", type=Path, default=None, help="replaces the feeder of the scenario")
    parser.add_argument("--counts", type=int, nargs="*", default=[2, 4, 8, 16], help="numbers of areas")
    parser.add_argument("--rows", type=Path, default=Path("runs/areas_growth"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    asked = parser.parse_args()
    study = open_study(find_scenario(asked.scenario), master=asked.master)
    asked.rows.mkdir(parents=True, exist_ok=True)
    kept = asked.rows / f"{asked.scenario}.json"
    known: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if "central" not in known:
        rows, cost = central_rows(study)
        known["central"] = {"rows": [asdict(row) for row in rows], "cost": cost}
        kept.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    for count in asked.counts:
        if str(count) in known:
            continue
        try:
            found = area_rows(study, count, known["central"]["cost"])
        except FormulationRefused as error:
            print(f"{count} areas: {error}")
            continue
        known[str(count)] = {"rows": [asdict(row) for row in found]}
        kept.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    keys = ["central", *(str(count) for count in asked.counts if str(count) in known)]
    rows_found = [row for key in keys for row in known[key]["rows"]]
    asked.out.mkdir(parents=True, exist_ok=True)
    name = f"areas_growth_{asked.scenario}"
    (asked.out / f"{name}.json").write_text(json.dumps(rows_found, indent=1) + "\n", encoding="utf-8")
    text = f"{HEADING}{table(rows_found)}\n"
    (asked.out / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
