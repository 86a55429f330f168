"""From a scenario's ``sensing`` to the stage between plant and controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from cosim.devices.kind import Config
from cosim.errors import SeriesError
from cosim.model.roles import Controller
from cosim.plugins import Need
from cosim.sensing.estimator import EstimatorNoise, TwinEstimator
from cosim.sensing.sensors import QUANTITIES, SensorModel, Sensors
from cosim.sensing.stage import SensingController

if TYPE_CHECKING:
    from cosim.run.knowledge import Knowledge

LEAST_DEMAND_ERROR = 0.02


class SensorConfig(Config):
    """How one quantity is measured; by default perfectly, everywhere, at every step."""

    noise: NonNegativeFloat = Field(0.0, description="standard deviation, part of the value (of 1 pu)")
    bias: float = Field(0.0, description="systematic error, part of the value (of 1 pu)")
    resolution: NonNegativeFloat = Field(0.0, description="steps of what is reported, in its unit")
    every_s: PositiveInt | None = Field(None, description="a new sample every so many seconds")
    delay_s: NonNegativeInt = Field(0, description="a sample is known this long after it was taken")
    count: PositiveInt | None = Field(None, description="sensors at so many places, drawn by the seed")
    only: tuple[str, ...] | None = Field(None, description="sensors at these places")
    dead: tuple[str, ...] = Field((), description="sensors that report nothing")
    frozen: tuple[str, ...] = Field((), description="sensors that report their first sample for ever")

    @model_validator(mode="after")
    def _one_choice(self) -> SensorConfig:
        if self.count is not None and self.only is not None:
            raise ValueError("give either 'count' or 'only'")
        return self


class SensingConfig(Config):
    """What the controller gets to see of the plant; everything as it is by default."""

    voltage: SensorConfig = SensorConfig()
    demand: SensorConfig = SensorConfig()
    device_power: SensorConfig = SensorConfig()
    stored: SensorConfig = SensorConfig()
    available: SensorConfig = SensorConfig()
    substation: SensorConfig = SensorConfig()
    seed: int = Field(0, description="of noise and of the choice of places")
    estimator: Literal["none", "twin_wls"] = Field(
        "none", description="twin_wls: weighted least squares on the twin, demand as pseudo-measurement"
    )
    demand_error: PositiveFloat = Field(
        0.2, description="what the estimator takes the known demand to be worth, part of it"
    )

    @property
    def perfect(self) -> bool:
        """Whether there is nothing between plant and controller."""
        quantities = (getattr(self, name) for name in QUANTITIES)
        return self.estimator == "none" and all(item == SensorConfig() for item in quantities)

    @property
    def needs(self) -> frozenset[Need]:
        """What the stage wants to know of the feeder."""
        return frozenset({"twin"}) if self.estimator == "twin_wls" else frozenset()


def behind_sensors(controller: Controller, sensing: SensingConfig, knowledge: Knowledge) -> Controller:
    """The controller as it is, or behind sensors and an estimator.

    Raises:
        SeriesError: a sensor is at a place that the site does not have.
    """
    if sensing.perfect:
        return controller
    site = knowledge.site
    models = {name: _model(name, sensing, knowledge) for name in QUANTITIES}
    estimator = None
    if sensing.estimator == "twin_wls":
        noise = EstimatorNoise(
            voltage_pu=float(np.hypot(sensing.voltage.noise, sensing.voltage.bias)),
            import_part=float(np.hypot(sensing.substation.noise, sensing.substation.bias)),
            demand_part=max(sensing.demand_error, LEAST_DEMAND_ERROR),
        )
        estimator = TwinEstimator(site, knowledge.open_twin(), noise)
    return SensingController(controller, Sensors(site, models, sensing.seed), estimator)


def _model(name: str, sensing: SensingConfig, knowledge: Knowledge) -> SensorModel:
    config: SensorConfig = getattr(sensing, name)
    only = config.only
    if config.count is not None:
        site = knowledge.site
        places = {
            "nodes": site.nodes,
            "loads": site.loads,
            "devices": tuple(device.name for device in site.devices),
            "": (),
        }[QUANTITIES[name][1]]
        if config.count > len(places):
            raise SeriesError(
                f"sensing.{name}.count: {config.count} sensors are asked for, the feeder has {len(places)} "
                "places; ask for fewer, or leave 'count' out to measure them all"
            )
        random = np.random.default_rng([sensing.seed, list(QUANTITIES).index(name), 1])
        chosen = random.choice(len(places), size=config.count, replace=False)
        only = tuple(places[i] for i in sorted(chosen))
    return SensorModel(
        noise=config.noise,
        bias=config.bias,
        resolution=config.resolution,
        every_s=config.every_s,
        delay_s=config.delay_s,
        only=only,
        dead=config.dead,
        frozen=config.frozen,
    )
