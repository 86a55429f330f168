"""The verdict on a run: were the limits kept, what was gained, were plans carried out, was the run sound.

All of it is plain data, which the page, the terminal and ``metrics.json`` share. A run passes where it
keeps every limit in every step; one that is not whole is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np

from cosim.experiments.acceptance import AcceptOutcome
from cosim.experiments.control_metrics import ControlMetrics
from cosim.experiments.run_metrics import RunMetrics, column, violation_hours, voltage_limits
from cosim.model.state import NOT_DELIVERED, Source
from cosim.run.record import Record

JUDGED_WITHIN = 1e-5
"""A value this part of its limit beyond it still keeps it: solvers and power flows stop at a tolerance."""
UNBALANCED = "the power balance is off"
HUNTING = "still hunting at the iteration limit"
"""Texts in events of the plant: the step's power does not add up; controls found no rest in it."""

Judgement = Literal["pass", "fail", "not judged"]
Quantity = Literal["voltage", "line loading", "import", "export"]


@dataclass(frozen=True)
class Moment:
    """Start of a step; the local time is ISO 8601 with the site's offset."""

    step: int
    local_time: str


@dataclass(frozen=True)
class LimitCheck:
    """One limit at its worst moment; of a limit that is kept, the moment nearest to it.

    Attributes:
        quantity: what is limited.
        kept: whether the worst value is within the limit, to :data:`JUDGED_WITHIN`.
        asked: whether the planner was told to hold it; None where nobody plans.
        worst, limit: in ``unit``.
        element: node or line of the worst value; empty for the substation.
        when: of the worst value.
        outside: how long the limit was exceeded, without any tolerance, in ``outside_unit``.
        outside_without_control: the same in the baseline, None without one.
    """

    quantity: Quantity
    kept: bool
    asked: bool | None
    worst: float
    limit: float
    unit: str
    element: str
    when: Moment
    outside: float
    outside_unit: Literal["node-h", "h"]
    outside_without_control: float | None


@dataclass(frozen=True)
class Gain:
    """What control changed; less is better for all of them.

    Attributes:
        quantity: energy cost counts stored energy at the mean price.
        run, without_control: in ``unit``.
    """

    quantity: Literal["energy cost", "losses", "peak import"]
    run: float
    without_control: float
    unit: str


@dataclass(frozen=True)
class Failure:
    """Consecutive decisions that did not come from the plan that was due.

    Attributes:
        steps: how many.
        since: the first one.
        source, cause: where its set-points came from instead, and why.
    """

    steps: int
    since: Moment
    source: str
    cause: str


@dataclass(frozen=True)
class Promises:
    """Plans against what became of them.

    Attributes:
        kept: every decision from the plan due, every plan finished, every set-point accepted and delivered.
        decisions, from_plan: all decisions, and those from the plan that was due.
        worst_failure: decisions at rest before those of an earlier plan, then the longest; None without
            any.
        setpoints_cut, cut_kwh: device-steps that were accepted otherwise than requested, and their energy.
        undelivered: times a device did not deliver what was accepted.
        inexact_plans: plans that ended before their solver was done.
        import_error_kw, voltage_error_pu: mean error of import and largest one of the lowest and highest
            voltage in the first periods of all plans; None without plans.
    """

    kept: bool
    decisions: int
    from_plan: int
    worst_failure: Failure | None
    setpoints_cut: int
    cut_kwh: float
    undelivered: int
    inexact_plans: int
    import_error_kw: float | None
    voltage_error_pu: float | None


@dataclass(frozen=True)
class Soundness:
    """Whether the run itself can be trusted.

    Attributes:
        sound: whole, without events, safe states and late decisions.
        finished: every step that was asked for is there.
        steps, planned_steps: on record, and asked for.
        events: unusual things the plant reported, apart from what was not delivered.
        balance_error_kw: largest error of the power balance of a step; None in records that lack it.
        unsolved_steps: steps without a power flow, in the run or its baseline; the limits are not judged in
            them, and all figures of both leave them out.
        unbalanced_steps, unsettled_steps: steps whose power does not add up, and steps in which
            regulators or capacitors did not settle.
        unsupplied: what of the master no source supplies, in a sentence; empty where nothing.
        safe_state_steps: steps in which no set-points were in force.
        late_plans: plans that took longer than a step.
    """

    sound: bool
    finished: bool
    steps: int
    planned_steps: int
    events: int
    balance_error_kw: float | None
    unsolved_steps: int
    unbalanced_steps: int
    unsettled_steps: int
    unsupplied: str
    safe_state_steps: int
    late_plans: int


@dataclass(frozen=True)
class Verdict:
    """What the reader must know first.

    Attributes:
        judgement: of what the scenario accepts, else of the limits, where the run is whole.
        limits: all that the record can judge.
        unmeasured: limits that the scenario sets and no record holds.
        gains: empty without a baseline.
        promises: None where nothing was controlled.
        soundness: of the run.
        accepted: the limits under ``accept`` of the scenario; empty where it has none.
    """

    judgement: Judgement
    limits: tuple[LimitCheck, ...]
    unmeasured: tuple[str, ...]
    gains: tuple[Gain, ...]
    promises: Promises | None
    soundness: Soundness
    accepted: tuple[AcceptOutcome, ...] = ()

    @property
    def rejected(self) -> bool:
        """Whether a limit under ``accept`` is not kept."""
        return not all(outcome.kept for outcome in self.accepted)


def judge(
    whole: Record,
    record: Record,
    baseline: Record | None,
    run: RunMetrics,
    without: RunMetrics | None,
    control: ControlMetrics | None,
    accepted: tuple[AcceptOutcome, ...] = (),
) -> Verdict:
    """The verdict on a run.

    Args:
        whole: the run.
        record, baseline: its steps with a power flow, and the same steps without control.
        run, without: figures of both.
        control: of the run.
        accepted: what came of the limits under ``accept``; where there are some, they decide.
    """
    limits = tuple(_limits(record, baseline))
    soundness = _soundness(whole, control, unsolved=len(whole.steps) - len(record.steps))
    kept = all(outcome.kept for outcome in accepted or limits)
    judged = soundness.finished and not (kept and soundness.unsolved_steps)
    judgement: Judgement = "pass" if kept else "fail"
    return Verdict(
        judgement=judgement if judged else "not judged",
        limits=limits,
        unmeasured=_unmeasured(record),
        gains=() if without is None else _gains(run, without),
        promises=None if control is None else _promises(whole, control),
        soundness=soundness,
        accepted=accepted,
    )


# --- limits ---------------------------------------------------------------------------------------


def _limits(record: Record, baseline: Record | None) -> Iterator[LimitCheck]:
    yield _voltage(record, baseline)
    if (record.steps["loading_line"] != "").any():
        yield _lines(record, baseline)
    limits = record.manifest["limits"]
    if limits.get("import_max_kw") is not None:
        yield _substation(record, baseline, "import", 1.0, float(limits["import_max_kw"]))
    if limits.get("import_min_kw") is not None:
        yield _substation(record, baseline, "export", -1.0, -float(limits["import_min_kw"]))


def _voltage(record: Record, baseline: Record | None) -> LimitCheck:
    low, high = voltage_limits(record)
    voltage_pu = record.vector("voltage_pu")
    beyond_pu = np.maximum(low - voltage_pu, voltage_pu - high)
    row, node = np.unravel_index(int(np.nanargmax(beyond_pu)), beyond_pu.shape)
    worst = float(voltage_pu[row, node])
    limit = low if low - worst > worst - high else high
    return LimitCheck(
        quantity="voltage",
        kept=bool(beyond_pu[row, node] <= JUDGED_WITHIN * limit),
        asked=_asked(record, told=True),
        worst=worst,
        limit=limit,
        unit="pu",
        element=record.site.nodes[node],
        when=_moment(record, int(row)),
        outside=float(np.sum(violation_hours(record))),
        outside_unit="node-h",
        outside_without_control=None if baseline is None else float(np.sum(violation_hours(baseline))),
    )


def _lines(record: Record, baseline: Record | None) -> LimitCheck:
    loading = column(record, "loading")
    row = int(np.argmax(loading))
    return LimitCheck(
        quantity="line loading",
        kept=bool(loading[row] <= 1.0 + JUDGED_WITHIN),
        asked=_asked(record, told=bool(record.manifest["limits"].get("lines"))),
        worst=100.0 * float(loading[row]),
        limit=100.0,
        unit="%",
        element=str(record.steps["loading_line"].iloc[row]),
        when=_moment(record, row),
        outside=_hours_above(record, "loading", 1.0, 1.0),
        outside_unit="h",
        outside_without_control=None if baseline is None else _hours_above(baseline, "loading", 1.0, 1.0),
    )


def _substation(
    record: Record,
    baseline: Record | None,
    quantity: Literal["import", "export"],
    sign: float,
    limit: float,
) -> LimitCheck:
    """Import, or export as negative import, in kW."""
    power_kw = sign * column(record, "import_kw")
    row = int(np.argmax(power_kw))
    without = None if baseline is None else _hours_above(baseline, "import_kw", sign, limit)
    return LimitCheck(
        quantity=quantity,
        kept=bool(power_kw[row] <= limit + JUDGED_WITHIN * abs(limit)),
        asked=_asked(record, told=True),
        worst=float(power_kw[row]),
        limit=limit,
        unit="kW",
        element="",
        when=_moment(record, row),
        outside=_hours_above(record, "import_kw", sign, limit),
        outside_unit="h",
        outside_without_control=without,
    )


def _hours_above(record: Record, name: str, sign: float, limit: float) -> float:
    return float(np.count_nonzero(sign * column(record, name) > limit)) * record.step_h


def _asked(record: Record, *, told: bool) -> bool | None:
    return told if record.manifest.get("planner") else None


def _moment(record: Record, row: int) -> Moment:
    step = int(record.steps["step"].iloc[row])
    return Moment(step, record.site.grid.timestamp(step).isoformat())


def _unmeasured(record: Record) -> tuple[str, ...]:
    limits = record.manifest["limits"]
    asked = (
        ("transformer loading", bool(limits.get("transformers"))),
        ("voltage unbalance", limits.get("unbalance_max_percent") is not None),
    )
    return tuple(name for name, wanted in asked if wanted)


# --- gains, promises, soundness -------------------------------------------------------------------


def _gains(run: RunMetrics, without: RunMetrics) -> tuple[Gain, ...]:
    return (
        Gain("energy cost", run.adjusted_cost, without.adjusted_cost, "currency"),
        Gain("losses", run.losses_kwh, without.losses_kwh, "kWh"),
        Gain("peak import", run.peak_import_kw, without.peak_import_kw, "kW"),
    )


def _promises(record: Record, control: ControlMetrics) -> Promises:
    decisions, fallen = len(record.steps), control.fallback_decisions
    undelivered = sum(event.startswith(NOT_DELIVERED) for event in _events(record))
    first = control.lead_errors[0] if control.lead_errors and control.lead_errors[0].lead_s == 0 else None
    return Promises(
        kept=not (fallen or control.setpoints_cut or undelivered or control.inexact_plans),
        decisions=decisions,
        from_plan=decisions - fallen,
        worst_failure=_worst_failure(record),
        setpoints_cut=control.setpoints_cut,
        cut_kwh=control.not_delivered_kwh,
        undelivered=undelivered,
        inexact_plans=control.inexact_plans,
        import_error_kw=None if first is None else first.import_mean_abs_kw,
        voltage_error_pu=None if first is None else max(first.lowest_max_abs_pu, first.highest_max_abs_pu),
    )


def _worst_failure(record: Record) -> Failure | None:
    """The worst of the unbroken sequences of decisions with one source other than the plan due."""
    sources = [str(source) for source in record.steps["source"]]
    found: list[tuple[bool, int, int]] = []
    for source, rows in groupby(range(len(sources)), key=sources.__getitem__):
        if source != Source.PLAN:
            places = list(rows)
            # Of two equally bad ones the earlier is larger.
            found.append((source == Source.FALLBACK, len(places), -places[0]))
    if not found:
        return None
    _, length, place = max(found)
    reasons = record.steps["reason"] if "reason" in record.steps else [""] * len(sources)
    cause = str(list(reasons)[-place]).partition(";")[0]
    return Failure(length, _moment(record, -place), sources[-place], cause)


def _soundness(record: Record, control: ControlMetrics | None, *, unsolved: int) -> Soundness:
    status, planned = str(record.manifest["status"]), int(record.manifest["steps"])
    finished = status == "complete" and len(record.steps) == planned
    strange = [event for event in _events(record) if not event.startswith(NOT_DELIVERED)]
    safe = 0 if control is None else control.safe_state_steps
    late = 0 if control is None else control.late_plans
    unsupplied = "" if record.site.unsupplied is None else record.site.unsupplied.sentence()
    error_kw = column(record, "balance_error_kw") if "balance_error_kw" in record.steps else None
    return Soundness(
        sound=finished and not (strange or safe or late or unsolved or unsupplied),
        finished=finished,
        steps=len(record.steps),
        planned_steps=planned,
        events=len(strange),
        balance_error_kw=None if error_kw is None else float(np.abs(error_kw).max()),
        unsolved_steps=unsolved,
        unbalanced_steps=_steps_with(record, UNBALANCED),
        unsettled_steps=_steps_with(record, HUNTING),
        unsupplied=unsupplied,
        safe_state_steps=safe,
        late_plans=late,
    )


def _events(record: Record) -> Sequence[str]:
    return [str(event) for found in record.steps["events"] for event in found]


def _steps_with(record: Record, text: str) -> int:
    return sum(any(text in str(event) for event in found) for found in record.steps["events"])
