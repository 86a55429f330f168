"""Planners on linear network models: exact slopes, optima of the exact program, honest claims."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cosim.experiments.open_loop import open_day
from cosim.model.state import NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.model.twin import Quantity
from cosim.opf.linear_models.limit_rows import LimitRows
from cosim.opf.linear_models.model import Expansion, exact_of
from cosim.opf.linear_models.steps import MoveLimits, Step, TrustRegion
from cosim.opf.options import Limits
from cosim.opf.tangent.active_limits import bounds_of
from cosim.run.execute import execute
from cosim.run.policy import make_planner
from cosim.run.record import read_record
from cosim.run.same_steps import CLOCKED, same
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study
from tests.faults.test_resume import resumed, run_until, whole_run

LINEAR = ("sensitivity_factors", "taylor", "regression")
SMALL = {
    "time": {"start": "2024-06-21T12:00:00+00:00", "step_s": 3600, "steps": 6},
    "baseline": False,
}


def with_planner(study: Study, planner: str, **changes) -> Study:
    same_for_all = {"type": planner, "inverter": "polygon", "solver": "auto", "options": {}}
    return study.with_planner(study.scenario.control.planner.model_copy(update={**same_for_all, **changes}))


def held_taps(study: Study) -> Study:
    """With a twin that holds the measured taps."""
    control = study.scenario.control
    twin = control.twin.model_copy(update={"frozen_controls": True})
    changed = control.model_copy(update={"twin": twin})
    return replace(study, scenario=study.scenario.model_copy(update={"control": changed}))


def small(planner: str, horizon_s: int = 21_600, **changes) -> dict:
    chosen = {"type": planner, "terminal": {"type": "value", "per_kwh": 0.1}, **changes}
    control = {"horizon_s": horizon_s, "resolution_s": 3600, "planner": chosen}
    return {**SMALL, "control": control}


def plan_of(study: Study) -> Plan | NoPlan:
    with open_day(study) as day:
        return make_planner(study, day.assembly.knowledge).plan(day.measurement, day.forecast)


def assert_same_steps(one: Path, other: Path) -> None:
    """Records of six steps, equal but for the clock."""
    first, second = read_record(one).steps, read_record(other).steps
    assert len(first) == len(second) == 6
    assert list(first.columns) == list(second.columns)
    for name in set(first.columns) - CLOCKED:
        for a, b in zip(first[name], second[name], strict=True):
            assert same(a, b), name


@pytest.fixture(scope="module")
def expansion():
    """The first order of IEEE 13 at rest with taps held, and its twin."""
    study = held_taps(with_planner(open_study(find_scenario("ieee13")), "taylor"))
    with open_day(study) as day:
        twin, forecast = day.assembly.knowledge.open_twin(), day.forecast
        demand = forecast.demand_kw + 1j * forecast.demand_kvar
        twin.set_forecast(day.measurement, demand)
        flow = twin.flow(np.zeros((len(demand), len(day.site.devices)), dtype=complex))
        yield Expansion.of(twin, flow), flow


def test_first_order_is_that_of_the_exact_flow(expansion):
    """The error of the expansion falls with the square of the step."""
    model, flow = expansion
    rng = np.random.default_rng(3)
    step = 40.0 * (
        rng.standard_normal(flow.device_kva.shape) + 1j * rng.standard_normal(flow.device_kva.shape)
    )
    # The magnitude of a current has a kink where there is none.
    loaded = model.twin.values(flow, Quantity.LINE) > 0.1
    errors = []
    for part in (1.0, 0.1):
        said = model.predict(flow.device_kva + part * step)
        exact = exact_of(model.twin, model.twin.flow(flow.device_kva + part * step, flow, held=True))
        errors.append(
            [
                np.abs(said.voltage_pu - exact.voltage_pu).max(),
                np.abs(said.import_kva - exact.import_kva).max(),
                np.abs(said.losses_kw - exact.losses_kw).max(),
                np.abs(said.line_share - exact.line_share)[loaded].max(),
            ]
        )
    assert (np.array(errors[1]) < 0.02 * np.array(errors[0])).all()


def test_slopes_by_adjoints_are_those_of_the_forward_solve(expansion):
    model, flow = expansion
    rng = np.random.default_rng(4)
    step = rng.standard_normal(flow.device_kva.shape) + 1j * rng.standard_normal(flow.device_kva.shape)
    change = model.twin.first_order(flow, step)
    for slope, there in (
        (model.import_slope, change.import_kva.real),
        (model.losses_slope, change.losses_kw),
    ):
        assert (slope[0] * step.real + slope[1] * step.imag).sum(axis=1) == pytest.approx(there, rel=1e-5)
    for quantity, there in ((Quantity.VOLTAGE, change.voltage_pu), (Quantity.LINE, change.line_share)):
        places = np.arange(len(there))
        for period in range(there.shape[1]):
            p, q = model.slope(quantity, places, np.full(len(places), period))
            by_adjoint = p @ step[period].real + q @ step[period].imag
            assert by_adjoint == pytest.approx(there[:, period], abs=1e-7)


@pytest.mark.parametrize("planner", ["sensitivity_factors", "taylor"])
@pytest.mark.parametrize("lowest_pu", [0.9, 0.999])
def test_relinearised_to_convergence_they_reach_the_exact_optimum(scenario_file, planner, lowest_pu):
    """Against the tangent planner on a small balanced feeder, without and with binding voltages."""
    base = open_study(find_scenario("ads10_1ph"))
    limits = base.scenario.limits.model_copy(update={"voltage_min_pu": lowest_pu})
    base = replace(base, scenario=base.scenario.model_copy(update={"limits": limits}))
    best, found = plan_of(with_planner(base, "tangent")), plan_of(with_planner(base, planner))
    assert isinstance(best, Plan)
    assert isinstance(found, Plan)
    assert found.certificate.objective == pytest.approx(best.certificate.objective, rel=1e-5)
    assert "linear model" in found.certificate.claim
    assert "until it agreed with the exact flow" in found.certificate.claim


@pytest.mark.parametrize("planner", ["sensitivity_factors", "taylor"])
def test_unbalanced_optima_are_those_of_exact_flows_while_taps_are_held(planner):
    """IEEE 13 with a twin that holds its taps, and batteries that lose nothing by being in use."""
    study = held_taps(open_study(find_scenario("ieee13")))
    stores = tuple(store.model_copy(update={"idling_kw": 0.0}) for store in study.scenario.storages)
    study = replace(study, scenario=study.scenario.model_copy(update={"storages": stores}))
    best, found = (plan_of(with_planner(study, name)) for name in ("tangent", planner))
    assert found.certificate.objective == pytest.approx(best.certificate.objective, rel=3e-5)


@pytest.mark.parametrize("planner", ["sensitivity_factors", "taylor"])
def test_with_taps_that_follow_they_plan_as_well_as_tangent(planner):
    """The slope of the import is the one with taps that follow; with taps held it was 0.08 % above tangent."""
    study = open_study(find_scenario("ieee13"))
    best, found = (plan_of(with_planner(study, name)) for name in ("tangent", planner))
    assert found.certificate.objective < best.certificate.objective * (1.0 + 1e-4)
    assert found.certificate.slack_pu < 1e-5


def test_a_claim_always_says_that_the_model_is_linear():
    """Also where idling losses cast doubt on the plan first."""
    study = with_planner(open_study(find_scenario("ieee13")), "regression")
    plan = plan_of(study)
    assert "linear model learned from 600 samples" in plan.certificate.claim


def test_slopes_once_and_at_each_plan_differ_once_the_plan_has_moved(scenario_file):
    plans = {}
    for rhythm in ("once", "each_plan"):
        study = open_study(scenario_file(**small("sensitivity_factors", options={"relinearise": rhythm})))
        with open_day(study) as day:
            planner = make_planner(study, day.assembly.knowledge)
            for _ in range(2):
                plans[rhythm] = planner.plan(day.measurement, day.forecast)
    assert "first plan's operating point" in plans["once"].certificate.claim
    assert not np.array_equal(plans["once"].import_kw, plans["each_plan"].import_kw)


@pytest.mark.parametrize("planner", LINEAR)
def test_unbalanced_feeders_are_planned_and_equal_seeds_give_equal_plans(scenario_file, planner):
    study = open_study(scenario_file(**small(planner)))
    one, other = plan_of(study), plan_of(study)
    assert isinstance(one, Plan), one
    assert np.array_equal(one.p_kw, other.p_kw)
    assert np.array_equal(one.q_kvar, other.q_kvar)
    assert "linear model" in one.certificate.claim
    assert "off the exact flow by" in one.certificate.claim
    assert one.certificate.simultaneous_h == 0.0


def test_voltage_limits_are_kept_by_exact_flows(scenario_file):
    wide = {"voltage_min_pu": 0.9, "voltage_max_pu": 1.1}
    free = plan_of(held_taps(open_study(scenario_file(**small("taylor"), limits=wide))))
    lowest = float(free.voltage_pu.min()) + 0.001
    limits = {**wide, "voltage_min_pu": lowest}
    kept = plan_of(held_taps(open_study(scenario_file(**small("taylor"), limits=limits))))
    assert kept.voltage_pu.min() >= lowest - 1e-5
    assert kept.certificate.objective > free.certificate.objective


def test_a_limit_nobody_can_keep_is_said(scenario_file):
    narrow = {"voltage_min_pu": 0.9999, "voltage_max_pu": 1.0001}
    plan = plan_of(open_study(scenario_file(**small("sensitivity_factors"), limits=narrow)))
    assert isinstance(plan, Plan)
    assert plan.certificate.slack_pu > 0.005


def test_a_plan_that_cannot_be_is_a_result(scenario_file):
    """A battery that must end full within an hour cannot."""
    for planner in LINEAR:
        hard = {"terminal": {"type": "hard", "soc": 0.95}}
        outcome = plan_of(open_study(scenario_file(**small(planner, 3600, **hard))))
        assert isinstance(outcome, NoPlan)
        assert outcome.status == "infeasible"


def test_a_regression_that_is_too_poor_makes_no_plan(scenario_file):
    bound = {"voltage_error_bound_pu": 1e-6}
    outcome = plan_of(open_study(scenario_file(**small("regression", options=bound))))
    assert isinstance(outcome, NoPlan)
    assert outcome.status == "model_error"
    assert "more than 1e-06 pu" in outcome.reason


def test_regressions_agree_and_say_both_errors(scenario_file):
    costs = []
    for regressor in ("svr", "ridge"):
        plan = plan_of(open_study(scenario_file(**small("regression", options={"regressor": regressor}))))
        assert isinstance(plan, Plan), plan
        assert "in training and" in plan.certificate.claim
        assert "held out" in plan.certificate.claim
        costs.append(plan.certificate.objective)
    assert costs[0] == pytest.approx(costs[1], rel=1e-3)


@pytest.mark.parametrize("planner", LINEAR)
def test_a_run_is_carried_on_to_the_last_bit(scenario_file, tmp_path, planner):
    path = scenario_file(**small(planner, 10_800))
    whole_run(path, tmp_path / "whole")
    run_until(path, tmp_path / "cut", 3)
    resumed(tmp_path / "cut")
    assert_same_steps(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.slow
def test_both_drivers_give_the_same_record(scenario_file, tmp_path):
    study = open_study(scenario_file(**small("taylor", 10_800)))
    for over in ("local", "helics"):
        execute(study, tmp_path / over, over=over, overwrite=False, progress=lambda _done: None)
    assert_same_steps(tmp_path / "local", tmp_path / "helics")


# --- rules of steps and rows ----------------------------------------------------------------------


def step(before, promised, reached, moved=0.0) -> Step:
    return Step(before, promised, reached, np.array([[moved + 0j]]), 1e-6)


def test_the_trust_region_follows_the_ratio():
    """Nocedal and Wright, Algorithm 4.1: a quarter below 1/4, twice above 3/4 on the edge."""
    rule = TrustRegion(0.2)
    rule.begin((1, 1))
    assert rule.judge(step(10.0, 9.0, 9.05, 0.2)).accepted
    assert rule.width[0][0, 0] == pytest.approx(0.4)
    assert rule.judge(step(10.0, 9.0, 9.5, 0.4)).accepted
    assert rule.width[0][0, 0] == pytest.approx(0.4)
    assert not rule.judge(step(10.0, 9.0, 10.5, 0.4)).accepted
    assert rule.width[0][0, 0] == pytest.approx(0.1)
    assert not rule.judge(step(10.0, 9.0, float("inf"))).accepted
    assert rule.judge(step(10.0, 10.0, 10.0)).done


def test_move_limits_shrink_where_a_power_turns_back():
    rule = MoveLimits()
    rule.begin((1, 1))
    for moved, width in ((0.5, 0.5), (0.5, 1.0), (-0.4, 0.2)):
        rule.judge(step(10.0, 9.0, 9.0, moved))
        assert rule.width[0][0, 0] == pytest.approx(width)
    assert rule.judge(step(10.0, 10.0, 10.0)).done


def test_one_row_stands_for_voltages_that_move_alike(expansion):
    model, flow = expansion
    periods = flow.voltage_pu.shape[1]
    limits = Limits(voltage_min_pu=1.2, voltage_max_pu=1.3)
    bounds = bounds_of(limits, model.twin)[:2]
    rows = LimitRows(bounds, Horizon((3600,) * periods), np.full(flow.device_kva.shape[1], 500.0))
    exact = exact_of(model.twin, flow)
    assert rows.extend(model, exact)
    assert 0 < len(rows) < periods * len(flow.voltage_pu)
    assert not rows.extend(model, exact) or len(rows) <= 12 * periods
    assert rows.penalty(exact) > 0.0
    worst_pu = rows.excess(exact, Quantity.VOLTAGE).max()
    assert worst_pu == pytest.approx(1.2 - flow.voltage_pu.min(), abs=1e-5)
