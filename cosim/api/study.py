"""A study from a user's side: load or build it, change it, check it, run it, plan it."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, Literal

from cosim import plugins
from cosim.api.progress import bar, describe
from cosim.api.run import Run
from cosim.errors import CosimError, ScenarioError
from cosim.experiments.open_loop import OpenLoopPlan, plan_day
from cosim.experiments.score import BOUND_FOLDER
from cosim.model.roles import Controller
from cosim.model.state import NoPlan
from cosim.run import study as inner
from cosim.run.assembly import Assembly
from cosim.run.check import check_study, rehearse
from cosim.run.execute import execute, execute_baseline, execute_bound
from cosim.run.settings import changed_study
from cosim.run.shipped import find_scenario, shipped_scenarios

log = logging.getLogger(__name__)

Driver = Literal["local", "helics"]
MAIN = "__main__:"
"""How the name of a class begins that stands in the script that runs."""


def scenarios() -> tuple[str, ...]:
    """Names of the scenarios that ship with the package; :func:`load` takes them."""
    return shipped_scenarios()


def load(
    scenario: str | Path | Mapping[str, Any],
    *,
    steps: int | None = None,
    master: Path | None = None,
    folder: Path | None = None,
    trust: bool = False,
) -> Study:
    """Open a scenario.

    Args:
        scenario: name of a shipped one, path of a YAML file, or the same content as a dictionary.
        steps: shortens or lengthens the run.
        master: simulates this OpenDSS master instead of the scenario's.
        folder: where relative paths of a dictionary start; by default the working directory.
        trust: modules beside the scenario and native code of the master may be executed.

    Raises:
        ScenarioError: everything that is wrong with it, each with its place.
    """
    if isinstance(scenario, Mapping):
        found = inner.study_in_code(dict(scenario), (folder or Path.cwd()).resolve())
        if steps is not None:
            found = changed_study(found, {"time.steps": steps})
        if master is not None:
            found = changed_study(found, {"feeder.master": str(master.resolve()), "feeder.model": None})
    else:
        found = inner.open_study(find_scenario(str(scenario)), steps=steps, master=master)
    return Study.of(replace(found, trusted=trust))


class Study:
    """A scenario, ready to run. Studies do not change: every ``with_...`` gives a new one.

    ``Study(feeder="ieee13", time=..., devices=[...])`` builds one in code; :func:`cosim.load` opens a file.

    Args:
        feeder: name of a shipped feeder, path of an OpenDSS master, or a mapping as in a scenario.
        time: ``start`` (with time zone), ``step_s``, ``steps``.
        name: of the study.
        folder: where relative paths start; by default the working directory.
        sections: the other sections of a scenario: ``storages``, ``pvs``, ``devices``, ``inputs``,
            ``control``, ``limits`` ...; see ``cosim schema``.

    Raises:
        ScenarioError: everything that is wrong with it, each with its place.
    """

    def __init__(
        self,
        feeder: str | Path | Mapping[str, Any],
        time: Mapping[str, Any],
        *,
        name: str = "study",
        folder: Path | None = None,
        **sections: Any,
    ) -> None:
        data = {
            "schema": 1,
            "name": name,
            "feeder": _feeder(feeder),
            "time": dict(time),
            **sections,
        }
        self._study = inner.study_in_code(data, (folder or Path.cwd()).resolve())

    @classmethod
    def of(cls, study: inner.Study) -> Study:
        """The same study from the package's side."""
        made = object.__new__(cls)
        made._study = study
        return made

    @property
    def inner(self) -> inner.Study:
        """The study from the package's side."""
        return self._study

    @property
    def name(self) -> str:
        """Of the scenario."""
        return self._study.scenario.name

    @property
    def steps(self) -> int:
        """How many steps a run has."""
        return self._study.grid.steps

    def with_settings(self, settings: Mapping[str, Any]) -> Study:
        """The same study with other settings.

        Args:
            settings: by dotted key, e.g. ``{"control.horizon_s": 7200, "storages.0.kw": 300}``.

        Raises:
            ScenarioError: a key does not exist, or a value does not fit.
        """
        return Study.of(changed_study(self._study, settings))

    def with_planner(self, name: str, settings: Mapping[str, Any] | None = None) -> Study:
        """The same study with another planner.

        Args:
            name: of an installed planner, see ``cosim plugins``, or ``module:factory``.
            settings: of ``control.planner``, e.g. ``{"solver_seconds": 2}``.

        Raises:
            ScenarioError: a setting does not exist or does not fit.
        """
        self._study.must_have_one_controller("another planner")
        study = self._study.with_planner(self._study.scenario.control.planner.of_type(name))
        prefixed = {f"control.planner.{key}": value for key, value in (settings or {}).items()}
        return Study.of(changed_study(study, prefixed) if prefixed else study)

    def with_forecast(self, name: str, settings: Mapping[str, Any] | None = None) -> Study:
        """The same study with another forecaster and its settings.

        Raises:
            ScenarioError: it has several controllers; use ``with_settings``.
        """
        self._study.must_have_one_controller("another forecaster")
        return self.with_settings({"control.forecast": {"type": name, **(settings or {})}})

    def with_controller(self, controller: str | type[Controller] | Controller) -> Study:
        """The same study with another controller.

        Args:
            controller: the name of an installed one, a class, or an object, which runs in this process
                only. A class may run over HELICS if it stands in a module file.
        """
        if isinstance(controller, str):
            return Study.of(self._study.with_controller(controller))
        kind = controller if isinstance(controller, type) else type(controller)
        study = self._study.with_controller(f"{kind.__module__}:{kind.__qualname__}")
        made = None if isinstance(controller, type) else controller
        return Study.of(replace(study, trusted=True, modules=_module_folder(kind), made=made))

    def without_control(self) -> Study:
        """The same study with nobody in control: the baseline."""
        return Study.of(self._study.without_control())

    def without_baseline(self) -> Study:
        """The same study, not compared with a run without control."""
        return Study.of(self._study.without_baseline())

    def check(self) -> tuple[str, ...]:
        """Everything that is wrong with it, each with its place; empty if nothing is.

        The feeder is compiled, devices are placed, series are read, and the controller decides once.
        """
        problems, assembly = check_study(self._study)
        if assembly is not None:
            with assembly:
                problems = rehearse(assembly)
        return tuple(problems)

    def opened(self) -> Assembly:
        """The study, opened for a run.

        Raises:
            ScenarioError: everything that is wrong with it.
        """
        problems, assembly = check_study(self._study)
        if problems or assembly is None:
            raise ScenarioError(str(self._study.path), problems)
        return assembly

    def run(
        self,
        folder: Path | str | None = None,
        *,
        over: Driver = "local",
        controller: str | type[Controller] | Controller | None = None,
        overwrite: bool = False,
        progress: bool = False,
        opened: Assembly | None = None,
        oracle: bool = False,
    ) -> Run:
        """Run in closed loop, and without control beside it unless the scenario says ``baseline: false``.

        Args:
            folder: of the record; by default ``runs/NAME-TIME``.
            over: ``local`` (this process) or ``helics`` (a process each for feeder, controller, recorder).
            controller: runs this one instead of the scenario's, see :meth:`with_controller`.
            overwrite: replace an earlier run in the same folder.
            progress: show a bar.
            opened: this study, where :meth:`opened` has opened it already.
            oracle: also run under the oracle, which gives the run a score; see ``run.figures.score``.

        Raises:
            ScenarioError: everything that is wrong with the study, before anything is written.
            CosimError: the run failed; its finished steps are on disk, and ``cosim.open`` reads them.
        """
        asked = self if controller is None else self.with_controller(controller)
        _must_run_over(asked.inner, over)
        assembly = opened or asked.opened()
        place = fresh_folder(self.name) if folder is None else Path(folder)
        study = asked.inner
        with bar("steps", shown=progress) as shown:
            name = f"{study.scenario.name} over {over}"
            task = shown.add_task(name, total=study.grid.steps)
            execute(
                study,
                place,
                over=over,
                overwrite=overwrite,
                progress=lambda done: shown.update(task, completed=done),
                opened=assembly,
                told=lambda text: describe(shown, task, name, text),
            )
        note = run_baseline(study, place, progress=progress) if has_baseline(study) else ""
        if oracle:
            run_bound(study, place, progress=progress)
        done = Run(place, note)
        done.report()
        return done

    def plan(self) -> OpenLoopPlan | NoPlan:
        """Plan the first horizon once, without acting; :func:`cosim.replay` holds it against the grid."""
        return plan_day(self._study)

    def __repr__(self) -> str:
        scenario, grid = self._study.scenario, self._study.grid
        who = " and ".join(_who(own) for own in self._study.each_controller)
        return (
            f"<Study {scenario.name}: feeder {scenario.feeder.model or self._study.master.name}, "
            f"{grid.steps} steps of {grid.step_s} s from {grid.start.isoformat()}, "
            f"{who}>"
        )

    def _repr_html_(self) -> str:
        title = escape(self._study.scenario.title or self.name)
        return f"<p><b>{title}</b><br><code>{escape(repr(self)[1:-1])}</code></p>"


def run_many(
    studies: Iterable[Study], folder: Path | str, *, over: Driver = "local", progress: bool = False
) -> list[Run]:
    """Run studies one after another, each in a folder of its own.

    Args:
        studies: to run.
        folder: gets ``00-NAME``, ``01-NAME`` and so on.
        over: the driver.
        progress: show a bar per run.

    Raises:
        CosimError: one failed; those before it are on disk.
    """
    place = Path(folder)
    return [
        study.run(place / f"{number:02d}-{study.name}", over=over, progress=progress)
        for number, study in enumerate(studies)
    ]


def has_baseline(study: inner.Study) -> bool:
    """Whether a run is compared with one without control."""
    return study.scenario.baseline and study.operated


def run_baseline(study: inner.Study, folder: Path, *, progress: bool) -> str:
    """Run without control beside a run.

    Returns:
        Why there is no baseline, empty if there is one: the run itself keeps its report.
    """
    try:
        with bar("steps", shown=progress) as shown:
            task = shown.add_task("without control", total=study.grid.steps)
            execute_baseline(study, folder, progress=lambda done: shown.update(task, completed=done))
    except CosimError as error:
        return f"without control the run failed: {error}"
    return ""


def run_bound(study: inner.Study, folder: Path, *, progress: bool) -> None:
    """Run under the oracle beside a run; where that fails, the run keeps its report and has no score."""
    try:
        with bar("steps", shown=progress) as shown:
            task = shown.add_task("under the oracle", total=study.grid.steps)
            execute_bound(
                study,
                folder,
                name=BOUND_FOLDER,
                progress=lambda done: shown.update(task, completed=done),
            )
    except CosimError as error:
        log.warning("no score: under the oracle the run failed: %s", error)


def fresh_folder(name: str) -> Path:
    """A new folder ``runs/NAME-TIME``; it is created at once, because runs may start together."""
    # Local time: it only names a folder that a person looks for.
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        folder = Path("runs") / f"{name}-{stamp}{'' if number == 1 else f'-{number}'}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError


def _feeder(given: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(given)
    is_file = isinstance(given, Path) or given.lower().endswith(".dss")
    return {"master": str(given)} if is_file else {"model": given}


def _module_folder(kind: type) -> Path | None:
    """The folder that the module of a class can be imported from."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None:
        return None
    path, depth = Path(file), kind.__module__.count(".")
    return path.parents[depth + (path.name == "__init__.py")]


def _who(study: inner.Study) -> str:
    """A controller and its planner in words."""
    control = study.scenario.control
    named = "" if study.part is None else f" {study.part}:"
    planner = f", planner {control.planner.type}" if study.plans else ""
    return f"controller{named} {control.type}{planner}"


def _must_run_over(study: inner.Study, over: Driver) -> None:
    """Refuse a controller that another process cannot make."""
    if plugins.declared(plugins.load("cosim.runners", over)).in_process:
        return
    why, types = "", [control.type for control in study.scenario.control_sections.values()]
    if study.made is not None:
        why = "is an object of this process; over HELICS it lives in its own: give its class instead"
    elif main := [name for name in types if name.startswith(MAIN)]:
        why = (
            f"{main[0]} stands in a notebook or in the script that runs, which no "
            "other process can import: put the class into a file my_controller.py and import it, or use "
            "over='local'"
        )
    if why:
        raise ScenarioError("controller", [why])
