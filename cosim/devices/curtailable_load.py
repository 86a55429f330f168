"""Curtailable loads: a share of a load that may be shed for a price, so many hours a day.

The state is an allowance of energy that may still be shed. Every midnight it grows by a day's allowance,
and what is not used carries over, so that the law is linear: what a plan says is what the plant does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from cosim.devices.bounds import EnergyBounds, each
from cosim.devices.flexible_load import FlexibleLoad
from cosim.devices.kind import (
    BusName,
    Config,
    DeviceHistory,
    DeviceKind,
    Figure,
    Name,
    Part,
    Placement,
    PlanContext,
    Share,
    own_columns,
)
from cosim.model.device import DELIVERY_ROUNDING, DeviceState

DAY_S = 86_400.0


@dataclass(frozen=True)
class CurtailableLoad(FlexibleLoad):
    """A share of the load at a bus that may be shed.

    Attributes:
        kw: nominal power of the flexible share; no more is ever shed.
        depth: of the flexible demand that may be shed at once.
        allowance_kwh: energy that may be shed per day.
        cost_per_kwh: paid for energy that is shed.
    """

    kind: ClassVar[str] = "curtailable_load"
    has_energy: ClassVar[bool] = True

    depth: float
    allowance_kwh: float
    cost_per_kwh: float

    @property
    def first_stored_kwh(self) -> float:
        """The allowance of the first day."""
        return self.allowance_kwh

    def most_kw(self, available_kw: float) -> float:
        """Largest power that may be shed of a flexible demand."""
        return max(min(self.kw, self.depth * available_kw), 0.0)

    def midnights(self, time_s: float, step_h: float) -> int:
        """How many midnights end, or lie in, a step."""
        start = self.since_midnight_s + time_s
        return int((start + 3600.0 * step_h) // DAY_S - start // DAY_S)

    def accept_kw(self, kw: float, state: DeviceState) -> tuple[float, str]:
        """No more than is flexible, and than the allowance lasts for."""
        reasons: list[str] = []
        most = self.most_kw(state.available_kw)
        accepted = max(0.0, min(most, kw))
        if abs(accepted - kw) > DELIVERY_ROUNDING * self.kw:
            reasons.append(f"shedding outside 0 .. {most:g} kW")
        room = max(state.stored_kwh, 0.0) / state.step_h
        if room < accepted:
            if accepted - room > DELIVERY_ROUNDING * self.kw:
                reasons.append(f"allowance: {state.stored_kwh:.3f} kWh left")
            accepted = room
        return accepted, "; ".join(reasons)

    def next_stored_kwh(self, stored_kwh: float, kw: float, step_h: float, time_s: float = 0.0) -> float:
        """The allowance less what was shed, and more after a midnight."""
        return stored_kwh - kw * step_h + self.midnights(time_s, step_h) * self.allowance_kwh


class Shedding(Config):
    """What may be shed of a load, and what it costs."""

    share: Share = Field(0.3, description="of the demand that is flexible")
    depth: Share = Field(1.0, description="of the flexible demand that may be shed at once")
    hours_per_day: PositiveFloat = Field(2.0, description="of the whole flexible power, as energy")
    cost_per_kwh: NonNegativeFloat = Field(description="paid for each kWh that is shed")


class CurtailableLoadConfig(Shedding):
    """A share of the load at a bus that may be shed for a price."""

    kind: Literal["curtailable_load"]
    name: Name
    bus: BusName = Field(description="bus with phases, e.g. 65.1; all loads of the bus take part")
    delta: bool = Field(False, description="connected between phases")

    def device(self, place: Placement) -> CurtailableLoad:
        """The flexible share of the loads at a place."""
        return _device(self.name.lower(), place, self)


class SiteCurtailableLoad(Shedding):
    """Curtailable loads at a random share of the load buses."""

    kind: Literal["curtailable_load"]
    share_of_load_buses: Share
    at_most: PositiveInt | None = Field(None, description="no more than this many")
    seed: NonNegativeInt

    def device(self, place: Placement) -> CurtailableLoad:
        """The flexible share of the loads at one of the sites."""
        return _device(f"curtailable_{place.bus}", place, self)


def _device(name: str, place: Placement, config: Shedding) -> CurtailableLoad:
    kw = config.share * place.local_kw
    return CurtailableLoad(
        name,
        place.bus,
        place.phases,
        place.delta,
        kw,
        kw,
        loads=place.loads,
        share=config.share,
        depth=config.depth,
        allowance_kwh=config.hours_per_day * config.depth * kw,
        cost_per_kwh=config.cost_per_kwh,
        since_midnight_s=place.since_midnight_s,
        kvar_max=0.0,
        kvar_max_abs=0.0,
    )


def curtailable_bounds(loads: tuple[CurtailableLoad, ...], context: PlanContext) -> EnergyBounds:
    """What a plan may shed, and what it costs."""
    horizon, count = context.horizon, len(loads)
    shape = (len(horizon), count)
    most = np.array(
        [
            [load.most_kw(float(kw)) for load, kw in zip(loads, row, strict=True)]
            for row in context.available_kw
        ]
    ).reshape(shape)
    midnights = np.array(
        [
            [load.midnights(context.time_s + float(start), float(hours)) for load in loads]
            for start, hours in zip(horizon.starts_s, horizon.hours, strict=True)
        ]
    ).reshape(shape)
    granted = midnights * each(loads, "allowance_kwh")
    start = np.maximum(context.stored_kwh, 0.0)
    return EnergyBounds(
        take_max_kw=np.zeros(shape),
        give_max_kw=most,
        charge_efficiency=np.ones(count),
        discharge_efficiency=np.ones(count),
        start_kwh=start,
        least_kwh=np.zeros(shape),
        most_kwh=np.broadcast_to(start + granted.sum(axis=0) + 1.0, shape).copy(),
        drain_kwh=-granted,
        take_cost_per_kwh=np.zeros(shape),
        give_cost_per_kwh=np.broadcast_to(each(loads, "cost_per_kwh"), shape).copy(),
        loss_cost_per_kwh=np.zeros(count),
        reactive=np.zeros(count, dtype=bool),
        kwh=np.maximum(each(loads, "allowance_kwh"), 1e-3),
        ends=np.zeros(count, dtype=bool),
    )


def curtailable_figures(loads: tuple[CurtailableLoad, ...], history: DeviceHistory) -> tuple[Figure, ...]:
    """Energy that was shed, and what was paid for it."""
    shed_kwh = history.kw.sum(axis=0) * history.step_h
    return (
        Figure("energy shed", float(shed_kwh.sum()), "kWh", Part.UNSERVED),
        Figure("paid for it", float(shed_kwh @ each(loads, "cost_per_kwh")), "currency", Part.DISCOMFORT),
    )


CURTAILABLE_LOAD = DeviceKind(
    name="curtailable_load",
    title="curtailable load",
    plural="curtailable loads",
    rating=CurtailableLoad,
    config=CurtailableLoadConfig,
    siting=SiteCurtailableLoad,
    element="cosim.feeder.elements.injection:INJECTION",
    energy_bounds=curtailable_bounds,
    moving_bounds=True,
    figures=curtailable_figures,
    columns=own_columns("curtailable_load"),
)
