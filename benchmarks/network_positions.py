"""Taps and capacitor states decided, against feeder controls left alone: a day in closed loop.

    python -m benchmarks.network_positions [--steps N] [--scenarios NAME ...] [--out DIR]

All runs have the same feeder, devices, prices and perfect forecasts. Only who moves taps and banks differs.
Rows that are in the file already are kept; delete a row, or the file, to compute it again.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from cosim.devices.capacitor_bank import CapacitorBank
from cosim.devices.tap_changer import TapChanger
from cosim.run.execute import execute
from cosim.run.record import Record, read_record
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

SCENARIOS = {"ieee13_taps": "IEEE 13", "ieee123_taps": "IEEE 123"}
TAP_STEP = 0.00625
SOLVER_SECONDS = 60.0
"""Time limit of a mixed-integer program."""
LOSSES_PER_KWH = 0.2
"""Of the scenario's objective; all rows are charged with it, whatever their planner sees."""


@dataclass(frozen=True)
class Case:
    """Who moves what.

    Attributes:
        name: in the table.
        planner: of the set-points.
        decided: whether the scenario lists tap changers and banks, whose own controls are then off.
        free: whether operations cost nothing and have no limit.
        linear: whether the planner's objective leaves out losses, which would make it quadratic.
    """

    name: str
    planner: str
    decided: bool
    free: bool = False
    linear: bool = False


CASES = (
    Case("feeder controls, tangent", "tangent", decided=False),
    Case("positions held, tangent", "tangent", decided=True),
    Case("tangent_rounding", "tangent_rounding", decided=True),
    Case("tangent_binary", "tangent_binary", decided=True),
    Case("hybrid", "hybrid", decided=True),
    Case("lindistflow_taps", "lindistflow_taps", decided=True, linear=True),
    Case("tangent_rounding, operations free", "tangent_rounding", decided=True, free=True),
)


@dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        case: its name.
        energy_cost: import times price, currency.
        losses_kwh: of the day.
        stored_kwh: change of stored energy over the day.
        objective: energy and losses at their weights, cost of throughput, reactive power and operations,
            less the worth of stored energy, currency.
        taps_moved, switched: operations of tap changers and banks.
        worst_violation_pu: largest voltage outside the limits.
        plan_s: mean seconds of a plan.
        not_planned: steps whose set-points come from no new plan.
        program_gap: largest gap of the mixed-integer programs, as their solver proved it; None without one.
        at_time_limit: plans that were the best found when the program reached its time limit.
    """

    case: str
    energy_cost: float
    losses_kwh: float
    stored_kwh: float
    objective: float
    taps_moved: float
    switched: float
    worst_violation_pu: float
    plan_s: float
    not_planned: int
    program_gap: float | None
    at_time_limit: int


def study_of(scenario_name: str, case: Case, steps: int) -> Study:
    """A scenario with a planner and, or without, its network devices."""
    study = open_study(find_scenario(scenario_name), steps=steps)
    scenario = study.scenario
    planner = scenario.control.planner
    objective = planner.objective.model_copy(update={"losses_per_kwh": 0.0} if case.linear else {})
    planner = planner.model_copy(
        update={
            "type": case.planner,
            "options": {},
            "inverter": "polygon",
            "objective": objective,
            "solver_seconds": SOLVER_SECONDS if case.linear else None,
        }
    )
    forecast = scenario.control.forecast.model_copy(update={"type": "perfect"})
    control = scenario.control.model_copy(update={"planner": planner, "forecast": forecast})
    devices = scenario.devices if case.decided else ()
    if case.free:
        free = {"operation_cost": 0.0, "operations_per_day": None}
        devices = tuple(device.model_copy(update=free) for device in devices)
    changed = scenario.model_copy(update={"control": control, "devices": devices, "baseline": False})
    return replace(study, scenario=changed)


def row_of(scenario_name: str, case: Case, steps: int) -> Row:
    """Run a case in process."""
    study = study_of(scenario_name, case, steps)
    with tempfile.TemporaryDirectory() as folder:
        execute(study, Path(folder) / "run", over="local", overwrite=False, progress=lambda _done: None)
        record = read_record(Path(folder) / "run")
        return _figures(case, study, record)


def _figures(case: Case, study: Study, record: Record) -> Row:
    hours, config = study.grid.step_h, study.scenario.control.planner
    imported, price = record.steps.import_kw.to_numpy(), record.steps.price_per_kwh.to_numpy()
    losses = float(record.steps.losses_kw.sum() * hours)
    stored = float(record.vector("stored_kwh")[-1].sum() - record.vector("measured_stored_kwh")[0].sum())
    moved, switched, paid = _operations(case, record)
    energy = float((imported * price).sum() * hours)
    storage_kwh = float(np.abs(record.vector("storage_kw")).sum() * hours)
    reactive = [record.vector(name) for name in ("storage_kvar", "pv_kvar")]
    kvarh = float(sum(np.abs(values).sum() for values in reactive) * hours)
    objective = config.objective.energy_cost * energy + LOSSES_PER_KWH * losses
    objective += config.throughput_cost_per_kwh * storage_kwh + config.reactive_cost_per_kvarh * kvarh
    objective += paid - config.terminal.per_kwh * stored
    limits, voltage = study.scenario.limits, record.vector("voltage_pu")
    outside = np.maximum(voltage - limits.voltage_max_pu, limits.voltage_min_pu - voltage)
    gaps = record.steps.plan_program_gap.dropna()
    return Row(
        case.name,
        energy,
        losses,
        stored,
        objective,
        moved,
        switched,
        float(max(outside.max(), 0.0)),
        float((record.steps.plan_build_s + record.steps.plan_solve_s).mean()),
        int((record.steps.source != "PLAN").sum()),
        float(gaps.max()) if len(gaps) else None,
        int((record.steps.plan_claim.dropna().str.startswith("stopped at its time limit")).sum()),
    )


def _operations(case: Case, record: Record) -> tuple[float, float, float]:
    """Taps moved, banks switched, and what they cost at the prices of the devices, currency."""
    if not case.decided:
        ratio = record.vector("tap")
        return float(np.rint(np.abs(np.diff(ratio, axis=0)) / TAP_STEP).sum()), 0.0, 0.0
    columns = ("tap_changer_operations", "capacitor_bank_operations")
    taps, banks = (record.vector(name).sum(axis=0) for name in columns)
    devices = record.site.network_devices
    done = {TapChanger: iter(taps), CapacitorBank: iter(banks)}
    paid = sum(device.operation_cost * float(next(done[type(device)])) for device in devices)
    return float(taps.sum()), float(banks.sum()), float(paid)


HEAD = """# Taps and capacitor states decided

`python -m benchmarks.network_positions`. A day in closed loop, {steps} steps of an hour, horizon of
8 hours, perfect forecasts, in OpenDSS. A tap costs 0.05, a switching 0.5. Each device may move 16 taps, or
switch 4 times, a day.

- *Feeder controls*: the regulators work as the master says, and planner `tangent` foresees them. The banks
  of the master have no control and stay closed. Taps of the first step are not counted there.
- *Positions held*: the same planner, taps and banks stay where they stood at the first step.
- *Objective*: energy at its price, losses at 0.2, throughput, reactive power and operations, less stored
  energy at 0.15.
- `lindistflow_taps` is a mixed-integer linear program (HiGHS, at most {seconds:g} s); it plans without the
  price of losses. *MILP gap*: between its best plan and the bound that the solver proved.
- Some loads of IEEE 13 draw less at lower voltages. Planners that decide positions use that: they lower the
  voltage to the limit. So less energy is served, not only less lost. Where loads draw constant power, there
  is less to gain.
"""
COLUMNS = (
    "| case | objective | against feeder controls, % | energy cost | losses, kWh | stored, kWh "
    "| taps moved | switched | worst violation, pu | s per plan | steps without a new plan "
    "| MILP gap, worst, % | stopped at the time limit |"
)


def page(tables: dict[str, list[Row]], steps: int) -> str:
    """A table for each scenario."""
    lines = [HEAD.format(steps=steps, seconds=SOLVER_SECONDS)]
    for name, rows in tables.items():
        lines += [f"## {SCENARIOS[name]} (`configs/{name}.yaml`)", "", COLUMNS]
        lines += ["|---" * 13 + "|", *_table(rows), ""]
    return "\n".join(lines)


def _table(rows: list[Row]) -> list[str]:
    """Lines of one table; the first row is what the others are compared with."""
    lines = []
    for row in rows:
        gain = 100.0 * (row.objective - rows[0].objective) / abs(rows[0].objective)
        milp = "" if row.program_gap is None else f"{100.0 * row.program_gap:.2g}"
        lines.append(
            f"| {row.case} | {row.objective:.2f} | {gain:+.2f} | {row.energy_cost:.2f} "
            f"| {row.losses_kwh:.1f} | {row.stored_kwh:.1f} | {row.taps_moved:g} | {row.switched:g} "
            f"| {row.worst_violation_pu:.2g} | {row.plan_s:.2f} | {row.not_planned} | {milp} "
            f"| {row.at_time_limit} |"
        )
    return lines


def main() -> None:
    """Run all cases and write the two files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "network_positions.json"
    tables = _rows_of(file, options.steps)
    for name in options.scenarios:
        for case in CASES:
            if case.name in tables.setdefault(name, {}):
                continue
            tables[name][case.name] = row_of(name, case, options.steps)
            print(name, tables[name][case.name], flush=True)
            content = {of: [asdict(row) for row in rows.values()] for of, rows in tables.items()}
            written = json.dumps({"steps": options.steps, "scenarios": content}, indent=1) + "\n"
            file.write_text(written, encoding="utf-8")
    in_order = {
        of: [rows[case.name] for case in CASES if case.name in rows] for of, rows in tables.items() if rows
    }
    text = page(in_order, options.steps)
    (options.out / "network_positions.md").write_text(text, encoding="utf-8")


def _rows_of(file: Path, steps: int) -> dict[str, dict[str, Row]]:
    """Rows that an earlier call has written for the same steps, by scenario and case."""
    if not file.is_file():
        return {}
    found = json.loads(file.read_text(encoding="utf-8"))
    if found.get("steps") != steps:
        return {}
    return {name: {row["case"]: Row(**row) for row in rows} for name, rows in found["scenarios"].items()}


if __name__ == "__main__":
    main()
