"""The scenario: what a user writes. Data only: nothing is opened, built or started here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import (
    AwareDatetime,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cosim.devices.kind import Config, Name, Share
from cosim.devices.network_kind import NetworkDeviceConfig
from cosim.devices.pv import PvConfig, SitePv
from cosim.devices.registry import device_kinds, network_kinds
from cosim.devices.storage import SiteStorage, StorageConfig
from cosim.run.accept import AcceptLimit, MetricsConfig
from cosim.run.control_config import (
    MOST_SECONDS,
    ControlConfig,
    ControllerConfig,
    multiple,
    time_problems,
)
from cosim.run.disk import RecordConfig
from cosim.run.federate_config import (
    OWN_FEDERATES,
    FederateConfig,
    FederateRole,
    federate_problems,
    federates_of,
)
from cosim.run.injected import FaultsConfig, OfController
from cosim.run.input_config import InputsConfig
from cosim.run.links import CommunicationConfig
from cosim.run.planner_config import TerminalConfig
from cosim.run.sensing_stage import SensingConfig

MOST_STEPS = 4_000_000
"""A century of quarters of an hour."""


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
    controllers: dict[Name, ControllerConfig] | None = Field(
        None, description="several controllers instead of control: name and section of each", min_length=1
    )
    unassigned: Literal["rest"] | None = Field(
        None, description="devices that no controller has are refused, or rest for the whole run"
    )
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

    @model_validator(mode="before")
    @classmethod
    def _one_process_each(cls, data: Any) -> Any:
        """Where the federates are not listed, each controller has one of its name."""
        if not isinstance(data, dict) or "federates" in data:
            return data
        names = data.get("controllers")
        return {**data, "federates": federates_of(list(names))} if isinstance(names, dict) else data

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what several controllers do not read, or what one controller does not."""
        data: dict[str, Any] = handler(self)
        unused = {"controllers", "unassigned"} if self.controllers is None else {"control"}
        return {key: value for key, value in data.items() if key not in unused}

    @model_validator(mode="after")
    def _fits_together(self) -> Scenario:
        problems = [*self._time_problems(), *self._name_problems(), *self._terminal_problems()]
        problems += [*federate_problems(self.federates, self.controllers), *self._controller_problems()]
        if problems:
            raise ValueError("\n".join(problems))  # one line each, starting with its key
        return self

    @property
    def control_sections(self) -> dict[str, ControlConfig]:
        """Every section about a controller, by its dotted key."""
        if self.controllers is None:
            return {"control": self.control}
        return {f"controllers.{name}": config for name, config in self.controllers.items()}

    @property
    def controller_names(self) -> tuple[str, ...]:
        """Names of the controllers, which are those of their federates, in order."""
        return (self.federate("controller"),) if self.controllers is None else tuple(self.controllers)

    @property
    def hang_limit_s(self) -> float | None:
        """The longest that any decision may take; None where that follows a rule."""
        limits = [config.hang_limit_s for config in self.control_sections.values()]
        given = [limit for limit in limits if limit is not None]
        return max(given) if len(given) == len(limits) else None

    def with_one_controller(self, control: ControlConfig) -> Scenario:
        """The same scenario under one controller of all devices."""
        kept = [federate for federate in self.federates if federate.role != "controller"]
        ones = next(federate for federate in OWN_FEDERATES if federate.role == "controller")
        inject = tuple(
            fault
            for fault in self.faults.inject
            if not (isinstance(fault, OfController) and fault.controller is not None)
        )
        several = {
            "controllers": None,
            "unassigned": None,
            "federates": (*kept, ones),
            "faults": self.faults.model_copy(update={"inject": inject}),
        }
        return self.model_copy(update={"control": control, **(several if self.controllers else {})})

    def _time_problems(self) -> Iterator[str]:
        """What does not fit in time, each line starting with the key."""
        step = self.time.step_s
        for key, control in self.control_sections.items():
            yield from time_problems(control, key, step_s=step, delay_s=self.delay_s())
        if (history := self.inputs.history) is not None:
            yield from multiple("inputs.history.length_s", history.length_s, "time.step_s", step)
        if self.setpoint_ttl_s is not None and self.setpoint_ttl_s < self.delay_s():
            yield (
                f"setpoint_ttl_s: {self.setpoint_ttl_s} is shorter than the feedback delay of "
                f"{self.delay_s()} s; no set-point would ever act"
            )

    def _controller_problems(self) -> Iterator[str]:
        """What does not fit to one controller, or to several, each line starting with the key."""
        names = () if self.controllers is None else tuple(self.controllers)
        for index, fault in enumerate(self.faults.inject):
            if isinstance(fault, OfController) and fault.controller not in {None, *names}:
                known = f"there are {', '.join(names)}" if names else "there is only one, so leave it out"
                key = f"faults.inject.{index}.controller"
                yield f"{key}: no controller is called {fault.controller!r}; {known}"
        if self.controllers is None:
            if self.unassigned is not None:
                yield "unassigned: one controller has all devices; use 'controllers', or leave it out"
            return
        if "control" in self.model_fields_set:
            yield "control: give either 'control' or 'controllers'"
        if self.record.forecasts:
            yield "record.forecasts: keeps the forecast of one controller; leave it out with 'controllers'"
        if self.area_federates:
            yield "federates: areas belong to one controller; leave them out with 'controllers'"

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
        for key, control in self.control_sections.items():
            yield from self._terminal_problems_of(control.planner.terminal, key)

    def _terminal_problems_of(self, terminal: TerminalConfig, key: str) -> Iterator[str]:
        if terminal.type != "hard" or terminal.soc is None:
            return
        windows = [(s.soc_min, s.soc_max) for s in self.storages]
        windows += [(r.soc_min, r.soc_max) for r in self.siting if isinstance(r, SiteStorage)]
        for low, high in windows:
            if not low <= terminal.soc <= high:
                yield (
                    f"{key}.planner.terminal.soc: {terminal.soc:g} is outside soc_min {low:g} .. "
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
