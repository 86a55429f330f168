"""One case of the studies of plans: one network, one formulation, planned and replayed in OpenDSS."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cosim.errors import CosimError, FeederError, FormulationRefused, NoRadialModel, SolverUnsuited
from cosim.experiments.executor import Budget, Experiment
from cosim.experiments.gap_instance import GapCase, study_of_case
from cosim.experiments.memory import peak_mb
from cosim.experiments.open_loop import Day, OpenLoopPlan, open_day, plan_with
from cosim.experiments.replay import replay
from cosim.model.roles import Planner
from cosim.model.state import NoPlan
from cosim.opf.program_size import SizedPlanner
from cosim.run.policy import make_planner
from cosim.run.study import Study

REFUSED = "refused"
"""How the status begins of a planner that does not cover a feeder."""
SECOND_IF_FIRST_S = 200.0
"""A plan that took longer is not made again."""
LONGEST_HISTORY = 60
"""Points that are kept of the history of a search."""


@dataclass(frozen=True)
class GapRow:
    """What a case gave. Costs in currency, NaN-free: None where there is no figure.

    Attributes:
        fingerprint: of the case, see :attr:`GapCase.fingerprint`.
        key, instance, network, seed, periods, penetration, band, formulation: the case.
        buses: of the network; 0 where a case stopped before the feeder was read.
        batteries, pvs, variables, rows: size of network and program, see
            :class:`cosim.opf.program_size.ProgramSize`; no figure where the planner does not say it.
        status: the solver's word, or why the case stopped.
        claim: of the certificate.
        objective: of the formulation's own model.
        optimality_gap, relaxation_gap_kva: of the certificate.
        simultaneous_kw, slack_pu: of the certificate.
        planned_cost, realised_cost: import times price, by the model and in OpenDSS.
        max_voltage_error_pu, max_import_error_kw: OpenDSS against the model.
        worst_violation_pu, violation_pu_h: in OpenDSS.
        feeder_s, compile_s, first_s, second_s: seconds to open the feeder, to build the program, to plan
            with everything new, and to plan again with other prices.
        cpu_s: of the first plan, all threads.
        iterations: of the first plan.
        peak_mb: highest memory of the process, MiB.
        planner_seed: of the case.
        cut_setpoints: set-points that the plant could not accept in full.
        stored_error_kwh: largest error of stored energy at the end of the horizon, of any device.
        evaluations: candidates of a search.
        history_s, history_cost, history_violation: of a search for set-points: CPU seconds since it
            began, objective of the best candidate so far and what it exceeds limits by, thinned.
    """

    fingerprint: str
    key: str
    instance: str
    network: str
    seed: int
    periods: int
    penetration: str
    band: str
    formulation: str
    buses: int
    status: str
    batteries: int | None = None
    pvs: int | None = None
    variables: int | None = None
    rows: int | None = None
    claim: str | None = None
    objective: float | None = None
    optimality_gap: float | None = None
    relaxation_gap_kva: float | None = None
    simultaneous_kw: float | None = None
    slack_pu: float | None = None
    planned_cost: float | None = None
    realised_cost: float | None = None
    max_voltage_error_pu: float | None = None
    max_import_error_kw: float | None = None
    worst_violation_pu: float | None = None
    violation_pu_h: float | None = None
    feeder_s: float | None = None
    compile_s: float | None = None
    first_s: float | None = None
    second_s: float | None = None
    cpu_s: float | None = None
    iterations: int | None = None
    peak_mb: float | None = None
    planner_seed: int = 0
    cut_setpoints: int | None = None
    stored_error_kwh: float | None = None
    evaluations: int | None = None
    history_s: tuple[float, ...] = ()
    history_cost: tuple[float, ...] = ()
    history_violation: tuple[float, ...] = ()


def stopped(case: GapCase, why: str) -> GapRow:
    """The row of a case that gave no plan."""
    return GapRow(
        fingerprint=case.fingerprint,
        key=case.key,
        instance=case.instance,
        network=case.name,
        seed=case.seed,
        periods=case.periods,
        penetration=case.penetration,
        band=case.band,
        formulation=case.formulation,
        buses=case.buses,
        planner_seed=case.planner_seed,
        status=why,
    )


def run_case(case: GapCase) -> GapRow:
    """Plan and replay one case in this process."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _run(case, study_of_case(case, Path(folder)))
        except (FormulationRefused, SolverUnsuited, NoRadialModel) as error:
            return stopped(case, f"{REFUSED}: {error}")
        except CosimError as error:
            return stopped(case, f"stopped: {error}")


def _run(case: GapCase, study: Study) -> GapRow:
    started = time.perf_counter()
    with open_day(study) as day:
        site = day.site
        feeder_s = time.perf_counter() - started
        row = replace(
            stopped(case, "planned"),
            buses=len(site.nodes),
            batteries=len(site.of_kind("storage")),
            pvs=len(site.of_kind("pv")),
            feeder_s=feeder_s,
        )
        started = time.perf_counter()
        planner = make_planner(study, day.assembly.knowledge)
        compile_s = time.perf_counter() - started
        started, cpu = time.perf_counter(), time.process_time()
        plan = plan_with(planner, study, day)
        first_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        if not isinstance(plan, OpenLoopPlan):
            why = f"no plan, {plan.status}: {plan.reason}"
            return replace(row, status=why, compile_s=compile_s, first_s=first_s, cpu_s=cpu_s)
        second_s = _second_s(planner, day) if case.twice and first_s < SECOND_IF_FIRST_S else None
        size = planner.program_size if isinstance(planner, SizedPlanner) else None
    proof = plan.plan.certificate
    row = replace(
        row,
        status=proof.status,
        variables=None if size is None else size.variables,
        rows=None if size is None else size.rows,
        claim=proof.claim,
        objective=proof.objective,
        optimality_gap=proof.optimality_gap,
        relaxation_gap_kva=proof.relaxation_gap_kva,
        simultaneous_kw=proof.simultaneous_kw,
        slack_pu=proof.slack_pu,
        planned_cost=plan.energy_cost,
        compile_s=compile_s,
        first_s=first_s,
        second_s=second_s,
        cpu_s=cpu_s,
        iterations=proof.iterations,
        peak_mb=peak_mb(),
    )
    return _replayed(_with_history(row, plan), plan, study)


def _second_s(planner: Planner, day: Day) -> float | None:
    """Seconds of a plan with other numbers and the same program: what a step of a closed loop costs."""
    other = replace(day.forecast, price_per_kwh=1.02 * day.forecast.price_per_kwh)
    started = time.perf_counter()
    again = planner.plan(day.measurement, replace(other, demand_kw=0.99 * other.demand_kw))
    return None if isinstance(again, NoPlan) else time.perf_counter() - started


def _with_history(row: GapRow, plan: OpenLoopPlan) -> GapRow:
    """The row with how the search went, where set-points were searched for and not positions alone."""
    details = plan.plan.details
    if details is None or plan.plan.position.size:
        return row
    count = len(details.cpu_s)
    kept = np.unique(np.linspace(0, count - 1, min(count, LONGEST_HISTORY)).round().astype(int))
    return replace(
        row,
        evaluations=int(details.evaluations[-1]),
        history_s=tuple(details.cpu_s[kept].round(4).tolist()),
        history_cost=tuple(details.best_cost[kept].tolist()),
        history_violation=tuple(details.best_violation[kept].tolist()),
    )


def _replayed(row: GapRow, plan: OpenLoopPlan, study: Study) -> GapRow:
    """The row of a plan with what OpenDSS makes of it."""
    try:
        figures = replay(plan, study).figures()
    except FeederError as error:
        return replace(row, status=f"planned, but in OpenDSS: {error}")
    return replace(
        row,
        realised_cost=figures["realised_cost"],
        max_voltage_error_pu=figures["max_voltage_error_pu"],
        max_import_error_kw=figures["max_import_error_kw"],
        worst_violation_pu=figures["worst_violation_pu"],
        violation_pu_h=figures["violation_pu_h"],
        cut_setpoints=int(figures["cut_setpoints"]),
        stored_error_kwh=figures["max_stored_error_kwh"],
    )


STOPPED_BY_LIMIT = ("time limit", "memory limit")


def _counts(row: GapRow, case: GapCase, budget: Budget) -> bool:
    """Whether a row of an earlier run answers a case: the same question; a plan, a refusal or a limit."""
    if row.fingerprint != case.fingerprint:
        return False
    if row.claim is not None or row.status.startswith(REFUSED):
        return True
    return row.status.endswith((budget.out_of_time, budget.out_of_memory))


def _hopeless(case: GapCase, done: Mapping[str, GapRow]) -> str:
    """Whether a smaller or equal network, otherwise alike, met a limit with the same formulation."""
    for row in done.values():
        alike = (row.network, row.periods, row.penetration, row.band, row.formulation) == (
            case.name,
            case.periods,
            case.penetration,
            case.band,
            case.formulation,
        )
        if alike and row.status.startswith(STOPPED_BY_LIMIT) and row.buses <= case.buses:
            return f"not tried: {row.buses} buses met the {row.status}"
    return ""


OPTIMALITY_GAP: Experiment[GapCase, GapRow] = Experiment(
    door="cosim.experiments.gap_case:OPTIMALITY_GAP",
    case=GapCase,
    row=GapRow,
    run=run_case,
    failed=stopped,
    counts=_counts,
    hopeless=_hopeless,
)
