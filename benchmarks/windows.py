"""The horizon cut in time against one program: seconds and cost by the number of periods and windows.

    python -m benchmarks.windows [--systems ads10_1ph ieee123_1ph] [--out docs/results]

One day of the shipped scenario, its hours held over 1, 4 or 12 periods: T = 24, 96 and 288. Planner
lindistflow plans the whole day, planner temporal_admm in windows, one after the other; both with the solver
PIQP. Batteries end as they begin, so the cost of the import is the cost of the plan. Seconds are of the
solver. A core for each window would need at least the seconds of all windows over their number, which is
calculated and not measured.

Rows that are done are kept in ``--rows``; the same command goes on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from cosim.errors import RecordError
from cosim.experiments.open_loop import Day, open_day
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.roles import Planner
from cosim.model.state import NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.distributed.temporal_admm import TemporalAdmmPlanner, TemporalOptions
from cosim.opf.options import PlannerOptions, Terminal, fastest_solver
from cosim.opf.planners import lindistflow
from cosim.run.planner_options import planner_options
from cosim.run.shipped import find_scenario
from cosim.run.study import open_study

PERIODS_PER_HOUR = (1, 4, 12)
WINDOWS = (2, 4, 8)
ROUNDS = 60
HOUR_S = 3600


@dataclass(frozen=True)
class Row:
    """One plan in windows beside that of one program.

    Attributes:
        system, periods, windows: what was planned.
        rounds: until windows agreed, or the most.
        agreed: whether windows agree to the tolerance.
        above_percent: cost of the import above that of one program.
        central_s: seconds of one program.
        all_windows_s: seconds of all windows.
        parallel_s: at best, with a core for each window.
    """

    system: str
    periods: int
    windows: int
    rounds: int
    agreed: bool
    above_percent: float
    central_s: float
    all_windows_s: float
    parallel_s: float


def held(day: Forecast, per_hour: int) -> Forecast:
    """A forecast whose hours are held over several periods."""

    def finer(values: FloatArray) -> FloatArray:
        return np.repeat(values, per_hour, axis=0)

    return Forecast(
        Horizon((HOUR_S // per_hour,) * (per_hour * len(day.horizon))),
        finer(day.demand_kw),
        finer(day.demand_kvar),
        finer(day.available_kw),
        finer(day.price_per_kwh),
        None if day.source_ratio is None else finer(day.source_ratio),
    )


def planned(planner: Planner, day: Day, forecast: Forecast) -> Plan:
    """A plan.

    Raises:
        RecordError: there is none.
    """
    plan = planner.plan(day.measurement, forecast)
    if isinstance(plan, NoPlan):
        raise RecordError(f"no plan: {plan.reason}")
    return plan


def rows_of(day: Day, shared: PlannerOptions, system: str, per_hour: int) -> list[Row]:
    """All numbers of windows at one number of periods."""
    forecast = held(day.forecast, per_hour)
    horizon = forecast.horizon
    one = planned(lindistflow(day.site, horizon, shared), day, forecast)
    weight = forecast.price_per_kwh * horizon.hours
    rows = []
    for count in WINDOWS:
        options = TemporalOptions(windows=count, rounds=ROUNDS)
        cut = planned(TemporalAdmmPlanner(day.site, horizon, shared, options=options), day, forecast)
        proof = cut.certificate
        above = 100.0 * float(weight @ cut.import_kw / (weight @ one.import_kw) - 1.0)
        rows.append(
            Row(
                system=system,
                periods=len(horizon),
                windows=count,
                rounds=proof.rounds or 0,
                agreed=proof.status == "settled",
                above_percent=round(above, 4),
                central_s=round(one.certificate.solve_s, 3),
                all_windows_s=round(proof.solve_s, 3),
                parallel_s=round(proof.solve_s / count, 3),
            )
        )
    return rows


HEADING = """# Windows of time against one program

Made by `python -m benchmarks.windows`, whose text says what was run. Seconds depend on the machine and on what
else it does.

| system | T | windows | rounds | agreed | cost above one program % | one program s | all windows s | at best in parallel s |
|---|---|---|---|---|---|---|---|---|
"""  # noqa: E501


def page(rows: list[Row]) -> str:
    """The rows as a page."""
    lines = [
        f"| {row.system} | {row.periods} | {row.windows} | {row.rounds} | {'yes' if row.agreed else 'no'} "
        f"| {row.above_percent:+.4f} | {row.central_s:.2f} | {row.all_windows_s:.2f} "
        f"| {row.parallel_s:.2f} |"
        for row in rows
    ]
    return HEADING + "\n".join(lines) + "\n"


def main() -> None:
    """Plan what is missing and write ``windows.json`` and ``windows.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.windows", description=__doc__)
    parser.add_argument("--systems", nargs="*", default=["ads10_1ph", "ieee123_1ph"])
    parser.add_argument("--rows", type=Path, default=Path("runs/windows.json"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    asked = parser.parse_args()
    kept: dict[str, list[dict[str, object]]] = {}
    if asked.rows.exists():
        kept = json.loads(asked.rows.read_text(encoding="utf-8"))
    asked.rows.parent.mkdir(parents=True, exist_ok=True)
    for system in asked.systems:
        study = open_study(find_scenario(system))
        shared = fastest_solver(replace(planner_options(study.scenario), terminal=Terminal("hard")))
        with open_day(study) as day:
            for per_hour in PERIODS_PER_HOUR:
                if (key := f"{system} {per_hour}") not in kept:
                    kept[key] = [asdict(row) for row in rows_of(day, shared, system, per_hour)]
                    asked.rows.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
                    print(key, "done", flush=True)
    rows = [Row(**row) for part in kept.values() for row in part]  # type: ignore[arg-type]
    asked.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(row) for row in rows], indent=1)
    (asked.out / "windows.json").write_text(text + "\n", encoding="utf-8")
    (asked.out / "windows.md").write_text(page(rows), encoding="utf-8")
    print(page(rows))


if __name__ == "__main__":
    main()
