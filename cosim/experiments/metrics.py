"""Key figures of a run: pure functions of a record.

Energy is power times the length of a step, because power is constant within a step. Limits are
taken from the manifest and compared without any tolerance: a node at 1.0500001 of 1.05 violates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cosim.devices.registry import by_kind
from cosim.errors import RecordError
from cosim.experiments.lead_errors import LeadError, lead_errors
from cosim.model.arrays import BoolArray, FloatArray
from cosim.model.state import NOT_DELIVERED
from cosim.model.voltage_band import outside_band_pu
from cosim.run.record import Record

"""Change of the ratio by one tap of a 32-step regulator with a range of 10 %."""

CUT_TOLERANCE_KW = 1e-6
"""Set-points that miss by less than a milliwatt are the solver's rounding, not a cut."""


ENDED_BY_THEMSELVES = ("optimal", "settled")
"""Status of plans whose planner had nothing left to do."""
NEGLIGIBLE = 1e-4
"""A baseline below this, in its unit, is the power flow's tolerance; nothing is measured against it."""


@dataclass(frozen=True)
class RunMetrics:
    """What a run cost and what it did to the feeder.

    Costs are in the currency of the price series.

    Attributes:
        steps, hours: how much was simulated.
        energy_cost: import times price; export earns the same price.
        import_kwh, export_kwh: energy over the substation, each at least 0.
        peak_import_kw: largest mean import of a step.
        losses_kwh: in lines, transformers, regulators and shunt elements.
        lowest_pu, highest_pu: over all nodes and steps.
        undervoltage_node_h, overvoltage_node_h, violation_node_h: hours outside the limits, added up
            over the nodes.
        worst_excess_pu: farthest that any node was outside the limits.
        nodes_in_violation: how many nodes were outside at least once.
        tap_operations: taps passed through; tap_changes: regulator-steps with any change. Changes
            within a step and before the first step are not recorded.
        storage_throughput_kwh: charged plus discharged energy at the terminals, standby not counted.
        stored_change_kwh: stored at the end minus stored at the start.
        stored_change_value: the same at the mean price of the run.
        adjusted_cost: ``energy_cost`` without what was only put into, or taken from, the batteries.
        pv_available_kwh: energy the sun offered; pv_curtailed_kwh: not produced of it.
        highest_loading: current over rating of the worst line, and ``highest_loading_line``.
        overloaded_h: hours with any line above its rating.
    """

    steps: int
    hours: float
    energy_cost: float
    adjusted_cost: float
    import_kwh: float
    export_kwh: float
    peak_import_kw: float
    losses_kwh: float
    lowest_pu: float
    highest_pu: float
    undervoltage_node_h: float
    overvoltage_node_h: float
    violation_node_h: float
    worst_excess_pu: float
    nodes_in_violation: int
    tap_operations: int
    tap_changes: int
    storage_throughput_kwh: float
    stored_change_kwh: float
    stored_change_value: float
    pv_available_kwh: float
    pv_curtailed_kwh: float
    highest_loading: float
    highest_loading_line: str
    overloaded_h: float


@dataclass(frozen=True)
class ControlMetrics:
    """How the controller worked. Times and proofs are None where no plan was made.

    Attributes:
        decisions: how many decisions came from which source.
        plans: how many plans were made.
        solve_median_s, solve_p95_s, solve_max_s, build_median_s: seconds of a plan.
        computational_time_ratio: 95th percentile of build and solve over the length of a step.
        setpoints_cut: device-steps whose accepted set-points differ from the requested ones.
        not_delivered_kwh: energy of the difference; PV counts only what the sun offered.
        safe_state_steps: steps in which no set-points were in force.
        highest_simultaneous_kw: largest charging and discharging at once in a plan.
        worst_primal_residual: largest constraint violation of a plan, in per unit.
        highest_slack_pu: largest voltage violation that a plan itself expected.
        inexact_plans: plans that ended early: their status is neither ``optimal`` nor ``settled``.
        lead_errors: plan against outcome, by lead time.
        fallback_cause: the commonest reason of decisions that did not come from the plan that was due.
    """

    decisions: dict[str, int]
    plans: int
    solve_median_s: float | None
    solve_p95_s: float | None
    solve_max_s: float | None
    build_median_s: float | None
    computational_time_ratio: float | None
    setpoints_cut: int
    not_delivered_kwh: float
    safe_state_steps: int
    highest_simultaneous_kw: float | None
    worst_primal_residual: float | None
    highest_slack_pu: float | None
    inexact_plans: int
    lead_errors: tuple[LeadError, ...]
    fallback_cause: str = ""

    @property
    def fallback_decisions(self) -> int:
        """Decisions that did not come from the plan that was due."""
        return sum(count for source, count in self.decisions.items() if source != "PLAN")


@dataclass(frozen=True)
class Difference:
    """Run minus baseline; ``relative`` is a fraction of the baseline, None where that is nothing."""

    absolute: float
    relative: float | None


COMPARED = (
    "energy_cost",
    "adjusted_cost",
    "import_kwh",
    "export_kwh",
    "peak_import_kw",
    "losses_kwh",
    "lowest_pu",
    "highest_pu",
    "undervoltage_node_h",
    "overvoltage_node_h",
    "violation_node_h",
    "worst_excess_pu",
    "nodes_in_violation",
    "tap_operations",
    "pv_curtailed_kwh",
    "highest_loading",
    "overloaded_h",
)
"""Figures of :class:`RunMetrics` that a comparison holds."""


@dataclass(frozen=True)
class Comparison:
    """A run against the same steps without control.

    Attributes:
        differences: by the name of the figure in :class:`RunMetrics`.
    """

    differences: dict[str, Difference]


@dataclass(frozen=True)
class Report:
    """All figures of a run.

    Attributes:
        name: of the scenario.
        status, reason, last_step: as in the manifest; ``planned_steps`` is what was asked for.
        run: the run itself.
        baseline: the same steps without control, None where there is no such run.
        baseline_note: why there is no baseline, empty if there is one.
        control: None for a run in which nothing was controlled.
        comparison: None without baseline.
        events: how many unusual things the plant reported.
        undelivered: how many of them say that a device did not deliver what was accepted.
        unsolved_steps: steps without a power flow, in the run or its baseline. They repeat what the step
            before gave, so they are left out of all figures of both.
    """

    name: str
    status: str
    reason: str
    last_step: int | None
    planned_steps: int
    run: RunMetrics
    baseline: RunMetrics | None
    baseline_note: str
    control: ControlMetrics | None
    comparison: Comparison | None
    events: int
    undelivered: int
    unsolved_steps: int

    @property
    def finished(self) -> bool:
        """Whether every step that was asked for is there."""
        return self.status == "complete" and self.run.steps + self.unsolved_steps == self.planned_steps


def measure_report(record: Record, baseline: Record | None, *, baseline_note: str = "") -> Report:
    """All figures of a run.

    Args:
        record: the run.
        baseline: over the same steps (see :func:`same_steps`).
        baseline_note: why there is none.

    Raises:
        RecordError: no step has a power flow.
    """
    solved = record.solved() if baseline is None else record.solved() & baseline.solved()
    if not solved.any():
        raise RecordError(f"{record.folder} holds no step with a power flow; nothing can be measured")
    whole = record
    if not solved.all():
        record = _these_steps(record, solved)
        baseline = None if baseline is None else _these_steps(baseline, solved)
    run = run_metrics(record)
    without = None if baseline is None else run_metrics(baseline)
    manifest = record.manifest
    return Report(
        name=str(manifest["name"]),
        status=str(manifest["status"]),
        reason=str(manifest["reason"]),
        last_step=int(whole.steps["step"].iloc[-1]),
        planned_steps=int(manifest["steps"]),
        run=run,
        baseline=without,
        baseline_note=baseline_note,
        control=control_metrics(whole),
        comparison=None if without is None else compare(run, without),
        events=int(sum(len(found) for found in whole.steps["events"])),
        undelivered=sum(
            str(event).startswith(NOT_DELIVERED) for found in whole.steps["events"] for event in found
        ),
        unsolved_steps=int((~solved).sum()),
    )


def _these_steps(record: Record, chosen: BoolArray) -> Record:
    return replace(record, steps=record.steps[chosen].reset_index(drop=True))


def same_steps(baseline: Record, record: Record) -> Record | None:
    """The steps of a baseline that the run has too; None if the baseline lacks some of them.

    Sums over different spans must not stand side by side when a run was aborted.
    """
    if baseline.site.nodes != record.site.nodes:
        return None
    wanted = baseline.steps["step"].isin(record.steps["step"])
    if int(wanted.sum()) != len(record.steps):
        return None
    return replace(baseline, steps=baseline.steps[wanted].reset_index(drop=True))


# --- the run --------------------------------------------------------------------------------------


def run_metrics(record: Record) -> RunMetrics:
    """What a run cost and what it did to the feeder."""
    steps, step_h = record.steps, record.step_h
    import_kw, price = column(record, "import_kw"), column(record, "price_per_kwh")
    voltage_pu, loading = record.vector("voltage_pu"), column(record, "loading")
    under_h, over_h = violation_hours(record)
    excess_pu = outside_band_pu(voltage_pu, *voltage_limits(record))
    tap_steps = np.rint(np.abs(np.diff(record.vector("tap"), axis=0)) / record.site.tap_step)
    available_kw, pv_kw = record.vector("pv_available_kw"), record.vector("pv_kw")
    energy_cost = float((import_kw * price).sum()) * step_h
    change_kwh = stored_kwh(record)[-1] - stored_kwh(record)[0]
    change_value = float(change_kwh * price.mean())
    worst = int(np.argmax(loading))
    return RunMetrics(
        steps=len(steps),
        hours=len(steps) * step_h,
        energy_cost=energy_cost,
        adjusted_cost=energy_cost - change_value,
        import_kwh=float(np.maximum(import_kw, 0.0).sum()) * step_h,
        export_kwh=float(np.maximum(-import_kw, 0.0).sum()) * step_h,
        peak_import_kw=float(import_kw.max()),
        losses_kwh=float(column(record, "losses_kw").sum()) * step_h,
        lowest_pu=float(voltage_pu.min()),
        highest_pu=float(voltage_pu.max()),
        undervoltage_node_h=float(under_h.sum()),
        overvoltage_node_h=float(over_h.sum()),
        violation_node_h=float(under_h.sum() + over_h.sum()),
        worst_excess_pu=float(excess_pu.max()),
        nodes_in_violation=int(np.count_nonzero(under_h + over_h)),
        tap_operations=int(tap_steps.sum()),
        tap_changes=int(np.count_nonzero(tap_steps)),
        storage_throughput_kwh=float(np.abs(record.vector("accepted_storage_kw")).sum()) * step_h,
        stored_change_kwh=float(change_kwh),
        stored_change_value=change_value,
        pv_available_kwh=float(available_kw.sum()) * step_h,
        pv_curtailed_kwh=float(np.maximum(available_kw - pv_kw, 0.0).sum()) * step_h,
        highest_loading=float(loading[worst]),
        highest_loading_line=str(steps["loading_line"].iloc[worst]),
        overloaded_h=float(np.count_nonzero(loading > 1.0)) * step_h,
    )


def column(record: Record, name: str) -> FloatArray:
    """A scalar column as an array, shape (step,)."""
    return record.steps[name].to_numpy(dtype=np.float64)


def stored_kwh(record: Record) -> FloatArray:
    """Energy in all batteries at the start and after each step, shape (step + 1,)."""
    first = float(np.sum(record.steps["measured_stored_kwh"].iloc[0]))
    return np.concatenate([[first], record.vector("stored_kwh").sum(axis=1)])


def voltage_limits(record: Record) -> tuple[float, float]:
    """Lowest and highest voltage allowed, per unit."""
    limits = record.manifest["limits"]
    return float(limits["voltage_min_pu"]), float(limits["voltage_max_pu"])


def violation_hours(record: Record) -> tuple[FloatArray, FloatArray]:
    """Hours below and hours above the limits, each of shape (node,)."""
    low, high = voltage_limits(record)
    voltage_pu = record.vector("voltage_pu")
    return (
        (voltage_pu < low).sum(axis=0) * record.step_h,
        (voltage_pu > high).sum(axis=0) * record.step_h,
    )


# --- the controller -------------------------------------------------------------------------------


def control_metrics(record: Record) -> ControlMetrics | None:
    """How the controller worked; None where no plan was made and nothing went wrong.

    A controller whose every plan failed is not None: its fallbacks are the news.
    """
    steps = record.steps
    plans = steps[steps["plan_period_s"].notna()]
    cut, not_delivered_kwh = _cut(record)
    decisions = {str(source): int(count) for source, count in steps["source"].value_counts().items()}
    if plans.empty and set(decisions) == {"PLAN"} and not cut.any():
        return None
    solve_s = plans["plan_solve_s"].to_numpy(dtype=np.float64)
    build_s = plans["plan_build_s"].to_numpy(dtype=np.float64)
    total_p95_s = _percentile(solve_s + build_s, 95)
    return ControlMetrics(
        decisions=decisions,
        plans=len(plans),
        solve_median_s=_percentile(solve_s, 50),
        solve_p95_s=_percentile(solve_s, 95),
        solve_max_s=_percentile(solve_s, 100),
        build_median_s=_percentile(build_s, 50),
        computational_time_ratio=None if total_p95_s is None else total_p95_s / record.site.grid.step_s,
        setpoints_cut=int(np.count_nonzero(cut)),
        not_delivered_kwh=not_delivered_kwh,
        safe_state_steps=int((steps["why_safe"] != "").sum()),
        highest_simultaneous_kw=_highest(plans["plan_simultaneous_kw"]),
        worst_primal_residual=_highest(plans["plan_primal_residual"]),
        highest_slack_pu=_highest(plans["plan_slack_pu"]),
        inexact_plans=int((~plans["plan_status"].isin(ENDED_BY_THEMSELVES)).sum()),
        lead_errors=lead_errors(record),
        fallback_cause=_fallback_cause(steps),
    )


def _fallback_cause(steps: pd.DataFrame) -> str:
    """The commonest reason of decisions that did not come from the plan that was due."""
    if "reason" not in steps:
        return ""
    reasons = steps.loc[steps["source"] != "PLAN", "reason"]
    causes = Counter(str(reason).partition(";")[0] for reason in reasons)
    return causes.most_common(1)[0][0] if causes else ""


def _percentile(values: FloatArray, percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values.size else None


def _highest(values: pd.Series[Any]) -> float | None:
    return float(values.max()) if len(values) else None


def _cut(record: Record) -> tuple[BoolArray, float]:
    """Which device-steps were cut, shape (step, device), and kWh not delivered."""
    cut: list[BoolArray] = []
    lost_kw = 0.0
    for kind, _, _ in by_kind(record.site.devices):
        kw, kvar = kind.columns["setpoint_kw"], kind.columns["setpoint_kvar"]
        requested, accepted = record.vector(f"requested_{kw}"), record.vector(f"accepted_{kw}")
        reactive = np.abs(record.vector(f"requested_{kvar}") - record.vector(f"accepted_{kvar}"))
        here = np.maximum(np.abs(requested - accepted), reactive) > CUT_TOLERANCE_KW
        if not kind.rating.has_energy:
            # A limit above what is available can be cut without any energy being lost.
            available_kw = record.vector(kind.columns["available_kw"])
            requested, accepted = np.minimum(requested, available_kw), np.minimum(accepted, available_kw)
        lost_kw += float(np.abs(requested - accepted)[here].sum())
        cut.append(here)
    none = np.zeros((len(record.steps), 0), dtype=bool)
    return np.hstack([none, *cut]), lost_kw * record.step_h


@dataclass(frozen=True)
class CutSetpoint:
    """A device-step whose accepted set-points differ from the requested ones; kW and kvar.

    For a PV system ``kw`` is the limit.
    """

    step: int
    device: str
    requested_kw: float
    accepted_kw: float
    requested_kvar: float
    accepted_kvar: float
    reason: str


def cut_setpoints(record: Record, *, at_most: int) -> tuple[CutSetpoint, ...]:
    """The first cut set-points of a run, in the order of time."""
    site, rows = record.site, record.steps
    cut, _ = _cut(record)
    found: list[CutSetpoint] = []
    for row, device in np.argwhere(cut)[:at_most]:
        kind, place, devices = next(part for part in by_kind(site.devices) if device < part[1].stop)
        at = int(device) - place.start
        kw, kvar = kind.columns["setpoint_kw"], kind.columns["setpoint_kvar"]
        values = rows.iloc[int(row)]
        found.append(
            CutSetpoint(
                step=int(values["step"]),
                device=devices[at].name,
                requested_kw=float(values[f"requested_{kw}"][at]),
                accepted_kw=float(values[f"accepted_{kw}"][at]),
                requested_kvar=float(values[f"requested_{kvar}"][at]),
                accepted_kvar=float(values[f"accepted_{kvar}"][at]),
                reason=str(values[kind.columns["reason"]][at]),
            )
        )
    return tuple(found)


# --- against the baseline -------------------------------------------------------------------------


def compare(run: RunMetrics, baseline: RunMetrics) -> Comparison:
    """A run against the same steps without control."""
    ours, theirs = asdict(run), asdict(baseline)
    return Comparison({name: _difference(ours[name], theirs[name]) for name in COMPARED})


def _difference(run: float, baseline: float) -> Difference:
    absolute = float(run - baseline)
    return Difference(absolute, absolute / abs(baseline) if abs(baseline) > NEGLIGIBLE else None)


# --- plain values ---------------------------------------------------------------------------------

JSON_NAMES = {
    "energy_cost": "energy_cost_currency",
    "adjusted_cost": "adjusted_cost_currency",
    "stored_change_value": "stored_change_value_currency",
    "highest_loading": "highest_loading_ratio",
    "worst_primal_residual": "worst_primal_residual_pu",
}
"""Keys of metrics.json that would not show their unit otherwise."""


def metrics_to_dict(report: Report) -> dict[str, Any]:
    """Plain values for JSON: units in the keys, null where there is no number."""
    plain = _plain(asdict(report))
    if plain["comparison"] is not None:
        plain["comparison"] = plain["comparison"]["differences"]
    return dict(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {JSON_NAMES.get(str(key), str(key)): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
