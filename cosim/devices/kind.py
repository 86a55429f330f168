"""A kind of device: everything the rest of the program asks of it, declared in one place.

The registry is the entry-point group ``cosim.devices``. A kind from another package needs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from cosim.devices.bounds import EnergyBounds, SourceBounds
from cosim.model.arrays import FloatArray
from cosim.model.device import Device
from cosim.model.timegrid import Horizon, TimeGrid

Share = Annotated[float, Field(gt=0, le=1)]
BusName = Annotated[
    str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)
]
"""``65.1`` is a number to YAML and a bus with a phase to us."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_\-]*$")]


class Config(BaseModel):
    """Base of all configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Placement:
    """Where a device is connected, and what is there.

    Attributes:
        bus, phases, delta, neutral: the connection; without a neutral it is to earth or between phases.
        local_kw: nominal load of the bus.
        loads: rows of the loads at the bus, in the site's order.
        grid: the steps of the run.
        folder: that file names of the scenario are relative to.
    """

    bus: str
    phases: tuple[int, ...]
    delta: bool
    local_kw: float = 0.0
    loads: tuple[int, ...] = ()
    grid: TimeGrid | None = None
    folder: Path = Path()
    neutral: int | None = None

    @property
    def since_midnight_s(self) -> float:
        """Seconds from the last midnight before the run to its start, by the clock of the run."""
        if self.grid is None:
            return 0.0
        start = self.grid.start
        return float((start.hour * 60 + start.minute) * 60 + start.second)


class DeviceOptions(Protocol):
    """What a planner's options say about devices: see :class:`cosim.opf.options.PlannerOptions`."""

    @property
    def storage_reactive(self) -> bool:
        """Whether devices with energy may use reactive power."""
        ...

    @property
    def pv_reactive(self) -> bool:
        """Whether devices without energy may."""
        ...

    @property
    def pv_curtail(self) -> bool:
        """Whether devices without energy may be curtailed."""
        ...

    @property
    def storage_loss_cost_per_kwh(self) -> float:
        """Of energy lost in charging and discharging."""
        ...

    @property
    def throughput_cost_per_kwh(self) -> float:
        """Of energy charged and discharged."""
        ...

    @property
    def curtailment_cost_per_kwh(self) -> float:
        """Of energy not taken from what is available."""
        ...


@dataclass(frozen=True)
class PlanContext:
    """What bounds over a horizon may depend on, for the devices of one kind.

    Attributes:
        horizon: the periods.
        options: of the planner.
        time_s: start of the horizon, seconds since the start of the run.
        stored_kwh: now, shape (device,).
        available_kw: forecast, shape (period, device).
        earlier: planned active power of these devices at a second of the run, None where no plan reaches;
            the whole is None without an earlier plan.
    """

    horizon: Horizon
    options: DeviceOptions
    time_s: float
    stored_kwh: FloatArray
    available_kw: FloatArray
    earlier: Callable[[float], FloatArray | None] | None

    @classmethod
    def unknown(cls, horizon: Horizon, options: DeviceOptions, devices: tuple[Device, ...]) -> PlanContext:
        """Before anything is measured: for the sizes and the constants of a program."""
        stored = np.array([device.first_stored_kwh for device in devices])
        return cls(horizon, options, 0.0, stored, np.zeros((len(horizon), len(devices))), None)


@dataclass(frozen=True)
class DeviceHistory:
    """What the devices of one kind did in a run.

    Attributes:
        step_h: length of a step in hours.
        time_s: start of each step, shape (step,).
        kw: delivered, shape (step, device).
        stored_kwh: at the start of each step and after the last one, shape (step + 1, device).
        available_kw: shape (step, device).
    """

    step_h: float
    time_s: FloatArray
    kw: FloatArray
    stored_kwh: FloatArray
    available_kw: FloatArray


class Part(Enum):
    """What a figure of a kind adds to a metric of the whole run."""

    UNSERVED = "energy that users wanted and did not get, kWh"
    DISCOMFORT = "what users are paid for energy that came late or not at all, currency"


@dataclass(frozen=True)
class Figure:
    """One figure of a report: what, how much, in which unit, and to which metric of the run it adds."""

    label: str
    value: float
    unit: str
    part: Part | None = None


def own_columns(name: str) -> dict[str, str]:
    """Columns of a record that begin with the name of the kind."""
    return {
        "setpoint_kw": f"{name}_kw",
        "setpoint_kvar": f"{name}_kvar",
        "kw": f"{name}_kw",
        "kvar": f"{name}_kvar",
        "available_kw": f"{name}_available_kw",
        "stored_kwh": f"{name}_stored_kwh",
        "reason": f"{name}_reason",
    }


@dataclass(frozen=True)
class DeviceKind:
    """A kind of device.

    Attributes:
        name: in scenarios and in the registry.
        title, plural: for people.
        rating: its dataclass, with the laws of acceptance and of stored energy.
        config: one device in a scenario; ``device(placement)`` makes the rating.
        element: ``module:NAME`` of what writes and reads it in OpenDSS; imported by the feeder only.
        columns: names in the record of ``setpoint_kw``, ``setpoint_kvar``, ``kw``, ``kvar``,
            ``available_kw``, ``stored_kwh`` and ``reason``; a quantity that is left out is not recorded.
        siting: a rule that places many of them at load buses, None if there is none.
        scenario_key: list of a scenario that holds them; None: the list ``devices``, by ``kind``.
        energy_bounds, source_bounds: what a plan may do, by whether the kind has energy.
        moving_bounds: the bounds change with time; else they are constants of a compiled program.
        figures: what a report says of the kind's devices, None if nothing beyond power and energy.
    """

    name: str
    title: str
    plural: str
    rating: type[Device]
    config: type[Config]
    element: str
    columns: Mapping[str, str]
    siting: type[Config] | None = None
    scenario_key: str | None = None
    energy_bounds: Callable[[Any, PlanContext], EnergyBounds] | None = None
    source_bounds: Callable[[Any, PlanContext], SourceBounds] | None = None
    moving_bounds: bool = False
    figures: Callable[[Any, DeviceHistory], tuple[Figure, ...]] | None = None
