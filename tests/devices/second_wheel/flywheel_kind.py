"""A kind of device from another package: a flywheel that loses a steady power while it turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from cosim.devices.bounds import EnergyBounds, each
from cosim.devices.kind import BusName, Config, DeviceKind, Name, Placement, PlanContext, own_columns
from cosim.model.device import Device, DeviceState


@dataclass(frozen=True)
class Flywheel(Device):
    """A flywheel; ``friction_kw`` slows it down as long as it has energy for a step of it."""

    kind: ClassVar[str] = "flywheel"
    has_energy: ClassVar[bool] = True

    kwh: float
    friction_kw: float

    @property
    def rest_kw(self) -> float:
        return -self.friction_kw

    @property
    def first_stored_kwh(self) -> float:
        return 0.5 * self.kwh

    def accept_kw(self, kw: float, state: DeviceState) -> tuple[float, str]:
        least = -min(self.kw, (self.kwh - state.stored_kwh) / state.step_h + self.friction_kw)
        most = min(self.kw, state.stored_kwh / state.step_h - self.friction_kw)
        accepted = max(least, min(most, kw))
        reason = f"{state.stored_kwh:.3f} kWh stored" if abs(accepted - kw) > 1e-6 * self.kw else ""
        return accepted, reason

    def next_stored_kwh(self, stored_kwh: float, kw: float, step_h: float, time_s: float = 0.0) -> float:
        return stored_kwh - (kw + self.friction_kw) * step_h


class FlywheelConfig(Config):
    """A flywheel."""

    kind: Literal["flywheel"]
    name: Name
    bus: BusName
    delta: bool = False
    kw: float
    kwh: float
    friction_kw: float = 0.5

    def device(self, place: Placement) -> Flywheel:
        return Flywheel(
            self.name, place.bus, place.phases, place.delta, self.kw, self.kw,
            kwh=self.kwh, friction_kw=self.friction_kw, kvar_max=0.0, kvar_max_abs=0.0,
        )  # fmt: skip


def bounds(flywheels: tuple[Flywheel, ...], context: PlanContext) -> EnergyBounds:
    """Power and energy over a horizon."""
    count, shape = len(flywheels), (len(context.horizon), len(flywheels))
    kw, kwh = each(flywheels, "kw"), each(flywheels, "kwh")
    hours = context.horizon.hours[:, None]
    return EnergyBounds(
        take_max_kw=np.broadcast_to(kw, shape).copy(),
        give_max_kw=np.broadcast_to(kw, shape).copy(),
        charge_efficiency=np.ones(count),
        discharge_efficiency=np.ones(count),
        start_kwh=np.clip(context.stored_kwh, 0.0, kwh),
        least_kwh=np.zeros(shape),
        most_kwh=np.broadcast_to(kwh, shape).copy(),
        drain_kwh=hours * each(flywheels, "friction_kw"),
        take_cost_per_kwh=np.full(shape, 0.001),
        give_cost_per_kwh=np.full(shape, 0.001),
        loss_cost_per_kwh=np.zeros(count),
        reactive=np.zeros(count, dtype=bool),
        kwh=kwh,
        ends=np.zeros(count, dtype=bool),
    )


FLYWHEEL = DeviceKind(
    name="flywheel",
    title="flywheel",
    plural="flywheels",
    rating=Flywheel,
    config=FlywheelConfig,
    element="cosim.feeder.elements.injection:INJECTION",
    energy_bounds=bounds,
    moving_bounds=True,
    columns=own_columns("flywheel"),
)
