"""One case of the optimality-gap study: one network, one formulation, planned and replayed."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cattrs

from cosim.errors import CosimError, FeederError
from cosim.experiments.executor import Budget, Experiment
from cosim.experiments.memory import peak_mb
from cosim.experiments.open_loop import OpenLoopPlan, open_day, plan_with
from cosim.experiments.replay import replay
from cosim.model.state import NoPlan
from cosim.networks.dss_text import write_model
from cosim.networks.synthetic import synthetic_feeder
from cosim.opf.program_size import SizedPlanner
from cosim.run.policy import make_planner
from cosim.run.scenario import Scenario
from cosim.run.shipped import shipped
from cosim.run.study import Study

FIRST_DAY = datetime.fromisoformat("2024-06-21T00:00:00-07:00")
SECOND_IF_FIRST_S = 200.0
"""A plan that took longer is not made again."""

SHORT_DAY_STARTS_H = 9
"""A horizon of less than a day starts here, so that sun and evening price are in it."""


@dataclass(frozen=True)
class Penetration:
    """How much PV and storage there is: shares of the load buses, powers per local load."""

    pv_share: float
    pv_times_load: float
    storage_share: float
    storage_times_load: float


@dataclass(frozen=True)
class GapCase:
    """What is asked of one case.

    Attributes:
        network: ``synthetic``, the name of a shipped single-phase feeder, or the path of a master.
        buses: size of a synthetic network; 0 for others.
        seed: of network and siting.
        periods: hours in the horizon.
        penetration, der: its name and meaning; None where the feeder brings its own devices.
        band, limits_pu: name and voltage limits.
        formulation, planner: name and the planner's configuration.
    """

    network: str
    buses: int
    seed: int
    periods: int
    penetration: str
    der: Penetration | None
    band: str
    limits_pu: tuple[float, float]
    formulation: str
    planner: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the network; one that is the path of a master is named after its folder."""
        path = Path(self.network)
        return path.parent.name if path.suffix else self.network

    @property
    def instance(self) -> str:
        """The problem, whatever the formulation."""
        return f"{self.name}{self.buses or ''}-s{self.seed}-t{self.periods}-{self.penetration}-{self.band}"

    @property
    def key(self) -> str:
        """Name of the case, the same in every campaign."""
        return f"{self.instance}-{self.formulation}"

    @property
    def fingerprint(self) -> str:
        """Of everything that is asked: names may be the same and mean something else."""
        text = json.dumps(cattrs.unstructure(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


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
        status=why,
    )


def run_case(case: GapCase) -> GapRow:
    """Plan and replay one case in this process."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _run(case, study_of_case(case, Path(folder)))
        except CosimError as error:
            return stopped(case, f"refused: {error}")


def study_of_case(case: GapCase, folder: Path) -> Study:
    """The study a case stands for; a synthetic network is written to a folder."""
    if case.der is not None:
        feeder = synthetic_feeder(case.buses, case.seed, **asdict(case.der))
        master = write_model(feeder, folder)
    elif Path(case.network).suffix:
        master = Path(case.network)
    else:
        master = shipped("dss_models") / case.network / "master.dss"
    hour = SHORT_DAY_STARTS_H if case.periods < 24 else 0
    series = str(shipped("configs") / "series" / "reference_day.csv")
    scenario = Scenario.model_validate(
        {
            "schema": 1,
            "name": "gap",
            "feeder": {"master": str(master), "tolerance": 1e-9, "storage_soc_max": 0.95},
            "time": {
                "start": FIRST_DAY + timedelta(hours=hour),
                "step_s": 3600,
                "steps": case.periods,
            },
            "inputs": {
                "load": {"multiplier": {"file": series, "column": "load_pu"}},
                "irradiance": {"file": series, "column": "irradiance_kw_per_m2"},
                "price": {"file": series, "column": "price_per_kwh"},
            },
            "limits": {"voltage_min_pu": case.limits_pu[0], "voltage_max_pu": case.limits_pu[1]},
            "control": {"horizon_s": 3600 * case.periods, "planner": case.planner},
        }
    )
    return Study(master, scenario, master)


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
            return replace(row, status=plan.status, compile_s=compile_s, first_s=first_s, cpu_s=cpu_s)
        second_s = None
        if first_s < SECOND_IF_FIRST_S:
            # Other numbers, the same program: what a step of a closed loop costs.
            other = replace(day.forecast, price_per_kwh=1.02 * day.forecast.price_per_kwh)
            started = time.perf_counter()
            again = planner.plan(day.measurement, replace(other, demand_kw=0.99 * other.demand_kw))
            second_s = None if isinstance(again, NoPlan) else time.perf_counter() - started
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
    return _replayed(row, plan, study)


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
    )


STOPPED_BY_LIMIT = ("time limit", "memory limit")


def _counts(row: GapRow, case: GapCase, budget: Budget) -> bool:
    """Whether a row of an earlier run answers a case: the same question, and a plan or the same limit."""
    if row.fingerprint != case.fingerprint:
        return False
    return row.claim is not None or row.status.endswith((budget.out_of_time, budget.out_of_memory))


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
