"""A study, opened once: the one door to the plant, its site, and what the controller may know."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from cosim.devices.registry import in_order
from cosim.errors import CosimError, ScenarioError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.plant import Feeder
from cosim.model.exogenous import Exogenous
from cosim.model.part import Part
from cosim.model.roles import Controller
from cosim.model.site import Site
from cosim.model.timegrid import TimeGrid
from cosim.plugins import Need
from cosim.run.feedback import SetpointQueue
from cosim.run.inputs import Problems, build_history, build_inputs, compile_feeder
from cosim.run.knowledge import Knowledge
from cosim.run.loop import PlantRole
from cosim.run.parts import parts_of
from cosim.run.policy import controller_at_work, needs_of_study
from cosim.run.scenario_file import line_of
from cosim.run.series_gaps import Filled
from cosim.run.siting import Devices, devices_of
from cosim.run.stand_in import stand_in_of
from cosim.run.study import Study
from cosim.run.together import ControllersTogether, PartQueues
from cosim.run.vintage_files import build_vintages
from cosim.twin.acceptance import Acceptance
from cosim.twin.model_error import ModelError

NOMINAL_STEP_S = 3600


class Assembly:
    """A study whose master is compiled, whose devices are placed and whose series are read. Close it.

    Args:
        study: what to open.
        needs: what will be asked of ``knowledge``; by default what the study's controller declares.

    Attributes:
        study: the study.
        feeder: in operation, before step 0.
        truth: the series that the plant will meet.
        filled: gaps of the input files that were filled.
        opened_s: seconds that opening it took.

    Raises:
        ScenarioError: everything that does not fit together.
        FeederError: the feeder cannot be read or does not solve.
    """

    def __init__(self, study: Study, needs: Collection[Need] | None = None) -> None:
        began = time.perf_counter()
        self.study = study
        self._asked = None if needs is None else frozenset(needs)
        self._needs = self._needs_of(study)
        model = compile_feeder(study)
        try:
            problems: Problems = []
            devices = _place_devices(study, model, problems)
            whole_horizon = "truth" in self._needs
            placed = None if problems else in_order(devices.devices)
            inputs = build_inputs(study, model, placed, problems, whole_horizon=whole_horizon)
            history = None
            if "history" in self._needs:
                history = build_history(study, model, placed, problems)
            self._vintages = build_vintages(study, problems) if "vintages" in self._needs else None
            if problems or inputs is None:
                raise ScenarioError(str(study.path), problems)
            self.truth: Exogenous = inputs.exogenous
            self._history = None if history is None else history.exogenous
            self.filled: tuple[Filled, ...] = inputs.filled + (() if history is None else history.filled)
            self.feeder = Feeder(
                model,
                devices=devices.devices,
                network_devices=devices.network_devices,
                exogenous=self.truth,
                grid=study.grid,
                meters=[meter.place() for meter in study.scenario.metrics.meters],
                with_network="network" in self._needs,
                on_no_convergence=study.scenario.feeder.on_no_convergence,
            )
        except CosimError:
            model.close()
            raise
        self.opened_s = time.perf_counter() - began

    def _needs_of(self, study: Study) -> frozenset[Need]:
        """What will be asked for on behalf of the controllers of a study."""
        if self._asked is not None:
            return self._asked
        return needs_of_study(study) | study.scenario.sensing.needs

    def __enter__(self) -> Assembly:
        return self

    def __exit__(self, *error: object) -> None:
        self.feeder.__exit__(*error)

    @property
    def site(self) -> Site:
        """The facts of the plant."""
        return self.feeder.site

    @cached_property
    def plant(self) -> PlantRole:
        """The plant's half of a step."""
        parts, studies = self.parts, self.study.each_controller
        queue = (
            PartQueues([study.feedback for study in studies], parts)
            if parts
            else SetpointQueue(self.study.feedback, self.site)
        )
        return PlantRole(self.feeder, queue, self.study.faults)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The devices of each of several controllers; empty for one.

        Raises:
            ScenarioError: a device has two controllers, or none.
        """
        return parts_of(self.study, self.site)

    @cached_property
    def knowledge(self) -> Knowledge:
        """What the controller may know, see :meth:`knowledge_of`."""
        return self.knowledge_of(self.study)

    def knowledge_of(self, study: Study) -> Knowledge:
        """What a controller may know: the twin and the true series only where it declares them.

        Args:
            study: this study, or as one of its controllers sees it.

        Raises:
            FeederError: the feeder has an element a twin has no model for.
        """
        twin, needs = study.scenario.control.twin, self._needs_of(study)
        acceptance = Acceptance(twin.tolerance_pu, tuple(name.lower() for name in twin.constant_power))
        asked = ModelError(**twin.model_dump(exclude={"tolerance_pu", "constant_power"}))
        error = ModelError() if "exact_twin" in needs else asked
        return Knowledge(
            self.site,
            self.feeder.twin_model(error, acceptance) if "twin" in needs else None,
            self.truth if "truth" in needs else None,
            self._history if "history" in needs else None,
            self._vintages if "vintages" in needs else None,
            published=stand_in_of(study) if "published" in needs else None,
        )

    @cached_property
    def controllers(self) -> tuple[Controller, ...]:
        """Every controller of the study, in the order of the scenario.

        Raises:
            CosimError: unknown names, a missing solver, a feeder the planner cannot use.
        """
        if not self.parts:
            return (controller_at_work(self.study, self.knowledge),)
        return tuple(
            controller_at_work(study, self.knowledge_of(study), part)
            for study, part in zip(self.study.each_controller, self.parts, strict=True)
        )

    @cached_property
    def controller(self) -> Controller:
        """The controller of the study; several of them as one.

        Raises:
            CosimError: unknown names, a missing solver, a feeder the planner cannot use.
        """
        return ControllersTogether(self.parts, self.controllers) if self.parts else self.controllers[0]


def _place_devices(study: Study, model: FeederModel, problems: Problems) -> Devices:
    """All devices of a study; what is wrong with the others is added to ``problems``."""
    devices = devices_of(study.scenario, model, study.grid, study.path.parent)
    for place, sentence in devices.problems:
        dotted = ".".join(str(part) for part in place)
        problems.append(f"{line_of(study.path, place)}{dotted}: {sentence}")
    return devices


def bare_feeder(master: Path) -> Feeder:
    """A feeder under its nominal load, without controllable devices: for looking at its network.

    Raises:
        FeederError: it cannot be read or does not solve.
    """
    model = FeederModel(master, discover=False)
    loads = model.loads
    nominal = Exogenous(
        NOMINAL_STEP_S,
        loads.kw,
        loads.kvar,
        np.ones((1, 1)),
        np.zeros(len(loads.names), dtype=np.int64),
        np.zeros(1),
        np.zeros(1),
    )
    grid = TimeGrid(datetime.fromtimestamp(0, UTC), NOMINAL_STEP_S, 1)
    return Feeder(model, devices=(), exogenous=nominal, grid=grid)
