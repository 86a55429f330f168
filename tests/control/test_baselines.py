"""Controllers to compare with: each rule by hand, then what all of them must keep."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import yaml

import cosim
from cosim.control.battery_program import best_course_kw
from cosim.control.peak_shaving import PeakShavingController, PeakShavingOptions
from cosim.control.self_consumption import SelfConsumptionController, SelfConsumptionOptions
from cosim.control.time_of_use import TimeOfUseController, TimeOfUseOptions
from cosim.control.volt_var_watt import (
    VOLT_VAR,
    VOLT_WATT,
    VoltVarWattController,
    VoltVarWattOptions,
    on_curve,
)
from cosim.errors import ContractError, ScenarioError
from cosim.model.roles import is_resumable
from cosim.run.assembly import Assembly
from cosim.run.contract import checked, sealed
from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.same_steps import CLOCKED, same
from cosim.run.study import open_study
from cosim.testing import check_controller
from tests.conftest import a_storage, small_scenario
from tests.control.conftest import decided

OPTIONS = {
    "time_of_use": {"charge_hours": [[12, 12.5]], "discharge_hours": [[12.5, 20]]},
    "peak_shaving": {"limit_kw": 2500, "recharge_below_kw": 2000},
    "self_consumption": {"scope": "bus"},
    "volt_var_watt": {"schedule": {"charge_hours": [[12, 13]], "discharge_hours": [[13, 20]]}},
    "day_ahead": {"beyond_s": 3600},
    "oracle": {},
    "decentralised": {},
    "feedback_optimisation": {"import_max_kw": 2500, "voltage_max_pu": 1.03},
}
NO_OPTIONS = {"decentralised"}


def control(name: str) -> dict:
    return {"type": name, "horizon_s": 3600, "options": OPTIONS[name]}


def quick_ones(*quick: str) -> list:
    """All names; those that are not quick are slow, and campaign baselines_ieee123 runs them for a day."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in OPTIONS]


def at_hour(hour: float) -> dict:
    return {"step": int(hour * 4), "time_s": hour * 3600.0}


# --- time of use ----------------------------------------------------------------------------------


def test_time_of_use_charges_and_discharges_by_the_clock(measured):
    controller = TimeOfUseController(options=TimeOfUseOptions())
    assert decided(controller, measured, **at_hour(3)).p_kw.tolist() == [-100, -50, 200]
    assert decided(controller, measured, **at_hour(6)).p_kw.tolist() == [0, 0, 200]
    evening = decided(controller, measured, **at_hour(17)).p_kw
    # b2 holds 10 kWh above its reserve: 10 * 0.9 / 0.25 h.
    assert evening == pytest.approx([100, 36, 200])


def test_time_of_use_follows_the_price_and_rests_where_the_two_disagree(measured):
    options = TimeOfUseOptions(
        charge_hours=(), discharge_hours=((17, 21),), charge_below_per_kwh=0.1, discharge_above_per_kwh=0.3
    )
    controller = TimeOfUseController(options=options)
    for hour, price, expected in ((3, 0.05, -100), (3, 0.2, 0), (3, 0.4, 100), (17, 0.05, 0)):
        found = decided(controller, measured, **at_hour(hour), price_per_kwh=price)
        assert found.p_kw[0] == expected, (hour, price)


@pytest.mark.parametrize(
    "wrong",
    [
        {"charge_hours": [[22, 6]], "discharge_hours": [[5, 7]]},
        {"charge_hours": [[1, 5]], "discharge_hours": [[2, 3]]},
        {"charge_below_per_kwh": 0.3, "discharge_above_per_kwh": 0.2},
        {"charge_hours": [[22, 25]]},
    ],
)
def test_hours_and_prices_that_contradict_are_refused(wrong):
    with pytest.raises(ValueError):  # noqa: PT011 - of pydantic, which says more
        TimeOfUseOptions.model_validate(wrong)
    TimeOfUseOptions.model_validate({"charge_hours": [[22, 6]], "discharge_hours": [[6, 22]]})


# --- peak shaving, self-consumption -----------------------------------------------------------------


def test_peak_shaving_covers_what_is_above_the_limit_and_shares_it(measured):
    options = PeakShavingOptions(limit_kw=1000, recharge_below_kw=800)
    controller = PeakShavingController(options=options)
    resting = np.array([0.0, 0.0, 100.0])
    # 68 kW too much: b1 can give 100, b2 only 36.
    found = decided(controller, measured, import_kw=1068.0, p_kw=resting)
    assert found.p_kw[:2] == pytest.approx([50, 18])
    # The same while the batteries give 68 already.
    found = decided(controller, measured, import_kw=1000.0, p_kw=np.array([50.0, 18.0, 100.0]))
    assert found.p_kw[:2] == pytest.approx([50, 18])
    assert decided(controller, measured, import_kw=900.0, p_kw=resting).p_kw[:2].tolist() == [0, 0]
    found = decided(controller, measured, import_kw=740.0, p_kw=resting)
    assert found.p_kw[:2] == pytest.approx([-40, -20])
    assert decided(controller, measured, import_kw=1e6, p_kw=resting).p_kw[:2] == pytest.approx([100, 36])
    with pytest.raises(ValueError, match="recharge_below_kw"):
        PeakShavingOptions(limit_kw=1, recharge_below_kw=2)


def test_self_consumption_brings_the_import_to_zero(measured):
    controller = SelfConsumptionController(options=SelfConsumptionOptions())
    resting = np.array([0.0, 0.0, 100.0])
    found = decided(controller, measured, import_kw=-75.0, p_kw=resting)
    assert found.p_kw == pytest.approx([-50, -25, 200])
    found = decided(controller, measured, import_kw=68.0, p_kw=resting)
    assert found.p_kw[:2] == pytest.approx([50, 18])


def test_self_consumption_of_a_bus_looks_at_its_own_loads_only(measured):
    site, measurement = measured
    controller = SelfConsumptionController(options=SelfConsumptionOptions(scope="bus"))
    at_675 = np.array([name.startswith("s675") for name in site.loads])
    assert at_675.any()
    demand = np.where(at_675, 10.0, 1e4)
    surplus_kw = 100.0 - 10.0 * at_675.sum()
    found = decided(controller, measured, import_kw=5e3, demand_kw=demand, p_kw=np.array([0.0, 0.0, 100.0]))
    assert found.p_kw[:2].sum() == pytest.approx(-surplus_kw)
    assert measurement.import_kw > 0


# --- volt-var, volt-watt ----------------------------------------------------------------------------


def test_the_curves_are_those_of_the_standard():
    b = on_curve(VOLT_VAR["B"], np.array([0.80, 0.92, 0.95, 0.98, 1.0, 1.02, 1.05, 1.08, 1.2]))
    assert b == pytest.approx([0.44, 0.44, 0.22, 0, 0, 0, -0.22, -0.44, -0.44])
    a = on_curve(VOLT_VAR["A"], np.array([0.88, 0.95, 1.0, 1.05, 1.12]))
    assert a == pytest.approx([0.25, 0.125, 0, -0.125, -0.25])
    assert on_curve(VOLT_WATT, np.array([1.0, 1.06, 1.08, 1.10, 1.2])) == pytest.approx(
        [1, 1, 0.6, 0.2, 0.2]
    )


def test_an_inverter_goes_part_of_the_way_to_its_curves(measured):
    site, measurement = measured
    at_675 = np.array([node.startswith("675.") for node in site.nodes])
    high = np.where(at_675, 1.08, 0.5)
    controller = VoltVarWattController(options=VoltVarWattOptions(response=0.5))
    controller.start(site)
    seen = replace(measurement, voltage_pu=high, q_kvar=np.zeros(3))
    first = controller.step(seen).setpoints
    assert first.q_kvar == pytest.approx([-0.22 * 120, -0.22 * 60, -0.22 * 220])
    assert first.p_kw == pytest.approx([0, 0, 0.8 * 200])
    second = controller.step(replace(seen, q_kvar=first.q_kvar)).setpoints
    assert second.q_kvar[2] == pytest.approx(-0.33 * 220)
    assert second.p_kw[2] == pytest.approx(0.7 * 200)


def test_reactive_power_goes_before_active_power(measured):
    site, measurement = measured
    controller = VoltVarWattController(options=VoltVarWattOptions(response=1.0, volt_watt=False))
    low = np.full(len(site.nodes), 0.9)
    found = decided(controller, measured, voltage_pu=low, available_kw=np.array([0, 0, 200.0]))
    assert found.q_kvar[2] == pytest.approx(0.44 * 220)
    assert found.p_kw[2] == pytest.approx(np.sqrt(1 - 0.44**2) * 220)
    assert measurement.step == 0


# --- each battery alone -----------------------------------------------------------------------------


def test_a_battery_alone_buys_low_and_sells_high():
    battery = a_storage(efficiency_charge=0.9, efficiency_discharge=0.9, initial_kwh=80.0)
    hours, price = np.ones(4), np.array([0.1, 0.3, 0.1, 0.3])
    found = best_course_kw(battery, 80.0, hours, price, wear_per_kwh=0.0, worth_per_kwh=0.0)
    assert found == pytest.approx([-100, 81, -100, 81])
    # 0.1 / 0.81 + wear on both sides is above 0.3: not worth it.
    rests = best_course_kw(battery, 80.0, hours, price, wear_per_kwh=0.1, worth_per_kwh=0.0)
    assert rests == pytest.approx(np.zeros(4))
    # What is left is worth more than any hour pays.
    keeps = best_course_kw(battery, 200.0, hours, price, wear_per_kwh=0.0, worth_per_kwh=1.0)
    assert keeps.sum() * 0.9 == pytest.approx(-180)


# --- all of them ------------------------------------------------------------------------------------


RULES = {
    "time_of_use": lambda: TimeOfUseController(options=TimeOfUseOptions()),
    "peak_shaving": lambda: PeakShavingController(
        options=PeakShavingOptions(limit_kw=2500, recharge_below_kw=2000)
    ),
    "self_consumption": lambda: SelfConsumptionController(options=SelfConsumptionOptions()),
    "volt_var_watt": lambda: VoltVarWattController(options=VoltVarWattOptions(category="A")),
}


@pytest.mark.parametrize("name", RULES)
def test_the_kit_for_controllers_finds_no_mistake(name):
    assert check_controller(RULES[name], steps=6) == ()


@pytest.mark.parametrize("name", RULES)
def test_a_decision_before_the_site_is_refused(name, measured):
    with pytest.raises(ContractError, match="before start"):
        RULES[name]().step(measured[1])


@pytest.mark.parametrize("name", quick_ones(*set(OPTIONS) - {"oracle"}))
def test_a_day_goes_by_without_a_cut_set_point(name, tmp_path):
    run = (
        cosim.load("ieee13")
        .without_baseline()
        .with_settings({"control.type": name, "control.options": OPTIONS[name]})
        .run(tmp_path / "run")
    )
    figures = run.figures
    assert figures.verdict.soundness.sound
    if figures.control is not None:
        assert figures.control.setpoints_cut == 0
        assert set(figures.control.decisions) == {"PLAN"}
    moved = (
        np.abs(run.record.vector("accepted_storage_kw")).sum()
        + np.abs(run.record.vector("accepted_pv_kvar")).sum()
    )
    assert moved > 0


@pytest.mark.parametrize("name", OPTIONS)
def test_a_restored_controller_goes_on_to_the_last_bit(name, scenario_file):
    study = open_study(scenario_file(control=control(name)))

    def decisions(controller, site, seen):
        return [
            checked(controller.step(sealed(measurement)), site, measurement, owner="c").setpoints
            for measurement in seen
        ]

    with Assembly(study) as first, Assembly(study) as second:
        site, before, after = first.site, first.controller, second.controller
        before.start(site)
        assert is_resumable(before)
        seen, answers = [], []
        for step in range(6):
            if step == 3:
                kept = copy.deepcopy(before.state())
            seen.append(first.plant.measure(step))
            decision = checked(before.step(sealed(seen[-1])), site, seen[-1], owner="c")
            answers.append(decision.setpoints)
            first.plant.act(decision, step=step)
        after.start(site)
        after.restore(kept)
        for ours, theirs in zip(answers[3:], decisions(after, site, seen[3:]), strict=True):
            assert np.array_equal(ours.p_kw, theirs.p_kw)
            assert np.array_equal(ours.q_kvar, theirs.q_kvar)


def assert_same_over_both_drivers(scenario, folder):
    study = open_study(scenario, steps=3)
    for over in ("local", "helics"):
        execute(study, folder / over, over=over, overwrite=False, progress=lambda _done: None)
    local, helics = (read_record(folder / over).steps for over in ("local", "helics"))
    for column in set(local.columns) - CLOCKED:
        assert all(same(a, b) for a, b in zip(local[column], helics[column], strict=True)), column


def test_both_drivers_give_the_same_record(tmp_path):
    """All in one federation, each with a battery and a PV system of its own."""
    names = [name for name in OPTIONS if name != "oracle"]
    scenario = small_scenario(
        storages=[{"name": f"b_{name}", "bus": "675", "kw": 100, "kwh": 400} for name in names],
        pvs=[{"name": f"p_{name}", "bus": "680", "kw": 100} for name in names],
        controllers={name: control(name) | {"devices": [f"?_{name}"]} for name in names},
        baseline=False,
    )
    del scenario["control"]
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    assert_same_over_both_drivers(path, tmp_path)


def test_the_oracle_has_the_same_record_over_both_drivers(scenario_file, tmp_path):
    """It cannot be one of several controllers: its bound is of all devices."""
    assert_same_over_both_drivers(scenario_file(control=control("oracle"), baseline=False), tmp_path)


# --- plans over horizons of their own ---------------------------------------------------------------


def test_day_ahead_plans_at_the_start_and_at_midnight(scenario_file, tmp_path):
    changes = {
        "time": {"start": "2024-06-21T22:00:00+00:00", "step_s": 3600, "steps": 6},
        "control": {
            "type": "day_ahead",
            "horizon_s": 3600,
            "options": {"beyond_s": 3600},
            "planner": {"type": "copper_plate"},
        },
    }
    study = open_study(scenario_file(baseline=False, **changes))
    execute(study, tmp_path / "run", over="local", overwrite=False, progress=lambda _done: None)
    periods = [
        None if row is None else len(row) for row in read_record(tmp_path / "run").steps["plan_period_s"]
    ]
    # Two hours to midnight and one beyond; then the four hours that the run still has.
    assert periods == [3, None, 4, None, None, None]


def test_the_oracle_plans_once_and_says_what_it_is(scenario_file, tmp_path):
    study = open_study(
        scenario_file(
            baseline=False,
            control=control("oracle") | {"forecast": "persistence", "twin": {"impedance_error": 0.3}},
        )
    )
    execute(study, tmp_path / "run", over="local", overwrite=False, progress=lambda _done: None)
    record = read_record(tmp_path / "run")
    assert [row is None for row in record.steps["plan_period_s"]] == [False] + [True] * 5
    assert record.manifest["planner"] == "tangent"
    claim = record.steps["plan_claim"].iloc[0]
    assert claim.startswith("oracle: whole run, true series, twin without errors")
    # The twin's error is left out: import comes as planned.
    planned = np.asarray(record.steps["plan_import_kw"].iloc[0])
    assert planned == pytest.approx(record.steps["import_kw"].to_numpy(), rel=1e-4)


def test_the_planner_of_the_oracle_is_an_option_that_check_looks_at(scenario_file):
    settings = control("oracle") | {"options": {"planner": "lindistflow"}}
    with Assembly(open_study(scenario_file(control=settings))) as assembly:
        assert assembly.controller is not None
    with pytest.raises(ScenarioError, match="did you mean 'tangent'"):
        cosim.load(scenario_file(control=control("oracle") | {"options": {"planner": "tangnt"}})).opened()


def test_the_oracle_rests_where_its_planner_finds_nothing_cheaper(scenario_file, tmp_path):
    """One price for all hours: only the voltage of the loads pays, which taps within their band decide."""
    limits = {"voltage_min_pu": 0.85, "voltage_max_pu": 1.15}
    study = cosim.load(scenario_file(control=control("oracle"), limits=limits))
    run = study.run(tmp_path / "run")
    assert "rest is cheaper than the plan that was found" in run.record.steps["plan_claim"].iloc[0]
    cost = run.figures.run.adjusted_cost
    assert cost == run.figures.baseline.adjusted_cost
    assert run.record.steps["plan_objective"].iloc[0] == pytest.approx(cost, rel=1e-7)
