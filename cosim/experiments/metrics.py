"""All figures of a run, beside those of the same run without control, and its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from cosim.errors import RecordError
from cosim.experiments.acceptance import Figure, accept_outcomes
from cosim.experiments.control_metrics import ControlMetrics, control_metrics
from cosim.experiments.forecast_skill import ForecastSkill, forecast_skill
from cosim.experiments.measured import Measured
from cosim.experiments.metric_table import figures_of
from cosim.experiments.run_metrics import RunMetrics, run_metrics
from cosim.experiments.score import Score, bound_metrics, score_of
from cosim.experiments.verdict import Verdict, judge
from cosim.model.arrays import BoolArray
from cosim.run.record import Record

NEGLIGIBLE = 1e-4
"""A baseline below this, in its unit, is the power flow's tolerance; nothing is measured against it."""


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
        verdict: what the reader must know first.
        score: between no control and the bound; None without a bound beside the run.
        figures: every metric by its name, also those of users; see :mod:`cosim.experiments.metric_table`.
        forecast_skill: by quantity and lead time; empty where the record keeps no forecasts.
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
    verdict: Verdict
    score: Score | None
    figures: dict[str, Figure]
    forecast_skill: tuple[ForecastSkill, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether every step that was asked for is there."""
        return self.verdict.soundness.finished


def measure_report(
    record: Record,
    baseline: Record | None,
    *,
    baseline_note: str = "",
    own: Mapping[str, Figure] | None = None,
    bound: Record | None = None,
) -> Report:
    """All figures of a run.

    Args:
        record: the run.
        baseline: over the same steps (see :func:`same_steps`).
        baseline_note: why there is none.
        own: metrics of users.
        bound: a run of the same scenario under a controller that is a bound.

    Raises:
        RecordError: no step has a power flow.
    """
    whole, solved = record, record.solved() if baseline is None else record.solved() & baseline.solved()
    if not solved.any():
        raise RecordError(f"{record.folder} holds no step with a power flow; nothing can be measured")
    if not solved.all():
        # Steps without a power flow repeat what the step before gave.
        record = _these_steps(record, solved)
        baseline = None if baseline is None else _these_steps(baseline, solved)
    run = run_metrics(record)
    without = None if baseline is None else run_metrics(baseline)
    control, manifest = control_metrics(whole), record.manifest
    facts = dict(manifest.get("metrics") or {})
    compared = None
    if baseline is not None and without is not None:
        compared = Measured(baseline, without, None, facts)
    figures = figures_of(Measured(record, run, control, facts), compared) | dict(own or {})
    best = bound_metrics(whole, bound)
    accepted = accept_outcomes(manifest.get("accept") or (), figures)
    return Report(
        name=str(manifest["name"]),
        status=str(manifest["status"]),
        reason=str(manifest["reason"]),
        last_step=int(whole.steps["step"].iloc[-1]),
        planned_steps=int(manifest["steps"]),
        run=run,
        baseline=without,
        baseline_note=baseline_note,
        control=control,
        comparison=None if without is None else compare(run, without),
        verdict=judge(whole, record, baseline, run, without, control, accepted),
        score=None if best is None else score_of(run, without, best, facts),
        figures=figures,
        forecast_skill=forecast_skill(whole),
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
    "demand_windows_charge": "demand_windows_charge_currency",
    "highest_loading": "highest_loading_ratio",
    "worst_primal_residual": "worst_primal_residual_pu",
}
"""Keys of metrics.json that would not show their unit otherwise."""


def metrics_to_dict(report: Report) -> dict[str, Any]:
    """Plain values for JSON: units in the keys, null where there is no number."""
    whole = asdict(report)
    # Names of metrics are those that a scenario limits, and stay as they are.
    figures = {
        name: {key: _plain(value) for key, value in figure.items()}
        for name, figure in whole.pop("figures").items()
    }
    plain = _plain(whole)
    if plain["comparison"] is not None:
        plain["comparison"] = plain["comparison"]["differences"]
    return {**plain, "metrics": figures}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {JSON_NAMES.get(str(key), str(key)): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
