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
from cosim.feeder.twin.opening import Mismatch
from cosim.model.roles import Controller, Forecaster, Planner
from cosim.model.site import Site
from cosim.model.twin import Twin
from cosim.opf.options import Limits, Objective, PlannerOptions, Terminal
from cosim.run.inputs import Problems, build_exogenous, compile_feeder
from cosim.run.plant import open_feeder
from cosim.run.scenario import PlannerConfig, Scenario
from cosim.run.study import Study


def make_controller(study: Study, site: Site) -> Controller:
    """The controller of a scenario for a site.

    Raises:
        ScenarioError, CosimError: unknown names, a missing solver, a feeder the planner cannot use.
    """
    control = study.scenario.control
    if control.type == "idle":
        return IdleController()
    if control.type != "receding_horizon":
        return cast("Controller", controller_class(control.type, study.path.parent)())
    planner = make_planner(study, site)
    rhythm = Rhythm(
        horizon=study.horizon,
        interval_s=control.interval_s or study.grid.step_s,
        acts_after_s=study.feedback.steps(study.grid) * study.grid.step_s,
    )
    return RecedingHorizonController(make_forecaster(study, site), planner, rhythm)


def make_planner(study: Study, site: Site) -> Planner:
    """The planner of a scenario for a site.

    Raises:
        CosimError: an unknown name, a missing solver, a feeder the planner does not cover.
    """
    planner = plugins.load("cosim.planners", study.scenario.control.planner.type)
    options = planner_options(study.scenario)
    return cast("Planner", planner(site, study.horizon, options, lambda: open_twin(study)))


def open_twin(study: Study) -> Twin:
    """The controller's own model of the feeder: read from the master, never from the plant.

    Raises:
        CosimError: the scenario is wrong, or the feeder has an element a twin has no law for.
    """
    problems: Problems = []
    feeder = open_feeder(study, compile_feeder(study), problems)
    if feeder is None:
        raise ScenarioError(str(study.path), problems)
    with feeder:
        mismatch = Mismatch(**study.scenario.control.twin.model_dump())
        return feeder.twin(feeder.measure(0), mismatch)


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


def make_forecaster(study: Study, site: Site) -> Forecaster:
    """The forecaster of a scenario for a site.

    Raises:
        CosimError: an unknown name, or series that do not reach far enough.
    """
    name = study.scenario.control.forecast
    forecaster_class = plugins.load("cosim.forecasters", name)
    if name == "perfect":
        # The perfect forecast is the only one that may read the future.
        model = compile_feeder(study)
        problems: Problems = []
        exogenous = build_exogenous(study, model, problems)
        model.close()
        if exogenous is None:
            raise ScenarioError(str(study.path), problems)
        return cast("Forecaster", forecaster_class(site, exogenous))
    return cast("Forecaster", forecaster_class(site))


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
