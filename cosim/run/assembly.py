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
from cosim.model.roles import Controller
from cosim.model.site import Site
from cosim.model.timegrid import TimeGrid
from cosim.plugins import Need
from cosim.run.inputs import Problems, build_history, build_inputs, compile_feeder
from cosim.run.knowledge import Knowledge
from cosim.run.loop import PlantRole
from cosim.run.policy import controller_at_work, needs_of_study
from cosim.run.scenario_file import line_of
from cosim.run.series_gaps import Filled
from cosim.run.siting import Devices, devices_of
from cosim.run.stand_in import stand_in_of
from cosim.run.study import Study
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
        wanted = needs_of_study(study) | study.scenario.sensing.needs if needs is None else needs
        self._needs = frozenset(wanted)
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
        return PlantRole(self.feeder, self.study.feedback, self.study.faults)

    @cached_property
    def knowledge(self) -> Knowledge:
        """What the controller may know: the twin and the true series only where it declares them.

        Raises:
            FeederError: the feeder has an element a twin has no model for.
        """
        twin = self.study.scenario.control.twin
        acceptance = Acceptance(twin.tolerance_pu, tuple(name.lower() for name in twin.constant_power))
        asked = ModelError(**twin.model_dump(exclude={"tolerance_pu", "constant_power"}))
        error = ModelError() if "exact_twin" in self._needs else asked
        return Knowledge(
            self.site,
            self.feeder.twin_model(error, acceptance) if "twin" in self._needs else None,
            self.truth if "truth" in self._needs else None,
            self._history,
            self._vintages,
            published=stand_in_of(self.study) if "published" in self._needs else None,
        )

    @cached_property
    def controller(self) -> Controller:
        """The controller of the study.

        Raises:
            CosimError: unknown names, a missing solver, a feeder the planner cannot use.
        """
        return controller_at_work(self.study, self.knowledge)


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
