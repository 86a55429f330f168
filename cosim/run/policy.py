"""From a study to the controller: planner, forecaster, options."""

from __future__ import annotations

import inspect
from typing import cast

from cosim.control.planning import Planning
from cosim.control.receding_horizon import Rhythm
from cosim.errors import ScenarioError, WrongDeclaration
from cosim.forecasting.by_quantity import ForecasterByQuantity
from cosim.model.part import Part
from cosim.model.roles import Controller, Forecaster, Planner
from cosim.model.timegrid import Horizon
from cosim.opf.options import PlannerOptions
from cosim.plugins import Need
from cosim.run.area_part import areas_in_process
from cosim.run.choice import (
    Choice,
    choices_of,
    controller_of,
    forecasters_of,
    part_problems,
    planner_of,
    uncertainty_problems,
)
from cosim.run.control_config import ControllerConfig
from cosim.run.injected import AT_AREAS, AT_CONTROLLER, InjectedController, InjectedPlanner, NoPlanFault
from cosim.run.knowledge import Knowledge
from cosim.run.links import behind_link
from cosim.run.partial import PartController, PartForecaster, RestsAfterFailure
from cosim.run.planner_options import planner_options
from cosim.run.sensing_stage import behind_sensors
from cosim.run.study import Study


def needs_of_study(study: Study) -> frozenset[Need]:
    """What the controller of a study, its planner and its forecaster want to know.

    Raises:
        CosimError: an unknown name.
    """
    return frozenset().union(*(choice.declared.needs for choice in choices_of(study)))


def make_controller(study: Study, knowledge: Knowledge) -> Controller:
    """The controller of a scenario.

    Args:
        study: names and options.
        knowledge: of the plant.

    Raises:
        ScenarioError, CosimError: unknown names, a missing solver, a feeder the planner cannot use.
    """
    if study.made is not None:
        return study.made
    forecaster = make_forecaster(study, knowledge) if controller_of(study).declared.plans else None
    return _controller(study, knowledge, forecaster)


def make_part_controller(study: Study, knowledge: Knowledge, part: Part) -> Controller:
    """One of several controllers: it sees and commands its devices, its forecaster sees the feeder.

    Args:
        study: as this controller sees it.
        knowledge: of the plant.
        part: its devices.

    Raises:
        ScenarioError, CosimError: as :func:`make_controller`, or it cannot have a part of the devices.
    """
    problems = part_problems(study)
    if problems:
        raise ScenarioError(str(study.path), problems)
    own = knowledge.of_part(part)
    if not controller_of(study).declared.plans:
        return PartController(_controller(study, own, None), part)
    forecaster = PartForecaster(make_forecaster(study, knowledge), part)
    return PartController(_controller(study, own, forecaster), part, forecaster)


def _controller(study: Study, knowledge: Knowledge, forecaster: Forecaster | None) -> Controller:
    """The controller that a study names; without a forecaster one that makes no plans."""
    choice = controller_of(study)
    parts: tuple[object, ...] = ()
    if forecaster is not None:
        rhythm = Rhythm(
            horizon=study.horizon,
            interval_s=study.scenario.control.interval_s or study.grid.step_s,
            acts_after_s=study.feedback.steps(study.grid) * study.grid.step_s,
            deadline_s=study.scenario.control.deadline_s,
            stops_on_error=study.scenario.control.on_planner_error == "stop",
            keeps_forecasts=study.scenario.record.forecasts,
        )
        if choice.declared.own_horizon:
            parts = (_planning(study, knowledge, forecaster, rhythm),)
        else:
            parts = (forecaster, make_planner(study, knowledge), rhythm)
    return cast("Controller", _made(choice, *parts, **_known(choice, knowledge, "twin", "truth")))


def _planning(study: Study, knowledge: Knowledge, forecaster: Forecaster, rhythm: Rhythm) -> Planning:
    """What a controller gets that chooses the horizon of each plan."""

    def planner_for(horizon: Horizon, options: PlannerOptions) -> Planner:
        return make_planner(study, knowledge, horizon, options)

    return Planning(knowledge.site, forecaster, planner_for, rhythm, planner_options(study.scenario))


def controller_at_work(study: Study, knowledge: Knowledge, part: Part | None = None) -> Controller:
    """The controller of a study behind its sensors and its link: what a driver runs.

    Args:
        study: as this controller sees it.
        knowledge: of the plant.
        part: its devices, where it is one of several; its decisions are of the whole feeder all the same.

    Raises:
        ScenarioError, CosimError: see :func:`make_controller`.
    """
    if part is None:
        controller = make_controller(study, knowledge)
    else:
        controller = make_part_controller(study, knowledge, part)
    scenario, faults = study.scenario, study.faults
    if faults.any(*AT_CONTROLLER):
        controller = InjectedController(controller, faults, scenario.faults.seed)
    control = scenario.control
    if part is not None and isinstance(control, ControllerConfig) and control.on_failure == "rest":
        controller = RestsAfterFailure(controller, part.controller)
    sensing = behind_sensors(controller, scenario.sensing, knowledge)
    return behind_link(sensing, scenario.communication)


def make_planner(
    study: Study,
    knowledge: Knowledge,
    horizon: Horizon | None = None,
    options: PlannerOptions | None = None,
) -> Planner:
    """The planner of a scenario.

    Args:
        study: names and options.
        knowledge: of the plant.
        horizon: the periods of every plan; None: those of the scenario.
        options: that planners share; None: those of the scenario.

    Raises:
        ScenarioError: the planner or the forecaster cannot do what ``uncertainty`` asks.
        CosimError: an unknown name, a missing solver, a feeder the planner does not cover.
    """
    choice = planner_of(study)
    problems = uncertainty_problems(study)
    if problems:
        raise ScenarioError(str(study.path), problems)
    shared = options or planner_options(study.scenario)
    parts = (knowledge.site, horizon or study.horizon, shared, knowledge.open_twin)
    known = _known(choice, knowledge, "truth", "areas")
    if study.faults.any(*AT_AREAS) and knowledge.areas is None:
        known["areas"] = areas_in_process(study, knowledge)
    planner = cast("Planner", _made(choice, *parts, **known))
    return InjectedPlanner(planner, study.faults) if study.faults.any(NoPlanFault) else planner


def make_forecaster(study: Study, knowledge: Knowledge) -> Forecaster:
    """The forecaster of a scenario; one that declares that it needs the true series gets them.

    Quantities whose forecasters have one name and the same options share one object.

    Raises:
        CosimError: an unknown name.
    """
    made: list[tuple[Choice, Forecaster]] = []
    for choice in forecasters_of(study):
        same = (
            found for other, found in made if (other.name, other.options) == (choice.name, choice.options)
        )
        made.append((choice, next(same, None) or _make_forecaster(choice, knowledge)))
    if len(made) == 1:
        return made[0][1]
    return ForecasterByQuantity(knowledge.site, *(forecaster for _, forecaster in made))


def _make_forecaster(choice: Choice, knowledge: Knowledge) -> Forecaster:
    truth = (knowledge.truth,) if "truth" in choice.declared.needs else ()
    known = _known(choice, knowledge, "twin", "history", "vintages", "published")
    return cast("Forecaster", _made(choice, knowledge.site, *truth, **known))


def _known(choice: Choice, knowledge: Knowledge, *by_name: Need) -> dict[str, object]:
    """What a plug-in wants to know and gets as a keyword of the need's name."""
    asked = choice.declared.needs.intersection(by_name)
    found: dict[str, object] = {"twin": knowledge.open_twin()} if "twin" in asked else {}
    others = {
        "truth": knowledge.truth,
        "history": knowledge.history,
        "vintages": knowledge.vintages,
        "areas": knowledge.areas,
        "published": knowledge.published,
    }
    return found | {name: value for name, value in others.items() if name in asked}


def _made(choice: Choice, *parts: object, **known: object) -> object:
    """The plug-in, made of its parts, what it wants to know, its options and its seed.

    Raises:
        ScenarioError: its options are wrong.
        WrongDeclaration: it does not take what it declares.
    """
    keywords = {**known, **choice.keywords()}
    try:
        inspect.signature(choice.plugin).bind(*parts, **keywords)
    except TypeError as error:
        by_name = f" and by name {', '.join(keywords)}" if keywords else ""
        raise WrongDeclaration(
            f"{choice.who} does not take what it declares: it is called with {len(parts)} arguments"
            f"{by_name}, but {error}; see cosim.plugins.Declaration"
        ) from error
    return cast("object", choice.plugin(*parts, **keywords))
