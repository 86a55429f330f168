"""All linear network models beside each other: plans in OpenDSS, and errors of prediction.

    python -m benchmarks.linear_methods [--dispatches N] [--out DIR]

One day in hours on a single-phase feeder and on an unbalanced one. Every plan is replayed in OpenDSS with
live controls; its cost is compared with that of the best planner known there. Predictions of random
dispatches are compared with exact flows of the twin, taps and capacitors as in that flow at rest.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cosim.errors import ScenarioError
from cosim.experiments.open_loop import Day, OpenLoopPlan, open_day, plan_with
from cosim.experiments.replay import replay
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.roles import Planner
from cosim.model.state import NoPlan
from cosim.model.twin import TwinFlow
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.expected import Expected
from cosim.run.planner_config import ObjectiveConfig
from cosim.run.policy import make_planner
from cosim.run.settings import changed_study
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study


@dataclass(frozen=True)
class Case:
    """A feeder with limits, and the reference planner there.

    Attributes:
        label: in the table.
        feeder: shipped scenario.
        reference: planner.
        limits: changes to those of the scenario.
        frozen: whether the planners' twin holds the measured taps, and no battery loses energy by being in
            use: what is left then has one optimum.
    """

    label: str
    feeder: str
    reference: str
    limits: dict[str, float | bool]
    frozen: bool = False


CASES = (
    Case("ieee123_1ph", "ieee123_1ph", "branch_flow_nl", {}),
    Case("ieee123_1ph, at least 0.978 pu", "ieee123_1ph", "branch_flow_nl", {"voltage_min_pu": 0.978}),
    Case("ieee13", "ieee13", "tangent", {}),
    Case("ieee13, taps held by the twin, no idling", "ieee13", "tangent", {}, frozen=True),
    Case("ieee123", "ieee123", "tangent", {"lines": False}),
    Case("ieee123, ratings of lines hold", "ieee123", "tangent", {"lines": True}),
    Case("ieee123, taps held by the twin, no idling", "ieee123", "tangent", {"lines": False}, frozen=True),
)
METHODS: dict[str, dict[str, Any]] = {
    "lindistflow": {"type": "lindistflow"},
    "lindistflow, losses at price": {"type": "lindistflow", "losses_at_price": 1.0},
    "sensitivity_factors, each plan": {
        "type": "sensitivity_factors",
        "options": {"relinearise": "each_plan"},
    },
    "sensitivity_factors, converged": {"type": "sensitivity_factors"},
    "taylor": {"type": "taylor"},
    "regression, svr": {"type": "regression", "options": {"regressor": "svr"}},
    "regression, ridge": {"type": "regression", "options": {"regressor": "ridge"}},
}
HOURLY: dict[str, Any] = {
    "time.step_s": 3600,
    "time.steps": 24,
    "control.resolution_s": 3600,
    "control.tail": None,
    "inputs.resample": "mean",
}
SEED = 20
SMALL_COST = {
    "reactive_cost_per_kvarh": 0.002,
    "throughput_cost_per_kwh": 0.005,
    "storage_loss_cost_per_kwh": 0.0,
    "curtailment_cost_per_kwh": 0.0,
}


@dataclass(frozen=True)
class Row:
    """One method on one feeder.

    Attributes:
        feeder, method: which.
        planned: objective that the method says of its plan, currency.
        realised: energy and device cost in OpenDSS less the worth of stored energy, currency.
        planned_gap_percent, gap_percent: ``planned`` and ``realised`` above those of the reference.
        violation_pu: largest voltage outside the limits in OpenDSS.
        voltage_rms_pu, voltage_most_pu, import_rms_kw, losses_rms_kw: errors of prediction on random
            dispatches; None for methods that predict by exact flows.
        seconds: of the plan, compilation of the program not counted.
        claim: of the certificate.
    """

    feeder: str
    method: str
    planned: float
    realised: float
    planned_gap_percent: float
    gap_percent: float
    violation_pu: float
    voltage_rms_pu: float | None
    voltage_most_pu: float | None
    import_rms_kw: float | None
    losses_rms_kw: float | None
    seconds: float
    claim: str


def study_of(case: Case, changes: dict[str, Any]) -> Study:
    """The shipped scenario over one day in hours, all planners with the same objective."""
    study = changed_study(open_study(find_scenario(case.feeder)), HOURLY)
    scenario = study.scenario
    control = scenario.control
    objective = ObjectiveConfig(losses_at_price=changes.get("losses_at_price", 0.0))
    planner = control.planner.model_copy(
        update={
            "type": changes["type"],
            "options": changes.get("options", {}),
            "objective": objective,
            "inverter": "polygon",
            "solver": "auto",
            **SMALL_COST,
        }
    )
    forecast = control.forecast.model_copy(update={"type": "perfect"})
    twin = control.twin.model_copy(update={"frozen_controls": case.frozen})
    control = control.model_copy(
        update={"planner": planner, "horizon_s": 86_400, "forecast": forecast, "twin": twin}
    )
    limits = scenario.limits.model_copy(update=case.limits)
    changed = scenario.model_copy(update={"control": control, "limits": limits})
    if case.frozen:
        idle = tuple(one.model_copy(update={"idling_kw": 0.0}) for one in scenario.storages)
        changed = changed.model_copy(update={"storages": idle})
    return replace(study, scenario=changed)


def realised_cost(study: Study, plan: OpenLoopPlan) -> tuple[float, float]:
    """Cost in OpenDSS as the objective counts it, and the largest violation of a voltage limit."""
    held, config = replay(plan), study.scenario.control.planner
    made, hours = plan.plan, plan.hours[:, None]
    stores = plan.of_kind("storage")
    cost = float((plan.price_per_kwh * held.realised.import_kw * plan.hours).sum())
    cost += config.throughput_cost_per_kwh * float((hours * np.abs(made.p_kw[:, stores])).sum())
    cost += config.reactive_cost_per_kvarh * float((hours * np.abs(made.q_kvar)).sum())
    cost -= config.terminal.per_kwh * float((made.stored_kwh[-1] - made.stored_kwh[0]).sum())
    return cost, float(held.realised.worst_violation_pu)


def dispatches(day: Day, count: int) -> list[ComplexArray]:
    """Random injections of all devices, shape (period, device) each."""
    rng = np.random.default_rng(SEED)
    devices = day.site.devices
    kw, kva = (np.array([getattr(device, name) for device in devices]) for name in ("kw", "kva"))
    stores = np.array([device.has_energy for device in devices])
    shape = day.forecast.available_kw.shape
    found = []
    for _ in range(count):
        p = np.where(stores, kw * rng.uniform(-1, 1, shape), np.minimum(day.forecast.available_kw, kw))
        room = np.sqrt(np.maximum(kva**2 - p**2, 0.0))
        found.append(p + 1j * room * rng.uniform(-1, 1, shape))
    return found


def exact_flows(case: Case, count: int) -> list[TwinFlow]:
    """Flows of the twin under random dispatches, taps and capacitors as measured."""
    study = study_of(case, {"type": "tangent"})
    with open_day(study) as day:
        twin, forecast = day.assembly.knowledge.open_twin(), day.forecast
        twin.set_forecast(
            day.measurement,
            forecast.demand_kw + 1j * forecast.demand_kvar,
            forecast.source_ratio_from(day.measurement.source_ratio),
            np.asarray(study.horizon.period_s, dtype=np.float64),
        )
        rest = twin.at_rest(len(study.horizon))
        return [twin.flow(power, rest, held=True) for power in dispatches(day, count)]


def prediction_errors(
    planner: Planner, day: Day, flows: list[TwinFlow]
) -> tuple[float | None, float | None, float | None, float | None]:
    """Voltage (root of the mean square, largest), import and losses; None for exact methods."""
    if not isinstance(planner, DispatchPlanner) or planner.problem.exact:
        return None, None, None, None
    split = sum(device.has_energy for device in day.site.devices)
    network = planner.network
    if hasattr(network, "exact"):
        network.exact = None
    apart: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    for flow in flows:
        power = flow.device_kva
        said: Expected = network.expected(power[:, :split].T, power[:, split:].T)
        apart.append(
            (
                said.voltage_pu - flow.voltage_pu,
                said.import_kva.real - flow.import_kva.real,
                said.losses_kw - flow.losses_kw,
            )
        )
    voltage, imported, losses = (np.array(part) for part in zip(*apart, strict=True))
    rms = [float(np.sqrt((part**2).mean())) for part in (voltage, imported, losses)]
    return rms[0], float(np.abs(voltage).max()), rms[1], rms[2]


def row_of(
    case: Case, method: str, changes: dict[str, Any], flows: list[TwinFlow], best: Row | None
) -> Row:
    """Plan, replay and predict with one method.

    Raises:
        ScenarioError: there is no plan.
    """
    study = study_of(case, changes)
    with open_day(study) as day:
        planner = make_planner(study, day.assembly.knowledge)
        started = time.perf_counter()
        plan = plan_with(planner, study, day)
        seconds = time.perf_counter() - started
        if isinstance(plan, NoPlan):
            raise ScenarioError(case.label, [f"{method}: {plan.reason}"])
        errors = prediction_errors(planner, day, flows)
    cost, violation = realised_cost(study, plan)
    certificate = plan.plan.certificate
    planned = certificate.objective
    other = (planned, cost) if best is None else (best.planned, best.realised)
    return Row(
        case.label,
        method,
        planned,
        cost,
        100.0 * (planned - other[0]) / abs(other[0]),
        100.0 * (cost - other[1]) / abs(other[1]),
        violation,
        errors[0],
        errors[1],
        errors[2],
        errors[3],
        seconds,
        certificate.claim,
    )


HEAD = """# Linear network models

`python -m benchmarks.linear_methods --dispatches {count}`. One day, 24 periods of an hour.

- *Planned* is the objective that the method says of its plan, *in OpenDSS* what the plan costs there with
  live controls. The *gaps* are the distances from the first row of the same feeder.
- *Error* is that of the model the plan was made with, on {count} random dispatches of the day over the
  whole range of the devices, against exact flows with the measured taps. On `ieee13` and `ieee123` the
  models of `sensitivity_factors` and `taylor` belong to other taps, those of their plan; that is most of
  their error.

| feeder | method | planned | gap, % | in OpenDSS | gap, % | violation, pu | voltage rms, pu | largest, pu \
| import rms, kW | losses rms, kW | s |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def table(rows: list[Row], refused: list[str], count: int) -> str:
    """The page of all rows."""
    lines = []
    for row in rows:
        errors = (row.voltage_rms_pu, row.voltage_most_pu, row.import_rms_kw, row.losses_rms_kw)
        shown = " | ".join("-" if value is None else f"{value:.2g}" for value in errors)
        lines.append(
            f"| {row.feeder} | {row.method} | {row.planned:.4f} | {row.planned_gap_percent:.5f} "
            f"| {row.realised:.4f} | {row.gap_percent:.5f} | {row.violation_pu:.1g} | {shown} "
            f"| {row.seconds:.2f} |"
        )
    lines += ["", "What each plan claims:", ""]
    lines += [f"- {row.feeder}, {row.method}: {row.claim}" for row in rows]
    lines += ["", "Without a plan:", "", *(f"- {one}" for one in refused)] if refused else []
    return HEAD.format(count=count) + "\n".join(lines) + "\n"


def main() -> None:
    """Run all rows and write the two files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dispatches", type=int, default=20)
    parser.add_argument("--only", nargs="*", help="feeders of the table; default all")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    rows: list[Row] = []
    refused: list[str] = []
    for case in CASES:
        if options.only and case.label not in options.only:
            continue
        flows = exact_flows(case, options.dispatches)
        first = row_of(case, case.reference, {"type": case.reference}, flows, None)
        rows.append(first)
        for method, changes in METHODS.items():
            try:
                rows.append(row_of(case, method, changes, flows, first))
            except ScenarioError as error:
                refused.append(str(error))
                print(error, flush=True)
                continue
            print(case.label, method, f"{rows[-1].planned_gap_percent:.6f} %", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"rows": [asdict(row) for row in rows], "refused": refused}, indent=1) + "\n"
    (options.out / "linear_methods.json").write_text(content, encoding="utf-8")
    (options.out / "linear_methods.md").write_text(
        table(rows, refused, options.dispatches), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
