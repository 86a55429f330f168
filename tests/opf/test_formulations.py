"""Every formulation on the published single-phase systems: right, certified, and honest where it fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cosim.errors import FormulationRefused, SolverUnsuited
from cosim.model.state import NoPlan
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.planners import branch_flow_nl, branch_flow_soc, copper_plate, lindistflow
from cosim.run.policy import make_planner, planner_options
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study
from cosim.studies.open_loop import OpenLoopPlan, open_day, plan_day, plan_with
from cosim.studies.replay import replay
from tests.conftest import a_feeder, a_storage, shipped_master

ALL = ("lindistflow", "branch_flow_soc", "branch_flow_nl", "copper_plate")


def the_study(system: str, planner: str, **changes) -> Study:
    study = open_study(find_scenario(system))
    config = study.scenario.control.planner
    terminal = config.terminal.model_copy(update={"type": changes.pop("terminal", "free"), "per_kwh": 0.0})
    update = {"type": planner, "anchor": "none", "terminal": terminal, **changes}
    return study.with_planner(config.model_copy(update=update))


def the_plan(system: str, planner: str, **changes) -> OpenLoopPlan:
    plan = plan_day(the_study(system, planner, **changes))
    assert not isinstance(plan, NoPlan), plan
    return plan


# Published: MultiPeriodDistOPF result files (see dss_models/*/README.md); the branch-flow figures were
# computed there with IPOPT, the linear ones with a linear program.
@pytest.mark.parametrize(
    ("system", "planner", "terminal", "cost", "within"),
    [
        ("ads10_1ph", "lindistflow", "free", 204.23, 0.005),
        ("ads10_1ph", "branch_flow_soc", "free", 204.27, 0.005),
        ("ads10_1ph", "branch_flow_nl", "free", 204.27, 0.005),
        ("ieee123_1ph", "lindistflow", "free", 2731.341, 0.001),
        ("ieee123_1ph", "branch_flow_soc", "free", 2787.439, 0.001),
        ("ieee123_1ph", "lindistflow", "hard", 2740.037, 0.001),
        ("ieee123_1ph", "branch_flow_soc", "hard", 2796.490, 0.001),
    ],
)
def test_published_costs(system, planner, terminal, cost, within):
    assert the_plan(system, planner, terminal=terminal).energy_cost == pytest.approx(cost, abs=within)


def test_published_losses_and_energy_of_the_128_bus_system_and_its_global_optimality():
    plan = the_plan("ieee123_1ph", "branch_flow_soc")
    assert plan.losses_kw.sum() == pytest.approx(380.089, abs=0.001)
    assert plan.import_kw.sum() == pytest.approx(20984.885, abs=0.001)
    proof = plan.plan.certificate
    assert proof.claim == "globally optimal"
    assert abs(proof.optimality_gap) < 1e-6
    assert proof.relaxation_gap_kva < 1e-3
    assert plan.relaxation_gap_kva.shape == (128,)
    replayed = replay(plan).figures()
    assert replayed["max_voltage_error_pu"] <= 1e-8
    assert replayed["max_import_error_kw"] <= 1e-4
    assert replayed["cut_setpoints"] == 0


def test_the_nonlinear_program_agrees_with_the_relaxation():
    relaxed, exact = (the_plan("ads10_1ph", name) for name in ("branch_flow_soc", "branch_flow_nl"))
    assert exact.plan.certificate.objective == pytest.approx(relaxed.plan.certificate.objective, rel=1e-6)
    assert exact.plan.certificate.claim == "locally optimal"


def test_the_copper_plate_is_a_lower_bound_that_sees_no_losses():
    plate, linear = the_plan("ads10_1ph", "copper_plate"), the_plan("ads10_1ph", "lindistflow")
    assert plate.energy_cost == pytest.approx(linear.energy_cost, abs=1e-4)
    assert plate.losses_kw.max() == 0.0


@pytest.mark.parametrize("planner", ["lindistflow", "branch_flow_soc"])
def test_a_solved_plan_is_solved_again_with_other_numbers_by_the_same_program(planner):
    study = the_study("ads10_1ph", planner)
    with open_day(study) as day:
        made = make_planner(study, day.feeder.site)
        assert isinstance(made, DispatchPlanner)
        first = plan_with(made, study, day)
        compiled = made.problem.affine._cache.param_prog
        cheaper = replace(day.forecast, price_per_kwh=0.5 * day.forecast.price_per_kwh)
        second = plan_with(made, study, replace(day, forecast=cheaper))
        again = plan_with(made, study, day)
        assert made.problem.affine._cache.param_prog is compiled
    assert isinstance(first, OpenLoopPlan)
    assert isinstance(second, OpenLoopPlan)
    assert isinstance(again, OpenLoopPlan)
    assert again.energy_cost == pytest.approx(first.energy_cost, rel=1e-6)
    assert second.energy_cost == pytest.approx(0.5 * first.energy_cost, rel=1e-3)


# --- charging and discharging at once -----------------------------------------------------------


def burning(planner: str, complementarity: str = "relaxed", loss_cost: float = 0.001, **changes):
    """A plan for a day on which energy costs less than nothing at noon."""
    study = the_study(
        "ads10_1ph",
        planner,
        complementarity=complementarity,
        storage_loss_cost_per_kwh=loss_cost,
        **changes,
    )
    with open_day(study) as day:
        price = day.forecast.price_per_kwh.copy()
        price[10:14] = -0.10
        made = make_planner(study, day.feeder.site)
        assert isinstance(made, DispatchPlanner)
        plan = made.plan(day.measurement, replace(day.forecast, price_per_kwh=price))
        assert not isinstance(plan, NoPlan), plan
        return plan


@pytest.mark.parametrize("planner", ALL)
def test_a_negative_price_makes_the_relaxed_plan_burn_energy_and_repair_cures_it(planner):
    relaxed = burning(planner)
    assert relaxed.certificate.simultaneous_kw > 0.5
    cured = burning(planner, "repair")
    assert cured.certificate.simultaneous_kw <= 1e-3 * 4.67  # what counts as at once
    assert cured.certificate.objective > relaxed.certificate.objective


@pytest.mark.parametrize("planner", ["lindistflow", "copper_plate"])
def test_binaries_cure_it_too_and_bound_the_repair(planner):
    exact = burning(planner, "binary", inverter="polygon")
    repaired = burning(planner, "repair", inverter="polygon")
    relaxed = burning(planner, inverter="polygon")
    assert exact.certificate.simultaneous_kw < 1e-6
    assert relaxed.certificate.objective < exact.certificate.objective
    assert exact.certificate.objective <= repaired.certificate.objective + 1e-4


def test_the_right_loss_term_cures_it_as_theory_says():
    """The loss term must exceed the negative of every nodal price: 0.10 per kWh, less the losses."""
    assert burning("lindistflow", loss_cost=0.09).certificate.simultaneous_kw > 0.5
    assert burning("lindistflow", loss_cost=0.11).certificate.simultaneous_kw < 1e-3


def test_a_relaxed_plan_that_burns_energy_claims_nothing():
    assert burning("branch_flow_soc").certificate.claim.startswith("not realisable")


def test_relaxed_and_mixed_integer_agree_where_theory_says_they_must():
    relaxed = the_plan("ads10_1ph", "lindistflow", inverter="polygon")
    exact = the_plan("ads10_1ph", "lindistflow", inverter="polygon", complementarity="binary")
    assert exact.plan.certificate.objective == pytest.approx(relaxed.plan.certificate.objective, rel=1e-6)


# --- refusals say what to use instead -------------------------------------------------------------


@pytest.mark.parametrize("planner", [branch_flow_soc, branch_flow_nl])
def test_branch_flow_refuses_an_unbalanced_feeder(planner):
    study = the_study("ads10_1ph", "lindistflow")
    options = planner_options(study.scenario)
    with (
        a_feeder(shipped_master("ieee13"), storages=(a_storage(),), steps=1) as feeder,
        pytest.raises(FormulationRefused, match=r"balanced feeders.* Use planner lindistflow, or make"),
    ):
        planner(feeder.site, study.horizon, options)


def test_every_planner_refuses_a_feeder_without_devices():
    study = the_study("ads10_1ph", "lindistflow")
    with a_feeder(shipped_master("ieee13"), steps=1) as feeder:
        for planner in (lindistflow, copper_plate):
            with pytest.raises(FormulationRefused, match="nothing to plan"):
                planner(feeder.site, study.horizon, planner_options(study.scenario))


@pytest.mark.parametrize(
    ("planner", "changes", "sentence"),
    [
        ("branch_flow_nl", {"solver": "clarabel"}, "use ipopt .* or planner branch_flow_soc"),
        (
            "lindistflow",
            {"solver": "clarabel", "complementarity": "binary"},
            "use highs .* or complementarity",
        ),
        ("lindistflow", {"solver": "highs"}, "set inverter polygon"),
    ],
)
def test_a_solver_that_cannot_is_refused_with_one_that_can(planner, changes, sentence):
    with pytest.raises(SolverUnsuited, match=sentence):
        plan_day(the_study("ads10_1ph", planner, **changes))
