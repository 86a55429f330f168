"""A planner is asked again from its own plan, as long as the exact cost falls; the cheapest plan counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cosim
from cosim.control.best_of import IN_VAIN, MOST_ROUNDS, PlanOrRest
from cosim.control.decentralised import AlonePlanner
from cosim.experiments.open_loop import open_day
from cosim.run.planner_options import planner_options
from cosim.run.policy import make_planner


class Scaled:
    """Hands out a real plan scaled by one factor after the other, and counts how often it is asked."""

    def __init__(self, plan, factors):
        self._plan, self._factors, self.asked = plan, factors, 0

    def plan(self, measurement, forecast):
        factor = self._factors[min(self.asked, len(self._factors) - 1)]
        self.asked += 1
        return replace(self._plan, p_kw=factor * self._plan.p_kw, q_kvar=factor * self._plan.q_kvar)


@pytest.fixture(scope="module")
def day():
    settings = {
        "control.forecast": "perfect",
        "control.planner.type": "tangent",
        "control.planner.throughput_cost_per_kwh": 0.0,
    }
    study = cosim.load("ieee13", steps=24).with_settings(settings).inner
    with open_day(study) as opened:
        knowledge = opened.assembly.knowledge
        plan = make_planner(study, knowledge).plan(opened.measurement, opened.forecast)
        yield opened, plan, planner_options(study.scenario), knowledge.open_twin


def chosen(day, factors):
    opened, plan, options, open_twin = day
    planner = Scaled(plan, factors)
    best = PlanOrRest(opened.site, planner, options, open_twin()).plan(opened.measurement, opened.forecast)
    return planner.asked, best


def test_the_cheapest_plan_counts_and_two_of_one_cost_are_the_end(day):
    asked, best = chosen(day, [0.5, 0.8, 1.0, 0.9])
    assert asked == 5
    assert best.p_kw == pytest.approx(day[1].p_kw)


def test_a_planner_that_repeats_itself_is_asked_twice_and_none_for_ever(day):
    assert chosen(day, [1.0])[0] == 2
    slowly = [0.5 + 0.5 * i / MOST_ROUNDS for i in range(MOST_ROUNDS + 3)]
    assert chosen(day, slowly)[0] == MOST_ROUNDS


def test_plans_may_turn_worse_for_a_while_but_not_for_ever(day):
    _, best = chosen(day, [0.5, 0.4, 0.3, 0.2, 1.0, 0.9])
    assert best.p_kw == pytest.approx(day[1].p_kw)
    asked, best = chosen(day, [0.9, 0.4, 0.3, 0.2, 0.1, 1.0])
    assert asked == 1 + IN_VAIN
    assert best.p_kw == pytest.approx(0.9 * day[1].p_kw)


class Movable(Scaled):
    """Its next plans are half of the plan that it is to begin at, then that plan."""

    def begin_at(self, plan, forecast):
        self._plan, self._factors, self.asked = plan, [0.5, 1.0], 0


class Fixed:
    """Always the same plan."""

    def __init__(self, plan):
        self._plan = plan

    def plan(self, measurement, forecast):
        return self._plan


def test_a_search_that_begins_at_the_plan_of_another_can_win(day):
    opened, plan, options, open_twin = day
    planner = Movable(plan, [0.2, 0.2])
    best = PlanOrRest(opened.site, planner, options, open_twin(), [Fixed(plan)])
    assert best.plan(opened.measurement, opened.forecast).p_kw == pytest.approx(plan.p_kw)


def test_tangent_comes_from_the_plan_of_another_to_the_cost_of_its_own(day):
    opened, plan, options, _ = day
    knowledge = opened.assembly.knowledge
    planner = make_planner(opened.assembly.study, knowledge)
    start = AlonePlanner(opened.site, options).plan(opened.measurement, opened.forecast)
    planner.begin_at(start, opened.forecast)
    found = planner.plan(opened.measurement, opened.forecast)
    assert np.abs(start.p_kw - plan.p_kw).max() > 1.0
    assert found.certificate.objective == pytest.approx(plan.certificate.objective, rel=1e-3)
