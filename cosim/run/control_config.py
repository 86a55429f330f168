"""The sections ``control`` and ``controllers`` of a scenario: who decides, and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from cosim.devices.kind import Config
from cosim.run.forecast_config import ForecastConfig, Forecasts, PluginOptions
from cosim.run.links import CommunicationConfig
from cosim.run.planner_config import PlannerConfig
from cosim.twin.acceptance import TOLERANCE_PU

LoadModelName = Literal["as_is", "constant_power", "constant_current", "constant_impedance"]
MOST_SECONDS = 31_622_400
"""A year."""


class TailConfig(Config):
    """Coarser periods at the end of the horizon."""

    after_s: PositiveInt = Field(description="fine periods up to here")
    resolution_s: PositiveInt = Field(description="length of the periods after that")


class TwinConfig(Config):
    """The controller's own model of the feeder: what it may, and what it is made to, get wrong."""

    tolerance_pu: PositiveFloat = Field(
        TOLERANCE_PU,
        lt=0.1,
        description="largest difference from the feeder at first, of a voltage and as a part of the import",
    )
    constant_power: list[str] = Field(
        [],
        description="elements (class.name) that count as ones of constant power: induction machines ...",
    )

    impedance_error: NonNegativeFloat = Field(
        0.0, description="standard deviation of each line's impedance, as a part of it"
    )
    seed: NonNegativeInt = Field(0, description="of those errors")
    stale_taps: bool = Field(False, description="believe in the taps and capacitors measured first")
    frozen_controls: bool = Field(
        False, description="do not expect regulators and capacitors to react to the plan"
    )
    load_model: LoadModelName = Field("as_is", description="how loads depend on voltage, for the twin")


class ControlConfig(Config):
    """The controller."""

    type: str = Field("receding_horizon", description="receding_horizon, idle, or module:Class")
    options: PluginOptions = Field({}, description="of this controller; it says which it takes")
    seed: NonNegativeInt = Field(0, description="of controller, planner and forecaster, if they take one")
    deadline_s: PositiveFloat | None = Field(
        None, description="a plan that takes longer is too late for its step, which follows the one before"
    )
    hang_limit_s: PositiveFloat | None = Field(
        None,
        description="the run ends if a decision takes longer; default 60 s, or ten times the slowest so "
        "far (for the first 300 s, and ten times what it took to set the run up)",
    )
    on_planner_error: Literal["fall_back", "stop"] = Field(
        "fall_back", description="what an exception of the planner does; it is logged and counted"
    )
    horizon_s: Annotated[int, Field(gt=0, le=MOST_SECONDS)] = 21_600
    interval_s: PositiveInt | None = Field(None, description="how often to plan; default every step")
    resolution_s: PositiveInt | None = Field(None, description="period of a plan; default one step")
    tail: TailConfig | None = None
    twin: TwinConfig = TwinConfig()
    forecast: Forecasts = Field(
        ForecastConfig(), description="one for all, or one each for load, irradiance and price"
    )
    planner: PlannerConfig = PlannerConfig()


class ControllerConfig(ControlConfig):
    """One of several controllers of a feeder, with devices of its own."""

    devices: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="names of its devices, or patterns with * and ?; no other controller has them"
    )
    on_failure: Literal["stop", "rest"] = Field(
        "stop", description="what its exception does: it ends the run, or its devices rest from then on"
    )
    communication: CommunicationConfig | None = Field(
        None, description="its links; default: those of the scenario, with a seed of its own"
    )


def time_problems(control: ControlConfig, key: str, *, step_s: int, delay_s: int) -> Iterator[str]:
    """What does not fit in time, each line starting with the key.

    Args:
        control: of a scenario, or of one of its controllers.
        key: of that section.
        step_s: length of a step of the run.
        delay_s: from a measurement to the action of its decision.
    """
    resolution, interval = control.resolution_s or step_s, control.interval_s or step_s
    yield from multiple(f"{key}.resolution_s", resolution, "time.step_s", step_s)
    yield from multiple(f"{key}.interval_s", interval, "time.step_s", step_s)
    if interval > control.horizon_s:
        yield f"{key}.interval_s: {interval} is longer than horizon_s {control.horizon_s}"
    if delay_s >= control.horizon_s:
        yield f"feedback: a delay of {delay_s} s reaches beyond horizon_s {control.horizon_s} of {key}"
    if control.tail is None:
        yield from multiple(f"{key}.horizon_s", control.horizon_s, "resolution_s", resolution)
        return
    tail = control.tail
    yield from multiple(f"{key}.tail.after_s", tail.after_s, "resolution_s", resolution)
    yield from multiple(f"{key}.tail.resolution_s", tail.resolution_s, "time.step_s", step_s)
    if tail.after_s >= control.horizon_s:
        yield f"{key}.tail.after_s: {tail.after_s} is not below horizon_s {control.horizon_s}"
    elif (control.horizon_s - tail.after_s) % tail.resolution_s:
        yield (
            f"{key}.horizon_s: {control.horizon_s} less tail.after_s {tail.after_s} is not a "
            f"multiple of tail.resolution_s {tail.resolution_s}"
        )


def multiple(key: str, value: int, unit_key: str, unit: int) -> Iterator[str]:
    """A line if a time is no multiple of another."""
    if value % unit:
        yield f"{key}: {value} is not a multiple of {unit_key} {unit}"
