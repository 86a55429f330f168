"""From a scenario to what a planner is told, and to the controller that a driver runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from cosim.control.receding_horizon import RecedingHorizonController
from cosim.errors import ScenarioError, WrongDeclaration
from cosim.opf.options import Limits, Objective, PlannerOptions, Terminal
from cosim.run.assembly import Assembly
from cosim.run.injected import InjectedController, InjectedPlanner
from cosim.run.knowledge import Knowledge
from cosim.run.policy import (
    controller_at_work,
    make_controller,
    make_forecaster,
    make_planner,
    needs_of_study,
    planner_options,
)
from cosim.run.scenario import Scenario
from cosim.run.study import Study, open_study
from cosim.sensing.stage import SensingController
from tests.conftest import small_scenario


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory) -> Iterator[Knowledge]:
    """All that can be known of the small scenario."""
    path = tmp_path_factory.mktemp("policy") / "scenario.yaml"
    path.write_text(yaml.safe_dump(small_scenario(control={"type": "idle", "horizon_s": 3600})))
    with Assembly(open_study(path), {"twin", "network", "truth"}) as assembly:
        yield assembly.knowledge


@pytest.fixture
def study(scenario_file):
    def open_(changes: dict[str, Any] | None = None, /, **control: Any) -> Study:
        return open_study(scenario_file(control={"horizon_s": 3600} | control, **(changes or {})))

    return open_


def options_of(planner: dict[str, Any], **control: Any) -> PlannerOptions:
    changes = {"control": {"horizon_s": 3600, "planner": planner} | control}
    return planner_options(Scenario.model_validate(small_scenario(**changes)))


# --- options --------------------------------------------------------------------------------------


def test_without_a_word_a_planner_gets_the_defaults():
    found = options_of({})
    assert found == PlannerOptions(terminal=Terminal("free", None, 0.0))
    assert (found.objective, found.limits) == (Objective(), Limits())


def test_every_word_of_a_scenario_reaches_the_planner():
    """Each key of ``control.planner`` and ``limits`` has another value than its default."""
    planner: dict[str, Any] = {
        "objective": {
            "energy_cost": 2.0, "losses_per_kwh": 0.1, "losses_at_price": 0.5, "peak_per_kw": 3.0,
            "voltage_deviation_per_pu2_h": 4.0,
        },
        "terminal": {"type": "soft", "soc": 0.4, "per_kwh": 0.3},
        "complementarity": "repair", "inverter": "cone", "anchor": "none", "storage_reactive": False,
        "pv_reactive": False, "pv_curtail": False, "storage_loss_cost_per_kwh": 0.01,
        "throughput_cost_per_kwh": 0.02, "curtailment_cost_per_kwh": 0.03, "reactive_cost_per_kvarh": 0.04,
        "solver": "clarabel", "solver_seconds": 7.0,
    }  # fmt: skip
    limits = {
        "voltage_min_pu": 0.94, "voltage_max_pu": 1.06, "voltage_penalty_per_pu_h": 5.0,
        "import_max_kw": 100.0, "import_min_kw": -100.0, "lines": True, "transformers": True,
        "unbalance_max_percent": 2.0, "power_penalty_per_kwh": 6.0,
    }  # fmt: skip
    changes = {"control": {"horizon_s": 3600, "planner": planner}, "limits": limits}
    found = planner_options(Scenario.model_validate(small_scenario(**changes)))
    assert found.objective == Objective(**planner["objective"])
    assert found.limits == Limits(**limits)
    assert found.terminal == Terminal("soft", 0.4, 0.3)
    assert found.capability == "cone"
    usual = PlannerOptions()
    for name in set(planner) - {"objective", "terminal", "inverter"}:
        assert getattr(found, name) == planner[name], name
        assert planner[name] != getattr(usual, name), name


@pytest.mark.parametrize(
    ("solver_seconds", "deadline_s", "expected"),
    [(None, None, None), (7.0, None, 7.0), (None, 10.0, 8.0), (7.0, 10.0, 7.0), (9.0, 10.0, 8.0)],
)
def test_a_solver_gets_its_own_time_and_no_more_than_four_fifths_of_the_deadline(
    solver_seconds, deadline_s, expected
):
    found = options_of({"solver_seconds": solver_seconds}, deadline_s=deadline_s)
    assert found.solver_seconds == expected


# --- what a controller is made of -----------------------------------------------------------------


def test_needs_are_those_of_planner_and_forecaster(study):
    assert needs_of_study(study(type="idle")) == frozenset()
    assert needs_of_study(study(forecast="persistence")) == {"network"}
    assert needs_of_study(study(planner={"type": "tangent"})) == {"twin", "truth"}
    assert needs_of_study(study(planner={"type": "copper_plate"}, forecast="persistence")) == frozenset()


def test_a_forecaster_gets_the_truth_only_if_it_declares_that_it_needs_it(study, knowledge):
    blind = Knowledge(knowledge.site)
    assert make_forecaster(study(forecast="persistence"), blind) is not None
    noisy = {"type": "tests.forecasters:NoisyTruth", "options": {"demand_error": 0.0}}
    assert make_forecaster(study(forecast=noisy), knowledge) is not None


def test_options_of_a_plugin_that_are_wrong_are_named_with_the_file(study, knowledge):
    wrong = study(planner={"type": "tests.planners:CautiousPlanner", "options": {"share": 2, "sahre": 1}})
    with pytest.raises(ScenarioError) as error:
        make_planner(wrong, knowledge)
    assert len(error.value.problems) == 2
    assert any("sahre: unknown option; did you mean 'share'?" in text for text in error.value.problems)
    assert any("share: 2: input should be less than or equal to 1" in text for text in error.value.problems)


def test_a_plugin_that_does_not_take_what_it_declares_is_named(study, knowledge):
    with pytest.raises(WrongDeclaration, match="called with 0 arguments and by name seed"):
        make_controller(study(type="tests.controllers:DeafController"), knowledge)


def test_a_controller_that_exists_is_taken_as_it_is(study, knowledge):
    made = make_controller(study(), knowledge)
    assert isinstance(made, RecedingHorizonController)
    assert make_controller(replace(study(), made=made), knowledge) is made


# --- what stands between plant and controller -----------------------------------------------------


def test_a_controller_without_sensors_faults_and_links_stands_alone(study, knowledge):
    found = controller_at_work(study(), knowledge)
    assert isinstance(found, RecedingHorizonController)


def test_sensors_stand_before_injected_faults(study, knowledge):
    """The fault is that of the controller; what it is told comes through the sensors."""
    changes = {
        "sensing": {"voltage": {"noise": 0.01}},
        "faults": {"inject": [{"kind": "controller_error", "from_step": 1}]},
    }
    found = controller_at_work(study(changes), knowledge)
    assert isinstance(found, SensingController)
    assert isinstance(found._inner, InjectedController)


def test_a_planner_that_is_to_fail_is_wrapped(study, knowledge):
    changes = {"faults": {"inject": [{"kind": "no_plan", "from_step": 1}]}}
    found = make_planner(study(changes), knowledge)
    assert isinstance(found, InjectedPlanner)
    assert not isinstance(make_planner(study(), knowledge), InjectedPlanner)
