"""The key ``control.planner`` of a scenario: how plans are made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from cosim.devices.kind import Config
from cosim.run.forecast_config import PluginOptions
from cosim.run.uncertainty_config import UncertaintyConfig


class TerminalConfig(Config):
    """What the end of the horizon asks of stored energy."""

    type: Literal["hard", "soft", "value", "free"] = "free"
    soc: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="target; default: where each battery started"
    )
    per_kwh: NonNegativeFloat = Field(0.0, description="cost of deviation, or value of energy left")


class ObjectiveConfig(Config):
    """Weights of the objective."""

    energy_cost: NonNegativeFloat = 1.0
    losses_per_kwh: NonNegativeFloat = 0.0
    losses_at_price: NonNegativeFloat = Field(
        0.0, description="share of the energy price that a lossless model charges losses with"
    )
    peak_per_kw: NonNegativeFloat = 0.0
    voltage_deviation_per_pu2_h: NonNegativeFloat = 0.0


class PlannerConfig(Config):
    """How plans are made."""

    type: str = Field("lindistflow", description="an installed planner, or module:Class")
    options: PluginOptions = Field({}, description="of this planner alone; it says which it takes")
    objective: ObjectiveConfig = ObjectiveConfig()
    terminal: TerminalConfig = TerminalConfig()
    complementarity: Literal["relaxed", "binary", "repair"] = Field(
        "relaxed", description="how charging and discharging at once is ruled out"
    )
    inverter: Literal["polygon", "cone"] = "polygon"
    anchor: Literal["measurement", "none"] = Field(
        "measurement", description="correct a linear model by the measurement, or use it as it stands"
    )
    storage_reactive: bool = True
    pv_reactive: bool = True
    pv_curtail: bool = True
    storage_loss_cost_per_kwh: NonNegativeFloat = Field(
        0.0, description="of energy lost in batteries; above every negative nodal price it rules out waste"
    )
    throughput_cost_per_kwh: NonNegativeFloat = 0.005
    curtailment_cost_per_kwh: NonNegativeFloat = 0.0
    reactive_cost_per_kvarh: NonNegativeFloat = Field(
        0.002, description="tie-break: a lossless network does not care about reactive power"
    )
    solver: str = Field("auto", description="auto, clarabel, highs, scip, ipopt, bonmin, ...")
    solver_seconds: PositiveFloat | None = Field(
        None,
        description="stop a solve after this; planner tangent, and HiGHS on a mixed-integer program, "
        "give the best plan so far; else the controller falls back on its earlier plan",
    )

    uncertainty: UncertaintyConfig | None = Field(
        None,
        description="plan for scenarios, or keep limits with a probability, where the forecaster tells its "
        "errors; default: the forecast is taken for true",
    )

    def of_type(self, name: str) -> PlannerConfig:
        """The same for another planner, which does not take this one's own options."""
        options = self.options if name == self.type else {}
        return self.model_copy(update={"type": name, "options": options})
