"""Random scenarios through the tangent planner: no exception, and every plan held against OpenDSS.

    python -m benchmarks.opf.robustness --feeders FOLDER --out docs/results/opf/robustness.json

Feeder, sites, prices (some negative), voltage limits, horizon, end condition and line limits are drawn
from the seed of each scenario. Each is planned twice, cold and warm, and the second plan's voltages are
compared with OpenDSS at the plan's own taps.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from benchmarks.opf.cases import CaseSpec, build_case
from benchmarks.opf.planned import as_long_as_plan
from benchmarks.opf.realised import realise_held
from benchmarks.opf.rolling import planned_day
from cosim.experiments.open_loop import open_day
from cosim.model.state import Plan
from cosim.run.policy import make_planner
from cosim.run.study import Study

EXACT_PU = 1e-6
PUBLISHED = ("13Bus/IEEE13Nodeckt.dss", "34Bus/ieee34Mod1.dss", "37Bus/ieee37.dss", "8500-Node/Master.dss")
PERIODS = (6, 12, 24, 48)


def scenario(seed: int, feeders: Path | None, folder: Path) -> tuple[Study, dict[str, Any], random.Random]:
    """A random study and what was drawn for it."""
    draw = random.Random(seed)  # noqa: S311  # scenarios, not secrets
    names = ["ieee13", "ieee123", "ieee123"]
    if feeders is not None:
        names += [str(feeders / name) for name in PUBLISHED[:3] * 2 + PUBLISHED[3:]]
    name = draw.choice(names)
    drawn: dict[str, Any] = {
        "seed": seed,
        "feeder": name if feeders is None else name.replace(f"{feeders}/", ""),
        "der": draw.randint(1, 8) if "13" in name and "123" not in name else draw.randint(2, 25),
        "periods": draw.choice(PERIODS),
        "voltage_min_pu": draw.choice((0.90, 0.94, 0.95, 0.97)),
        "voltage_max_pu": draw.choice((1.03, 1.05, 1.06, 1.10)),
        "lines": draw.random() < 0.3,
        "terminal": draw.choice(("hard", "value", "soft", "free")),
        "complementarity": draw.choice(("relaxed", "repair")),
        "negative_prices": draw.random() < 0.3,
    }
    spec = CaseSpec(
        name,
        drawn["der"],
        drawn["periods"],
        steps=1,
        seed=seed,
        voltage_min_pu=drawn["voltage_min_pu"],
        voltage_max_pu=drawn["voltage_max_pu"],
    )
    study = build_case(spec, folder, planner="tangent", solver="auto").study
    old = study.scenario
    planner = old.control.planner
    terminal = planner.terminal.model_copy(update={"type": drawn["terminal"], "per_kwh": 0.15})
    changed = planner.model_copy(update={"terminal": terminal, "complementarity": drawn["complementarity"]})
    limits = old.limits.model_copy(update={"lines": drawn["lines"]})
    control = old.control.model_copy(update={"planner": changed})
    return (
        replace(study, scenario=old.model_copy(update={"limits": limits, "control": control})),
        drawn,
        draw,
    )


def run(seed: int, feeders: Path | None) -> dict[str, Any]:
    """One scenario: what was drawn, and what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        study, row, draw = scenario(seed, feeders, Path(folder))
        lowest = -0.1 if row["negative_prices"] else 0.05
        price = np.array([draw.uniform(lowest, 0.4) for _ in range(row["periods"])])
        with open_day(study) as day:
            forecast = replace(day.forecast, price_per_kwh=price)
            planner = make_planner(study, day.assembly.knowledge)
            for turn in ("cold", "warm"):
                began = time.process_time()
                plan = planner.plan(day.measurement, forecast)
                row[f"{turn}_cpu_s"] = time.process_time() - began
            row["status"] = plan.certificate.status if isinstance(plan, Plan) else plan.status
            if not isinstance(plan, Plan):
                return row | {"claim": plan.reason, "solver": ""}
            proof = plan.certificate
            found = planned_day(as_long_as_plan(study), planner, day.measurement, forecast, plan)
        held = realise_held(found).figures()
        return row | {
            "claim": proof.claim,
            "solver": proof.solver,
            "programs": proof.iterations,
            "voltage_error_pu": held["voltage_error_pu"],
            "violation_pu": held["violation_pu"],
        }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over all scenarios."""
    plans = [row for row in rows if "voltage_error_pu" in row]
    kinds = Counter(_kind(row) for row in rows)
    return {
        "scenarios": len(rows),
        "exceptions": sum("exception" in row for row in rows),
        "without_plan": sum("exception" not in row and "voltage_error_pu" not in row for row in rows),
        "plans": len(plans),
        "verified": sum(row["voltage_error_pu"] <= EXACT_PU for row in plans),
        "neither_verified_nor_flagged": sum(_unflagged(row) for row in plans),
        "kinds": dict(kinds.most_common()),
        "plans_with_solver_fallback": sum(row["solver"] != "structured" for row in plans),
        "largest_voltage_error_pu": max((row["voltage_error_pu"] for row in plans), default=0.0),
    }


def _unflagged(row: dict[str, Any]) -> bool:
    """Whether a plan meets other voltages than it says, and does not say that it may."""
    warned = any(word in row["claim"] for word in ("not realisable", "another flow"))
    return row["voltage_error_pu"] > EXACT_PU and not warned


def _kind(row: dict[str, Any]) -> str:
    if "exception" in row:
        return "exception"
    for word in ("not realisable", "unattainable", "find no rest"):
        if word in str(row["claim"]):
            return word
    return str(row["status"])


def main() -> int:
    """Run all scenarios; the exit code is 1 after an exception or a plan neither verified nor flagged."""
    says = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    says.add_argument("--scenarios", type=int, default=200)
    says.add_argument("--first-seed", type=int, default=0)
    says.add_argument("--feeders", type=Path, help="folder with the published test feeders")
    says.add_argument("--out", type=Path, required=True, help="JSON with all rows and their summary")
    given = says.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in track(range(given.first_seed, given.first_seed + given.scenarios), "scenarios"):
        try:
            rows.append(run(seed, given.feeders))
        except Exception as error:  # noqa: BLE001  # an exception is what is looked for
            trace = traceback.format_exc(limit=-3)
            rows.append({"seed": seed, "exception": f"{type(error).__name__}: {error}", "trace": trace})
        given.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"summary": summary(rows), "rows": rows}, indent=1)
        given.out.write_text(text + "\n", encoding="utf-8")
    found = summary(rows)
    print(json.dumps(found, indent=1))
    return int(found["exceptions"] > 0 or found["neither_verified_nor_flagged"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
