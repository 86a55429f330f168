"""What a run's report lists: cut set-points, events, the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cosim.experiments.control_metrics import ControlMetrics, cut_setpoints
from cosim.experiments.controllers import controller_of_device, controllers_of
from cosim.experiments.forecast_skill import ForecastSkill
from cosim.experiments.settlement import metered
from cosim.report.key_figures import ABSENT, NO_BREAK, number_text
from cosim.report.page import Listing, Note
from cosim.run.record import Record

CUTS_SHOWN = 50
EVENTS_SHOWN = 200


def cuts(control: ControlMetrics, record: Record) -> Listing | Note:
    """Set-points that were accepted otherwise than requested."""
    if not control.setpoints_cut:
        return Note("Cut set-points", "None.")
    rows = [
        (
            _moment(record, cut.step),
            cut.device,
            f"{cut.requested_kw:.3f}",
            f"{cut.accepted_kw:.3f}",
            f"{cut.requested_kvar:.3f}",
            f"{cut.accepted_kvar:.3f}",
            cut.reason,
        )
        for cut in cut_setpoints(record, at_most=CUTS_SHOWN)
    ]
    heads = ("step from", "device", "asked kW", "accepted kW", "asked kvar", "accepted kvar", "reason")
    note = _extent(rows, control.setpoints_cut)
    return Listing("Cut set-points", note, heads, rows, numbers=range(2, 6))


def skill_of_forecasts(found: Sequence[ForecastSkill]) -> Listing:
    """How good the forecasts were, by quantity and lead time."""
    heads = (
        "quantity", "lead in h", "periods", "mean absolute error", "root mean square", "bias", "unit",
        "skill", "pinball loss", "coverage",
    )  # fmt: skip
    rows = [
        (
            one.quantity,
            f"{one.lead_s / 3600:g}",
            str(one.periods),
            *(f"{error:.4g}" for error in (one.mae, one.rmse, one.bias)),
            one.unit,
            _or_dash(one.skill, ".3f"),
            _or_dash(one.pinball, ".4g"),
            ABSENT if one.coverage is None else f"{one.coverage:.2f} of {one.nominal_coverage:.2f}",
        )
        for one in found
    ]
    note = (
        "Errors are forecast minus outcome, over the periods that start so long after the issue. Skill is "
        "1 for a perfect forecast and 0 for one as good as the value of now; coverage is the share of "
        "outcomes between the outer quantiles, of what it should be."
    )
    return Listing("Skill by lead time", note, heads, rows, numbers=(1, 2, 3, 4, 5, 7, 8), sortable=True)


def _or_dash(value: float | None, form: str) -> str:
    return ABSENT if value is None else format(value, form)


def events(record: Record) -> Listing | Note:
    """Everything that was unusual, in the order of time."""
    rows: list[tuple[str, str, str]] = []
    columns = ("step", "source", "reason", "why_safe", "events")
    for step, source, reason, why_safe, found in zip(
        *(record.steps[name] for name in columns), strict=True
    ):
        moment = _moment(record, int(step))
        if source != "PLAN":
            rows.append((moment, "decision", f"{source}: {reason}"))
        if why_safe:
            rows.append((moment, "safe state", str(why_safe)))
        rows += [(moment, "plant", str(event)) for event in found]
    if not rows:
        return Note("", "None.")
    shown = rows[:EVENTS_SHOWN]
    return Listing("", _extent(shown, len(rows)), ("step from", "of", "what"), shown)


def _extent(shown: Sequence[object], total: int) -> str:
    return f"{total} in all." if len(shown) == total else f"The first {len(shown)} of {total}."


def _moment(record: Record, step: int) -> str:
    return f"{record.site.grid.timestamp(step):%d %b %H:%M} (step {step})".replace(" ", NO_BREAK)


def manifest_rows(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Names and values of a manifest, so that the run can be repeated."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        inner = manifest_rows(value, f"{path} / ") if isinstance(value, dict) else [(path, str(value))]
        found += inner
    return found


def controllers_listing(record: Record) -> Listing | None:
    """Who commanded what; None for a run with one controller."""
    found = controllers_of(record)
    if not found:
        return None
    rows = [
        (
            one.name,
            one.controller,
            one.planner or ABSENT,
            ", ".join(one.devices),
            ", ".join(f"{count} {source}" for source, count in sorted(one.decisions.items())),
            str(one.safe_state_steps),
            _or_dash(one.decision_max_s, ".3g"),
        )
        for one in found
    ]
    resting = [device for device, name in controller_of_device(record).items() if not name]
    note = "Each device has one controller."
    note += f" Nobody has {', '.join(resting)}, which rest." if resting else ""
    heads = (
        "controller", "type", "planner", "devices", "decisions", "steps in the safe state",
        "longest plan (s)",
    )  # fmt: skip
    return Listing("", note, heads, rows, numbers=(5, 6))


def meters_listing(record: Record, baseline: Record | None) -> Listing | None:
    """What the meters of the scenario measured and cost; None without any."""
    found, without = metered(record), {} if baseline is None else metered(baseline)
    if not found:
        return None
    rows = []
    for name, meter in found.items():
        theirs = without.get(name)
        figures = (
            meter.import_kwh,
            meter.export_kwh,
            meter.peak_kw,
            meter.payment,
            meter.revenue,
            meter.cost,
        )
        cells = [number_text(value, 2) for value in figures]
        rows.append([name, *cells, number_text(None if theirs is None else theirs.cost, 2)])
    heads = (
        "meter", "import (kWh)", "export (kWh)", "highest power (kW)", "payment (currency)",
        "revenue (currency)", "cost (currency)", "cost without control (currency)",
    )  # fmt: skip
    note = "Power into an element of the feeder; each meter by its own tariff or by the price of the run."
    return Listing("", note, heads, rows, numbers=range(1, len(heads)))
