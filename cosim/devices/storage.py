"""Batteries: rating, laws, configuration, and what a plan may do with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from cosim.devices.bounds import EnergyBounds, each
from cosim.devices.energy_targets import (
    EnergyTarget,
    EnergyTargetConfig,
    expand,
    least_with_targets,
)
from cosim.devices.kind import BusName, Config, DeviceKind, Name, Placement, PlanContext, Share
from cosim.model.arrays import FloatArray
from cosim.model.device import ROUNDING, Device, DeviceState

FULL_TOLERANCE_KWH = 1e-9
DEFAULT_KVA_PER_KW = 1.2
REACHED = 1.0 - 1e-6
"""Part of the charging power that targets may ask for: a program that has no choice left has no inside."""


@dataclass(frozen=True)
class StorageRating(Device):
    """A battery behind an inverter.

    Attributes:
        kw: largest charging and discharging power at the terminals.
        kva: rating of the inverter; never below ``kw``.
        kwh: energy of the full cell, where the simulator stops charging.
        min_kwh, max_kwh: window the battery may be used in; ``min_kwh`` is the simulator's reserve.
        initial_kwh: stored energy at the start of the run.
        efficiency_charge, efficiency_discharge: between terminals and cell, each way.
        idling_kw: standby loss while the run lasts.
        targets: energy that plans hold at given times, in the order of time.
    """

    kind: ClassVar[str] = "storage"
    has_energy: ClassVar[bool] = True

    kwh: float
    min_kwh: float
    max_kwh: float
    initial_kwh: float
    efficiency_charge: float
    efficiency_discharge: float
    idling_kw: float
    targets: tuple[EnergyTarget, ...] = field(default=(), kw_only=True)

    @property
    def rest_kw(self) -> float:
        """Neither charging nor discharging."""
        return 0.0

    @property
    def idles(self) -> bool:
        """Whether it has a standby loss."""
        return bool(self.idling_kw)

    @property
    def bounds_move(self) -> bool:
        """Whether it has targets."""
        return bool(self.targets)

    @property
    def first_stored_kwh(self) -> float:
        """Energy stored at the start of the run."""
        return self.initial_kwh

    def delivered_kw(self, accepted_kw: float, state: DeviceState) -> float:
        """The set-point; a battery at rest draws its idling loss."""
        del state
        return -self.idling_kw if abs(accepted_kw) < ROUNDING else accepted_kw

    def next_stored_kwh(self, stored_kwh: float, kw: float, step_h: float, time_s: float = 0.0) -> float:
        """Stored energy after one step at constant terminal power.

        The idling loss comes out of the cell while the battery works and out of the grid while it
        rests. An empty battery told to discharge, and a full one told to charge, rest. Energy outside
        the reserve and the full cell is cut off, whatever the power was: a set-point that would cross
        them must be reduced beforehand (see :meth:`accept`).

        Source: OpenDSS storage model (EPRI technical note *OpenDSS Storage Element*), checked
        against the engine step by step.
        """
        del time_s
        if kw > 0.0:
            if stored_kwh <= self.min_kwh:
                return stored_kwh
            after = stored_kwh - (kw + self.idling_kw) / self.efficiency_discharge * step_h
            return max(after, self.min_kwh)
        if kw < 0.0:
            if stored_kwh >= self.kwh:
                return stored_kwh
            into_cell_kw = -kw - self.idling_kw
            if into_cell_kw < 0.0:
                # A trickle below the idling loss drains the cell, and stops at the reserve too.
                after = stored_kwh + into_cell_kw / self.efficiency_discharge * step_h
                return max(after, self.min_kwh) if stored_kwh > self.min_kwh else stored_kwh
            return min(stored_kwh + into_cell_kw * self.efficiency_charge * step_h, self.kwh)
        return stored_kwh

    def accept_kw(self, kw: float, state: DeviceState) -> tuple[float, str]:
        """Largest part of a power that the battery can hold for a whole step."""
        stored_kwh, step_h = state.stored_kwh, state.step_h
        reasons: list[str] = []
        accepted = max(-self.kw, min(self.kw, kw))
        if accepted != kw:
            reasons.append(f"rating {self.kw:g} kW")
        if accepted > 0.0:
            room = (stored_kwh - self.min_kwh) * self.efficiency_discharge / step_h - self.idling_kw
            if room < accepted:
                rounding = accepted - room <= ROUNDING * self.kw
                accepted = room if room > FULL_TOLERANCE_KWH else 0.0
                if not rounding:
                    reasons.append(f"energy: {stored_kwh:.3f} kWh stored, {self.min_kwh:g} kWh reserve")
        elif accepted < 0.0:
            room_kwh = self.max_kwh - stored_kwh
            room = room_kwh / (self.efficiency_charge * step_h) + self.idling_kw
            if room_kwh <= FULL_TOLERANCE_KWH:
                accepted = 0.0
                reasons.append(f"energy: {stored_kwh:.3f} of {self.max_kwh:g} kWh stored")
            elif room < -accepted:
                if -accepted - room > ROUNDING * self.kw:
                    reasons.append(f"energy: {stored_kwh:.3f} of {self.max_kwh:g} kWh stored")
                accepted = -room
        return accepted, "; ".join(reasons)


class StorageConfig(Config):
    """A battery."""

    name: Name
    bus: BusName = Field(description="bus with phases, e.g. 65.1 or 671.1.2.3; no phases means all")
    delta: bool = Field(False, description="connected between phases")
    kw: PositiveFloat
    kva: PositiveFloat | None = Field(None, description="default 1.2 kw")
    kwh: PositiveFloat
    soc_min: Annotated[float, Field(ge=0, lt=1)] = 0.2
    soc_max: Share = 0.95
    soc_start: Annotated[float, Field(ge=0, le=1)] = 0.5
    efficiency_charge: Share = 0.95
    efficiency_discharge: Share = 0.95
    idling_kw: NonNegativeFloat = 0.0
    targets: tuple[EnergyTargetConfig, ...] = Field((), description="energy that plans hold at given times")

    @model_validator(mode="after")
    def _consistent(self) -> StorageConfig:
        _must_lie_in_window(self.targets, self.soc_min, self.soc_max)
        if not self.soc_min < self.soc_max:
            raise ValueError(f"soc_min {self.soc_min:g} is not below soc_max {self.soc_max:g}")
        if not self.soc_min <= self.soc_start <= self.soc_max:
            raise ValueError(
                f"soc_start {self.soc_start:g} is outside soc_min {self.soc_min:g} .. "
                f"soc_max {self.soc_max:g}; a battery cannot start where it may not be"
            )
        if self.kva is not None and self.kva < self.kw:
            raise ValueError(
                f"kva {self.kva:g} is below kw {self.kw:g}; the inverter must carry the battery"
            )
        return self

    def device(self, place: Placement) -> StorageRating:
        """The battery at its place."""
        return StorageRating(
            self.name.lower(),
            place.bus,
            place.phases,
            place.delta,
            self.kw,
            self.kva if self.kva is not None else DEFAULT_KVA_PER_KW * self.kw,
            kwh=self.kwh,
            min_kwh=self.soc_min * self.kwh,
            max_kwh=self.soc_max * self.kwh,
            initial_kwh=self.soc_start * self.kwh,
            efficiency_charge=self.efficiency_charge,
            efficiency_discharge=self.efficiency_discharge,
            idling_kw=self.idling_kw,
            targets=expand(self.targets, self.kwh, place),
        )


def _must_lie_in_window(targets: tuple[EnergyTargetConfig, ...], soc_min: float, soc_max: float) -> None:
    for target in targets:
        if not soc_min <= target.soc <= soc_max:
            raise ValueError(
                f"a target of {target.soc:g} is outside soc_min {soc_min:g} .. soc_max {soc_max:g}"
            )


class SiteStorage(Config):
    """Batteries at a random share of the load buses, connected as the largest load there."""

    kind: Literal["storage"]
    share_of_load_buses: Share
    times_local_load: PositiveFloat = Field(description="kW per nominal kW of load at the bus")
    hours: PositiveFloat = Field(4.0, description="kWh per kW")
    kva_per_kw: Annotated[float, Field(ge=1)] = 1.2
    soc_min: Annotated[float, Field(ge=0, lt=1)] = 0.2
    soc_max: Share = 0.95
    soc_start: Annotated[float, Field(ge=0, le=1)] = 0.5
    efficiency_charge: Share = 0.95
    efficiency_discharge: Share = 0.95
    idling_kw_per_kw: NonNegativeFloat = 0.0
    targets: tuple[EnergyTargetConfig, ...] = Field((), description="energy that plans hold at given times")
    at_most: PositiveInt | None = Field(None, description="no more than this many")
    seed: NonNegativeInt

    @model_validator(mode="after")
    def _consistent(self) -> SiteStorage:
        _must_lie_in_window(self.targets, self.soc_min, self.soc_max)
        if not self.soc_min <= self.soc_start <= self.soc_max:
            raise ValueError(
                f"soc_start {self.soc_start:g} is outside soc_min {self.soc_min:g} .. "
                f"soc_max {self.soc_max:g}"
            )
        return self

    def device(self, place: Placement) -> StorageRating:
        """The battery at one of the sites."""
        kw = round(self.times_local_load * place.local_kw, 3)
        kwh = self.hours * kw
        return StorageRating(
            f"bess_{place.bus}",
            place.bus,
            place.phases,
            place.delta,
            kw,
            self.kva_per_kw * kw,
            kwh=kwh,
            min_kwh=self.soc_min * kwh,
            max_kwh=self.soc_max * kwh,
            initial_kwh=self.soc_start * kwh,
            efficiency_charge=self.efficiency_charge,
            efficiency_discharge=self.efficiency_discharge,
            idling_kw=self.idling_kw_per_kw * kw,
            targets=expand(self.targets, kwh, place),
        )


def storage_bounds(batteries: tuple[StorageRating, ...], context: PlanContext) -> EnergyBounds:
    """What a plan may do with batteries, and what it costs."""
    options = context.options
    full = np.ones((len(context.horizon), len(batteries)))
    kw = each(batteries, "kw")
    into, out = each(batteries, "efficiency_charge"), each(batteries, "efficiency_discharge")
    least, most = each(batteries, "min_kwh"), each(batteries, "max_kwh")
    return EnergyBounds(
        take_max_kw=full * kw,
        give_max_kw=full * kw,
        charge_efficiency=into,
        discharge_efficiency=out,
        # A measurement may lie a rounding outside the window; the program must stay feasible.
        start_kwh=np.clip(context.stored_kwh, least, most),
        least_kwh=_least_kwh(batteries, context, full * least),
        most_kwh=full * most,
        drain_kwh=_expected_drain_kwh(batteries, context),
        take_cost_per_kwh=full * options.throughput_cost_per_kwh,
        give_cost_per_kwh=full * options.throughput_cost_per_kwh,
        loss_cost_per_kwh=np.full(len(batteries), options.storage_loss_cost_per_kwh),
        reactive=np.full(len(batteries), options.storage_reactive),
        kwh=each(batteries, "kwh"),
        ends=np.ones(len(batteries), dtype=bool),
    )


def _least_kwh(
    batteries: tuple[StorageRating, ...], context: PlanContext, least_kwh: FloatArray
) -> FloatArray:
    """Reserve, and targets as far as they can be reached, shape (period, battery)."""
    for i, battery in enumerate(batteries):
        if battery.targets:
            least_kwh[:, i] = least_with_targets(
                battery.targets,
                least_kwh[:, i],
                most_kwh=battery.max_kwh,
                start_kwh=min(max(float(context.stored_kwh[i]), battery.min_kwh), battery.max_kwh),
                charge_kw=REACHED * battery.efficiency_charge * (battery.kw - battery.idling_kw),
                horizon=context.horizon,
                time_s=context.time_s,
            )
    return least_kwh


def _expected_drain_kwh(batteries: tuple[StorageRating, ...], context: PlanContext) -> FloatArray:
    """Idling losses out of the cells where an earlier plan lets batteries work, shape (period, battery).

    Idling loss leaves the cell only while the battery works, which is not known before solving.
    """
    horizon = context.horizon
    drain = np.zeros((len(horizon), len(batteries)))
    idling = each(batteries, "idling_kw")
    if context.earlier is None or not idling.any():
        return drain
    out = idling / each(batteries, "efficiency_discharge")
    into = idling * each(batteries, "efficiency_charge")
    for period, (offset_s, hours) in enumerate(zip(horizon.starts_s, horizon.hours, strict=True)):
        kw = context.earlier(context.time_s + float(offset_s))
        if kw is not None:
            drain[period] = hours * (np.where(kw > 0, out, 0.0) + np.where(kw < 0, into, 0.0))
    return drain


STORAGE = DeviceKind(
    name="storage",
    title="battery",
    plural="batteries",
    rating=StorageRating,
    config=StorageConfig,
    siting=SiteStorage,
    scenario_key="storages",
    element="cosim.feeder.elements.storage:STORAGE",
    energy_bounds=storage_bounds,
    columns={
        "setpoint_kw": "storage_kw",
        "setpoint_kvar": "storage_kvar",
        "kw": "storage_kw",
        "kvar": "storage_kvar",
        "stored_kwh": "stored_kwh",
        "reason": "storage_reason",
    },
)
