"""From a study to the controller: planner, forecaster, options."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import cast

from cosim import plugins
from cosim.control.idle import IdleController
from cosim.control.receding_horizon import RecedingHorizonController, Rhythm
from cosim.errors import ScenarioError
from cosim.model.roles import Controller, Forecaster, Planner
from cosim.opf.options import Limits, Objective, PlannerOptions, Terminal
from cosim.plugins import Need, needs_of
from cosim.run.knowledge import Knowledge
from cosim.run.scenario import PlannerConfig, Scenario
from cosim.run.study import Study


def needs_of_study(study: Study) -> frozenset[Need]:
    """What the controller of a study, its planner and its forecaster want to know.

    Raises:
        CosimError: an unknown name.
    """
    control = study.scenario.control
    if control.type == "idle":
        return needs_of(IdleController)
    if control.type != "receding_horizon":
        return needs_of(controller_class(control.type, study.folder))
    planner = plugins.load("cosim.planners", control.planner.type)
    return needs_of(planner) | needs_of(plugins.load("cosim.forecasters", control.forecast))


def make_controller(study: Study, knowledge: Knowledge) -> Controller:
    """The controller of a scenario.

    Args:
        study: names and options.
        knowledge: of the plant.

    Raises:
        ScenarioError, CosimError: unknown names, a missing solver, a feeder the planner cannot use.
    """
    control = study.scenario.control
    if control.type == "idle":
        return IdleController()
    if control.type != "receding_horizon":
        return cast("Controller", controller_class(control.type, study.folder)())
    planner = make_planner(study, knowledge)
    rhythm = Rhythm(
        horizon=study.horizon,
        interval_s=control.interval_s or study.grid.step_s,
        acts_after_s=study.feedback.steps(study.grid) * study.grid.step_s,
    )
    return RecedingHorizonController(make_forecaster(study, knowledge), planner, rhythm)


def make_planner(study: Study, knowledge: Knowledge) -> Planner:
    """The planner of a scenario.

    Raises:
        CosimError: an unknown name, a missing solver, a feeder the planner does not cover.
    """
    planner = plugins.load("cosim.planners", study.scenario.control.planner.type)
    options = planner_options(study.scenario)
    return cast("Planner", planner(knowledge.site, study.horizon, options, knowledge.open_twin))


def controller_class(name: str, folder: Path) -> type:
    """The class that ``module:Class`` names; the module is installed or lies beside the scenario.

    Raises:
        ScenarioError: it is no such name, or cannot be imported.
    """
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ScenarioError("control.type", [f"{name!r}: use receding_horizon, idle or module:Class"])
    beside = str(folder.resolve())
    if beside not in sys.path:
        sys.path.append(beside)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ScenarioError("control.type", [f"{name!r} cannot be imported: {error}"]) from error
    return cast("type", found)


def make_forecaster(study: Study, knowledge: Knowledge) -> Forecaster:
    """The forecaster of a scenario; one that declares that it needs the true series gets them.

    Raises:
        CosimError: an unknown name.
    """
    forecaster = plugins.load("cosim.forecasters", study.scenario.control.forecast)
    if "truth" in needs_of(forecaster):
        return cast("Forecaster", forecaster(knowledge.site, knowledge.truth))
    return cast("Forecaster", forecaster(knowledge.site))


def planner_options(scenario: Scenario) -> PlannerOptions:
    """Options of the planner, from configuration to plain values."""
    config: PlannerConfig = scenario.control.planner
    terminal = config.terminal
    return PlannerOptions(
        objective=Objective(**config.objective.model_dump()),
        limits=Limits(**scenario.limits.model_dump()),
        terminal=Terminal(terminal.type, terminal.soc, terminal.per_kwh),
        complementarity=config.complementarity,
        capability=config.inverter,
        anchor=config.anchor,
        storage_reactive=config.storage_reactive,
        pv_reactive=config.pv_reactive,
        pv_curtail=config.pv_curtail,
        storage_loss_cost_per_kwh=config.storage_loss_cost_per_kwh,
        throughput_cost_per_kwh=config.throughput_cost_per_kwh,
        curtailment_cost_per_kwh=config.curtailment_cost_per_kwh,
        reactive_cost_per_kvarh=config.reactive_cost_per_kvarh,
        solver=config.solver,
        solver_seconds=config.solver_seconds,
    )
