"""The verdict in words, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cosim.experiments.acceptance import AcceptOutcome
from cosim.experiments.metrics import Report
from cosim.experiments.verdict import Gain, LimitCheck, Moment, Promises, Soundness, Verdict
from cosim.report.key_figures import ABSENT, MINUS, NO_BREAK, number_text, signed_text
from cosim.report.page import Banner

DIGITS = {"pu": 4, "%": 1, "kW": 1, "kWh": 1, "currency": 2}
LONGEST_CAUSE = 160


def headline(report: Report) -> Banner:
    """Pass or fail in one sentence; a run that is not whole is neither."""
    verdict = report.verdict
    sound = verdict.soundness
    reached = f"{sound.steps} of {sound.planned_steps} steps"
    if verdict.judgement == "not judged":
        if report.status == "aborted":
            why = f"ABORTED after step {report.last_step}: {report.reason or 'no reason was recorded'}"
            return Banner("unjudged", "NOT JUDGED", why, (f"Only {reached} are in this report.",))
        if sound.finished:
            why = f"NO POWER FLOW in {sound.unsolved_steps} of {sound.planned_steps} steps."
            return Banner("unjudged", "NOT JUDGED", why, ("All figures leave these steps out.",))
        detail = "The run is still going, or it was killed and could not say why."
        return Banner("unjudged", "NOT JUDGED", f"NOT FINISHED: {reached} are on disk", (detail,))
    if verdict.accepted:
        return _acceptance(verdict)
    broken = [limit for limit in verdict.limits if not limit.kept]
    if broken:
        return Banner("fail", "FAIL", f"{'; '.join(map(_broken, broken))}.", tuple(_advice(broken)))
    names = ", ".join(limit.quantity for limit in verdict.limits)
    return Banner("pass", "PASS", f"Every limit was kept in all {sound.steps} steps: {names}.")


def _acceptance(verdict: Verdict) -> Banner:
    """What the scenario accepts, and what came of it."""
    lines = tuple(map(accept_text, verdict.accepted))
    failed = [outcome for outcome in verdict.accepted if not outcome.kept]
    if failed:
        names = ", ".join(outcome.metric for outcome in failed)
        return Banner("fail", "NOT ACCEPTED", f"{len(failed)} of {len(lines)} limits: {names}.", lines)
    return Banner("pass", "ACCEPTED", f"All {len(lines)} limits under accept are kept.", lines)


def accept_text(outcome: AcceptOutcome) -> str:
    """Metric, value, bound."""
    word = "kept" if outcome.kept else "not kept"
    if outcome.reason:
        return f"{outcome.limit}: {word}, {outcome.reason}."
    unit = f"{NO_BREAK}{outcome.unit}" if outcome.unit else ""
    value, bound = (f"{number:.10g}".replace("-", MINUS) for number in (outcome.value, outcome.bound))
    return f"{outcome.limit}: {word}, {value}{unit}; bound {bound}{unit}."


def tiles(report: Report) -> tuple[Banner, ...]:
    """Limits, gain, promises and soundness; of each the state and what it rests on."""
    verdict = report.verdict
    return (
        _limits(verdict),
        _gain(verdict, report.baseline_note),
        _promises(verdict.promises),
        _soundness(report),
    )


# --- limits ---------------------------------------------------------------------------------------


def _limits(verdict: Verdict) -> Banner:
    kept = all(limit.kept for limit in verdict.limits)
    lines = [_limit(limit) for limit in verdict.limits]
    lines += [f"{name.capitalize()}: limited, but no record holds it." for name in verdict.unmeasured]
    if verdict.judgement == "not judged":
        return Banner("unjudged", "so far kept" if kept else "already broken", "Limits", tuple(lines))
    if kept and verdict.unmeasured:
        return Banner("note", "kept, as far as measured", "Limits", tuple(lines))
    return Banner("pass" if kept else "fail", "kept" if kept else "broken", "Limits", tuple(lines))


def _broken(limit: LimitCheck) -> str:
    return f"{_what(limit)} {_worst(limit)}{_where(limit)}, outside for {_duration(limit)}"


def _advice(broken: list[LimitCheck]) -> Iterator[str]:
    for limit in broken:
        if limit.quantity == "line loading" and limit.asked is False:
            yield "The planner was not asked to hold the lines: set `lines: true` under `limits`."


def _limit(limit: LimitCheck) -> str:
    where, bound = _where(limit), _value(limit.limit, limit.unit)
    before = limit.outside_without_control
    without = "" if before is None else f" (without control {number_text(before, 2)})"
    word = "at worst" if not limit.kept else "at most" if limit.quantity != "voltage" else "nearest"
    outside = f"outside for {_duration(limit)}{without}"
    return f"{_what(limit)}: {word} {_worst(limit)}{where}, {_time(limit.when)}; limit {bound}; {outside}."


def _what(limit: LimitCheck) -> str:
    return limit.quantity.capitalize()


def _where(limit: LimitCheck) -> str:
    if not limit.element:
        return ""
    return f" at node {limit.element}" if limit.quantity == "voltage" else f" in {limit.element}"


def _worst(limit: LimitCheck) -> str:
    """With enough digits to tell a small excess from none."""
    digits = DIGITS[limit.unit]
    if not limit.kept and round(limit.worst, digits) == round(limit.limit, digits):
        digits += 3
    return f"{number_text(limit.worst, digits)}{NO_BREAK}{limit.unit}"


def _value(value: float, unit: str) -> str:
    return f"{value:g}{NO_BREAK}{unit}".replace("-", MINUS)


def _duration(limit: LimitCheck) -> str:
    unit = "node-hours" if limit.outside_unit == "node-h" else "h"
    return f"{number_text(limit.outside, 2)}{NO_BREAK}{unit}"


def _time(moment: Moment) -> str:
    return f"{datetime.fromisoformat(moment.local_time):%d %b %H:%M}".replace(" ", NO_BREAK)


# --- the rest -------------------------------------------------------------------------------------


def _gain(verdict: Verdict, note: str) -> Banner:
    title = "Against no control"
    if not verdict.gains:
        return Banner("unjudged", "no comparison", title, (f"{note or 'no baseline'}.".capitalize(),))
    cost = verdict.gains[0]
    change = round(cost.run - cost.without_control, DIGITS[cost.unit])
    word = "cheaper" if change < 0 else "dearer" if change > 0 else "equal cost"
    return Banner("note" if change > 0 else "pass", word, title, tuple(map(_change, verdict.gains)))


def _change(gain: Gain) -> str:
    change = gain.run - gain.without_control
    digits = DIGITS[gain.unit]
    relative = ABSENT
    if round(gain.without_control, digits):
        relative = signed_text(100 * change / abs(gain.without_control), 1)
    valued = ", stored energy valued" if gain.quantity == "energy cost" else ""
    return (
        f"{gain.quantity.capitalize()}{valued}: {signed_text(change, digits)}{NO_BREAK}{gain.unit} "
        f"({relative}{NO_BREAK}%)"
    )


def _promises(promises: Promises | None) -> Banner:
    title = "Plan against outcome"
    if promises is None:
        return Banner("unjudged", "no plans", title, ("Nothing was controlled.",))
    lines = [f"{promises.from_plan} of {promises.decisions} decisions came from the plan due."]
    failure = promises.worst_failure
    if failure is not None:
        cause = (
            failure.cause if len(failure.cause) <= LONGEST_CAUSE else failure.cause[:LONGEST_CAUSE] + "…"
        )
        how = "devices at rest" if failure.source == "FALLBACK" else "an earlier plan followed"
        lines.append(
            f"Worst: {failure.steps} {_steps(failure.steps)} from {_time(failure.since)}, {how}, "
            f"because {cause}."
        )
    if promises.setpoints_cut or promises.undelivered:
        lines.append(
            f"{promises.setpoints_cut} set-points cut ({number_text(promises.cut_kwh, 2)}{NO_BREAK}kWh); "
            f"{promises.undelivered} times a device did not deliver what was accepted."
        )
    else:
        lines.append("Every set-point was accepted and delivered.")
    if promises.inexact_plans:
        count = promises.inexact_plans
        plans = "1 plan ended" if count == 1 else f"{count} plans ended"
        lines.append(f"{plans} before the solver was done.")
    if promises.import_error_kw is not None and promises.voltage_error_pu is not None:
        import_kw = _small(promises.import_error_kw, 2)
        voltage_pu = _small(promises.voltage_error_pu, 4)
        lines.append(
            f"First period of each plan: mean error of import {import_kw}{NO_BREAK}kW, "
            f"largest of voltage {voltage_pu}{NO_BREAK}pu."
        )
    if promises.kept:
        return Banner("pass", "kept", title, tuple(lines))
    return Banner("note", "not all kept", title, tuple(lines))


def _small(value: float, digits: int) -> str:
    """A number that may be below what its digits can show."""
    least = 10.0**-digits
    return f"below {least:.{digits}f}" if value < least else number_text(value, digits)


def _soundness(report: Report) -> Banner:
    title, sound = "Run", report.verdict.soundness
    lines = [f"{sound.steps} of {sound.planned_steps} steps; {sound.events or 'no'} events in the plant."]
    if sound.balance_error_kw is not None:
        error_kw = f"{sound.balance_error_kw:.1g}".replace("-", MINUS)
        lines.append(f"Power balance closes to {error_kw}{NO_BREAK}kW.")
    lines += [f"{sound.unsupplied}."] if sound.unsupplied else []
    lines += _remarks(sound)
    ratio = None if report.control is None else report.control.computational_time_ratio
    if ratio is not None and ratio > 1.0:
        lines.append(f"Decisions take {ratio:.1f} times the length of a step: too slow for real time.")
    if report.baseline is None and report.baseline_note != "no baseline was run":
        lines.append(f"{report.baseline_note.capitalize()}.")
    if not sound.finished:
        return Banner("unjudged", "not whole", title, tuple(lines))
    if sound.sound:
        return Banner("pass", "sound", title, tuple(lines))
    return Banner("note", "with remarks", title, tuple(lines))


def _remarks(sound: Soundness) -> Iterator[str]:
    for count, text in (
        (sound.unbalanced_steps, "whose power does not add up"),
        (sound.unsettled_steps, "in which regulators or capacitors did not settle"),
        (sound.safe_state_steps, "in the safe state"),
        (sound.late_plans, "whose plan took longer than the step"),
    ):
        if count:
            yield f"{count} {_steps(count)} {text}."


def _steps(count: int) -> str:
    return "step" if count == 1 else "steps"
