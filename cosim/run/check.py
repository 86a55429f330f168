"""Everything that can be found wrong with a study before it runs."""

from __future__ import annotations

from collections.abc import Callable

from cosim import plugins
from cosim.errors import CosimError, FeederError, ScenarioError
from cosim.opf.problem import check_solver
from cosim.plugins import Need
from cosim.run.assembly import Assembly
from cosim.run.inputs import Problems
from cosim.run.policy import controller_class
from cosim.run.scenario_file import line_of
from cosim.run.study import Study


def check_study(study: Study) -> tuple[Problems, Assembly | None]:
    """Everything that is wrong with a study, and the study opened if nothing is.

    The controller is made too, so that what a planner refuses is found.
    """
    control_problems = _check_control(study)
    # What the controller wants to know cannot be asked where its names are wrong.
    needs = frozenset[Need]() if control_problems else None
    try:
        assembly = Assembly(study, needs)
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


def _check_control(study: Study) -> Problems:
    problems: Problems = []
    control = study.scenario.control
    checks: list[tuple[tuple[str, ...], Callable[[], object]]] = []
    if control.type == "receding_horizon":
        checks = [
            (("control", "forecast"), lambda: plugins.load("cosim.forecasters", control.forecast)),
            (("control", "planner", "type"), lambda: plugins.load("cosim.planners", control.planner.type)),
            (("control", "planner", "solver"), lambda: check_solver(control.planner.solver)),
        ]
    elif control.type != "idle":
        checks = [(("control", "type"), lambda: controller_class(control.type, study.folder))]
    for place, check in checks:
        try:
            check()
        except CosimError as error:
            problems.append(f"{line_of(study.path, place)}{'.'.join(place)}: {error}")
    return problems
