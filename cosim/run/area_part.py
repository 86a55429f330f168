"""The part of a distributed planner that runs in the process of one area."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from cosim.errors import ScenarioError
from cosim.opf.distributed.messages import AreaPart, PlannerOfAreas
from cosim.run.choice import controller_of, planner_of
from cosim.run.knowledge import Knowledge
from cosim.run.links import CommunicationConfig
from cosim.run.policy import planner_options
from cosim.run.sensing_stage import SensingConfig
from cosim.run.study import Study


def make_area_part(study: Study, knowledge: Knowledge, position: int) -> AreaPart:
    """The controller of one area, and when it acts.

    Args:
        study: names and options.
        knowledge: of the plant.
        position: of the area.

    Raises:
        ScenarioError: see :func:`area_problems`.
        FormulationRefused: the feeder cannot be cut so.
    """
    problems = list(area_problems(study))
    if problems:
        raise ScenarioError(str(study.path), problems)
    choice = planner_of(study)
    planner = cast("PlannerOfAreas", choice.plugin)
    shared = planner_options(study.scenario)
    return planner.part_of(knowledge.site, study.horizon, shared, position, **choice.keywords())


def area_problems(study: Study) -> Iterator[str]:
    """What is wrong with federates of role ``area`` in a scenario, each line starting with its key."""
    scenario = study.scenario
    if not scenario.area_federates:
        return
    declared = controller_of(study).declared
    if not declared.plans or declared.own_horizon:
        yield (
            f"control.type: {scenario.control.type} does not plan over control.horizon_s alone, so areas "
            "cannot run in federates of their own; use receding_horizon, or leave out these federates"
        )
        return
    if "areas" not in planner_of(study).declared.needs:
        yield (
            f"federates: there are federates of role area, and planner {scenario.control.planner.type} has "
            "no areas; use planner admm, enapp or dual_price, or leave them out"
        )
    # The areas measure for themselves, so what happens on the way to the controller is not theirs.
    if scenario.sensing != SensingConfig():
        yield (
            "sensing: areas in federates of their own have ideal sensors; leave out sensing or the "
            "federates of role area"
        )
    if scenario.communication.measurements != CommunicationConfig().measurements:
        yield (
            "communication.measurements: areas in federates of their own have ideal links; leave out the "
            "link or the federates of role area"
        )
