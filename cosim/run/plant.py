"""From a study to the plant in operation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cosim.errors import CosimError, ScenarioError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.plant import Feeder
from cosim.model.exogenous import Exogenous
from cosim.model.timegrid import TimeGrid
from cosim.run.inputs import Problems, build_exogenous, compile_feeder
from cosim.run.loop import PlantRole
from cosim.run.scenario_file import line_of
from cosim.run.siting import Devices, devices_of
from cosim.run.study import Study

NOMINAL_STEP_S = 3600


def build_plant(study: Study) -> PlantRole:
    """Compile the feeder, add the devices, read the series: the plant, ready for step 0.

    Raises:
        ScenarioError: everything that does not fit together.
    """
    problems: Problems = []
    feeder = open_feeder(study, compile_feeder(study), problems)
    if feeder is None:
        raise ScenarioError(str(study.path), problems)
    return PlantRole(feeder, study.feedback)


def open_feeder(study: Study, model: FeederModel, problems: Problems) -> Feeder | None:
    """The feeder in operation, or None with what is wrong added to ``problems``.

    The model is closed where no feeder comes of it.
    """
    try:
        devices = place_devices(study, model, problems)
        exogenous = build_exogenous(study, model, problems)
        if problems or exogenous is None:
            model.close()
            return None
        return Feeder(
            model,
            storages=devices.storages,
            pvs=devices.pvs,
            exogenous=exogenous,
            grid=study.grid,
        )
    except CosimError:
        model.close()
        raise


def place_devices(study: Study, model: FeederModel, problems: Problems) -> Devices:
    """All devices of a study; what is wrong with the others is added to ``problems``."""
    devices = devices_of(study.scenario, model)
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
    one = np.ones((1, 1))
    nominal = Exogenous(
        NOMINAL_STEP_S,
        loads.kw,
        loads.kvar,
        one,
        np.zeros(len(loads.names), dtype=np.int64),
        np.zeros(1),
        np.zeros(1),
    )
    grid = TimeGrid(datetime.fromtimestamp(0, UTC), NOMINAL_STEP_S, 1)
    return Feeder(model, storages=(), pvs=(), exogenous=nominal, grid=grid)
