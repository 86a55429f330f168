"""Whether a run keeps the limits under ``accept`` of its scenario."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

KEPT_BY: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Figure:
    """The value of a metric.

    Attributes:
        run, baseline: None where there is no such figure.
        unit: of both; empty for a pure number.
    """

    run: float | None
    baseline: float | None
    unit: str


@dataclass(frozen=True)
class AcceptOutcome:
    """One limit and what came of it.

    Attributes:
        limit: as it was written.
        metric, sign, unit: what is limited, and how.
        value, bound: None where there is no such figure; the bound is without the tolerance of the limit.
        kept: whether the limit is kept; never without both figures.
        reason: why there is no figure, empty if there is one.
    """

    limit: str
    metric: str
    sign: str
    unit: str
    value: float | None
    bound: float | None
    kept: bool
    reason: str = ""


def accept_outcomes(
    limits: Sequence[Mapping[str, Any]], figures: Mapping[str, Figure]
) -> tuple[AcceptOutcome, ...]:
    """Hold figures against limits.

    Args:
        limits: as in the manifest.
        figures: by the name of the metric.
    """
    return tuple(_outcome(limit, figures.get(str(limit["metric"]))) for limit in limits)


def _outcome(limit: Mapping[str, Any], figure: Figure | None) -> AcceptOutcome:
    metric, sign, number = str(limit["metric"]), str(limit["sign"]), float(limit["number"])
    relative = bool(limit["times_baseline"])
    tolerance = float(limit.get("tolerance") or 0.0)
    written = f"{metric} {sign} {number:g}{' * baseline' if relative else ''}"
    written += f" (tolerance {tolerance:g})" if tolerance else ""
    value = None if figure is None else figure.run
    bound: float | None = number
    if relative:
        base = None if figure is None else figure.baseline
        bound = None if base is None else number * base
    reason = ""
    if figure is None:
        reason = "no such metric is installed"
    elif value is None or math.isnan(value):
        reason = "the run has no such figure"
    elif bound is None or math.isnan(bound):
        reason = "the run without control has no such figure, or there is none"
    kept = not reason and value is not None and bound is not None and _keeps(value, sign, bound, tolerance)
    unit = "" if figure is None else figure.unit
    return AcceptOutcome(written, metric, sign, unit, value, bound, kept, reason)


def _keeps(value: float, sign: str, bound: float, tolerance: float) -> bool:
    allowed = bound + tolerance if sign in ("<=", "<") else bound - tolerance
    return bool(KEPT_BY[sign](value, allowed))
