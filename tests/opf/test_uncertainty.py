"""Plans for several futures and plans that keep limits with a probability: what they must have in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.errors import FormulationRefused, ScenarioError
from cosim.experiments.open_loop import open_day
from cosim.model.forecast_errors import ErrorLaw
from cosim.model.state import Plan
from cosim.opf.uncertainty import ScenarioPlanning, ScenarioWeights, margin, tail_share
from cosim.run.check import check_study
from cosim.run.policy import make_planner
from cosim.run.settings import changed_study
from cosim.run.shipped import find_scenario
from cosim.run.study import open_study

PLANNERS = ("lindistflow", "tangent")
SETTINGS = {
    "time.start": "2024-06-21T11:00:00-07:00",
    "control.horizon_s": 14400,
    "control.forecast": {"type": "noisy", "options": {"irradiance": "high"}},
    # A limit that binds in some futures: the sun lifts voltages.
    "limits.voltage_max_pu": 1.04,
    "control.planner.objective.losses_per_kwh": 0.0,
}


def a_study(planner: str, uncertainty=None, **changes):
    asked = {"control.planner.type": planner, "control.planner.uncertainty": uncertainty}
    return changed_study(open_study(find_scenario("ieee13"), steps=4), SETTINGS | asked | changes)


def plan_of(planner: str, uncertainty=None, laws=None, **changes) -> Plan:
    study = a_study(planner, uncertainty, **changes)
    with open_day(study) as day:
        forecast = day.forecast
        if laws is not None:
            forecast = replace(forecast, errors=replace(forecast.errors, **laws))
        plan = make_planner(study, day.assembly.knowledge).plan(day.measurement, forecast)
    assert isinstance(plan, Plan), plan
    return plan


@pytest.fixture(scope="module")
def certain():
    return {planner: plan_of(planner) for planner in PLANNERS}


@pytest.mark.parametrize("planner", PLANNERS)
def test_one_scenario_gives_the_plan_of_the_forecast_bit_for_bit(planner, certain):
    plan = plan_of(planner, {"type": "scenarios", "count": 1})
    for part in ("p_kw", "q_kvar", "stored_kwh", "import_kw", "losses_kw", "voltage_pu"):
        assert np.array_equal(getattr(plan, part), getattr(certain[planner], part)), part
    assert plan.certificate.objective == certain[planner].certificate.objective


@pytest.mark.parametrize("planner", PLANNERS)
def test_equal_scenarios_give_the_plan_of_the_forecast(planner, certain):
    """Three futures without errors are one future: same objective, same set-points of active power."""
    still = ErrorLaw(std=0.0, correlation_s=3600.0, common=0.0)
    plan = plan_of(planner, {"type": "scenarios", "count": 3}, laws={"load": still, "sun": still})
    alone = certain[planner]
    assert plan.certificate.objective == pytest.approx(alone.certificate.objective, rel=1e-4)
    assert plan.import_kw == pytest.approx(alone.import_kw, abs=2.0)


@pytest.mark.parametrize("planner", PLANNERS)
def test_a_plan_for_scenarios_pays_for_what_may_come(planner, certain):
    """The sun cannot offer more than it can, so scenarios have less of it: they cost more than the forecast."""
    plan = plan_of(planner, {"type": "scenarios", "count": 6})
    assert plan.certificate.objective > certain[planner].certificate.objective
    assert not np.array_equal(plan.p_kw, certain[planner].p_kw)
    count = 4  # devices with energy
    kwh = plan.stored_kwh[:, :count]
    assert (kwh >= -1e-6).all()


@pytest.mark.parametrize("planner", PLANNERS)
def test_the_conditional_value_at_risk_is_no_less_than_the_expectation(planner):
    """Objective with weight 1 and level 0 is twice the expected cost; with a higher level it is more."""
    scenarios = {"type": "scenarios", "count": 4}
    expected = plan_of(planner, scenarios).certificate.objective
    twice = plan_of(planner, scenarios | {"cvar_weight": 1.0, "cvar_level": 0.0}).certificate.objective
    worst = plan_of(planner, scenarios | {"cvar_weight": 1.0, "cvar_level": 0.75}).certificate.objective
    assert twice == pytest.approx(2.0 * expected, rel=2e-3)
    assert worst > twice


@pytest.mark.parametrize("planner", PLANNERS)
def test_chance_constraints_keep_further_inside_where_forecasts_are_uncertain(planner):
    """More sun than the feeder takes at 1.035 pu: the certain plan goes to the limit, the other stays below."""
    sunny = {
        "limits.voltage_max_pu": 1.035,
        "pvs.1.kw": 2500,
        "control.planner.pv_reactive": False,
        "control.planner.storage_reactive": False,
    }
    to_the_limit = plan_of(planner, **sunny)
    careful = plan_of(planner, {"type": "chance", "violation": 0.01}, **sunny)
    assert to_the_limit.voltage_pu[1:].max() == pytest.approx(1.035, abs=1e-3)
    # The present is known, so only later periods have a margin.
    assert careful.voltage_pu[1:].max() < 1.035 - 0.002
    assert careful.certificate.objective > to_the_limit.certificate.objective


def test_the_margin_is_the_quantile_of_a_normal_spread():
    """By hand: deviations of 0.01 either way have that spread; 1.6449 of it is exceeded in 5 %."""
    apart = np.array([[0.01], [-0.01]])
    assert margin(apart, 0.05) == pytest.approx([0.016449], abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    cost=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8),
    level=st.floats(0.0, 0.95),
)
def test_shares_of_the_tail_add_up_and_weigh_the_worst(cost, level):
    share = tail_share(np.array(cost), level)
    assert share.sum() == pytest.approx(1.0)
    assert (share >= 0.0).all()
    assert share.max() <= max(1.0 / (len(cost) * (1.0 - level)), 0.0) + 1e-12
    assert share @ np.array(cost) >= np.mean(cost) - 1e-9 * max(map(abs, cost))


def test_the_tail_by_hand():
    """The worst half of 1, 5, 3, 7 is 5 and 7; the worst quarter is 7."""
    cost = np.array([1.0, 5.0, 3.0, 7.0])
    assert tail_share(cost, 0.5) @ cost == pytest.approx(6.0)
    assert tail_share(cost, 0.75).tolist() == [0.0, 0.0, 0.0, 1.0]
    weights = ScenarioWeights(ScenarioPlanning(4, 2.0, 0.5), 4)
    assert weights.objective(cost) == pytest.approx(4.0 + 2.0 * 6.0)


def test_a_planner_for_one_future_refuses_by_name():
    problems, assembly = check_study(a_study("branch_flow_soc", {"type": "scenarios"}))
    assert assembly is None
    assert "planner 'branch_flow_soc' plans for one future" in problems[0]


def test_a_forecaster_that_says_nothing_about_errors_is_named():
    study = a_study("tangent", {"type": "chance"}, **{"control.forecast": "persistence"})
    problems, _ = check_study(study)
    assert "forecaster 'persistence' says nothing about errors" in problems[0]
    with (
        open_day(a_study("tangent", None, **{"control.forecast": "persistence"})) as day,
        pytest.raises(ScenarioError, match="says nothing about errors"),
    ):
        make_planner(study, day.assembly.knowledge)


def test_a_controller_that_makes_no_plans_need_not_know_of_errors():
    asked = {"control.type": "idle", "control.forecast": "persistence"}
    problems, assembly = check_study(a_study("tangent", {"type": "chance"}, **asked))
    assert problems == []
    assert assembly is not None
    assembly.__exit__()


def test_lindistflow_weighs_risk_of_linear_costs_only():
    study = a_study(
        "lindistflow",
        {"type": "scenarios", "count": 2, "cvar_weight": 1.0},
        **{"control.planner.objective.losses_per_kwh": 0.2},
    )
    with open_day(study) as day, pytest.raises(FormulationRefused, match="only where costs are linear"):
        make_planner(study, day.assembly.knowledge)
