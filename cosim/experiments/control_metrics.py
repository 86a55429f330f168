"""How the controller of a run worked: decisions, times, cut set-points."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cosim.devices.registry import by_kind
from cosim.experiments.lead_errors import LeadError, lead_errors
from cosim.model.arrays import BoolArray, FloatArray
from cosim.run.record import Record

CUT_TOLERANCE_KW = 1e-6
"""Set-points that miss by less than a milliwatt are the solver's rounding, not a cut."""

ENDED_BY_THEMSELVES = ("optimal", "settled")
"""Status of plans whose planner had nothing left to do."""


@dataclass(frozen=True)
class ControlMetrics:
    """How the controller worked. Times and proofs are None where no plan was made.

    Attributes:
        decisions: how many decisions came from which source.
        plans: how many plans were made.
        decision_p95_s, decision_max_s: seconds to build and solve a plan.
        solve_median_s, solve_p95_s, solve_max_s, build_median_s: their parts.
        computational_time_ratio: 95th percentile of build and solve over the length of a step;
            ``computational_time_ratio_max``, the longest one over it, ``computational_time_ratio_mean``,
            their mean over it.
        late_plans: plans that took longer than a step.
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
    decision_p95_s: float | None
    decision_max_s: float | None
    solve_median_s: float | None
    solve_p95_s: float | None
    solve_max_s: float | None
    build_median_s: float | None
    computational_time_ratio: float | None
    computational_time_ratio_max: float | None
    computational_time_ratio_mean: float | None
    late_plans: int
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

    @property
    def fallback_share(self) -> float:
        """Part of all decisions that did not come from the plan that was due."""
        return self.fallback_decisions / sum(self.decisions.values())


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
    total_s, step_s = solve_s + build_s, record.site.grid.step_s
    p95_s, longest_s = _percentile(total_s, 95), _percentile(total_s, 100)
    return ControlMetrics(
        decisions=decisions,
        plans=len(plans),
        decision_p95_s=p95_s,
        decision_max_s=longest_s,
        solve_median_s=_percentile(solve_s, 50),
        solve_p95_s=_percentile(solve_s, 95),
        solve_max_s=_percentile(solve_s, 100),
        build_median_s=_percentile(build_s, 50),
        computational_time_ratio=None if p95_s is None else p95_s / step_s,
        computational_time_ratio_max=None if longest_s is None else longest_s / step_s,
        computational_time_ratio_mean=float(total_s.mean()) / step_s if total_s.size else None,
        late_plans=int(np.count_nonzero(total_s > step_s)),
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
