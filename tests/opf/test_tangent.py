"""The tangent planner against the exact program, against OpenDSS, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cosim.errors import FormulationRefused, MeshedFeeder, SolverUnsuited
from cosim.experiments.open_loop import Day, open_day, plan_day
from cosim.experiments.replay import replay
from cosim.model.state import NoPlan, Plan
from cosim.opf.tangent import active_limits
from cosim.opf.tangent.planner import TangentPlanner
from cosim.run.policy import make_planner
from cosim.run.shipped import shipped
from cosim.run.study import Study, open_study
from tests.conftest import published_feeder


def study_with(path: Path, **changes) -> Study:
    study = open_study(path)
    return study.with_planner(study.scenario.control.planner.model_copy(update=changes))


def plan_of(study: Study, day: Day) -> Plan:
    outcome = make_planner(study, day.assembly.knowledge).plan(day.measurement, day.forecast)
    assert isinstance(outcome, Plan), outcome
    return outcome


def planner_with_a_plan(study: Study, day: Day) -> TangentPlanner:
    planner = make_planner(study, day.assembly.knowledge)
    assert isinstance(planner, TangentPlanner)
    assert isinstance(planner.plan(day.measurement, day.forecast), Plan)
    return planner


@pytest.mark.parametrize("name", ["ads10_1ph", "ieee123_1ph"])
def test_the_optimum_is_that_of_the_exact_program(name: str) -> None:
    """On balanced feeders IPOPT solves the branch-flow equations; both planners know the same physics."""
    path = shipped("configs") / f"{name}.yaml"
    same = {"inverter": "polygon", "solver": "auto"}
    exact, tangent = (study_with(path, type=planner, **same) for planner in ("branch_flow_nl", "tangent"))
    costs = []
    for study in (exact, tangent):
        with open_day(study) as day:
            costs.append(plan_of(study, day).certificate.objective)
    assert costs[1] == pytest.approx(costs[0], rel=1e-7)


SMALL = {
    "control": {
        "horizon_s": 21_600,
        "resolution_s": 3600,
        "planner": {"type": "tangent", "terminal": {"type": "value", "per_kwh": 0.1}},
    },
    "time": {"start": "2024-06-21T12:00:00+00:00", "step_s": 3600, "steps": 6},
}


def test_the_plan_is_what_opendss_does(scenario_file) -> None:
    """Open loop with regulators live: voltages to a part in a million, imports to a watt."""
    study = open_study(scenario_file(**tight(voltage_min_pu=0.9, voltage_max_pu=1.1)))
    planned = plan_day(study)
    assert not isinstance(planned, NoPlan)
    held = replay(planned)
    assert np.abs(held.voltage_error_pu).max() < 1e-6
    assert np.abs(held.import_error_kva).max() < 0.01
    assert np.abs(held.stored_error_kwh).max() < 1e-6
    assert not held.realised.cut
    assert planned.plan.certificate.claim == "locally optimal on the exact power flow"


def tight(**limits) -> dict:
    return {**SMALL, "limits": limits}


def test_limits_that_can_be_kept_are_kept_in_opendss(scenario_file) -> None:
    free = plan_day(open_study(scenario_file(**tight(voltage_min_pu=0.9, voltage_max_pu=1.1))))
    assert not isinstance(free, NoPlan)
    lowest = float(free.voltage_pu.min()) + 0.002
    bound = plan_day(open_study(scenario_file(**tight(voltage_min_pu=lowest, voltage_max_pu=1.1))))
    assert not isinstance(bound, NoPlan)
    realised = replay(bound).realised
    assert realised.worst_violation_pu < 1e-4
    # The limit costs something, so it did bind.
    assert bound.plan.certificate.objective > free.plan.certificate.objective + 1e-4


def test_limits_that_cannot_be_kept_are_said(scenario_file) -> None:
    asked = tight(voltage_min_pu=0.999, voltage_max_pu=1.001)
    control = {**SMALL["control"], "twin": {"frozen_controls": True}}
    plan = plan_day(open_study(scenario_file(**{**asked, "control": control})))
    assert not isinstance(plan, NoPlan)
    assert plan.plan.certificate.slack_pu > 0.01
    assert "unattainable, best found: voltage" in plan.plan.certificate.claim


def test_a_plan_for_limits_alone_needs_no_cost(scenario_file) -> None:
    free = {
        "objective": {"energy_cost": 0.0},
        "throughput_cost_per_kwh": 0.0,
        "reactive_cost_per_kvarh": 0.0,
    }
    control = {**SMALL["control"], "planner": {"type": "tangent", "terminal": {"type": "free"}, **free}}
    asked = tight(voltage_min_pu=0.8, voltage_max_pu=1.2)
    plan = plan_day(open_study(scenario_file(**{**asked, "control": control})))
    assert not isinstance(plan, NoPlan)
    assert plan.plan.certificate.objective == pytest.approx(0.0, abs=1e-6)


def test_out_of_time_is_said(scenario_file) -> None:
    planner = {**SMALL["control"]["planner"], "solver_seconds": 1e-6}
    asked = tight(voltage_min_pu=0.999, voltage_max_pu=1.001)
    study = open_study(scenario_file(**{**asked, "control": {**SMALL["control"], "planner": planner}}))
    with open_day(study) as day:
        proof = plan_of(study, day).certificate
    assert proof.status == "stopped"
    assert proof.iterations == 1
    assert "stopped after 1 programs" in proof.claim


@pytest.mark.parametrize("quantity", ["lines", "transformers", "unbalance", "import"])
def test_other_limits_are_kept(scenario_file, quantity: str) -> None:
    """Each limit, set a little inside what the free plan reaches, is kept and costs something."""
    loose = {"voltage_min_pu": 0.8, "voltage_max_pu": 1.2}
    study = open_study(scenario_file(**tight(**loose)))
    free = plan_day(study)
    assert not isinstance(free, NoPlan)
    if quantity == "import":
        least = float(free.import_kw.max()) + 10.0
        kept = plan_day(open_study(scenario_file(**tight(**loose, import_min_kw=least))))
        assert not isinstance(kept, NoPlan)
        assert kept.import_kw.min() >= least - 0.01
        return
    asked = {"lines": {"lines": True}, "transformers": {"transformers": True}}
    limits = asked.get(quantity, {"unbalance_max_percent": 1.0})
    kept = plan_day(open_study(scenario_file(**tight(**loose, **limits))))
    assert not isinstance(kept, NoPlan)
    assert kept.plan.certificate.objective >= free.plan.certificate.objective - 1e-6


def test_the_second_plan_needs_fewer_programs(scenario_file) -> None:
    """Rows, plan and flow are carried: the next plan starts where this one ended."""
    study = open_study(scenario_file(**SMALL))
    with open_day(study) as day:
        planner = make_planner(study, day.assembly.knowledge)
        first, second = (planner.plan(day.measurement, day.forecast) for _ in range(2))
        assert isinstance(first, Plan)
        assert isinstance(second, Plan)
        assert second.certificate.iterations <= first.certificate.iterations
        assert second.certificate.iterations <= 2
        assert second.certificate.objective == pytest.approx(first.certificate.objective, rel=1e-5)


def test_taps_that_stand_elsewhere_than_foreseen_are_taken_as_measured(scenario_file) -> None:
    """A warm start keeps the earlier plan's taps only where the measurement confirms them."""
    study = open_study(scenario_file(**SMALL))
    with open_day(study) as day:
        planner = planner_with_a_plan(study, day)
        plan, foreseen = planner._earlier, planner._last.flow
        surprised = replace(day.measurement, tap=day.measurement.tap - 4 * 0.00625)
        assert planner._stand_as_foreseen(replace(surprised, tap=foreseen.tap[0]), plan, foreseen)
        assert not planner._stand_as_foreseen(surprised, plan, foreseen)
        later = replace(surprised, time_s=surprised.time_s + 7200.0, tap=foreseen.tap[1])
        assert planner._stand_as_foreseen(later, plan, foreseen)
        again = planner.plan(surprised, day.forecast)
        fresh = plan_of(study, replace(day, measurement=surprised))
        assert isinstance(again, Plan)
        assert again.certificate.objective == pytest.approx(fresh.certificate.objective, rel=1e-4)
        assert again.next_voltage_pu == pytest.approx(fresh.next_voltage_pu, abs=1e-3)


def test_slopes_of_voltage_rows_last_while_nothing_moves(scenario_file) -> None:
    study = open_study(scenario_file(**tight(voltage_min_pu=0.999, voltage_max_pu=1.001)))
    with open_day(study) as day:
        planner = planner_with_a_plan(study, day)
        pool, flow, twin = planner._limits_in_force, planner._last.flow, planner._twin
        pool.refresh(flow)
        true = [rows.p.copy() for rows in pool.rows]
        pool.rows = [replace(rows, p=0.0 * rows.p) for rows in pool.rows]
        pool.refresh(flow)
        assert not any(rows.p.any() for rows in pool.rows), "nothing had moved"
        later = np.arange(len(study.horizon)) >= 3
        moved = twin.flow(flow.device_kva + 40.0 * later[:, None], flow, held=True)
        pool.refresh(moved)
        turned = np.abs(moved.voltage_pu - flow.voltage_pu).max(axis=0) > active_limits.TURNED_PU
        assert turned.tolist() == later.tolist()
        for rows, p in zip(pool.rows, true, strict=True):
            anew = turned[rows.period]
            assert rows.p[anew] == pytest.approx(p[anew], rel=0.05, abs=1e-6)
            assert not rows.p[~anew].any()


def test_after_plans_that_failed_the_last_one_is_taken_at_its_time(scenario_file) -> None:
    """Plans fail in between: the one that follows starts from the periods of now, not of then."""
    study = open_study(scenario_file(**SMALL))
    with open_day(study) as day:
        planner = planner_with_a_plan(study, day)
        held = planner._last.flow
        for quarter in range(1, 8):
            planner._inherit(day.measurement.time_s + 900.0 * quarter, day.forecast)
        seen = []
        planner._twin.moved, moved = (
            lambda flow, origin: seen.append(origin) or moved(flow, origin),
            planner._twin.moved,
        )
        now = replace(day.measurement, time_s=day.measurement.time_s + 7200.0, tap=held.tap[1])
        assert isinstance(planner.plan(now, day.forecast), Plan)
        assert seen[0][:4].tolist() == [2, 3, 4, 5]


def test_a_plan_that_cannot_be_is_a_result(scenario_file) -> None:
    """A battery that must end full within an hour cannot."""
    changed = {**SMALL, "control": {**SMALL["control"], "horizon_s": 3600}}
    changed["control"] = {
        **changed["control"],
        "planner": {"type": "tangent", "terminal": {"type": "hard", "soc": 0.95}},
    }
    outcome = plan_day(open_study(scenario_file(**changed)))
    assert isinstance(outcome, NoPlan)
    assert outcome.status == "infeasible"


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"complementarity": "binary"}, FormulationRefused, "complementarity: repair"),
        ({"inverter": "cone"}, FormulationRefused, "inverter: polygon"),
        ({"solver": "highs"}, SolverUnsuited, "structured, piqp, clarabel"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(scenario_file, changes, error, words) -> None:
    study = study_with(scenario_file(**SMALL), **changes)
    with open_day(study) as day, pytest.raises(error, match=words):
        make_planner(study, day.assembly.knowledge)


def test_a_meshed_feeder_is_planned(scenario_file, tmp_path: Path) -> None:
    """A tie line closes a loop in IEEE 13; planners that need a tree refuse it, this one does not care."""
    master = tmp_path / "meshed.dss"
    master.write_text(
        f'redirect "{shipped("dss_models") / "ieee13" / "master.dss"}"\n'
        "new line.tie bus1=680.1.2.3 bus2=675.1.2.3 r1=0.1 x1=0.3 r0=0.3 x0=0.9 length=1\nsolve\n",
        encoding="utf-8",
    )
    study = open_study(scenario_file(**SMALL), master=master)
    planned = plan_day(study)
    assert not isinstance(planned, NoPlan)
    assert np.abs(replay(planned).voltage_error_pu).max() < 1e-6
    tree = study.with_planner(study.scenario.control.planner.model_copy(update={"type": "lindistflow"}))
    with open_day(tree) as day, pytest.raises((FormulationRefused, MeshedFeeder), match="meshed"):
        make_planner(tree, day.assembly.knowledge)


def test_a_battery_charges_or_discharges_after_repair(scenario_file) -> None:
    """Under a negative price burning energy pays; repair leaves one direction."""
    changed = {
        **SMALL,
        "inputs": {"irradiance": {"constant": 0.0}, "price": {"constant": -0.2}},
        "limits": {"voltage_min_pu": 0.8, "voltage_max_pu": 1.2},
    }
    planner = {"type": "tangent", "throughput_cost_per_kwh": 0.0, "terminal": {"type": "hard"}}
    for complementarity in ("relaxed", "repair"):
        changed["control"] = {
            **SMALL["control"],
            "planner": {**planner, "complementarity": complementarity},
        }
        plan = plan_day(open_study(scenario_file(**changed)))
        assert not isinstance(plan, NoPlan)
        certificate = plan.plan.certificate
        if complementarity == "relaxed":
            assert certificate.simultaneous_h > 0
            assert "not realisable" in certificate.claim
        else:
            assert certificate.simultaneous_h == 0.0


@pytest.mark.parametrize("solver", ["structured", "piqp", "clarabel"])
def test_all_solvers_find_the_same_plan(scenario_file, solver: str) -> None:
    study = study_with(scenario_file(**SMALL), solver=solver)
    reference = study_with(scenario_file(**SMALL), solver="auto")
    plans = [plan_day(each) for each in (study, reference)]
    assert not any(isinstance(plan, NoPlan) for plan in plans)
    first, second = (plan.plan.certificate for plan in plans)
    assert first.objective == pytest.approx(second.objective, rel=2e-6)
    assert first.solver.startswith(solver)


def test_a_delta_feeder_is_planned_on_its_phase_to_phase_voltages(scenario_file) -> None:
    master = published_feeder("37Bus/ieee37.dss")
    changed = {
        **SMALL,
        "storages": [{"name": "b1", "bus": "701", "delta": True, "kw": 200, "kwh": 800}],
        "pvs": [{"name": "p1", "bus": "738.1.2", "delta": True, "kw": 150}],
        "limits": {"voltage_min_pu": 0.97, "voltage_max_pu": 1.05},
    }
    planned = plan_day(open_study(scenario_file(**changed), master=master))
    assert not isinstance(planned, NoPlan)
    held = replay(planned)
    assert np.abs(held.voltage_error_pu).max() < 1e-6


def test_too_many_rows_lose_the_slackest(scenario_file, monkeypatch) -> None:
    study = open_study(scenario_file(**tight(voltage_min_pu=0.999, voltage_max_pu=1.001)))
    monkeypatch.setattr(active_limits, "MOST_ROWS", 5)
    with open_day(study) as day:
        planner = planner_with_a_plan(study, day)
        flow = planner._last.flow
        before = planner._limits_in_force.values(flow)
        assert len(before) > 5
        planner._limits_in_force.trim(flow)
        kept = planner._limits_in_force.values(flow)
        assert len(kept) == 5
        assert kept.min() >= np.sort(before)[-5] - 1e-12


def test_an_idling_battery_ends_where_the_plan_says(scenario_file) -> None:
    """Idling losses leave the cell while it works and the grid while it rests."""
    study = open_study(scenario_file(**SMALL))
    scenario = study.scenario
    idle = scenario.storages[0].model_copy(update={"idling_kw": 2.0})
    study = replace(
        study, scenario=scenario.model_copy(update={"storages": (idle, *scenario.storages[1:])})
    )
    planned = plan_day(study)
    assert not isinstance(planned, NoPlan)
    held = replay(planned)
    assert np.abs(held.stored_error_kwh).max() < 1e-6
    assert np.abs(held.import_error_kva).max() < 0.01
