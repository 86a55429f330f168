"""What every row reports of a plan, whoever made it: what it promises, what OpenDSS says, and memory."""

from __future__ import annotations

from benchmarks.opf.planned import PlannedDay
from benchmarks.opf.realised import Realised, realise_held, realise_live

EXACT_PU = 1e-6
"""A planner on exact flows must meet OpenDSS at its own taps to this."""


def judged(day: PlannedDay) -> dict[str, object]:
    """What the plan promises, and what OpenDSS says of it."""
    live: Realised = realise_live(day)
    held: Realised = realise_held(day)
    proof, plan = day.plan.certificate, day.plan
    hours = plan.period_s / 3600.0
    return {
        "status": proof.status,
        "claim": proof.claim,
        "objective": proof.objective,
        "plan_slack_pu": proof.slack_pu,
        "simultaneous_kw": proof.simultaneous_kw,
        "planned_energy_cost": float((day.price_per_kwh * plan.import_kw * hours).sum()),
        "planned_cost": float((day.price_per_kwh * plan.import_kw * hours).sum()) + day.device_cost(),
        "live": live.figures(),
        "held": held.figures(),
    }
