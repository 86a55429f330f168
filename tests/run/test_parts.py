"""Which controller has which devices, and what each sees of the feeder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.errors import ScenarioError
from cosim.model.part import Part
from cosim.model.state import Setpoints
from cosim.opf.linear_flow import LinearFlow
from cosim.run.assembly import Assembly
from cosim.run.check import check_study
from cosim.run.execute import execute
from cosim.run.policy import make_forecaster
from cosim.run.record import read_record
from cosim.run.study import Study, study_in_code
from tests.conftest import ROOT, small_scenario

POSITIONS = [{"kind": "capacitor_bank", "name": "c1", "capacitor": "c675"}]


def owners(controllers: Any, **changes: Any) -> Study:
    scenario = small_scenario(controllers=controllers, baseline=False, **changes)
    del scenario["control"]
    return study_in_code(scenario, ROOT)


def part(devices: list[str], **changes: Any) -> dict[str, Any]:
    return {"devices": devices, "type": "time_of_use", **changes}


# --- who has what ---------------------------------------------------------------------------------


def test_patterns_name_devices_and_network_devices():
    study = owners({"one": part(["b?", "c*"]), "two": part(["P1"])}, devices=POSITIONS)
    with Assembly(study) as assembly:
        assert [own.device_names for own in assembly.parts] == [("b1", "b2", "c1"), ("p1",)]


@pytest.mark.parametrize(
    ("controllers", "words"),
    [
        (
            {"one": part(["b*"]), "two": part(["b1", "p1"])},
            "controllers.two.devices: device 'b1' belongs to one and to two",
        ),
        ({"one": part(["*"]), "two": part(["b9"])}, "controllers.two.devices.0: 'b9' fits no device; there are b1, b2, p1"),
        ({"one": part(["b1"]), "two": part(["b2"])}, "controllers: no controller has p1; give each device to one of one, two"),
        ({"one": part(["*"], type="oracle")}, "controller 'oracle' is a bound of all controllers"),
        ({"one": part(["*"], type="opendss")}, "controller 'opendss' sets up controls of the simulator"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_refused_by_name(controllers, words):
    problems, assembly = check_study(owners(controllers))
    assert assembly is None
    assert any(words in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"control": {"horizon_s": 3600}}, "control: give either 'control' or 'controllers'"),
        ({"record": {"forecasts": True}}, "record.forecasts: keeps the forecast of one controller"),
        (
            {"faults": {"inject": [{"kind": "no_plan", "controller": "tow", "from_step": 1}]}},
            "no controller is called 'tow'; there are one, two",
        ),
        (
            {"federates": [{"role": role, "name": role} for role in ("feeder", "controller", "recorder")]},
            "controller one: it has no federate",
        ),
    ],
)
def test_a_scenario_with_several_controllers_has_nothing_of_one(changes, words):
    scenario = small_scenario(controllers={"one": part(["b*"]), "two": part(["p1"])})
    del scenario["control"]
    with pytest.raises(ScenarioError, match=words):
        study_in_code(scenario | changes, ROOT)


def test_the_study_travels_to_other_processes_as_it_is():
    study = owners({"one": part(["b*"]), "two": part(["p1"])})
    again = Study.from_json(study.to_json())
    assert again.scenario.controllers == study.scenario.controllers
    assert [federate.name for federate in again.scenario.federates] == ["feeder", "one", "two", "recorder"]
    assert "controllers" not in study.without_control().to_json()


# --- what each of them sees -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def assembly():
    study = study_in_code(small_scenario(baseline=False, devices=POSITIONS), ROOT)
    with Assembly(study, needs=("network", "twin", "truth")) as opened:
        yield opened


@pytest.fixture(scope="module")
def measured(assembly):
    return assembly.feeder.measure(0)


def a_part(assembly: Assembly, *names: str) -> Part:
    devices = [at for at, device in enumerate(assembly.site.devices) if device.name in names]
    return Part("own", assembly.site, np.array(devices, dtype=np.int64), np.zeros(0, dtype=np.int64))


@given(st.lists(st.integers(0, 1), min_size=4, max_size=4), st.integers(0, 2**32 - 1))
def test_set_points_of_all_parts_make_the_whole(assembly, owner, seed):
    random = np.random.default_rng(seed)
    whole = Setpoints(random.standard_normal(3), random.standard_normal(3), random.standard_normal(1))
    joined = Setpoints.idle(assembly.site)
    for number in (0, 1):
        own = np.flatnonzero(np.array(owner) == number)
        one = Part(str(number), assembly.site, own[own < 3], own[own == 3] - 3)
        joined = one.widened(one.narrowed(whole), joined)
    assert np.array_equal(joined.p_kw, whole.p_kw)
    assert np.array_equal(joined.q_kvar, whole.q_kvar)
    assert np.array_equal(joined.position, whole.position)


def test_devices_of_others_are_loads_and_their_stored_energy_is_not_seen(assembly, measured):
    own = a_part(assembly, "b2")
    seen = own.measurement(replace(measured, p_kw=np.array([40.0, -5.0, 120.0])))
    assert seen.p_kw.tolist() == [-5.0]
    assert seen.demand_kw[-2:].tolist() == [-40.0, -120.0]
    assert seen.stored_kwh.tolist() == [measured.stored_kwh[1]]
    assert own.site().loads[-2:] == ("device.b1", "device.p1")


def test_the_exact_power_flow_is_the_same_for_each_of_them(assembly, measured):
    power_kva = np.array([[40.0 + 10.0j, -20.0 - 3.0j, 150.0 + 30.0j]])
    demand_kva = (measured.demand_kw + 1j * measured.demand_kvar)[None, :]
    knowledge = assembly.knowledge
    whole = knowledge.open_twin()
    whole.set_forecast(measured, demand_kva)
    expected = whole.flow(power_kva)
    for names in (("b1",), ("b2", "p1")):
        own = a_part(assembly, *names)
        twin = knowledge.of_part(own).open_twin()
        others_kva = -power_kva[:, own.others]
        twin.set_forecast(own.measurement(measured), np.hstack([demand_kva, others_kva]))
        flow = twin.flow(power_kva[:, own.devices])
        # Both iterate to 1e-8 pu.
        assert np.allclose(flow.voltage_pu, expected.voltage_pu, rtol=0.0, atol=1e-7)
        assert np.allclose(flow.import_kva, expected.import_kva, rtol=0.0, atol=1e-2)
        assert np.allclose(flow.losses_kw, expected.losses_kw, rtol=0.0, atol=1e-2)


def test_the_linear_model_is_the_same_for_each_of_them(assembly):
    own, network = a_part(assembly, "b1"), assembly.site.network
    seen = own.site().network
    power = np.array([70.0, 120.0])
    whole, part_flow = LinearFlow(network), LinearFlow(seen)
    share = whole.device_share(network.device_share, 3).toarray()
    from_loads = part_flow.load_share.toarray()[:, len(network.loads) :] @ power
    assert np.allclose(from_loads, share[:, own.others] @ power, rtol=1e-12)
    own_share = part_flow.device_share(seen.device_share, 1).toarray()
    assert np.allclose(own_share, share[:, own.devices], rtol=1e-12)


def test_others_are_expected_to_keep_their_power_but_for_what_the_sun_changes(assembly, measured):
    own, study = a_part(assembly, "b2"), assembly.study
    forecast = make_forecaster(study, assembly.knowledge).forecast(measured, study.horizon)
    sunny = forecast.available_kw + np.array([0.0, 0.0, 60.0])
    seen = replace(
        measured,
        p_kw=np.array([40.0, -5.0, 100.0]),
        q_kvar=np.array([1.0, 2.0, 3.0]),
        available_kw=np.array([0.0, 0.0, 130.0]),
    )
    own_forecast = own.forecast(replace(forecast, available_kw=sunny), seen)
    b1_kw, p1_kw = -own_forecast.demand_kw[:, -2:].T
    assert b1_kw.tolist() == [40.0] * len(study.horizon)
    # 30 kW are curtailed now, and stay so.
    assert np.allclose(p1_kw, np.maximum(sunny[:, 2] - 30.0, 0.0))
    assert (own_forecast.demand_kvar[:, -2:] == [-1.0, -3.0]).all()
    assert own_forecast.available_kw.shape == (len(study.horizon), 1)


@pytest.mark.parametrize("planner", ["tangent", "lindistflow"])
def test_a_controller_that_has_everything_decides_as_the_only_one(tmp_path, planner):
    control = {"horizon_s": 1800, "planner": {"type": planner}}
    alone = study_in_code(small_scenario(control=control, baseline=False), ROOT)
    all_of_it = owners({"everybody": {"devices": ["*"], **control}})
    records = []
    for name, study in (("alone", alone), ("all", all_of_it)):
        short = replace(study, scenario=study.scenario.model_copy(update={"time": _two_steps(study)}))
        execute(short, tmp_path / name, over="local", overwrite=False, progress=lambda _done: None)
        records.append(read_record(tmp_path / name))
    one, other = records
    for column in ("decided_storage_kw", "decided_pv_kw_limit", "voltage_pu"):
        assert np.array_equal(one.vector(column), other.vector(column)), column
    assert one.steps.import_kw.tolist() == other.steps.import_kw.tolist()


def _two_steps(study: Study) -> Any:
    return study.scenario.time.model_copy(update={"steps": 2})
