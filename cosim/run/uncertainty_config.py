"""The key ``control.planner.uncertainty`` of a scenario: how plans reckon with errors of the forecast."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat

from cosim.devices.kind import Config
from cosim.opf.uncertainty import ChanceLimits, ScenarioPlanning, Uncertainty


class ScenariosConfig(Config):
    """Plan for several futures at once: one first period, then a dispatch for each future."""

    type: Literal["scenarios"]
    count: Annotated[int, Field(ge=1, le=1000)] = Field(20, description="of futures, equally probable")
    cvar_weight: NonNegativeFloat = Field(
        0.0, description="what the mean cost of the worst futures counts beside the expected cost"
    )
    cvar_level: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.9, description="the worst futures are the share above this"
    )

    def planning(self) -> Uncertainty:
        """As planners take it."""
        return ScenarioPlanning(self.count, self.cvar_weight, self.cvar_level)


class ChanceConfig(Config):
    """Keep each limit of voltages and currents with a probability."""

    type: Literal["chance"]
    violation: Annotated[float, Field(gt=0.0, lt=0.5)] = Field(
        0.05, description="probability allowed to be beyond a limit, for each by itself"
    )
    sample: Annotated[int, Field(ge=2, le=1000)] = Field(
        40, description="futures that the spread of voltages and currents is estimated from"
    )

    def planning(self) -> Uncertainty:
        """As planners take it."""
        return ChanceLimits(self.violation, self.sample)


UncertaintyConfig = Annotated[ScenariosConfig | ChanceConfig, Field(discriminator="type")]
