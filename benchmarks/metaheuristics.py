"""Metaheuristics against the tangent planner at equal CPU time: best, median and worst of several seeds.

    python -m benchmarks.metaheuristics [--budgets 10 100] [--seeds N] [--cases NAME ...]
        [--planners NAME ...] [--out DIR]
    python -m benchmarks.metaheuristics --master PATH/8500-Node/Master.dss --cases ieee8500

Every row is one first plan of one planner with one budget in CPU seconds and one seed. Rows are kept in
``rows.jsonl``; those that are there are not computed again. Tables and figure are made from all rows.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from cosim.experiments.open_loop import Day, open_day
from cosim.model.arrays import FloatArray
from cosim.model.state import NoPlan
from cosim.opf.flow_cost import FlowCost
from cosim.opf.tangent.active_limits import ActiveLimits, bounds_of
from cosim.opf.tangent.device_dispatch import DeviceDispatch
from cosim.run.planner_options import planner_options
from cosim.run.policy import make_planner
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

PLANNERS = ("particle_swarm", "grey_wolf_equilibrium", "nsga2")
REFERENCE = "tangent"
UNLIMITED = 10**9
OWN_MASTER = "ieee8500"
"""Scenario whose feeder does not ship."""
USEFUL_SHARE = 0.9
"""A plan that saves less of what tangent saves against devices at rest is not counted as useful."""


@dataclass(frozen=True)
class Case:
    """A horizon on a feeder.

    Attributes:
        name: of the case.
        scenario: shipped scenario.
        periods: of the horizon, as long as those of the scenario; 0 leaves the scenario's horizon.
    """

    name: str
    scenario: str
    periods: int = 0


CASES = (
    Case("ads10_1ph, 4 periods", "ads10_1ph", 4),
    Case("ads10_1ph", "ads10_1ph"),
    Case("ieee13", "ieee13"),
    Case("ieee123_1ph, 4 periods", "ieee123_1ph", 4),
    Case("ieee123_1ph, 8 periods", "ieee123_1ph", 8),
    Case("ieee123_1ph", "ieee123_1ph"),
    Case("ieee123", "ieee123"),
    Case("ieee8500", "ieee8500"),
)


Question = tuple[str, float, int]
"""Planner, budget in CPU seconds, seed."""


@dataclass(frozen=True)
class Row:
    """One first plan.

    Attributes:
        case, planner, budget_s, seed: which; tangent has budget and seed 0.
        nodes, batteries, periods: of the case.
        objective: certified on the exact flow, penalties included, currency; None without a plan.
        rest: objective of the devices at rest, on the exact flow, currency.
        turnover: what all imports of the plan cost or earn, by absolute value, currency.
        violation_pu: largest voltage outside the limits.
        evaluations: candidates.
        cpu_s, wall_s: of the plan.
        history_s, history_cost: CPU seconds and best cost so far, thinned; without penalties.
        claim: of the certificate, or why there is no plan.
    """

    case: str
    planner: str
    budget_s: float
    seed: int
    nodes: int
    batteries: int
    periods: int
    objective: float | None
    rest: float
    turnover: float
    violation_pu: float
    evaluations: int
    cpu_s: float
    wall_s: float
    history_s: tuple[float, ...]
    history_cost: tuple[float, ...]
    claim: str

    @property
    def key(self) -> tuple[str, str, float, int]:
        """What the row answers."""
        return self.case, self.planner, self.budget_s, self.seed


def study_of(case: Case, planner: str, budget_s: float, seed: int, master: Path | None) -> Study:
    """The case's study with a planner; devices have no idling loss, which would be planned twice."""
    study = open_study(find_scenario(case.scenario), master=master)
    control = study.scenario.control
    options: dict[str, Any] = {"cpu_s": budget_s, "evaluations": UNLIMITED} if budget_s else {}
    chosen = control.planner.model_copy(
        update={"type": planner, "options": options, "inverter": "polygon", "solver": "auto"}
    )
    forecast = control.forecast.model_copy(update={"type": "perfect"})
    changed = {"planner": chosen, "forecast": forecast, "seed": seed}
    if case.periods:
        changed["horizon_s"] = case.periods * (control.resolution_s or study.scenario.time.step_s)
    stores = tuple(store.model_copy(update={"idling_kw": 0.0}) for store in study.scenario.storages)
    scenario = study.scenario.model_copy(
        update={"control": control.model_copy(update=changed), "storages": stores}
    )
    return replace(study, scenario=scenario)


def row_of(case: Case, day: Day, question: Question, master: Path | None) -> Row:
    """Make one first plan."""
    planner, budget_s, seed = question
    study = study_of(case, planner, budget_s, seed, master)
    made = make_planner(study, day.assembly.knowledge)
    wall, cpu = time.perf_counter(), time.process_time()
    plan = made.plan(day.measurement, day.forecast)
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
    row = Row(
        case.name,
        planner,
        budget_s,
        seed,
        nodes=len(day.site.nodes),
        batteries=len(day.site.of_kind("storage")),
        periods=len(study.horizon),
        objective=None,
        rest=objective_at_rest(study, day),
        turnover=0.0,
        violation_pu=0.0,
        evaluations=0,
        cpu_s=cpu_s,
        wall_s=wall_s,
        history_s=(),
        history_cost=(),
        claim="",
    )
    if isinstance(plan, NoPlan):
        return replace(row, claim=plan.reason)
    turnover = np.abs(day.forecast.price_per_kwh * study.horizon.hours * plan.import_kw).sum()
    row = replace(
        row,
        objective=plan.certificate.objective,
        turnover=float(turnover),
        violation_pu=plan.certificate.slack_pu,
        claim=plan.certificate.claim,
    )
    if plan.details is None:
        return row
    thin = slice(None, None, 1 + len(plan.details.cpu_s) // 60)
    return replace(
        row,
        evaluations=int(plan.details.evaluations[-1]),
        history_s=tuple(plan.details.cpu_s[thin].round(3).tolist()),
        history_cost=tuple(plan.details.best_cost[thin].round(6).tolist()),
    )


def objective_at_rest(study: Study, day: Day) -> float:
    """Objective of the devices at rest on the exact flow, penalties included, currency."""
    options, horizon = planner_options(study.scenario), study.horizon
    twin, forecast = day.assembly.knowledge.open_twin(), day.forecast
    demand = forecast.demand_kw + 1j * forecast.demand_kvar
    ratio = forecast.source_ratio_from(day.measurement.source_ratio)
    twin.set_forecast(day.measurement, demand, ratio, np.asarray(horizon.period_s, dtype=np.float64))
    dispatcher = DeviceDispatch(day.site, horizon, options)
    devices = dispatcher.devices(day.measurement, forecast.available_kw, None)
    rest = dispatcher.at_rest(devices[1].available_kw)
    flow = twin.flow(dispatcher.injection_kva(rest))
    cost = FlowCost(options.objective, options.limits, horizon)
    cost.update(forecast.price_per_kwh, day.measurement.peak_import_kw)
    limits = ActiveLimits(bounds_of(options.limits, twin), twin, horizon, len(day.site.devices))
    limits.extend(flow)
    return dispatcher.cost(rest, *devices) + cost.of(flow) + limits.penalty(flow)


def wanted(
    cases: list[Case], budgets: list[float], seeds: int, planners: list[str]
) -> Iterator[tuple[Case, list[Question]]]:
    """Questions to each case: small budgets first."""
    for budget in sorted(budgets):
        for case in cases:
            mine = [(planner, budget, seed) for seed in range(seeds) for planner in planners]
            yield case, [(REFERENCE, 0.0, 0), *mine]


def read_rows(path: Path) -> list[Row]:
    """Rows that are there already."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Row(**json.loads(line)) for line in lines]


# --- the page -----------------------------------------------------------------------------------------

HEAD = """# Metaheuristics against tangent

`python -m benchmarks.metaheuristics`, rows in [rows.jsonl](metaheuristics/rows.jsonl). One first plan with
perfect forecast and no earlier plan. Each row sums up the seeds of one planner with one budget.

- *Gap*: objective above that of `tangent`, as a part of what the imports of tangent's plan cost or earn.
  Both objectives are those of the exact flow of the same twin, penalties of limits included. Tangent
  finds a local optimum, so a gap can be negative.
- `nsga2` looks for a front of cost, voltage deviation and peak; its row is the cheapest point of the front.
- *Battery-periods*: batteries times periods, the number of decisions about stored energy. Curtailment and
  reactive power come on top of it.
- *Budget*: CPU seconds of the search. Other processes ran at the same time, which lowers the number of
  candidates in a given time. What a CPU-second budget finds is not reproducible to the last digit.
"""


COLUMNS = (
    "| case | battery-periods | budget, s | planner | seeds | candidates, median | gap best, % "
    "| gap median, % | gap worst, % | violation, worst, pu |"
)
USEFUL = f"""## Where they stop being useful

Share of tangent's saving against devices at rest that the median plan of the best planner of a case
reaches. Useful: at least {100 * USEFUL_SHARE:g} %.
"""


def page(rows: list[Row]) -> str:
    """All tables."""
    reference = {row.case: row for row in rows if row.planner == REFERENCE}
    groups: dict[tuple[str, float, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.planner != REFERENCE and row.objective is not None and row.case in reference:
            groups[row.case, row.budget_s, row.planner].append(row)
    lines = [HEAD, "", "| case | nodes | batteries | periods | tangent, objective | CPU s | claim |"]
    lines.append("|---|---|---|---|---|---|---|")
    lines += [
        f"| {row.case} | {row.nodes} | {row.batteries} | {row.periods} | {row.objective:.4f} "
        f"| {row.cpu_s:.2f} | {row.claim} |"
        for row in reference.values()
    ]
    lines += [
        "",
        COLUMNS,
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    order = {case.name: i for i, case in enumerate(CASES)}
    for key in sorted(groups, key=lambda key: (order[key[0]], key)):
        (case, budget, planner), group = key, groups[key]
        gaps = gaps_percent(group, reference[case])
        lines.append(
            f"| {case} | {group[0].batteries * group[0].periods} | {budget:g} | {planner} | {len(group)} "
            f"| {np.median([row.evaluations for row in group]):.0f} | {gaps.min():.4f} "
            f"| {np.median(gaps):.4f} | {gaps.max():.4f} | {max(row.violation_pu for row in group):.1g} |"
        )
    return "\n".join([*lines, "", *_useful(groups, reference)]) + "\n"


def gaps_percent(group: list[Row], reference: Row) -> FloatArray:
    """Objectives above that of tangent, percent of tangent's turnover."""
    objectives = np.array([row.objective for row in group], dtype=np.float64)
    return np.asarray(100.0 * (objectives - float(reference.objective or 0.0)) / reference.turnover)


def _useful(groups: dict[tuple[str, float, str], list[Row]], reference: dict[str, Row]) -> list[str]:
    """Saving of the best planner of each case, by budget."""
    lines = [
        USEFUL,
        "| budget, s | battery-periods | case | best planner | share of the saving, % | useful |",
        "|---|---|---|---|---|---|",
    ]
    best: dict[tuple[float, str], tuple[float, str]] = {}
    for (case, budget, planner), group in groups.items():
        median = float(np.median([saved(row, reference[case]) for row in group]))
        best[budget, case] = max((median, planner), best.get((budget, case), (median, planner)))

    def size(key: tuple[float, str]) -> tuple[float, int]:
        return key[0], reference[key[1]].batteries * reference[key[1]].periods

    for budget, case in sorted(best, key=size):
        share, planner = best[budget, case]
        lines.append(
            f"| {budget:g} | {size((budget, case))[1]} | {case} | {planner} | {100 * share:.1f} "
            f"| {'yes' if share >= USEFUL_SHARE else 'no'} |"
        )
    return lines


def saved(row: Row, reference: Row) -> float:
    """Saving against devices at rest, as a share of tangent's."""
    most = reference.rest - float(reference.objective or 0.0)
    return (reference.rest - float(row.objective or 0.0)) / most


def figure(rows: list[Row], path: Path) -> None:
    """Anytime curves: gap over CPU seconds, one panel for each case."""
    mpl.use("Agg")
    reference = {row.case: row for row in rows if row.planner == REFERENCE}
    cases = [case.name for case in CASES if case.name in reference]
    columns = min(3, max(len(cases), 1))
    shape = (-(-len(cases) // columns), columns)
    drawn, axes = plt.subplots(*shape, figsize=(4.2 * columns, 3.0 * shape[0]), squeeze=False)
    for axis, case in zip(axes.ravel(), cases, strict=False):
        base = reference[case]
        for colour, planner in zip(("C0", "C1", "C2"), PLANNERS, strict=True):
            mine = [row for row in rows if row.case == case and row.planner == planner]
            longest = max((row.budget_s for row in mine), default=0.0)
            for i, row in enumerate(row for row in mine if row.budget_s == longest):
                gap = 100.0 * (np.array(row.history_cost) - float(base.objective or 0.0)) / base.turnover
                axis.plot(
                    row.history_s, np.maximum(gap, 1e-4), colour, lw=0.9, label=planner if i == 0 else None
                )
        axis.axvline(base.cpu_s, color="k", ls=":", lw=1.0, label="tangent is done")
        axis.set(xscale="log", yscale="log", title=case, xlabel="CPU s", ylabel="gap to tangent, %")
    for axis in axes.ravel()[len(cases) :]:
        axis.set_axis_off()
    if cases:
        axes[0, 0].legend(fontsize=7)
    drawn.tight_layout()
    drawn.savefig(path, metadata={"Date": None})
    plt.close(drawn)


def main() -> None:
    """Compute the rows that are not there and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = [case.name for case in CASES]
    parser.add_argument(
        "--budgets", type=float, nargs="*", default=[10.0], help="CPU seconds, e.g. 10 100 600"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cases", nargs="*", default=names[:-1], choices=names)
    parser.add_argument("--planners", nargs="*", default=list(PLANNERS), choices=PLANNERS)
    parser.add_argument("--master", type=Path, help="master of the 8500-node feeder, which does not ship")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    folder = options.out / "metaheuristics"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "rows.jsonl"
    done = {row.key for row in read_rows(kept)}
    cases = [case for case in CASES if case.name in options.cases]
    for case, questions in wanted(cases, options.budgets, options.seeds, options.planners):
        left = [question for question in questions if (case.name, *question) not in done]
        master = options.master if case.scenario == OWN_MASTER else None
        if not left:
            continue
        with open_day(study_of(case, REFERENCE, 0.0, 0, master)) as day:
            for question in left:
                row = row_of(case, day, question, master)
                done.add(row.key)
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
                print(*row.key, row.objective, flush=True)
    rows = read_rows(kept)
    (options.out / "metaheuristics.md").write_text(page(rows), encoding="utf-8")
    figure(rows, folder / "anytime.svg")


if __name__ == "__main__":
    main()
