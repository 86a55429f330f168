"""The ladder: plan, earlier plan, rest. Each decision names its source and its reason."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from cosim.control.receding_horizon import RecedingHorizonController, Rhythm
from cosim.errors import ContractError, CosimError, NoAnswer
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
        if isinstance(outcome, Exception):
            raise outcome
        if callable(outcome):
            return outcome(measurement)
        return outcome if isinstance(outcome, NoPlan) else plan_at(measurement.time_s, outcome)


class NoForecast:
    def forecast(self, measurement, horizon):
        return None


@pytest.fixture(scope="module")
def measured():
    with a_feeder(shipped_master("ieee13"), devices=(a_storage(),), steps=1) as feeder:
        yield feeder.site, feeder.measure(0)


def decisions(measured, planner, steps, **rhythm):
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


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (np.linalg.LinAlgError("singular"), "LinAlgError: singular"),
        (MemoryError(), "MemoryError: "),
        (lambda _m: None, "ContractError: it returned NoneType, which is neither Plan nor NoPlan"),
        (
            lambda m: plan_at(m.time_s, [1.0, np.nan]),
            "p_kw of its plan is not finite for device 0 in period 1",
        ),
        (
            lambda m: replace(plan_at(m.time_s, [1.0]), p_kw=np.ones((1, 2))),
            "p_kw of its plan has shape (1, 2), expected (1, 1)",
        ),
    ],
)
def test_a_planner_that_fails_is_no_plan_unless_it_shall_stop(measured, failure, why):
    made = decisions(measured, ScriptedPlanner([10, 20, 30], failure, [40, 50]), 3)
    assert [d.source for d in made] == [Source.PLAN, Source.EARLIER_PLAN, Source.PLAN]
    assert [d.setpoints.p_kw[0] for d in made] == [10, 20, 40]
    assert made[1].reason.startswith("the planner failed: ")
    assert why in made[1].reason
    with pytest.raises((CosimError, np.linalg.LinAlgError, MemoryError)):
        decisions(measured, ScriptedPlanner([10, 20], failure), 2, stops_on_error=True)


def test_a_planner_that_hangs_ends_the_run(measured):
    """The alarm of the hang limit is raised inside the planner, where other failures are no plan."""
    with pytest.raises(NoAnswer, match="within 60 s"):
        decisions(measured, ScriptedPlanner([10, 20], NoAnswer("no answer within 60 s")), 2)


def test_a_plan_after_the_deadline_is_for_the_next_step(measured):
    def late(measurement):
        time.sleep(0.05)
        return plan_at(measurement.time_s, [40.0, 50.0, 60.0])

    made = decisions(measured, ScriptedPlanner([10, 20, 30], late, BAD), 3, deadline_s=0.03)
    assert [d.source for d in made] == [Source.PLAN, Source.EARLIER_PLAN, Source.EARLIER_PLAN]
    # Step 1 follows the plan of step 0; step 2, which has none of its own, the late one.
    assert [d.setpoints.p_kw[0] for d in made] == [10, 20, 50]
    assert "deadline 0.03 s; following the plan of second 0" in made[1].reason
    assert made[1].plan is not None


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
