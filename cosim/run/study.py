"""A scenario together with the file it came from and the feeder it names."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from cosim import plugins
from cosim.errors import ScenarioError
from cosim.model.roles import Controller
from cosim.model.timegrid import Horizon, TimeGrid
from cosim.plugins import Declaration
from cosim.run.control_config import ControlConfig
from cosim.run.feedback import Feedback
from cosim.run.injected import AT_AREAS, AT_CONTROLLER, NoPlanFault, OfController, Schedule
from cosim.run.planner_config import PlannerConfig
from cosim.run.scenario import Scenario
from cosim.run.scenario_file import line_of, load_scenario, scenario_of
from cosim.run.shipped import shipped, shipped_feeders

MADE_IN_CODE = "(made in code)"
"""Stands for the file of a scenario that has none."""


@dataclass(frozen=True)
class Study:
    """A scenario with the file it came from.

    Attributes:
        path: the scenario file.
        scenario: its content.
        master: the OpenDSS master file.
        port: of the HELICS broker; None lets the launcher find a free one.
        home: where relative paths start, if not beside the scenario file.
        resumes_at: of a run that was cut short: the first step that the controller decides anew; None for
            a run that begins.
        trusted: whether modules beside the scenario, and native code of the master, may be executed.
        modules: where modules of plug-ins may lie, if not in the folder of the study.
        made: a controller that exists already, for a run in this process.
        part: the one of several controllers that the scenario is seen from, see :attr:`each_controller`.
        kept_whole: whether the record counts only when the run has ended, so that steps are written in
            parts and not one by one.
    """

    path: Path
    scenario: Scenario
    master: Path
    port: int | None = None
    home: Path | None = None
    resumes_at: int | None = None
    trusted: bool = False
    modules: Path | None = None
    made: Controller | None = None
    part: str | None = None
    kept_whole: bool = False

    @property
    def each_controller(self) -> tuple[Study, ...]:
        """The study as each of its controllers sees it: with its own section ``control``, faults and links.

        The study itself where it has one controller.
        """
        return tuple(self._of(name) for name in self.scenario.controllers or ()) or (self,)

    def _of(self, name: str) -> Study:
        scenario, controllers = self.scenario, self.scenario.controllers or {}
        config, number = controllers[name], list(controllers).index(name)
        shared = scenario.communication
        # Without seeds of their own all controllers would lose the same messages.
        links = config.communication or shared.model_copy(update={"seed": shared.seed + number})
        faults = tuple(
            fault
            for fault in scenario.faults.inject
            if not isinstance(fault, OfController) or fault.strikes(name)
        )
        seen = scenario.model_copy(
            update={
                "control": config,
                "controllers": None,
                "communication": links,
                "faults": scenario.faults.model_copy(update={"inject": faults}),
            }
        )
        return replace(self, scenario=seen, part=name)

    @property
    def control_place(self) -> tuple[str, ...]:
        """Place of the section about the controller in the scenario."""
        return ("control",) if self.part is None else ("controllers", self.part)

    @property
    def name_of_controller(self) -> str:
        """Of its federate."""
        return self.part or self.scenario.federate("controller")

    @property
    def folder(self) -> Path:
        """Where relative paths of the scenario start."""
        return self.path.parent if self.home is None else self.home

    @property
    def plugin_folder(self) -> Path:
        """Where the module of a plug-in may lie that is not installed."""
        return self.folder if self.modules is None else self.modules

    def without_control(self) -> Study:
        """The same study with the controller taken out: the baseline."""
        control = next(iter(self.scenario.control_sections.values()))
        # The times stay: they must fit the steps, whoever controls.
        idle = ControlConfig(
            type="idle",
            horizon_s=control.horizon_s,
            interval_s=control.interval_s,
            resolution_s=control.resolution_s,
            tail=control.tail,
        )
        # Faults of the controller are no part of a run without one.
        faults = self.scenario.faults
        of_controller = (*AT_CONTROLLER, *AT_AREAS, NoPlanFault)
        kept = tuple(fault for fault in faults.inject if not isinstance(fault, of_controller))
        scenario = self.scenario.with_one_controller(idle).model_copy(
            update={
                "baseline": False,
                "accept": (),
                "faults": faults.model_copy(update={"inject": kept}),
            }
        )
        return replace(self, scenario=scenario, made=None)

    def without_baseline(self) -> Study:
        """The same study, not compared with a run without control."""
        return replace(self, scenario=self.scenario.model_copy(update={"baseline": False}))

    def with_planner(self, planner: PlannerConfig) -> Study:
        """The same study with another planner.

        Raises:
            ScenarioError: it has several controllers.
        """
        self.must_have_one_controller("another planner")
        control = self.scenario.control.model_copy(update={"planner": planner})
        return replace(self, scenario=self.scenario.model_copy(update={"control": control}))

    def with_controller(self, name: str) -> Study:
        """The same study with another controller, of all devices."""
        config = next(iter(self.scenario.control_sections.values()))
        options = config.options if name == config.type else {}
        plain = {key: getattr(config, key) for key in ControlConfig.model_fields}
        control = ControlConfig.model_construct(**plain | {"type": name, "options": options})
        return replace(self, scenario=self.scenario.with_one_controller(control), made=None)

    def must_have_one_controller(self, what: str) -> None:
        """Refuse what cannot be done with several controllers.

        Args:
            what: is asked for.

        Raises:
            ScenarioError: the scenario has several.
        """
        if self.scenario.controllers is not None:
            several = ", ".join(self.scenario.controllers)
            raise ScenarioError(
                str(self.path),
                [f"controllers: {what} needs one controller, there are {several}; use 'control' instead"],
            )

    def to_json(self) -> str:
        """The study as it is now, for another process; :meth:`from_json` reads it back."""
        return json.dumps(
            {
                "path": str(self.path.resolve()),
                "home": str(self.folder.resolve()),
                "master": str(self.master),
                "scenario": self.scenario.model_dump(mode="json", by_alias=True),
                "resumes_at": self.resumes_at,
                "trusted": self.trusted,
                "modules": None if self.modules is None else str(self.modules.resolve()),
            }
            # Only where it is asked for: studies know their cases by this text.
            | ({"kept_whole": True} if self.kept_whole else {})
        )

    @classmethod
    def from_json(cls, text: str) -> Study:
        """The study that :meth:`to_json` wrote."""
        data = json.loads(text)
        scenario = Scenario.model_validate(data["scenario"])
        path, master, home = (Path(data[name]) for name in ("path", "master", "home"))
        resumes_at, trusted = data.get("resumes_at"), bool(data.get("trusted", False))
        modules = None if data.get("modules") is None else Path(data["modules"])
        return cls(
            path,
            scenario,
            master,
            home=home,
            resumes_at=resumes_at,
            trusted=trusted,
            modules=modules,
            kept_whole=bool(data.get("kept_whole", False)),
        )

    @property
    def commanded(self) -> bool:
        """Whether anybody commands devices; without it the feeder is as its master says.

        Raises:
            UnknownPlugin, WrongDeclaration: the controller cannot be asked.
        """
        return any(study.declared.commands for study in self.each_controller)

    @property
    def operated(self) -> bool:
        """Whether devices do more than their master says: by commands, or by controls that are added.

        Raises:
            UnknownPlugin, WrongDeclaration: the controller cannot be asked.
        """
        return self.commanded or any(study.declared.engine_led for study in self.each_controller)

    @property
    def plans(self) -> bool:
        """Whether a controller is made of a forecaster and a planner.

        Raises:
            UnknownPlugin, WrongDeclaration: the controller cannot be asked.
        """
        return any(study.declared.plans for study in self.each_controller)

    @property
    def declared(self) -> Declaration:
        """What the controller declares about itself.

        Raises:
            UnknownPlugin, WrongDeclaration: the controller cannot be asked.
            ScenarioError: there are several.
        """
        self.must_have_one_controller("this")
        if self.made is not None:
            return plugins.declared(type(self.made))
        name = self.scenario.control.type
        found = plugins.load("cosim.controllers", name, self.plugin_folder, trusted=self.trusted)
        return plugins.declared(found)

    @property
    def grid(self) -> TimeGrid:
        """The steps of the run."""
        time = self.scenario.time
        return TimeGrid(time.start, time.step_s, time.steps)

    @property
    def horizon(self) -> Horizon:
        """The periods of each plan."""
        return Horizon(self.scenario.period_s())

    @property
    def longest_horizon_s(self) -> int:
        """Of the plans of any controller."""
        return max(study.horizon.length_s for study in self.each_controller)

    @property
    def faults(self) -> Schedule:
        """When injected faults strike."""
        return Schedule(self.scenario.faults.inject, self.scenario.faults.seed)

    @property
    def feedback(self) -> Feedback:
        """When decisions act."""
        scenario = self.scenario
        return Feedback(scenario.delay_s(), scenario.setpoint_ttl_s, scenario.communication)


def open_study(path: Path, *, steps: int | None = None, master: Path | None = None) -> Study:
    """Read a scenario and find its feeder.

    Args:
        path: scenario file.
        steps: shortens or lengthens the run.
        master: replaces the scenario's feeder.

    Raises:
        ScenarioError: the file is wrong or the feeder does not exist.
    """
    scenario = load_scenario(path)
    if steps is not None:
        time = scenario.time.model_copy(update={"steps": steps})
        scenario = scenario.model_copy(update={"time": time})
    if master is None:
        return Study(path, scenario, _find_master(path, scenario))
    found = _given(master)
    feeder = scenario.feeder.model_copy(update={"model": None, "master": found})
    return Study(path, scenario.model_copy(update={"feeder": feeder}), found)


def study_in_code(data: object, folder: Path, master: Path | None = None) -> Study:
    """A study that no file holds.

    Args:
        data: plain values, as in a scenario file.
        folder: that relative paths start in.
        master: replaces the scenario's feeder.

    Raises:
        ScenarioError: the scenario is wrong or the feeder does not exist.
    """
    path = folder / MADE_IN_CODE
    scenario = scenario_of(data, MADE_IN_CODE)
    found = _find_master(path, scenario) if master is None else _given(master)
    return Study(path, scenario, found, home=folder)


def _given(master: Path) -> Path:
    if not master.is_file():
        raise ScenarioError("--master", [f"{master} does not exist"])
    return master.resolve()


def _find_master(path: Path, scenario: Scenario) -> Path:
    feeder = scenario.feeder
    if feeder.model is not None:
        master = shipped("dss_models") / feeder.model / "master.dss"
        hint = f"no shipped feeder is called {feeder.model!r}; there are {', '.join(shipped_feeders())}"
        key: tuple[str, ...] = ("feeder", "model")
    else:
        master = (path.parent / str(feeder.master)).resolve()
        hint = f"{master} does not exist; the path is relative to the scenario file"
        key = ("feeder", "master")
    if not master.is_file():
        raise ScenarioError(str(path), [f"{line_of(path, key)}{'.'.join(key)}: {hint}"])
    return master
