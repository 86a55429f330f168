"""Everything that can be found wrong with a study before it runs."""

from __future__ import annotations

from cosim.errors import CosimError, FeederError, ScenarioError
from cosim.run.assembly import Assembly
from cosim.run.choice import choices_of, controller_of
from cosim.run.inputs import Problems
from cosim.run.scenario import ControlConfig
from cosim.run.scenario_file import line_of
from cosim.run.study import Study


def check_study(study: Study) -> tuple[Problems, Assembly | None]:
    """Everything that is wrong with a study, and the study opened if nothing is.

    The controller is made too, so that what a planner refuses is found.
    """
    control_problems = _check_control(study)
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
    except CosimError as error:
        control_problems = [f"control or feeder: {error}"]
    with assembly:
        return control_problems, None


def _with_any_controller(study: Study) -> Study:
    """The study, or where its controller cannot be found the same with the usual one, to see the rest."""
    try:
        study.commanded  # noqa: B018 - asks the controller
    except CosimError:
        return study.with_controller(ControlConfig().type)
    return study


def _check_control(study: Study) -> Problems:
    """Names, options and solver of controller, forecaster and planner."""
    controller = controller_of(study)
    problems = controller.problems()
    try:
        parts = choices_of(study)[1:]
    except CosimError:
        return problems
    problems += [problem for part in parts for problem in part.problems()]
    if not parts:  # and no solver
        return problems
    place, solver = ("control", "planner", "solver"), study.scenario.control.planner.solver
    if solver == "auto":  # and cvxpy, which takes long to import, need not be asked
        return problems
    from cosim.opf.problem import check_solver

    try:
        check_solver(solver)
    except CosimError as error:
        problems.append(f"{line_of(study.path, place)}{'.'.join(place)}: {error}")
    return problems
