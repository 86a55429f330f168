"""A day on which energy costs less than nothing at noon: who burns it, and what cures that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cosim.errors import CosimError
from cosim.experiments.open_loop import plan_day
from cosim.experiments.reference import study_of_system
from cosim.experiments.replay import replay
from cosim.model.state import NoPlan
from cosim.run.study import Study

NOON_PRICE_PER_KWH = -0.10
NOON_COLUMN = "price_negative_noon_per_kwh"
"""Of configs/series/reference_day.csv: NOON_PRICE_PER_KWH from 10:00 to 14:00."""

SMALL_LOSS_COST, LARGE_LOSS_COST = 0.001, 0.11
"""Below and above the negative of the noon price, which theory gives as the threshold."""

LEAST_REACTIVE: dict[str, object] = {"reactive_cost_per_kvarh": 0.002}
"""So that equal reactive powers are told apart alike by every solver."""

CURES: dict[str, dict[str, object]] = {
    "relaxed, small loss": {"storage_loss_cost_per_kwh": SMALL_LOSS_COST},
    "relaxed, right loss": {"storage_loss_cost_per_kwh": LARGE_LOSS_COST},
    "repair": {"storage_loss_cost_per_kwh": SMALL_LOSS_COST, "complementarity": "repair"},
    "binary": {"storage_loss_cost_per_kwh": SMALL_LOSS_COST, "complementarity": "binary"},
}
PLANNERS = ("lindistflow", "branch_flow_soc", "branch_flow_nl")
TOO_LONG = {("ieee123_1ph", "branch_flow_soc", "binary"), ("ieee123_1ph", "branch_flow_nl", "binary")}
"""Mixed-integer programs with 624 binaries and curvature: minutes to hours each."""


@dataclass(frozen=True)
class Outcome:
    """One plan of the day.

    Attributes:
        system, planner, price, cure: what was planned, ``usual`` or ``negative`` (at noon).
        planned_cost, realised_cost: import times price, by the model and in OpenDSS.
        simultaneous_kw, simultaneous_h: largest power charged and discharged at once, and for how many
            battery-hours.
        cut_setpoints: set-points that the plant could not follow.
        max_import_error_kw: OpenDSS against the plan.
        solve_s: seconds.
        claim: of the certificate, or why there is no plan.
    """

    system: str
    planner: str
    price: str
    cure: str
    planned_cost: float | None
    realised_cost: float | None
    simultaneous_kw: float | None
    simultaneous_h: float | None
    cut_setpoints: int | None
    max_import_error_kw: float | None
    solve_s: float | None
    claim: str


def complementarity_outcomes(
    systems: tuple[str, ...], progress: Callable[[str], None]
) -> Iterator[Outcome]:
    """All plans of the study.

    Args:
        systems: shipped single-phase feeders.
        progress: told what is being computed.
    """
    for system in systems:
        for planner in PLANNERS:
            for price in ("usual", "negative"):
                for cure, changes in CURES.items():
                    if (system, planner, changes.get("complementarity")) in TOO_LONG:
                        continue
                    progress(f"{system}: {planner}, {price}, {cure}")
                    yield _outcome(system, planner, price, cure, changes)


def _outcome(system: str, planner: str, price: str, cure: str, changes: dict[str, object]) -> Outcome:
    study = study_of_system(system, planner, "free")
    tie_break = LEAST_REACTIVE if planner == "lindistflow" else {}
    update = {"inverter": "polygon", **tie_break, **changes}
    config = study.scenario.control.planner.model_copy(update=update)
    study = study.with_planner(config)
    if price != "usual":
        study = _at_noon_price(study)
    try:
        plan = plan_day(study)
        if isinstance(plan, NoPlan):
            return _nothing(system, planner, price, cure, plan.reason)
        figures, proof = replay(plan).figures(), plan.plan.certificate
    except CosimError as error:
        return _nothing(system, planner, price, cure, str(error))
    return Outcome(
        system=system,
        planner=planner,
        price=price,
        cure=cure,
        planned_cost=figures["planned_cost"],
        realised_cost=figures["realised_cost"],
        simultaneous_kw=proof.simultaneous_kw,
        simultaneous_h=proof.simultaneous_h,
        cut_setpoints=int(figures["cut_setpoints"]),
        max_import_error_kw=figures["max_import_error_kw"],
        solve_s=proof.solve_s,
        claim=proof.claim,
    )


def _nothing(system: str, planner: str, price: str, cure: str, why: str) -> Outcome:
    return Outcome(system, planner, price, cure, None, None, None, None, None, None, None, why)


def _at_noon_price(study: Study) -> Study:
    inputs = study.scenario.inputs
    price = inputs.price.model_copy(update={"column": NOON_COLUMN})
    scenario = study.scenario.model_copy(update={"inputs": inputs.model_copy(update={"price": price})})
    return replace(study, scenario=scenario)
