"""The ladder: plan, earlier plan, rest. Each decision names its source and its reason."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.control.receding_horizon import RecedingHorizonController, Rhythm
from cosim.errors import ContractError
from cosim.model.state import Certificate, NoPlan, Plan, Source
from cosim.model.timegrid import Horizon
from tests.conftest import a_feeder, a_storage, shipped_master

PROOF = Certificate("script", "optimal", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1, 0.0, 0.0, 0.0, 0.0, "scripted")


def plan_at(time_s: float, kw: list[float]) -> Plan:
    periods = len(kw)
    return Plan(
        time_s, np.full(periods, 900.0), np.array(kw)[:, None], np.zeros((periods, 1)),
        np.zeros((periods + 1, 1)), np.zeros(periods), np.zeros(periods), np.zeros(periods),
        np.ones((periods, 1)), PROOF,
    )  # fmt: skip


class ScriptedPlanner:
    """Plays back plans and failures."""

    def __init__(self, *outcomes) -> None:
        self.outcomes = list(outcomes)

    def plan(self, measurement, forecast):
        outcome = self.outcomes.pop(0)
        return outcome if isinstance(outcome, NoPlan) else plan_at(measurement.time_s, outcome)


class NoForecast:
    def forecast(self, measurement, horizon):
        return None


@pytest.fixture(scope="module")
def measured():
    with a_feeder(shipped_master("ieee13"), devices=(a_storage(),), steps=1) as feeder:
        yield feeder.site, feeder.measure(0)


def decisions(measured, planner, steps, **rhythm):
    from dataclasses import replace

    site, first = measured
    controller = RecedingHorizonController(
        NoForecast(), planner, Rhythm(Horizon((900, 900, 900)), interval_s=900, **rhythm)
    )
    controller.start(site)
    return [controller.step(replace(first, step=k, time_s=900.0 * k)) for k in range(steps)]


BAD = NoPlan("infeasible", "the script is infeasible")


def test_a_failed_solve_follows_the_earlier_plan_then_rests(measured):
    made = decisions(measured, ScriptedPlanner([10, 20, 30], BAD, BAD, BAD), 4)
    assert [d.source for d in made] == [
        Source.PLAN, Source.EARLIER_PLAN, Source.EARLIER_PLAN, Source.FALLBACK,
    ]  # fmt: skip
    assert [d.setpoints.p_kw[0] for d in made] == [10, 20, 30, 0]
    assert made[0].reason == ""
    assert made[1].reason == "the script is infeasible; following the plan of second 0"
    assert made[3].reason == "the script is infeasible; devices rest"


def test_no_plan_at_all_rests(measured):
    made = decisions(measured, ScriptedPlanner(BAD), 1)
    assert made[0].source is Source.FALLBACK
    assert made[0].setpoints.p_kw[0] == 0


def test_between_plans_the_last_one_is_followed(measured):
    site, first = measured
    from dataclasses import replace

    planner = ScriptedPlanner([1, 2, 3], [4, 5, 6])
    controller = RecedingHorizonController(
        NoForecast(), planner, Rhythm(Horizon((900, 900, 900)), interval_s=1800)
    )
    controller.start(site)
    made = [controller.step(replace(first, step=k, time_s=900.0 * k)) for k in range(4)]
    assert [d.setpoints.p_kw[0] for d in made] == [1, 2, 4, 5]
    assert [d.plan is None for d in made] == [False, True, False, True]
    assert all(d.source is Source.PLAN for d in made)


def test_a_late_decision_takes_the_set_points_of_the_moment_it_acts(measured):
    made = decisions(measured, ScriptedPlanner([1, 2, 3]), 1, acts_after_s=900)
    assert made[0].setpoints.p_kw[0] == 2


def test_a_decision_before_the_site_is_refused(measured):
    controller = RecedingHorizonController(NoForecast(), ScriptedPlanner(), Rhythm(Horizon((900,)), 900))
    with pytest.raises(ContractError, match="before start"):
        controller.step(measured[1])
