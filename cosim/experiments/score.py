"""Score and regret: where a run lies between no control and the best that could have been done.

The cost of a run is its energy cost, less the change of stored energy at the mean price of the run, plus
the demand charge of the scenario. With C for cost::

    score  = 100 (C_none - C_run) / (C_none - C_bound)
    regret = C_run - C_bound

So the bound has 100, no control has 0, and what is worse than no control is negative. Limits of the network
are no part of the cost: a run that leaves them can be cheaper than the bound, which keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosim.errors import RecordError
from cosim.experiments.run_metrics import RunMetrics, run_metrics
from cosim.run.record import Record, read_record

BOUND_FOLDER = "oracle"
NO_ROOM = 1e-9
"""Part of the cost without control below which the bound is no better: there is nothing to score."""


@dataclass(frozen=True)
class Score:
    """A run between its two anchors.

    Attributes:
        score: 100 for the bound, 0 for no control; None where there is nothing to gain.
        regret: cost above that of the bound, currency.
        regret_share: the same as a part of the cost of the bound; None where that is nothing.
        cost, cost_without_control, cost_bound: currency; without control None where there is no such run.
    """

    score: float | None
    regret: float
    regret_share: float | None
    cost: float
    cost_without_control: float | None
    cost_bound: float


def cost_of(run: RunMetrics, facts: Mapping[str, Any]) -> float:
    """Energy cost with stored energy valued, and the demand charge.

    Args:
        run: its figures.
        facts: section ``metrics`` of the scenario.
    """
    flat = float(facts.get("demand_charge_per_kw", 0.0)) * max(run.peak_import_kw, 0.0)
    return run.adjusted_cost + flat + run.demand_windows_charge


def score_of(
    run: RunMetrics, without: RunMetrics | None, bound: RunMetrics, facts: Mapping[str, Any]
) -> Score:
    """The score of a run.

    Args:
        run, without, bound: figures over the same steps.
        facts: section ``metrics`` of the run's scenario.
    """
    cost, best = cost_of(run, facts), cost_of(bound, facts)
    none = None if without is None else cost_of(without, facts)
    room = 0.0 if none is None else none - best
    scored = none is not None and abs(room) > NO_ROOM * abs(none)
    return Score(
        score=100.0 * (none - cost) / room if scored and none is not None else None,
        regret=cost - best,
        regret_share=(cost - best) / abs(best) if best else None,
        cost=cost,
        cost_without_control=none,
        cost_bound=best,
    )


def is_bound(record: Record) -> bool:
    """Whether the controller of a run declares that it is a bound."""
    return bool(record.manifest.get("bound", False))


def is_uncontrolled(record: Record) -> bool:
    """Whether nobody commanded a device."""
    return record.manifest.get("commanded") is False


def read_bound(folder: Path) -> Record | None:
    """The bound beside a run, None where there is none."""
    try:
        found = read_record(folder / BOUND_FOLDER)
    except RecordError:
        return None
    return found if is_bound(found) else None


def same_world(record: Record, other: Record) -> bool:
    """Whether two runs have the same feeder, inputs, devices and steps."""
    if record.site.nodes != other.site.nodes or record.site.devices != other.site.devices:
        return False
    ours, theirs = (dict(found.manifest.get("sha256") or {}) for found in (record, other))
    return all(ours.get(part) == theirs.get(part) for part in ("feeder", "inputs")) and (
        list(record.steps["step"]) == list(other.steps["step"])
    )


def bound_metrics(record: Record, bound: Record | None) -> RunMetrics | None:
    """Figures of a bound of the same world; None where there is none."""
    return None if bound is None or not same_world(record, bound) else run_metrics(bound)


def scores_of(
    runs: Sequence[tuple[Record, Record | None]], beside: Sequence[Record | None]
) -> list[Score | None]:
    """Scores of several runs, anchored by what is among them or beside them; None without a bound.

    Args:
        runs: each with its baseline over the same steps.
        beside: bounds beside the runs.
    """
    records = [record for record, _ in runs]
    bounds = [*filter(is_bound, records), *(found for found in beside if found is not None)]
    uncontrolled = [*filter(is_uncontrolled, records), *(found for _, found in runs if found is not None)]
    return [_score(record, bounds, uncontrolled) for record in records]


def _score(record: Record, bounds: list[Record], uncontrolled: list[Record]) -> Score | None:
    best = next((found for found in bounds if same_world(record, found)), None)
    if best is None:
        return None
    none = next((found for found in uncontrolled if same_world(record, found)), None)
    facts = dict(record.manifest.get("metrics") or {})
    without = None if none is None else run_metrics(none)
    return score_of(run_metrics(record), without, run_metrics(best), facts)
