"""Planners that search by candidates: realisable candidates, Deb's rules, determinism, honest claims."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.errors import FormulationRefused
from cosim.experiments.open_loop import Day, open_day
from cosim.model.device import DeviceState
from cosim.model.state import NoPlan, Plan
from cosim.opf.metaheuristics.budget import Budget, Progress, best_of, better
from cosim.opf.metaheuristics.decisions import Decisions
from cosim.opf.metaheuristics.objectives import chosen
from cosim.opf.metaheuristics.search import Found
from cosim.opf.tangent.device_dispatch import DeviceDispatch
from cosim.opf.tangent.search_log import Devices
from cosim.run.planner_options import planner_options
from cosim.run.policy import make_planner
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study
from tests.faults.test_resume import resumed, run_until, whole_run
from tests.opf.test_linear_models import assert_same_steps, plan_of, small, with_planner

SEARCHES = ("particle_swarm", "grey_wolf_equilibrium", "nsga2")
FEW = {"evaluations": 300, "warm_evaluations": 80, "population": 20}


@pytest.fixture(scope="module")
def balanced() -> Study:
    return open_study(find_scenario("ads10_1ph"))


@pytest.fixture(scope="module")
def best(balanced) -> Plan:
    """The plan of the tangent planner."""
    return plan_of(with_planner(balanced, "tangent"))


@pytest.fixture(scope="module")
def unbalanced():
    """A day on IEEE 13, its decisions, and the exact laws of its devices; no battery idles at a loss."""
    study = with_planner(open_study(find_scenario("ieee13")), "tangent")
    stores = tuple(store.model_copy(update={"idling_kw": 0.0}) for store in study.scenario.storages)
    study = replace(study, scenario=study.scenario.model_copy(update={"storages": stores}))
    with open_day(study) as day:
        yield day, *decisions_of(study, day)


def assert_accepted(day: Day, p_kw, q_kvar, share: float) -> None:
    """Devices accept set-points of periods of an hour, one after the other; ``share`` of the rating is rounding."""
    for i, device in enumerate(day.site.devices):
        stored = float(day.measurement.stored_kwh[i])
        for period in range(len(p_kw)):
            state = DeviceState(1.0, stored, float(day.forecast.available_kw[period, i]))
            kw, kvar = float(p_kw[period, i]), float(q_kvar[period, i])
            accepted = device.accept(kw, kvar, state)
            assert accepted.kw == pytest.approx(kw, abs=share * device.kw), device.name
            assert accepted.kvar == pytest.approx(kvar, abs=share * device.kva), device.name
            stored = device.next_stored_kwh(stored, accepted.kw, 1.0)


def decisions_of(study: Study, day: Day) -> tuple[Decisions, DeviceDispatch]:
    dispatcher = DeviceDispatch(day.site, study.horizon, planner_options(study.scenario))
    devices = Devices(*dispatcher.devices(day.measurement, day.forecast.available_kw, None))
    return Decisions(dispatcher.model, devices, study.horizon), dispatcher


# --- candidates -----------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.0))
@settings(max_examples=20, deadline=None)
def test_devices_accept_every_repaired_candidate_as_it_is(unbalanced, seed, amplitude):
    day, decisions, dispatcher = unbalanced
    x = np.random.default_rng(seed).uniform(-amplitude, amplitude, (1, decisions.count))
    dispatch = decisions.dispatch(x).row(0)
    planned = dispatcher.planned(dispatch, day.measurement, day.forecast.available_kw)
    assert planned[0][:, : len(dispatcher.model.energy)] == pytest.approx(
        dispatch.p_kw[:, : len(dispatcher.model.energy)], abs=1e-4
    )
    assert_accepted(day, *planned, share=1e-6)


def test_devices_accept_a_first_plan_whose_idling_losses_were_not_known():
    study = with_planner(open_study(find_scenario("ieee13")), "particle_swarm", options=FEW)
    with open_day(study) as day:
        plan = make_planner(study, day.assembly.knowledge).plan(day.measurement, day.forecast)
        assert any(device.idles for device in day.site.devices)
        assert_accepted(day, plan.p_kw, plan.q_kvar, share=1e-9)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_repaired_candidate_is_repaired_into_itself(unbalanced, seed):
    _, decisions, _ = unbalanced
    once = decisions.dispatch(np.random.default_rng(seed).uniform(-1, 1, (3, decisions.count)))
    twice = decisions.dispatch(decisions.candidates(once))
    for name in ("charge_kw", "discharge_kw", "curtailed_kw", "reactive_kvar"):
        assert getattr(twice, name) == pytest.approx(getattr(once, name), abs=1e-6), name


@pytest.mark.parametrize("soc", [0.3, 0.6])
def test_every_candidate_ends_at_a_hard_target(balanced, soc):
    planner = with_planner(balanced, "tangent").scenario.control.planner
    hard = planner.terminal.model_copy(update={"type": "hard", "soc": soc})
    study = balanced.with_planner(planner.model_copy(update={"type": "tangent", "terminal": hard}))
    with open_day(study) as day:
        decisions, dispatcher = decisions_of(study, day)
        x = np.random.default_rng(1).uniform(-1, 1, (20, decisions.count))
        kwh = np.array([device.kwh for device in dispatcher.model.energy])
        for candidate in range(20):
            dispatch = decisions.dispatch(x).row(candidate)
            stored = dispatcher.roll_out(day.measurement, dispatch.p_kw)
            assert stored[-1, : len(kwh)] == pytest.approx(soc * kwh, abs=1e-6)


def test_candidates_in_a_batch_have_the_flows_of_candidates_alone(unbalanced):
    """Regulators reacting in each; 1e-7 pu is ten times the tolerance of a flow."""
    day, decisions, dispatcher = unbalanced
    twin, forecast = day.assembly.knowledge.open_twin(), day.forecast
    twin.set_forecast(day.measurement, forecast.demand_kw + 1j * forecast.demand_kvar)
    x = np.random.default_rng(2).uniform(-1, 1, (5, decisions.count))
    power = dispatcher.injection_kva(decisions.dispatch(x))
    start = twin.flow(np.zeros_like(power[0]))
    together, periods = twin.candidates(power, start), power.shape[1]
    assert together.tap.std(axis=0).max() > 0.0
    for i, mine in enumerate(power):
        alone, rows = twin.flow(mine, start), np.arange(i * periods, (i + 1) * periods)
        part = twin.moved(together, rows)
        assert np.array_equal(part.tap, alone.tap)
        assert np.abs(part.voltage_pu - alone.voltage_pu).max() < 1e-7


def test_a_candidate_without_a_flow_spoils_no_other(unbalanced):
    day, decisions, dispatcher = unbalanced
    twin, forecast = day.assembly.knowledge.open_twin(), day.forecast
    twin.set_forecast(day.measurement, forecast.demand_kw + 1j * forecast.demand_kvar)
    power = np.repeat(
        dispatcher.injection_kva(decisions.dispatch(np.zeros((1, decisions.count)))), 2, axis=0
    )
    power[1] = -1e6
    start, periods = twin.flow(power[0]), power.shape[1]
    with np.errstate(all="ignore"):
        found = twin.candidates(power, start)
    assert found.converged[:periods].all()
    assert not found.converged[periods:].any()
    assert np.abs(found.voltage_pu[:, :periods] - start.voltage_pu).max() < 1e-7


# --- rules ----------------------------------------------------------------------------------------


def test_feasible_before_infeasible_then_cost_then_violation():
    """Deb, 2000: candidates as (violation, cost)."""
    assert better((0.0, 9.0), (1e-3, 1.0))
    assert better((0.0, 1.0), (0.0, 9.0))
    assert better((1e-3, 9.0), (2e-3, 1.0))
    assert best_of(np.array([1.0, 0.0, 0.0]), np.array([1.0, 3.0, 2.0])) == 2


def test_the_history_never_gets_worse():
    progress = Progress(Budget(100))
    for violation, cost in ((1.0, 5.0), (0.0, 9.0), (0.5, 1.0), (0.0, 8.0)):
        progress.note(10, cost, violation)
    assert progress.best_cost == [5.0, 9.0, 9.0, 8.0]
    assert progress.best_violation == [1.0, 0.0, 0.0, 0.0]
    assert progress.evaluations == [10, 20, 30, 40]
    assert progress.share() == 0.4


def test_the_compromise_is_nearest_to_the_ideal_point():
    """Scaled to [0, 1]: distances 1, 0.36, 1; the last point violates a limit."""
    front = np.array([[0.0, 100.0], [2.0, 30.0], [10.0, 0.0], [1.0, 0.0]])
    found = Found(np.zeros(1), np.zeros((4, 1)), front, np.array([0.0, 0.0, 0.0, 1.0]))
    assert chosen("compromise", found) == 1
    assert chosen("first", found) == 0


# --- plans ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("planner", SEARCHES)
def test_equal_seeds_give_equal_plans(balanced, planner):
    plans = []
    for seed in (3, 3, 4):
        study = with_planner(balanced, planner, options=FEW)
        control = study.scenario.control.model_copy(update={"seed": seed})
        scenario = study.scenario.model_copy(update={"control": control})
        plans.append(plan_of(replace(study, scenario=scenario)))
    assert np.array_equal(plans[0].p_kw, plans[1].p_kw)
    assert np.array_equal(plans[0].details.front, plans[1].details.front)
    assert not np.array_equal(plans[0].p_kw, plans[2].p_kw)


@pytest.mark.parametrize("planner", ["particle_swarm", "grey_wolf_equilibrium"])
def test_on_a_small_feeder_the_exact_optimum_is_nearly_found(balanced, best, planner):
    """48 battery-periods, 2000 candidates: within 0.1 % of the tangent planner, never much below."""
    plan = plan_of(with_planner(balanced, planner, options={"evaluations": 2000}))
    cost = best.certificate.objective
    assert -1e-5 * cost < plan.certificate.objective - cost < 1e-3 * cost
    assert plan.certificate.objective == pytest.approx(plan.details.best_cost[-1], rel=1e-9)
    assert "nothing is proven" in plan.certificate.claim


def test_the_front_of_nsga2_is_one_and_its_cheapest_point_is_the_plan(balanced):
    options = {**FEW, "objectives": ["losses", "peak", "voltage_deviation"]}
    plan = plan_of(with_planner(balanced, "nsga2", options=options))
    details = plan.details
    assert details.objectives == ("losses, kWh", "peak import, kW", "mean voltage deviation, pu")
    for one in details.front:
        assert not ((details.front <= one).all(axis=1) & (details.front < one).any(axis=1)).any()
    hours = plan.period_s / 3600.0
    assert details.front[details.chosen, 0] == pytest.approx(plan.losses_kw @ hours, rel=1e-6)
    assert details.front[details.chosen, 0] == details.front[:, 0].min()
    assert details.front[details.chosen, 1] == pytest.approx(plan.import_kw.max(), rel=1e-6)


@pytest.mark.parametrize("planner", SEARCHES)
def test_voltage_limits_go_before_cost(balanced, best, planner):
    """The limit is just below the lowest voltage of the best plan; a search without it goes lower."""
    lowest = float(best.voltage_pu.min()) - 3e-5
    limits = balanced.scenario.limits.model_copy(update={"voltage_min_pu": lowest})
    limited = replace(balanced, scenario=balanced.scenario.model_copy(update={"limits": limits}))
    options = {"evaluations": 1000}
    free, kept = (plan_of(with_planner(study, planner, options=options)) for study in (balanced, limited))
    assert free.voltage_pu.min() < lowest - 5e-5
    assert kept.voltage_pu.min() > lowest - 1e-4
    assert kept.details.best_violation[-1] < 2e-5


def test_a_warm_start_is_no_worse_than_the_earlier_plan(balanced):
    study = with_planner(balanced, "grey_wolf_equilibrium", options=FEW)
    with open_day(study) as day:
        planner = make_planner(study, day.assembly.knowledge)
        first, second = (planner.plan(day.measurement, day.forecast) for _ in range(2))
    assert second.certificate.objective <= first.certificate.objective + 1e-6
    assert second.details.evaluations[-1] == FEW["warm_evaluations"]


def test_a_budget_in_cpu_seconds_ends_a_search_and_is_said(balanced):
    options = {"evaluations": 10**9, "cpu_s": 0.2}
    plan = plan_of(with_planner(balanced, "nsga2", options=options))
    assert plan.details.evaluations[-1] < 10**9
    assert (
        "ended by its CPU seconds, so the same seed need not give the same plan" in plan.certificate.claim
    )


def test_an_energy_target_out_of_reach_is_a_result(scenario_file):
    hard = {"terminal": {"type": "hard", "soc": 0.95}, "options": FEW}
    outcome = plan_of(open_study(scenario_file(**small("particle_swarm", 3600, **hard))))
    assert isinstance(outcome, NoPlan)
    assert outcome.status == "infeasible"
    assert "misses its energy window" in outcome.reason


def test_a_solver_is_refused_by_name(balanced):
    with pytest.raises(FormulationRefused, match="leave solver clarabel out, or use tangent"):
        plan_of(with_planner(balanced, "particle_swarm", solver="clarabel"))


def test_a_run_is_carried_on_to_the_last_bit(scenario_file, tmp_path):
    path = scenario_file(**small("grey_wolf_equilibrium", 10_800, options=FEW))
    whole_run(path, tmp_path / "whole")
    run_until(path, tmp_path / "cut", 3)
    resumed(tmp_path / "cut")
    assert_same_steps(tmp_path / "cut", tmp_path / "whole")
