"""The scenario: what a user writes. Data only: nothing is opened, built or started here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import (
    AwareDatetime,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from cosim.devices.kind import Config, Name, Share
from cosim.devices.network_kind import NetworkDeviceConfig
from cosim.devices.pv import PvConfig, SitePv
from cosim.devices.registry import device_kinds, network_kinds
from cosim.devices.storage import SiteStorage, StorageConfig
from cosim.run.accept import AcceptLimit, MetricsConfig
from cosim.run.disk import RecordConfig
from cosim.run.federate_config import OWN_FEDERATES, FederateConfig, FederateRole, federate_problems
from cosim.run.forecast_config import ForecastConfig, Forecasts, PluginOptions
from cosim.run.injected import FaultsConfig
from cosim.run.input_config import InputsConfig
from cosim.run.links import CommunicationConfig
from cosim.run.planner_config import PlannerConfig
from cosim.run.sensing_stage import SensingConfig
from cosim.twin.acceptance import TOLERANCE_PU

LoadModelName = Literal["as_is", "constant_power", "constant_current", "constant_impedance"]
MOST_STEPS, MOST_SECONDS = 4_000_000, 31_622_400
"""A century of quarters of an hour; a year."""


def _one_of(models: Sequence[type[Config]]) -> Any:
    """One of some models, by their field ``kind``."""
    if len(models) < 2:
        return models[0] if models else Config
    return Annotated[Union[tuple(models)], Field(discriminator="kind")]  # noqa: UP007


if TYPE_CHECKING:
    SitingRule = SiteStorage | SitePv
    DeviceConfig = Config
else:
    # Whatever kinds are installed: nobody lists them here.
    SitingRule = _one_of([kind.siting for kind in device_kinds() if kind.siting])
    DeviceConfig = _one_of(
        [
            *(kind.config for kind in device_kinds() if not kind.scenario_key),
            *(kind.config for kind in network_kinds()),
        ]
    )


class FeederConfig(Config):
    """Which feeder is simulated: one that ships with the package, or any OpenDSS master file."""

    model: str | None = Field(None, description="name of a shipped feeder, e.g. ieee123")
    master: Path | None = Field(None, description="path to an OpenDSS master, relative to this file")
    discover: bool = Field(True, description="control the Storage and PVSystem elements it defines")
    tolerance: PositiveFloat = Field(
        1e-8, description="of the power flow; stored energy is as exact as this"
    )
    on_no_convergence: Literal["stop", "hold"] = Field(
        "stop",
        description="a step without power flow ends the run, or is on record and left out of all figures",
    )
    storage_soc_max: Share = Field(
        1.0, description="upper end of the window of the batteries it defines; OpenDSS knows only 1"
    )
    regulator_vreg: PositiveFloat | None = Field(
        None, description="replaces the set voltage (relay volt) of every regulator control"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> FeederConfig:
        if (self.model is None) == (self.master is None):
            raise ValueError("give exactly one of 'model' and 'master'")
        return self


class TimeConfig(Config):
    """The steps of the run."""

    start: AwareDatetime = Field(description="aware timestamp, e.g. 2024-06-21T00:00:00-07:00")
    step_s: Annotated[int, Field(gt=0, le=MOST_SECONDS)] = Field(900, description="length of a step")
    steps: Annotated[int, Field(gt=0, le=MOST_STEPS)] = Field(96, description="number of steps")


class TailConfig(Config):
    """Coarser periods at the end of the horizon."""

    after_s: PositiveInt = Field(description="fine periods up to here")
    resolution_s: PositiveInt = Field(description="length of the periods after that")


class LimitsConfig(Config):
    """Limits of the network; they are soft in the plan and counted in the report."""

    voltage_min_pu: PositiveFloat = 0.95
    voltage_max_pu: PositiveFloat = 1.05
    voltage_penalty_per_pu_h: NonNegativeFloat = 2e4
    import_max_kw: float | None = None
    import_min_kw: float | None = None
    lines: bool = False
    transformers: bool = Field(False, description="ratings of transformers hold too; planner tangent only")
    unbalance_max_percent: PositiveFloat | None = Field(
        None, description="negative over positive sequence voltage; planner tangent only"
    )
    power_penalty_per_kwh: NonNegativeFloat = 100.0

    @model_validator(mode="after")
    def _band(self) -> LimitsConfig:
        if self.voltage_min_pu >= self.voltage_max_pu:
            raise ValueError(
                f"voltage_min_pu {self.voltage_min_pu:g} is not below "
                f"voltage_max_pu {self.voltage_max_pu:g}"
            )
        return self


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


class DelayConfig(Config):
    """Feedback after a delay."""

    delay_s: PositiveInt = Field(description="a decision acts in the first step at or after this delay")


class Scenario(Config):
    """A closed-loop study: feeder, devices, inputs, control, and when decisions act."""

    schema_version: Literal[1] = Field(alias="schema", description="version of this file format")
    name: Name
    title: str = ""
    feeder: FeederConfig
    time: TimeConfig
    inputs: InputsConfig = InputsConfig()
    storages: tuple[StorageConfig, ...] = ()
    pvs: tuple[PvConfig, ...] = ()
    devices: tuple[DeviceConfig, ...] = Field((), description="devices of other kinds, each with its kind")
    siting: tuple[SitingRule, ...] = ()
    limits: LimitsConfig = LimitsConfig()
    sensing: SensingConfig = SensingConfig()
    communication: CommunicationConfig = CommunicationConfig()
    faults: FaultsConfig = FaultsConfig()
    record: RecordConfig = RecordConfig()
    control: ControlConfig = ControlConfig()
    feedback: Literal["same_step", "next_step"] | DelayConfig = "same_step"
    federates: tuple[FederateConfig, ...] = Field(OWN_FEDERATES, description="processes over HELICS")
    setpoint_ttl_s: PositiveInt | None = Field(
        None, description="older set-points are dropped for the safe state (devices rest)"
    )
    baseline: bool = Field(True, description="also run the scenario without control, for comparison")
    accept: tuple[AcceptLimit, ...] = Field(
        (), description="limits on metrics that a run must keep, e.g. energy_cost <= 1.05 * baseline"
    )
    metrics: MetricsConfig = MetricsConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Scenario:
        problems = [*self._time_problems(), *self._name_problems(), *self._terminal_problems()]
        problems += federate_problems(self.federates)
        if problems:
            raise ValueError("\n".join(problems))  # one line each, starting with its key
        return self

    def _time_problems(self) -> Iterator[str]:
        """What does not fit in time, each line starting with the key."""
        step, control = self.time.step_s, self.control
        resolution, interval = control.resolution_s or step, control.interval_s or step
        yield from _multiple("control.resolution_s", resolution, "time.step_s", step)
        yield from _multiple("control.interval_s", interval, "time.step_s", step)
        if (history := self.inputs.history) is not None:
            yield from _multiple("inputs.history.length_s", history.length_s, "time.step_s", step)
        if interval > control.horizon_s:
            yield f"control.interval_s: {interval} is longer than horizon_s {control.horizon_s}"
        if self.delay_s() >= control.horizon_s:
            yield f"feedback: a delay of {self.delay_s()} s reaches beyond horizon_s {control.horizon_s}"
        if self.setpoint_ttl_s is not None and self.setpoint_ttl_s < self.delay_s():
            yield (
                f"setpoint_ttl_s: {self.setpoint_ttl_s} is shorter than the feedback delay of "
                f"{self.delay_s()} s; no set-point would ever act"
            )
        if control.tail is None:
            yield from _multiple("control.horizon_s", control.horizon_s, "resolution_s", resolution)
            return
        tail = control.tail
        yield from _multiple("control.tail.after_s", tail.after_s, "resolution_s", resolution)
        yield from _multiple("control.tail.resolution_s", tail.resolution_s, "time.step_s", step)
        if tail.after_s >= control.horizon_s:
            yield f"control.tail.after_s: {tail.after_s} is not below horizon_s {control.horizon_s}"
        elif (control.horizon_s - tail.after_s) % tail.resolution_s:
            yield (
                f"control.horizon_s: {control.horizon_s} less tail.after_s {tail.after_s} is not a "
                f"multiple of tail.resolution_s {tail.resolution_s}"
            )

    def _name_problems(self) -> Iterator[str]:
        items = [*self.listed(), *self.network_devices()]
        names = [item.name.lower() for _, item in items]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            yield f"storages: device names must differ; {', '.join(double)} is used twice"

    def federate(self, role: FederateRole) -> str:
        """Name of the federate that has a role."""
        return next(federate.name for federate in self.federates if federate.role == role)

    @property
    def area_federates(self) -> tuple[str, ...]:
        """Names of the federates that plan an area, in the order of the areas."""
        return tuple(federate.name for federate in self.federates if federate.role == "area")

    @property
    def publisher(self) -> FederateConfig | None:
        """The federate that publishes a forecast, if there is one."""
        return next((federate for federate in self.federates if federate.role == "forecast"), None)

    def _terminal_problems(self) -> Iterator[str]:
        terminal = self.control.planner.terminal
        if terminal.type != "hard" or terminal.soc is None:
            return
        windows = [(s.soc_min, s.soc_max) for s in self.storages]
        windows += [(r.soc_min, r.soc_max) for r in self.siting if isinstance(r, SiteStorage)]
        for low, high in windows:
            if not low <= terminal.soc <= high:
                yield (
                    f"control.planner.terminal.soc: {terminal.soc:g} is outside soc_min {low:g} .. "
                    f"soc_max {high:g} of a battery"
                )
                return

    def network_devices(self) -> Iterator[tuple[tuple[str | int, ...], Any]]:
        """Every network device with its place in the scenario."""
        for index, item in enumerate(self.devices):
            if isinstance(item, NetworkDeviceConfig):
                yield ("devices", index), item

    def listed(self) -> Iterator[tuple[tuple[str | int, ...], Any]]:
        """Every listed device at a bus, with its place in the scenario."""
        keys = [kind.scenario_key for kind in device_kinds() if kind.scenario_key]
        for key in (*keys, "devices"):
            for index, item in enumerate(getattr(self, key)):
                if not isinstance(item, NetworkDeviceConfig):
                    yield (key, index), item

    def delay_s(self) -> int:
        """Declared time between a measurement and the action of its decision."""
        if isinstance(self.feedback, DelayConfig):
            return self.feedback.delay_s
        return 0 if self.feedback == "same_step" else self.time.step_s

    def period_s(self) -> tuple[int, ...]:
        """Length of each period of a plan."""
        control = self.control
        resolution = control.resolution_s or self.time.step_s
        if control.tail is None:
            return (resolution,) * (control.horizon_s // resolution)
        fine = (resolution,) * (control.tail.after_s // resolution)
        rest = control.horizon_s - control.tail.after_s
        return fine + (control.tail.resolution_s,) * (rest // control.tail.resolution_s)


def _multiple(key: str, value: int, unit_key: str, unit: int) -> Iterator[str]:
    if value % unit:
        yield f"{key}: {value} is not a multiple of {unit_key} {unit}"
