"""Everything that can be found wrong with a study before it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cosim.errors import CosimError, FeederError, ScenarioError
from cosim.run.accept import problems_of
from cosim.run.area_part import area_problems
from cosim.run.assembly import Assembly
from cosim.run.choice import Choice, choices_of, controller_of, part_problems, uncertainty_problems
from cosim.run.contract import checked, sealed
from cosim.run.control_config import ControlConfig
from cosim.run.inputs import Problems
from cosim.run.loop import answer_of, start_controller
from cosim.run.metric_names import metric_names
from cosim.run.patience import Patience
from cosim.run.policy import needs_of_study
from cosim.run.readable import readable_part
from cosim.run.scenario_file import line_of
from cosim.run.stand_in import stand_in_of
from cosim.run.study import Study, open_study, study_in_code
from cosim.run.together import owner_of


def check_study(study: Study) -> tuple[Problems, Assembly | None]:
    """Everything that is wrong with a study, and the study opened if nothing is.

    The controller is made too, so that what a planner refuses is found.
    """
    control_problems = [*_check_control(study), *_check_accept(study)]
    try:
        # What the controller wants to know cannot be asked where its names are wrong.
        assembly = Assembly(_with_any_controller(study), ()) if control_problems else Assembly(study)
    except ScenarioError as error:
        return [*error.problems, *control_problems], None
    except FeederError as error:
        return [f"{line_of(study.path, ('feeder',))}feeder: {error}", *control_problems], None
    try:
        if not control_problems:
            assembly.controller  # noqa: B018 - made here, used by the run
            return [], assembly
    except ScenarioError as error:
        control_problems = [*error.problems]
    except CosimError as error:
        control_problems = [f"control or feeder: {error}"]
    with assembly:
        return control_problems, None


def rehearse(assembly: Assembly) -> Problems:
    """Let the controller of an opened study decide the first step; the assembly is spent afterwards.

    A class may be made without complaint and still lack ``step``, or answer with something else than a
    decision.
    """
    study, site = assembly.study, assembly.site
    owner, controller = owner_of(study.scenario.controller_names), assembly.controller
    if "published" in needs_of_study(study) and stand_in_of(study) is None:
        return []  # what the first decision needs comes from a federate that is not there
    place = ("control", "type") if study.scenario.controllers is None else ("controllers",)
    lacking = [name for name in ("start", "step") if not callable(getattr(controller, name, None))]
    if lacking:
        problem = f"{study.scenario.control.type} has no {' and no '.join(lacking)}"
        return [f"{line_of(study.path, place)}{'.'.join(place)}: {problem}"]
    try:
        measurement = assembly.plant.measure(0)
        patience = Patience(study.scenario.hang_limit_s)
        with patience.waiting(owner, None):
            start_controller(controller, site, owner)
        with patience.waiting(owner, 0):
            decided = answer_of(controller, sealed(measurement), owner)
        checked(decided, site, measurement, owner=owner)
    except CosimError as error:
        return [f"{line_of(study.path, place)}{'.'.join(place)}: {error}"]
    return []


def check_file(path: Path, master: Path | None, *, trusted: bool) -> tuple[Problems, Assembly | None]:
    """Everything that is wrong with a scenario file, and the study opened if nothing is.

    What does not fit the keys of a scenario is set aside, so that the rest can be held against the feeder
    and the series: a user sees all mistakes in one round.

    Args:
        path: scenario file.
        master: replaces the scenario's feeder.
        trusted: modules beside the scenario, and native code of the master, may be executed.
    """
    try:
        study = replace(open_study(path, master=master), trusted=trusted)
    except ScenarioError as error:
        problems = list(error.problems)
    else:
        found, assembly = check_study(study)
        return found, assembly
    try:
        readable = readable_part(path)
        rest = study_in_code(readable.data, path.parent, master)
    except ScenarioError:
        return problems, None
    found, assembly = check_study(replace(rest, path=path, trusted=trusted))
    if assembly is not None:
        assembly.__exit__()
    found = [readable.as_written(problem, path) for problem in found]
    return [*problems, *(problem for problem in found if problem not in problems)], None


def _with_any_controller(study: Study) -> Study:
    """The study, or where its controller cannot be found the same with the usual one, to see the rest."""
    try:
        study.commanded  # noqa: B018 - asks the controller
    except CosimError:
        return study.with_controller(ControlConfig().type)
    return study


def _check_accept(study: Study) -> Problems:
    """Limits on metrics that nobody knows, or that nothing can be compared with."""
    scenario = study.scenario
    if not scenario.accept:
        return []
    try:
        compared = scenario.baseline and study.operated
    except CosimError:  # which is told elsewhere
        compared = scenario.baseline
    return [
        f"{line_of(study.path, ('accept', place))}accept.{place}: {sentence}"
        for place, sentence in problems_of(scenario.accept, metric_names(), baseline=compared)
    ]


def _check_control(study: Study) -> Problems:
    """Names, options and solver of each controller, its forecaster and its planner."""
    return [problem for own in study.each_controller for problem in _check_one(own)]


def _check_one(study: Study) -> Problems:
    controller = controller_of(study)
    problems = controller.problems()
    try:
        parts = choices_of(study)[1:]
    except CosimError:
        return problems
    problems += [problem for part in parts for problem in part.problems()]
    problems += [*area_problems(study), *_without_publisher(study, parts)]
    if parts and not problems:  # names that do not exist declare nothing
        problems += uncertainty_problems(study)
    problems += [] if problems else part_problems(study)
    if not parts:  # and no solver
        return problems
    place, solver = (*study.control_place, "planner", "solver"), study.scenario.control.planner.solver
    if solver == "auto":  # and cvxpy, which takes long to import, need not be asked
        return problems
    from cosim.opf.problem import check_solver

    try:
        check_solver(solver)
    except CosimError as error:
        problems.append(f"{line_of(study.path, place)}{'.'.join(place)}: {error}")
    return problems


def _without_publisher(study: Study, parts: Sequence[Choice]) -> Iterator[str]:
    """Forecasters that listen to a federate that the scenario does not have."""
    for part in parts:
        try:
            listens = "published" in part.declared.needs
        except CosimError:  # which is told elsewhere
            continue
        if listens and study.scenario.publisher is None:
            dotted = ".".join(str(key) for key in part.place)
            yield (
                f"{line_of(study.path, part.place)}{dotted}: {part.who} listens to a federate with role "
                "forecast; add one to 'federates'"
            )
