"""Taps and capacitor states as decisions: what is allowed, what the twin and OpenDSS say, what is gained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.devices.capacitor_bank import CapacitorBank
from cosim.devices.tap_changer import TapChanger
from cosim.errors import ContractError, FormulationRefused
from cosim.experiments.open_loop import OpenLoopPlan, open_day, plan_with
from cosim.experiments.replay import replay
from cosim.model.state import Measurement, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.network_positions.schedule import PositionSchedule
from cosim.opf.planners import TapOptions, lindistflow_taps
from cosim.run.execute import execute
from cosim.run.planner_options import planner_options
from cosim.run.policy import make_planner
from cosim.run.record import read_record
from cosim.run.study import Study, open_study
from tests.conftest import small_scenario
from tests.faults.test_resume import resumed, run_until, whole_run
from tests.opf.test_linear_models import assert_same_steps, plan_of

DEVICES = [
    {"kind": "tap_changer", "name": "t_a", "transformer": "reg1_a", "operations_per_day": 2},
    {"kind": "tap_changer", "name": "t_b", "transformer": "reg1_b", "operation_cost": 0.01},
    {"kind": "capacitor_bank", "name": "c", "capacitor": "c675", "operation_cost": 0.01},
]
OPTIONS = {
    "hybrid": {"warm_evaluations": 200, "rounds": 2, "population": 20},
    "tangent_rounding": {"rounds": 3},
    "tangent_binary": {"rounds": 3},
}


def scenario(planner: str, **options) -> dict:
    chosen = {"type": planner, "terminal": {"type": "value", "per_kwh": 0.1}, "options": options}
    return small_scenario(
        devices=DEVICES,
        baseline=False,
        control={"horizon_s": 3600, "forecast": "perfect", "planner": chosen},
    )


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> dict[str, Study]:
    folder: Path = tmp_path_factory.mktemp("positions")
    opened = {}
    for planner, options in {"tangent": {}, **OPTIONS}.items():
        path = folder / f"{planner}.yaml"
        path.write_text(yaml.safe_dump(scenario(planner, **options)), encoding="utf-8")
        opened[planner] = open_study(path)
    return opened


@pytest.fixture(scope="module")
def plans(studies) -> dict[str, OpenLoopPlan]:
    made = {}
    for name, study in studies.items():
        with open_day(study) as day:
            made[name] = plan_with(make_planner(study, day.assembly.knowledge), study, day)
    return made


# --- schedules ------------------------------------------------------------------------------------

HORIZON = Horizon((3600,) * 30)


def schedule_at(time_s: float, now: tuple[float, float], **changes) -> PositionSchedule:
    values = {"operation_cost": 0.5, "operations_per_day": 5}
    devices = (
        CapacitorBank("c", "c675", 0, 1, 7200.0, **(values | changes)),
        TapChanger("t", "reg1_a", -16, 16, 0.0, 2, operation_cost=0.1, operations_per_day=7),
    )
    schedule = PositionSchedule(devices, HORIZON)
    schedule.update(measured(time_s, now))
    return schedule


def measured(time_s: float, position: tuple[float, ...]) -> Measurement:
    none = np.zeros(0)
    return Measurement(
        0, time_s, none, none, none, 0.1, none, none, none, none, none, none, 0, 0, 0, 0, np.array(position)
    )


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 20.0), st.integers(0, 23))
@settings(max_examples=40, deadline=None)
def test_schedules_keep_ranges_dead_times_and_limits_per_day(seed, width, hour):
    schedule = schedule_at(3600.0 * hour, (1.0, 3.0))
    wished = np.random.default_rng(seed).normal(0.0, width, (4, len(HORIZON), 2))
    allowed = schedule.repaired(wished)
    assert (allowed == np.rint(allowed)).all()
    assert (allowed >= schedule.lowest).all()
    assert (allowed <= schedule.highest).all()
    moves = schedule.operations(allowed)
    for day in range(3):
        assert (moves[:, schedule.days == day].sum(axis=1) <= [5, 7]).all()
    switched = moves[:, :, 0] > 0
    assert not (switched[:, 1:] & switched[:, :-1]).any()
    assert np.array_equal(schedule.repaired(allowed), allowed)


def test_operations_of_today_are_counted_and_those_of_yesterday_are_not():
    schedule = schedule_at(22 * 3600.0, (0.0, 0.0))
    schedule.update(measured(23 * 3600.0, (1.0, 3.0)))
    assert schedule.left(0).tolist() == [4.0, 4.0]
    assert schedule.left(1).tolist() == [5.0, 7.0]
    far = np.full((1, len(HORIZON), 2), 16.0)
    allowed = schedule.repaired(far)[0]
    assert allowed[0].tolist() == [1.0, 7.0]
    assert allowed[1].tolist() == [1.0, 14.0]
    schedule.update(measured(24 * 3600.0, (1.0, 7.0)))
    assert schedule.left(0).tolist() == [5.0, 7.0]


def test_operations_are_priced_one_by_one():
    """From (0, 0): one switching at 0.5, three and two taps at 0.1."""
    schedule = schedule_at(0.0, (0.0, 0.0))
    position = np.zeros((1, len(HORIZON), 2))
    position[0, 4:, 0], position[0, :10, 1], position[0, 10:, 1] = 1.0, 3.0, 1.0
    assert schedule.price(position)[0] == pytest.approx(0.5 + 0.1 * (3 + 2))


# --- the twin -------------------------------------------------------------------------------------


def test_the_twin_refuses_positions_of_another_shape(studies):
    with open_day(studies["tangent"]) as day:
        twin, forecast = day.assembly.knowledge.open_twin(), day.forecast
        twin.set_forecast(day.measurement, forecast.demand_kw + 1j * forecast.demand_kvar)
        with pytest.raises(ContractError, match="for 4 periods and 3 network devices"):
            twin.set_positions(np.zeros((4, 2)))


def test_what_is_not_commanded_stays_and_what_was_commanded_is_carried_on(studies):
    with open_day(studies["tangent"]) as day:
        twin, forecast = day.assembly.knowledge.open_twin(), day.forecast
        twin.set_forecast(day.measurement, forecast.demand_kw + 1j * forecast.demand_kvar)
        position = np.full((4, 3), np.nan)
        position[1] = (0.0, 5.0, np.nan)
        twin.set_positions(position)
        flow = twin.flow(np.zeros((4, len(day.site.devices)), dtype=complex))
        a, b = (day.site.regulators.index(name) for name in ("reg1_a", "reg1_b"))
        assert flow.tap[:, a].tolist() == [day.measurement.tap[a], *(3 * [1.0 + 5 * 0.00625])]
        assert (flow.tap[:, b] == day.measurement.tap[b]).all()
        assert flow.capacitor_closed[:, 0].tolist() == [True, False, False, False]


# --- plans ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("planner", OPTIONS)
def test_positions_make_plans_better_and_opendss_agrees(plans, planner):
    """Commanded taps and banks in OpenDSS, open loop; 1e-6 pu is the acceptance of the twin."""
    planned, held = plans[planner], plans["tangent"]
    assert planned.plan.certificate.objective < held.plan.certificate.objective - 1e-3
    assert planned.plan.position.shape == (4, 3)
    figures = replay(planned).figures()
    assert figures["max_voltage_error_pu"] < 1e-6
    assert figures["max_import_error_kw"] < 1e-2
    assert "nothing is proven about them" in planned.plan.certificate.claim


@pytest.mark.parametrize("planner", OPTIONS)
def test_limits_per_day_hold_in_plans(studies, plans, planner):
    with open_day(studies[planner]) as day:
        now = day.measurement.position
    moves = np.abs(np.diff(np.concatenate([now[None], plans[planner].plan.position]), axis=0)).sum(axis=0)
    names = [device.name for device in day.site.network_devices]
    assert moves[names.index("t_a")] == 2
    assert moves[names.index("t_b")] > 2


@pytest.mark.parametrize("planner", OPTIONS)
def test_equal_seeds_give_equal_positions(studies, plans, planner):
    again = plan_of(studies[planner])
    assert isinstance(again, Plan)
    assert np.array_equal(again.position, plans[planner].plan.position)
    assert np.array_equal(again.p_kw, plans[planner].plan.p_kw)


def test_without_network_devices_they_are_refused_by_name(scenario_file):
    study = open_study(scenario_file(control={"horizon_s": 3600, "planner": {"type": "hybrid"}}))
    with pytest.raises(FormulationRefused, match="planner hybrid has no position to decide"):
        plan_of(study)


@pytest.mark.slow
def test_both_drivers_give_the_same_record(studies, tmp_path):
    """Positions, search history and front travel with the plan."""
    for over in ("local", "helics"):
        execute(studies["hybrid"], tmp_path / over, over=over, overwrite=False, progress=lambda _done: None)
    assert_same_steps(tmp_path / "local", tmp_path / "helics")
    record = read_record(tmp_path / "local")
    assert set(record.steps.source) == {"PLAN"}
    assert record.vector("tap_changer_operations").sum() > 0
    assert record.vector("tap_changer_operations")[:, 0].sum() <= 2


# --- LinDistFlow with taps ------------------------------------------------------------------------


HELD = {"capacitor_bank": {"operations_per_day": 0}}


@pytest.fixture(scope="module")
def linear(studies):
    """LinDistFlow with taps as integers, without and with a limit that needs them, on IEEE 13."""
    found = {}
    for lowest_pu in (0.9, 1.0):
        study = studies["tangent"]
        config = study.scenario.control.planner
        chosen = config.model_copy(
            update={"type": "lindistflow_taps", "inverter": "polygon", "options": {"reach": 3}}
        )
        limits = study.scenario.limits.model_copy(
            update={"voltage_min_pu": lowest_pu, "voltage_max_pu": 1.06}
        )
        # The third regulator is not decided, and would answer a bank that is switched.
        held = [device.model_copy(update=HELD.get(device.kind, {})) for device in study.scenario.devices]
        scenario = study.scenario.model_copy(update={"limits": limits, "devices": tuple(held)})
        study = replace(study, scenario=scenario).with_planner(chosen)
        with open_day(study) as day:
            planner = make_planner(study, day.assembly.knowledge)
            found[lowest_pu] = day.measurement, day.site, plan_with(planner, study, day)
    return found


def test_the_linear_model_follows_taps_that_are_commanded(studies):
    """The voltage behind a commanded tap rises as the tap does: exponent one."""
    with open_day(studies["tangent"].with_planner(_as("lindistflow", studies))) as day:
        network = day.site.network
    assert network is not None
    assert set(network.tap_exponent.column.tolist()) == {0, 1, 2}
    assert network.tap_exponent.real == pytest.approx(1.0, abs=1e-3)


def _as(planner: str, studies):
    config = studies["tangent"].scenario.control.planner
    return config.model_copy(update={"type": planner, "inverter": "polygon"})


def test_lindistflow_with_taps_predicts_what_opendss_does_with_them(linear):
    """Tolerance: the error of LinDistFlow itself over an hour, about 2e-3 pu on this feeder."""
    measurement, _, planned = linear[0.9]
    position, now = planned.plan.position, measurement.position
    assert (position[:, 0] == now[0]).all()
    assert (position[:, 1:] < now[1:]).any()
    assert (np.abs(position[:, 1:] - now[1:]) <= 3).all()
    assert np.abs(position[:, 1] - now[1]).max() <= 2
    assert replay(planned).figures()["max_voltage_error_pu"] < 4e-3


def test_taps_are_raised_for_a_voltage_limit(linear):
    _, _, low = linear[0.9]
    _, _, high = linear[1.0]
    assert high.plan.voltage_pu.min() > low.plan.voltage_pu.min()
    assert (high.plan.position[:, 1:].sum(axis=1) > low.plan.position[:, 1:].sum(axis=1)).all()
    assert high.plan.certificate.status == "optimal"


def test_a_bank_is_in_the_linear_model_as_rated(studies):
    """600 kvar in three phases at bus 675 of IEEE 13, and nothing for the tap changers."""
    with open_day(studies["tangent"].with_planner(_as("lindistflow", studies))) as day:
        network = day.site.network
    assert network is not None
    banks = network.bank_kvar
    assert [network.nodes[node] for node in banks.row] == ["675.1", "675.2", "675.3"]
    assert banks.column.tolist() == [0, 0, 0]
    assert banks.real == pytest.approx(200.0, rel=1e-6)


def test_lindistflow_switches_a_bank_as_opendss_does(scenario_file):
    """Lower voltages draw less, so the bank is opened where that costs nothing; replayed in OpenDSS."""
    planner = {
        "type": "lindistflow_taps",
        "inverter": "polygon",
        "terminal": {"type": "value", "per_kwh": 0.1},
    }
    bank = {"kind": "capacitor_bank", "name": "bank", "capacitor": "c675", "operations_per_day": 1}
    held = [
        {"kind": "tap_changer", "name": name, "transformer": f"reg1_{name}", "operations_per_day": 0}
        for name in "abc"
    ]
    control = {"horizon_s": 3600, "forecast": "perfect", "planner": planner}
    limits = {"voltage_min_pu": 0.9, "voltage_max_pu": 1.1}
    study = open_study(scenario_file(devices=[bank, *held], limits=limits, control=control))
    with open_day(study) as day:
        planned = plan_with(make_planner(study, day.assembly.knowledge), study, day)
        now = day.measurement.position
        assert now[0] == 1.0
    assert (planned.plan.position == [0.0, *now[1:]]).all()
    assert replay(planned).figures()["max_voltage_error_pu"] < 4e-3


@pytest.mark.parametrize(("rating_kva", "closed"), [(400.0, 0.0), (320.0, 1.0)])
def test_a_bank_that_relieves_a_line_stays_closed_where_the_line_needs_it(
    scenario_file, rating_kva, closed
):
    """Phase c of bus 675 draws 290 + j212 kVA, of which the bank gives j200: 290 kVA, or 359 without it."""
    bank = {"kind": "capacitor_bank", "name": "bank", "capacitor": "c675"}
    storage = {"name": "b2", "bus": "611.3", "kw": 50, "kwh": 200}
    planner = {"type": "lindistflow_taps", "inverter": "polygon"}
    study = open_study(
        scenario_file(
            devices=[bank],
            storages=[storage],
            limits={"voltage_min_pu": 0.9, "voltage_max_pu": 1.1, "lines": True},
            control={"horizon_s": 3600, "forecast": "perfect", "planner": planner},
        )
    )
    with open_day(study) as day:
        network = day.site.network
        assert network is not None
        ratings = np.where([node == "675.3" for node in network.nodes], rating_kva, 0.0)
        site = replace(day.site, network=replace(network, limit_kva=ratings))
        shared = planner_options(study.scenario)
        planner = lindistflow_taps(site, study.horizon, shared, options=TapOptions())
        plan = planner.plan(day.measurement, day.forecast)
    assert isinstance(plan, Plan)
    assert (plan.position == closed).all()


def test_lindistflow_without_a_position_to_decide_is_refused_by_name(scenario_file):
    planner = {"type": "lindistflow_taps", "inverter": "polygon"}
    study = open_study(scenario_file(control={"horizon_s": 3600, "planner": planner}))
    with pytest.raises(FormulationRefused, match="planner lindistflow_taps has no position to decide"):
        plan_of(study)


def test_a_run_is_carried_on_to_the_last_bit(studies, tmp_path):
    path = studies["tangent_rounding"].path
    whole_run(path, tmp_path / "whole")
    run_until(path, tmp_path / "cut", 3)
    resumed(tmp_path / "cut")
    assert_same_steps(tmp_path / "cut", tmp_path / "whole")
