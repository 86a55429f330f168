"""Plug-ins bring their own options, and say themselves what they are."""

from __future__ import annotations

import json

import pytest
import yaml

from cosim import plugins
from cosim.control.idle import IdleController
from cosim.control.receding_horizon import RecedingHorizonController, Rhythm
from cosim.errors import ScenarioError, UnknownPlugin, WrongDeclaration
from cosim.experiments.open_loop import open_day
from cosim.opf.tangent.planner import TangentOptions
from cosim.plugins import Declaration, declared
from cosim.run.assembly import Assembly
from cosim.run.check import check_study
from cosim.run.planner_config import PlannerConfig
from cosim.run.policy import make_planner, needs_of_study
from cosim.run.scenario import Scenario
from cosim.run.study import Study, open_study
from tests import controllers
from tests.conftest import ROOT, small_scenario

MINE = "tests.controllers:"
NOISY = "tests.forecasters:NoisyTruth"
CAUTIOUS = "tests.planners:CautiousPlanner"


def control(**changes):
    return {"horizon_s": 3600} | changes


def problems_of(study: Study) -> list[str]:
    problems, assembly = check_study(study)
    if assembly is not None:
        assembly.__exit__()
    return problems


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"planner": {"type": "tangent", "options": {"iteration_limt": 3}}},
            "options.iteration_limt: unknown option; did you mean 'iteration_limit'? (planner 'tangent' takes",
        ),
        (
            {"planner": {"type": "tangent", "options": {"iteration_limit": 0}}},
            "control.planner.options.iteration_limit: 0: input should be greater than 0",
        ),
        (
            {"planner": {"type": "lindistflow", "options": {"iteration_limit": 3}}},
            "control.planner.options: planner 'lindistflow' takes no options",
        ),
        (
            {"planner": {"type": CAUTIOUS}},
            "control.planner.options.share: is missing",
        ),
        (
            {"forecast": {"type": "perfect", "options": {"demand_error": 0.1}}},
            "control.forecast.options: forecaster 'perfect' takes no options",
        ),
        (
            {"forecast": {"type": NOISY, "options": {"demand_error": -1}}},
            "control.forecast.options.demand_error: -1: input should be greater than or equal to 0",
        ),
        (
            {"forecast": {"type": NOISY, "optons": {}}},
            "control.forecast.optons: unknown key; did you mean 'options'?",
        ),
        ({"forecast": "tests.forecasters:Quiet"}, "forecaster 'tests.forecasters:Quiet' cannot be imported"),
        ({"type": "idle", "options": {"x": 1}}, "control.options: controller 'idle' takes no options"),
        (
            {"type": f"{MINE}OptionsController", "options": {"scal": 2}},
            f"did you mean 'scale'? (controller '{MINE}OptionsController' takes scale, shift_kw)",
        ),
        (
            {"type": f"{MINE}CarelessController", "options": {"gian": 2}},
            "control.options.gian: unknown option; did you mean 'gain'?",
        ),
        ({"type": "idel"}, "control.type: no controller 'idel'; did you mean 'idle'? (installed: "),
        ({"type": "my module:C"}, "controller 'my module:C' is no module:Class"),
        ({"type": f"{MINE}OtherMeaningController"}, "expected True or False; 'plans' is a name for what"),
        (
            {"type": f"{MINE}DeafController"},
            "called with 0 arguments and by name seed, but got an unexpected keyword argument 'seed'",
        ),
        ({"seed": -1}, "control.seed: -1: input should be greater than or equal to 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(scenario_file, given, expected):
    try:
        problems = problems_of(open_study(scenario_file(control=control(**given))))
    except ScenarioError as error:
        problems = list(error.problems)
    assert len(problems) == 1
    assert expected in problems[0]


def test_wrong_options_come_together_with_their_lines(tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text(
        yaml.safe_dump(small_scenario(control={}, storages=[]))
        .replace("control: {}\n", "")
        .replace("storages: []\n", "")
        + "control:\n"
        "  horizon_s: 3600\n"
        "  options: {a: 1}\n"
        f"  forecast:\n    type: {NOISY}\n    options:\n      demand_eror: 0.1\n"
        "  planner:\n    type: tangent\n    options:\n      iteration_limit: many\n      warm: 2\n"
        "storages:\n  - {name: b1, bus: '999', kw: 1, kwh: 4}\n"
    )
    lines = path.read_text().splitlines()
    problems = problems_of(open_study(path))
    for written, place in (
        ("options: {a: 1}", "control.options"),
        ("demand_eror: 0.1", "control.forecast.options.demand_eror"),
        ("iteration_limit: many", "control.planner.options.iteration_limit"),
        ("warm: 2", "control.planner.options.warm"),
        ("bus: '999'", "storages.0.bus"),
    ):
        number = next(i for i, line in enumerate(lines, start=1) if written in line)
        assert any(problem.startswith(f"line {number}, {place}: ") for problem in problems), problems
    assert len(problems) == 5


# --- what arrives ---------------------------------------------------------------------------------


def made(scenario_file, **given):
    """The controller of a scenario, and its study."""
    study = open_study(scenario_file(control=control(**given)))
    with Assembly(study) as assembly:
        return assembly.controller, assembly


def test_a_controller_gets_the_options_seed_twin_and_truth_that_it_declares(scenario_file):
    controller, assembly = made(
        scenario_file, type=f"{MINE}OptionsController", options={"scale": 2}, seed=11
    )
    assert controller.options == controllers.EchoOptions(scale=2.0)
    assert controller.seed == 11
    assert controller.twin.nodes == assembly.site.nodes
    assert controller.truth is assembly.truth


def test_a_controller_may_take_its_options_as_written(scenario_file):
    given = {"gain": 2, "phases": [1, 2], "deep": {"name": "x"}}
    assert made(scenario_file, type=f"{MINE}MappingController", options=given)[0].given == given


def test_any_controller_may_be_made_of_forecaster_and_planner(scenario_file):
    given = control(type=f"{MINE}PlanningController", interval_s=1800)
    study = open_study(scenario_file(control=given))
    with Assembly(study) as assembly:
        controller, measurement = assembly.controller, assembly.feeder.measure(0)
    assert controller.rhythm == Rhythm(study.horizon, 1800, 0)
    forecast = controller.forecaster.forecast(measurement, study.horizon)
    assert controller.planner.plan(measurement, forecast).certificate.planner == "lindistflow"


def test_a_planner_of_ones_own_gets_its_options_beside_the_common_ones(scenario_file):
    plans = {}
    for name, share in (("copper_plate", None), (CAUTIOUS, 0.25)):
        own = {} if share is None else {"options": {"share": share}}
        planner = {"type": name, "terminal": {"type": "hard", "soc": 0.4}, **own}
        study = open_study(scenario_file(control=control(planner=planner)))
        with open_day(study) as day:
            plan = make_planner(study, day.assembly.knowledge).plan(day.measurement, day.forecast)
            plans[name] = plan.p_kw
    assert plans["copper_plate"].any()
    assert (plans[CAUTIOUS] == 0.25 * plans["copper_plate"]).all()


@pytest.mark.parametrize(("limit", "warm_limit"), [(1, 1), (2, 1)])
def test_planner_tangent_solves_no_more_programs_than_its_options_allow(scenario_file, limit, warm_limit):
    own = {"iteration_limit": limit, "warm_iteration_limit": warm_limit}
    study = open_study(scenario_file(
        control=control(planner={"type": "tangent", "options": own}),
        storages=[{"name": "b1", "bus": "675", "kw": 100, "kwh": 400}],
    ))  # fmt: skip
    with open_day(study) as day:
        planner = make_planner(study, day.assembly.knowledge)
        first, second = (planner.plan(day.measurement, day.forecast).certificate for _ in range(2))
    assert (first.iterations, second.iterations) == (limit, warm_limit)


def test_options_travel_to_another_process(scenario_file):
    given = {
        "type": f"{MINE}OptionsController",
        "options": {"scale": 2},
        "seed": 3,
        "forecast": {"type": NOISY, "options": {"demand_error": 0.5}},
        "planner": {"type": "tangent", "options": {"iteration_limit": 3}},
    }
    study = open_study(scenario_file(control=control(**given)))
    assert Study.from_json(study.to_json()).scenario == study.scenario


def test_another_planner_does_not_get_the_options_of_the_first():
    config = PlannerConfig(type="tangent", options={"iteration_limit": 3})
    assert config.of_type("lindistflow").options == {}
    assert config.of_type("tangent") == config


# --- what plug-ins say of themselves --------------------------------------------------------------


def test_installed_controllers_say_what_they_are():
    assert {"idle", "receding_horizon", "oracle"} <= set(plugins.names("cosim.controllers"))
    assert declared(plugins.load("cosim.controllers", "idle")) == Declaration(frozenset(), commands=False)
    assert declared(RecedingHorizonController) == Declaration(frozenset(), plans=True)
    assert plugins.load("cosim.controllers", "idle") is IdleController
    assert IdleController in plugins.load_all("cosim.controllers")
    for group in plugins.GROUPS:
        one_by_one = [plugins.load(group, name) for name in plugins.names(group)]
        assert plugins.load_all(group) == one_by_one


def test_needs_are_those_of_all_that_a_controller_is_made_of(scenario_file):
    def needs(**given):
        return needs_of_study(open_study(scenario_file(control=control(**given))))

    assert needs() == {"network", "truth"}
    assert needs(planner={"type": "tangent"}, forecast="persistence") == {"twin"}
    assert needs(planner={"type": CAUTIOUS, "options": {"share": 1}}, forecast=NOISY) == {"truth"}
    assert needs(type=f"{MINE}PlanningController", planner={"type": "copper_plate"}) == {"truth"}
    assert needs(type=f"{MINE}EchoController", planner={"type": "unknown"}) == {"network"}
    assert needs(type="idle") == set()


@pytest.mark.parametrize(
    ("name", "commanded", "plans"),
    [
        ("receding_horizon", True, True),
        ("idle", False, False),
        (f"{MINE}EchoController", True, False),
        (f"{MINE}PlanningController", True, True),
        (f"{MINE}WatchingController", False, False),
    ],
)
def test_a_study_asks_its_controller_what_it_is(scenario_file, name, commanded, plans):
    study = open_study(scenario_file(control=control(type=name)))
    assert (study.commanded, study.plans) == (commanded, plans)
    assert not study.without_control().commanded


def test_without_plans_there_is_no_plan_of_a_day(scenario_file):
    study = open_study(scenario_file(control={"type": "idle"}))
    with pytest.raises(ScenarioError, match="'idle' makes no plans"):
        open_day(study).__enter__()


@pytest.mark.parametrize(
    ("name", "value"),
    [("needs", {"tvin"}), ("needs", "twin"), ("options", {"a": 1}), ("options", int), ("seeded", 1)],
)
def test_a_declaration_that_means_nothing_is_refused(name, value):
    with pytest.raises(WrongDeclaration, match=rf"Odd\.{name} is "):
        declared(type("Odd", (), {name: value}))


def test_an_unknown_kind_of_plugin_is_named_as_such():
    with pytest.raises(UnknownPlugin, match="no forecaster 'oracle'"):
        plugins.load("cosim.forecasters", "oracle")


# --- where options are known ----------------------------------------------------------------------


def test_an_option_of_a_planner_is_known_to_one_file_alone():
    planner, solvers = ROOT / "cosim/opf/tangent/planner.py", ROOT / "cosim/opf/structured_qp"
    files = [path for top in ("cosim", "federates") for path in (ROOT / top).rglob("*.py")]
    for option in TangentOptions.model_fields:
        # Solvers of one program have iteration limits of their own.
        naming = [path for path in files if option in path.read_text(encoding="utf-8")]
        assert [path for path in naming if solvers not in path.parents] == [planner]


def test_the_schema_offers_a_forecaster_by_name_or_with_options():
    schema = json.loads(json.dumps(Scenario.model_json_schema(by_alias=True)))
    name, mapping = schema["$defs"]["ForecastConfig"]["anyOf"]
    assert name["type"] == "string"
    assert set(mapping["properties"]) == {"type", "options"}
    assert schema["$defs"]["PlannerConfig"]["properties"]["options"]["additionalProperties"] is True
    for forecast in ("persistence", {"type": "persistence"}, {"type": "persistence", "options": {}}):
        scenario = Scenario.model_validate(small_scenario(control=control(forecast=forecast)))
        assert scenario.control.forecast.type == "persistence"
