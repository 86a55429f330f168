"""Everything that can be found wrong with a study before it runs."""

from __future__ import annotations

from collections.abc import Callable

from cosim import plugins
from cosim.errors import CosimError
from cosim.model.site import Site
from cosim.opf.problem import check_solver
from cosim.run.inputs import Problems, compile_feeder
from cosim.run.plant import open_feeder
from cosim.run.policy import controller_class, make_controller
from cosim.run.scenario_file import line_of
from cosim.run.study import Study


def check_study(study: Study) -> tuple[Problems, Site | None]:
    """Everything that is wrong with a scenario, and the site if nothing is."""
    problems: Problems = []
    try:
        model = compile_feeder(study)
    except CosimError as error:
        return [f"{line_of(study.path, ('feeder',))}feeder: {error}"], None
    control_problems = _check_control(study)
    try:
        feeder = open_feeder(study, model, problems)
        problems += control_problems
        if feeder is None or problems:
            return problems, None
        with feeder:
            if study.scenario.control.type == "receding_horizon":
                make_controller(study, feeder.site)
            return [], feeder.site
    except CosimError as error:
        return [*problems, *control_problems, f"control or feeder: {error}"], None


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
        checks = [(("control", "type"), lambda: controller_class(control.type, study.path.parent))]
    for place, check in checks:
        try:
            check()
        except CosimError as error:
            problems.append(f"{line_of(study.path, place)}{'.'.join(place)}: {error}")
    return problems
