"""The LinDistFlow planner: right where the answer is known, compiled once, honest about itself."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest

from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.errors import SolverMissing
from cosim.experiments.open_loop import open_day
from cosim.model.forecast import Forecast
from cosim.model.state import NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.options import Limits, Objective, PlannerOptions, Terminal
from cosim.opf.planners import lindistflow
from cosim.opf.problem import DispatchProblem
from cosim.opf.program import Program, Squares
from cosim.run.policy import make_planner
from cosim.run.study import open_study
from tests.conftest import a_feeder, a_storage, shipped_master

HOURS = 6
CHEAP_THEN_DEAR = np.array([0.1, 0.1, 0.1, 0.4, 0.4, 0.4])
NO_LIMITS = Limits(voltage_min_pu=0.5, voltage_max_pu=1.5)


@pytest.fixture(scope="module")
def plant():
    storage = a_storage(min_kwh=80.0, max_kwh=380.0, initial_kwh=200.0, efficiency_discharge=0.95)
    pv = PvRating("p1", "680", (1, 2, 3), False, 600.0, 660.0)
    with a_feeder(shipped_master("ieee13"), devices=(storage, pv), steps=4) as feeder:
        yield feeder.site, feeder.measure(0)


def forecast_of(measurement, price=CHEAP_THEN_DEAR, sun_kw=0.0):
    periods = len(price)
    return Forecast(
        Horizon((3600,) * periods),
        np.repeat(measurement.demand_kw[None, :], periods, axis=0),
        np.repeat(measurement.demand_kvar[None, :], periods, axis=0),
        np.column_stack([np.zeros(periods), np.full(periods, sun_kw)]),
        np.asarray(price, dtype=float),
    )


def planner_of(site, **options) -> DispatchPlanner:
    return lindistflow(site, Horizon((3600,) * HOURS), PlannerOptions(**options))


def plan_of(site, measurement, *, price=CHEAP_THEN_DEAR, sun_kw=0.0, **options) -> Plan:
    outcome = planner_of(site, **options).plan(measurement, forecast_of(measurement, price, sun_kw))
    assert isinstance(outcome, Plan), outcome
    return outcome


def test_it_buys_cheap_and_sells_dear_up_to_the_limits_of_the_cell(plant):
    """By hand: 180 kWh of room take 189.47 kWh at 95 %; 300 kWh of content give 285 kWh at 95 %."""
    plan = plan_of(*plant, limits=NO_LIMITS)
    charged = -plan.p_kw[:3, 0].sum()
    discharged = plan.p_kw[3:, 0].sum()
    assert charged == pytest.approx(180 / 0.95, abs=0.01)
    assert discharged == pytest.approx(300 * 0.95, abs=0.01)
    assert plan.stored_kwh[-1, 0] == pytest.approx(80.0, abs=0.01)


def test_its_cost_is_import_times_price_and_throughput(plant):
    site, measurement = plant
    plan = plan_of(site, measurement, limits=NO_LIMITS, throughput_cost_per_kwh=0.005)
    resting = plan_of(site, measurement, price=np.zeros(HOURS), limits=NO_LIMITS)
    moved = np.abs(plan.p_kw[:, 0]).sum() * 0.005
    lossless_kw = resting.import_kw - plan.p_kw[:, 0]
    assert plan.certificate.objective == pytest.approx(
        float(CHEAP_THEN_DEAR @ lossless_kw) + moved, rel=1e-5
    )


def test_terminal_conditions(plant):
    hard = plan_of(*plant, terminal=Terminal("hard", 0.5))
    assert hard.stored_kwh[-1, 0] == pytest.approx(200.0, abs=0.01)
    dear = plan_of(*plant, terminal=Terminal("value", None, 1.0))
    assert dear.stored_kwh[-1, 0] == pytest.approx(380.0, abs=0.01)
    soft = plan_of(*plant, terminal=Terminal("soft", 0.6, 1.0))
    assert soft.stored_kwh[-1, 0] == pytest.approx(240.0, abs=0.01)


def test_the_stored_energy_of_the_plan_follows_the_exact_law(plant):
    site, measurement = plant
    plan = plan_of(site, measurement)
    stored = measurement.stored_kwh[0]
    for period in range(HOURS):
        stored = site.of_kind("storage")[0].next_stored_kwh(stored, plan.p_kw[period, 0], 1.0)
        assert plan.stored_kwh[period + 1, 0] == pytest.approx(stored, abs=1e-12)


def test_set_points_stay_in_the_inverter_circle(plant):
    tight = Limits(voltage_min_pu=0.999, voltage_max_pu=1.001)
    for capability in ("polygon", "cone"):
        plan = plan_of(*plant, limits=tight, capability=capability)
        assert np.hypot(plan.p_kw[:, 0], plan.q_kvar[:, 0]).max() <= 120.0 * (1 + 1e-6)
        assert np.abs(plan.q_kvar[:, 0]).max() > 10


def test_a_voltage_limit_is_kept_by_reactive_power(plant):
    """Without limits the plan would go below the band at the far end; with them, it does not."""
    site, measurement = plant
    free = plan_of(site, measurement, limits=NO_LIMITS)
    limit = float(free.lowest_pu.min()) + 0.002
    bound = plan_of(site, measurement, limits=Limits(limit, 1.2))
    assert bound.lowest_pu.min() >= limit - 2e-4  # the prediction adds the answer of the loads
    assert bound.certificate.slack_pu < 1e-6
    assert bound.q_kvar[:, 0].max() > 10


def test_a_limit_that_no_device_can_keep_is_reported_as_slack(plant):
    site, measurement = plant
    plan = plan_of(site, measurement, limits=Limits(0.9, 1.0))
    assert plan.certificate.slack_pu > 0.01


def test_a_substation_limit_is_kept_or_reported(plant):
    site, measurement = plant
    free = plan_of(site, measurement, limits=NO_LIMITS)
    bound = float(free.import_kw.max()) - 30.0
    limits = replace(NO_LIMITS, import_max_kw=bound)
    plan = plan_of(site, measurement, limits=limits)
    # The prediction repeats the losses with the plan, the program holds them: a kilowatt apart.
    assert plan.import_kw.max() <= bound + 2.0


def test_a_peak_price_flattens_the_import(plant):
    free = plan_of(*plant, limits=NO_LIMITS)
    flat = plan_of(*plant, limits=NO_LIMITS, objective=Objective(peak_per_kw=10.0))
    assert flat.import_kw.max() < free.import_kw.max() - 30


def test_charging_and_discharging_at_once_is_reported_and_cured_by_the_throughput_cost(plant):
    """Negative price: burning energy pays until the throughput cost exceeds the gain.

    Threshold |price| (1 - n^2) / (1 + n^2) = 0.05 * (1 - 0.9025) / 1.9025 = 0.00256 per kWh.
    """
    price = np.full(HOURS, -0.05)
    burning = plan_of(*plant, price=price, limits=NO_LIMITS, throughput_cost_per_kwh=0.002)
    assert burning.certificate.simultaneous_kw > 1.0
    cured = plan_of(*plant, price=price, limits=NO_LIMITS, throughput_cost_per_kwh=0.003)
    assert cured.certificate.simultaneous_kw < 1e-3


def test_reactive_power_is_not_circulated_for_nothing(plant):
    plan = plan_of(*plant, limits=NO_LIMITS)
    assert np.abs(plan.q_kvar[:, 0]).max() < 1e-3
    assert np.abs(plan.q_kvar[:, 1]).max() < 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"objective": Objective(losses_per_kwh=0.1, peak_per_kw=1.0, voltage_deviation_per_pu2_h=10.0)},
        {"limits": Limits(lines=True, import_max_kw=4000.0, import_min_kw=0.0), "capability": "cone"},
        {"terminal": Terminal("soft", 0.5, 1.0), "storage_reactive": False, "pv_reactive": False},
    ],
)
def test_the_program_is_dpp_compiled_once_and_gives_the_same_when_asked_again(plant, options):
    site, measurement = plant
    planner = planner_of(site, **options)
    assert planner.problem.affine.is_dcp(dpp=True)
    first = planner.plan(measurement, forecast_of(measurement))
    compiled = planner.problem.affine._cache.param_prog
    planner.plan(measurement, forecast_of(measurement, CHEAP_THEN_DEAR[::-1].copy()))
    again = planner.plan(measurement, forecast_of(measurement))
    assert planner.problem.affine._cache.param_prog is compiled
    assert isinstance(first, Plan)
    assert isinstance(again, Plan)
    # Interior-point answers to slightly different paths: the objective agrees, not the last bit.
    assert again.certificate.objective == pytest.approx(first.certificate.objective, rel=1e-6)


def test_squares_handed_to_the_solver_are_the_squares_of_the_model():
    """The same program with cvxpy's own quadratic objective has the same solution."""
    x, square, data = cp.Variable(3), cp.Variable(3), cp.Parameter(3)
    constraints = [square == data - x, x <= 1.0]
    cost = cp.sum(x)
    ours = DispatchProblem(
        Program(cost, constraints, [Squares(square, np.ones(3), np.zeros(3))], [], []), solver="clarabel"
    )
    theirs = cp.Problem(cp.Minimize(cost + cp.sum_squares(square)), constraints)
    for value in ([3.0, 0.5, -1.0], [0.2, 2.0, 0.0]):
        data.value = np.array(value)
        theirs.solve(solver=cp.CLARABEL)
        expected_x, expected = x.value.copy(), theirs.value
        solved = ours.solve()
        assert solved.found
        assert solved.objective == pytest.approx(expected, abs=1e-6)
        assert x.value == pytest.approx(expected_x, abs=1e-5)


def test_another_solver_gets_the_same_squares():
    x, data, square = cp.Variable(3), cp.Parameter(3), cp.Variable(3)
    constraints = [square == data - x, x <= 1.0]
    answers = []
    for solver in ("clarabel", "scs"):
        squares = Squares(square, np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.0, -1.0]))
        problem = DispatchProblem(Program(cp.sum(x), constraints, [squares], [], []), solver=solver)
        data.value = np.array([3.0, 0.5, -1.0])
        answers.append(problem.solve().objective)
    assert answers[1] == pytest.approx(answers[0], abs=1e-3)


def test_an_answer_of_piqp_stays_what_it_was():
    """PIQP (0.6) answers with a view of its memory."""
    x, square, data = cp.Variable(3), cp.Variable(3), cp.Parameter(3)
    squares = Squares(square, np.ones(3), np.zeros(3))
    problem = DispatchProblem(
        Program(cp.sum(x), [square == data - x, x <= 1.0], [squares], [], []), solver="piqp"
    )
    data.value = np.array([3.0, 0.5, -1.0])
    assert problem.solve().found
    first = x.value
    assert first == pytest.approx([1.0, 0.0, -1.5], abs=1e-6)
    data.value = np.array([0.2, 2.0, 0.0])
    assert problem.solve().found
    assert first == pytest.approx([1.0, 0.0, -1.5], abs=1e-6)
    assert x.value == pytest.approx([-0.3, 1.0, -0.5], abs=1e-6)


def test_a_mixed_integer_program_at_its_time_limit_gives_its_best_point_and_its_bound():
    """A knapsack with thirty rows, which takes minutes: the first feasible point comes in milliseconds."""
    rng = np.random.default_rng(0)
    weights, worth = rng.integers(1, 100, (30, 60)), rng.integers(1, 100, 60)
    chosen = cp.Variable(60)
    constraints = [weights @ chosen <= weights.sum(axis=1) / 3]
    program = Program(7.0 - worth @ chosen, constraints, [], [], [chosen])
    solved = DispatchProblem(program, solver="highs", seconds=1.0).solve()
    assert solved.found
    assert solved.status == "stopped"
    assert chosen.value == pytest.approx(np.rint(chosen.value), abs=1e-6)
    assert solved.objective == pytest.approx(7.0 - worth @ chosen.value)
    best_relaxed = 7.0 - worth.sum()
    assert best_relaxed < solved.bound < solved.objective
    nothing = DispatchProblem(program, solver="highs", seconds=1e-9).solve()
    assert not nothing.found


def test_an_unknown_solver_lists_the_installed_ones():
    with pytest.raises(SolverMissing, match=r"solver 'gurobi' is not installed; installed are .*clarabel"):
        DispatchProblem(Program(cp.sum(cp.Variable(2)), [], [], [], []), solver="gurobi")


def test_infeasible_is_a_result(plant):
    """A hard terminal condition that one hour cannot reach."""
    site, measurement = plant
    planner = lindistflow(site, Horizon((3600,)), PlannerOptions(terminal=Terminal("hard", 0.95)))
    outcome = planner.plan(measurement, forecast_of(measurement, CHEAP_THEN_DEAR[:1]))
    assert isinstance(outcome, NoPlan)
    assert "infeasible" in outcome.status
    assert outcome.reason == f"the lindistflow program is {outcome.status}"


@pytest.mark.parametrize("present", ["storage", "pv"])
def test_one_kind_of_device_is_enough(present):
    storages = (a_storage(),) if present == "storage" else ()
    pvs = (PvRating("p1", "680", (1, 2, 3), False, 600.0, 660.0),) if present == "pv" else ()
    with a_feeder(shipped_master("ieee13"), devices=(*storages, *pvs), steps=1) as feeder:
        measurement = feeder.measure(0)
        forecast = replace(
            forecast_of(measurement), available_kw=np.full((HOURS, len(storages) + len(pvs)), 300.0)
        )
        for options in ({}, {"capability": "cone", "objective": Objective(losses_per_kwh=0.1)}):
            plan = planner_of(feeder.site, **options).plan(measurement, forecast)
            assert isinstance(plan, Plan)
            assert plan.p_kw.shape == (HOURS, len(storages) + len(pvs))


def test_the_peak_that_counts_is_the_highest_committed_import(plant):
    """A peak that was paid for already is free; one that never was is not."""
    site, measurement = plant
    objective = Objective(peak_per_kw=10.0)
    flat = plan_of(site, measurement, limits=NO_LIMITS, objective=objective)
    paid = replace(measurement, peak_import_kw=float(flat.import_kw.max()) + 60.0)
    free = plan_of(site, paid, limits=NO_LIMITS, objective=objective)
    assert free.import_kw.max() > flat.import_kw.max() + 30


@pytest.mark.parametrize("planner", ["tangent", "lindistflow", "copper_plate"])
def test_stored_energy_measured_outside_its_window_is_no_reason_for_no_plan(scenario_file, planner):
    study = open_study(scenario_file(control={"horizon_s": 3600, "planner": {"type": planner}}))
    with open_day(study) as day:
        battery = day.site.of_type(StorageRating)[0]
        made = make_planner(study, day.assembly.knowledge)
        for kwh in (battery.min_kwh - 30.0, battery.max_kwh + 30.0, -5.0, battery.kwh + 50.0):
            stored = day.measurement.stored_kwh.copy()
            stored[0] = kwh
            plan = made.plan(replace(day.measurement, stored_kwh=stored), day.forecast)
            assert isinstance(plan, Plan), (kwh, plan)
            # Never farther out than it was measured.
            steps = np.diff(plan.stored_kwh[:, 0])
            assert (steps >= -1e-6).all() if kwh < battery.min_kwh else (steps <= 1e-6).all()
