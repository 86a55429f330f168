"""What a run of a campaign gives: a row of plain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_type_hints

from cosim.experiments import acceptance
from cosim.experiments.campaign.skill import SKILL, skill_text
from cosim.experiments.control_metrics import ControlMetrics
from cosim.experiments.metric_table import BuiltInMetrics
from cosim.experiments.metrics import JSON_NAMES, measure_report
from cosim.experiments.run_metrics import RunMetrics
from cosim.experiments.verdict import Verdict
from cosim.model.metric import Metric
from cosim.run.record import Record

Figure = float | int | str | bool | None
FigureType = type[float] | type[int] | type[str] | type[bool]


def _types(model: type) -> dict[str, FigureType]:
    """Types of the fields that are single values, by their names in metrics.json."""
    found: dict[str, FigureType] = {}
    for name, hint in get_type_hints(model).items():
        kinds = [kind for kind in get_args(hint) if kind is not type(None)] or [hint]
        if len(kinds) == 1 and kinds[0] in (float, int, str):
            found[JSON_NAMES.get(name, name)] = kinds[0]
    return found


def _column(metric: Metric) -> str:
    """The name of a metric with its unit."""
    ending = "_currency" if metric.unit == "currency" else ""
    return JSON_NAMES.get(metric.name, metric.name + ending)


METRICS = {_column(metric): metric.name for metric in BuiltInMetrics.metrics}
FIGURES: dict[str, FigureType] = {
    "verdict": str,
    "sound": bool,
    "accepted": bool,
    "rejected_for": str,
    "events": int,
    "unsolved_steps": int,
    **dict.fromkeys(METRICS, float),
    "fallback_decisions": int,
    **_types(RunMetrics),
    **_types(ControlMetrics),
    SKILL: str,
}
"""Type of every figure of a run; the names are those of ``metrics.json``, with their units."""
FACTS: dict[str, FigureType] = {
    "key": str,
    "variant": str,
    "seed": int,
    "status": str,
    "cause": str,
    "seconds": float,
    "peak_memory_mib": float,
    "versions": str,
}
RESERVED = frozenset({*FACTS, *FIGURES})
"""Columns of the table that no axis and no metric of a user can have."""
TEXTS = frozenset(name for name, kind in FIGURES.items() if kind is str)
"""Figures that have no mean and no bound."""
COLUMNS = {name: column for column, name in METRICS.items()} | {name: name for name in FIGURES}
"""The column of each metric of the package, by both names; that of a user's metric has its name."""


@dataclass(frozen=True)
class RunRow:
    """What became of a run.

    Attributes:
        key: of its content.
        status: complete, or failed.
        cause: of a failure, in a sentence.
        trace: of a failure, for whoever looks into it.
        attempt: 1, or more where a failed run was repeated.
        seconds: wall time, opening and measuring included.
        peak_memory_mib: of its process while it ran; None where that cannot be told, or where others
            computed.
        figures: see :data:`FIGURES`, and metrics of users by their names; empty for a failure.
        versions: of the packages that results depend on.
    """

    key: str
    status: Literal["complete", "failed"]
    cause: str = ""
    trace: str = ""
    attempt: int = 1
    seconds: float | None = None
    peak_memory_mib: float | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def has(self, metrics: Collection[str]) -> bool:
        """Whether the run is complete, and some metrics of users were taken of it."""
        return self.status == "complete" and all(name in self.figures for name in metrics)


def figures_of(record: Record, own: Mapping[str, acceptance.Figure]) -> dict[str, Figure]:
    """Key figures of a run, by their names in ``metrics.json``; the same as its report has.

    Args:
        record: of the run.
        own: metrics of users.

    Raises:
        RecordError: no step has a power flow.
    """
    report = measure_report(record, None, own=own)
    sound = report.verdict.soundness
    found: dict[str, Figure] = {
        "verdict": report.verdict.judgement,
        "sound": sound.sound,
        **_acceptance(report.verdict),
        "events": sound.events,
        "unsolved_steps": sound.unsolved_steps,
    }
    found |= {column: report.figures[name].run for column, name in METRICS.items()}
    for part in (report.run, report.control):
        for one in fields(part) if part is not None else ():
            name = JSON_NAMES.get(one.name, one.name)
            if name in FIGURES:
                found[name] = getattr(part, one.name)
    found[SKILL] = skill_text(report.forecast_skill)
    if report.control is not None:
        found["fallback_decisions"] = report.control.fallback_decisions
    mine = {name: figure.run for name, figure in own.items() if name not in RESERVED}
    return {name: found.get(name) for name in FIGURES} | mine


def _acceptance(verdict: Verdict) -> dict[str, Figure]:
    """Whether the limits under ``accept`` are kept, and which are not; None where there are none."""
    if not verdict.accepted:
        return {"accepted": None, "rejected_for": None}
    broken = [outcome.limit for outcome in verdict.accepted if not outcome.kept]
    return {"accepted": not broken, "rejected_for": "; ".join(broken)}
