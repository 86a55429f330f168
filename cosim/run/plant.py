"""From a study to the plant in operation."""

from __future__ import annotations

from cosim.errors import CosimError, ScenarioError
from cosim.feeder.plant import Feeder, FeederModel
from cosim.run.inputs import Problems, build_exogenous, compile_feeder
from cosim.run.loop import PlantRole
from cosim.run.scenario import line_of
from cosim.run.siting import Devices, devices_of
from cosim.run.study import Study


def build_plant(study: Study) -> PlantRole:
    """Compile the feeder, add the devices, read the series: the plant, ready for step 0.

    Raises:
        ScenarioError: everything that does not fit together.
    """
    model = compile_feeder(study)
    try:
        problems: Problems = []
        devices = place_devices(study, model, problems)
        exogenous = build_exogenous(study, model, problems)
        if problems:
            raise ScenarioError(str(study.path), problems)
        if exogenous is None:
            raise ScenarioError(str(study.path), ["inputs: no series"])
        feeder = Feeder(
            model,
            storages=devices.storages,
            pvs=devices.pvs,
            exogenous=exogenous,
            grid=study.grid,
        )
    except CosimError:
        model.close()
        raise
    return PlantRole(feeder, study.feedback)


def place_devices(study: Study, model: FeederModel, problems: Problems) -> Devices:
    """All devices of a study; what is wrong with the others is added to ``problems``."""
    devices = devices_of(study.scenario, model)
    for place, sentence in devices.problems:
        dotted = ".".join(str(part) for part in place)
        problems.append(f"{line_of(study.path, place)}{dotted}: {sentence}")
    return devices
