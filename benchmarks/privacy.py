"""What it costs to hide the answers of owners in their sum: seconds, bytes, digits, and cost of the plan.

    python -m benchmarks.privacy [--out docs/results]

IEEE 13 with two batteries and two PV systems of three owners, prices that rise, four and 24 periods.
Planner dual_price with each value of option privacy makes the first plan. All owners plan in one process,
one after the other. The cost is that of the import by the linear model of the whole feeder under the
set-points of the plan.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

from cosim.errors import RecordError
from cosim.experiments.open_loop import Day, open_day
from cosim.model.forecast import Forecast
from cosim.model.state import NoPlan
from cosim.model.timegrid import Horizon
from cosim.opf.distributed.dual_price import DualPricePlanner
from cosim.opf.distributed.dual_price_options import DualPriceOptions, Privacy
from cosim.opf.options import PlannerOptions
from cosim.opf.planners import lindistflow
from cosim.run.study import study_in_code

CUTS = ("line.l632_632q", "line.l671_684")
PERIODS = (4, 24)
STEP_S = 900
SCENARIO = {
    "schema": 1,
    "name": "privacy",
    "feeder": {"model": "ieee13"},
    "time": {"start": "2024-06-21T12:00:00+00:00", "step_s": STEP_S, "steps": max(PERIODS)},
    "inputs": {"irradiance": {"constant": 0.6}, "price": {"constant": 0.2}},
    "storages": [
        {"name": "b1", "bus": "675", "kw": 100, "kwh": 400},
        {"name": "b2", "bus": "611.3", "kw": 50, "kwh": 200},
    ],
    "pvs": [{"name": "p1", "bus": "680", "kw": 300}, {"name": "p2", "bus": "634", "kw": 100}],
    "control": {"horizon_s": STEP_S * max(PERIODS)},
}
ROUNDS = 60
"""More than owners need on this case."""


@dataclass(frozen=True)
class Row:
    """One plan.

    Attributes:
        periods, privacy: what was planned, and how.
        cost_above_percent: above the plan of one controller.
        rounds: until all agree.
        kb: of all messages, also of rounds after all agree.
        wall_s: seconds of the plan, all owners in one process.
        apart_kw: largest difference of set-points from those with privacy sums.
        claim: what the planner says of its plan.
    """

    periods: int
    privacy: str
    cost_above_percent: float
    rounds: int
    kb: float
    wall_s: float
    apart_kw: float | None
    claim: str


def first_periods(day: Day, count: int) -> Forecast:
    """The first periods of a day, at prices that rise."""
    whole, chosen = day.forecast, slice(0, count)
    return Forecast(
        Horizon((STEP_S,) * count),
        whole.demand_kw[chosen],
        whole.demand_kvar[chosen],
        whole.available_kw[chosen],
        np.linspace(0.1, 0.4, count),
    )


def rows_of(day: Day, shared: PlannerOptions, count: int) -> list[Row]:
    """All ways to hide at one number of periods."""
    forecast = first_periods(day, count)
    central = lindistflow(day.site, forecast.horizon, shared)
    best = central.plan(day.measurement, forecast)
    if isinstance(best, NoPlan):
        raise RecordError(f"one controller, T = {count}: {best.reason}")
    split = sum(device.has_energy for device in day.site.devices)
    hours, rows, clear = forecast.horizon.hours, list[Row](), None
    least = float(forecast.price_per_kwh @ (best.import_kw * hours))
    for privacy in get_args(Privacy):
        chosen = DualPriceOptions(cuts=CUTS, rounds=ROUNDS, privacy=privacy)
        planner = DualPricePlanner(day.site, forecast.horizon, shared, options=chosen)
        began = time.perf_counter()
        plan = planner.plan(day.measurement, forecast)
        wall_s = time.perf_counter() - began
        if isinstance(plan, NoPlan):
            raise RecordError(f"privacy {privacy}, T = {count}: {plan.reason}")
        kw = plan.p_kw.copy()
        kw[:, split:] = np.minimum(kw[:, split:], forecast.available_kw[:, split:])
        kva = (kw + 1j * plan.q_kvar).T
        seen = central.network.expected(kva[:split], kva[split:]).import_kva.real
        cost = float(forecast.price_per_kwh @ (seen * hours))
        proof = plan.certificate
        if privacy == "sums":
            clear = plan
        rows.append(
            Row(
                periods=count,
                privacy=privacy,
                cost_above_percent=round(100.0 * (cost / least - 1.0), 4),
                rounds=int(proof.rounds or 0),
                kb=round((proof.message_bytes or 0) / 1000.0, 1),
                wall_s=round(wall_s, 3),
                apart_kw=None if clear is None else float(np.abs(plan.p_kw - clear.p_kw).max()),
                claim=proof.claim,
            )
        )
    return rows


HEADING = """# Owners that hide their answers

Made by `python -m benchmarks.privacy`, whose text says what was run. Seconds depend on the machine and on
what else it does. A plan has 60 rounds of messages; owners that agree solve and encrypt no more, and repeat
their last message. The key of paillier is made once, before the first plan; its seconds are not counted.

| T | privacy | cost above one controller % | rounds | kB | s | set-points differ from sums by kW | claim |
|---|---|---|---|---|---|---|---|
"""


def page(rows: list[Row]) -> str:
    """The rows as a page."""
    lines = [
        f"| {row.periods} | {row.privacy} | {row.cost_above_percent:+.4f} | {row.rounds} | {row.kb:.1f} "
        f"| {row.wall_s:.2f} | {'-' if row.apart_kw is None else row.apart_kw} | {row.claim} |"
        for row in rows
    ]
    return HEADING + "\n".join(lines) + "\n"


def main() -> None:
    """Plan all cases and write ``privacy.json`` and ``privacy.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.privacy", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    out: Path = parser.parse_args().out
    shared = replace(PlannerOptions(), reactive_cost_per_kvarh=0.01)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_day(study_in_code(SCENARIO, Path(folder))) as day,
    ):
        rows = [row for count in PERIODS for row in rows_of(day, shared, count)]
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(row) for row in rows], indent=1)
    (out / "privacy.json").write_text(text + "\n", encoding="utf-8")
    (out / "privacy.md").write_text(page(rows), encoding="utf-8")
    print(page(rows))


if __name__ == "__main__":
    main()
