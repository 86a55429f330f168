"""The part of a distributed planner that runs in the process of one area."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from cosim.errors import ScenarioError
from cosim.opf.distributed.exchange import AreasInProcess
from cosim.opf.distributed.messages import AreaPart, PlannerOfAreas
from cosim.opf.distributed.planner_options import AreasOptions
from cosim.run.choice import controller_of, planner_of
from cosim.run.injected import AT_AREAS
from cosim.run.injected_areas import InjectedAgent
from cosim.run.knowledge import Knowledge
from cosim.run.links import CommunicationConfig
from cosim.run.planner_options import planner_options
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
    part = planner.part_of(knowledge.site, study.horizon, shared, position, **choice.keywords())
    faults = study.faults
    if not faults.any(*AT_AREAS):
        return part
    wrong = [
        f"faults: no area is called {fault.area}; there are {', '.join(part.names)}"
        for fault in faults.faults
        if isinstance(fault, AT_AREAS) and fault.area not in part.names
    ]
    if wrong:
        raise ScenarioError(str(study.path), wrong)
    return replace(part, agent=InjectedAgent(part.agent, faults))


def areas_in_process(study: Study, knowledge: Knowledge) -> AreasInProcess:
    """All areas of a study in this process.

    Raises:
        ScenarioError, FormulationRefused: see :func:`make_area_part`.
    """
    first = make_area_part(study, knowledge, 0)
    others = (make_area_part(study, knowledge, place) for place in range(1, len(first.names)))
    return AreasInProcess([first.agent, *(part.agent for part in others)], first.slots)


def areas_options(study: Study) -> AreasOptions | None:
    """Options of the planner of areas; None where the planner has others."""
    found = planner_of(study).keywords().get("options")
    return found if isinstance(found, AreasOptions) else None


def area_problems(study: Study) -> Iterator[str]:
    """What is wrong with federates of role ``area`` in a scenario, each line starting with its key."""
    scenario = study.scenario
    yield from _fault_problems(study)
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


def may_be_silent(study: Study) -> bool:
    """Whether the others go on where an area says nothing."""
    chosen = areas_options(study)
    return chosen is not None and chosen.hold_s is not None


def _fault_problems(study: Study) -> Iterator[str]:
    """Faults of areas that the planner does not have, or cannot do without."""
    if not study.faults.any(*AT_AREAS):
        return
    if not controller_of(study).declared.plans or "areas" not in planner_of(study).declared.needs:
        yield "faults: there are faults of areas, and the controller has none; use planner admm or enapp"
        return
    chosen = areas_options(study)
    if chosen is None or chosen.hold_s is None:
        yield (
            "faults: without control.planner.options.hold_s there is no plan while an area is silent; set "
            "the time for which its last values count"
        )
