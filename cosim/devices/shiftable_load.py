"""Shiftable loads: a share of a load that may be served later within a window, without loss.

The state is the energy that may still be deferred. Deferring lowers it, paying back raises it, and by the
end of every window of the day all that was deferred has been paid back: a payback that is due is drawn
whether or not anybody asks for it. Demand response of this form is in the models that the multi-period
OPF literature uses for flexible load (shifted energy within a window, comfort cost, no net loss).
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
from cosim.model.arrays import FloatArray
from cosim.model.device import DELIVERY_ROUNDING, DeviceState


@dataclass(frozen=True)
class ShiftableLoad(FlexibleLoad):
    """A share of the load at a bus that may be served later.

    Attributes:
        kw: nominal power of the flexible share; no more is ever deferred.
        payback_kw: largest additional power when deferred energy is served.
        most_kwh: energy that may be deferred at any time.
        window_h: windows begin at midnight and follow each other; by their end everything is served.
        comfort_cost_per_kwh: paid for energy that is deferred.
    """

    kind: ClassVar[str] = "shiftable_load"
    has_energy: ClassVar[bool] = True

    payback_kw: float
    most_kwh: float
    window_h: float
    comfort_cost_per_kwh: float

    @property
    def first_stored_kwh(self) -> float:
        """Nothing has been deferred yet."""
        return self.most_kwh

    def most_kw(self, available_kw: float) -> float:
        """Largest power that may be deferred of a flexible demand."""
        return max(min(self.kw, available_kw), 0.0)

    def least_kwh(self, time_s: float) -> float:
        """Least state at a moment: what is deferred can be served until its window ends."""
        into_s = (self.since_midnight_s + time_s) % (3600.0 * self.window_h)
        left_h = self.window_h - into_s / 3600.0 if into_s else 0.0
        return self.most_kwh - min(self.most_kwh, self.payback_kw * left_h)

    def accept_kw(self, kw: float, state: DeviceState) -> tuple[float, str]:
        """No more than is flexible; a payback that is due is added."""
        reasons: list[str] = []
        most = self.most_kw(state.available_kw)
        accepted = max(-self.payback_kw, min(most, kw))
        if abs(accepted - kw) > DELIVERY_ROUNDING * self.kw:
            reasons.append(f"outside {-self.payback_kw:g} .. {most:g} kW")
        least_kwh = self.least_kwh(state.time_s + 3600.0 * state.step_h)
        highest = (state.stored_kwh - least_kwh) / state.step_h
        lowest = (state.stored_kwh - self.most_kwh) / state.step_h
        if accepted > highest:
            if accepted - highest > DELIVERY_ROUNDING * self.kw:
                reasons.append(f"payback: {self.most_kwh - state.stored_kwh:.3f} kWh are due")
            accepted = highest
        elif accepted < lowest:
            if lowest - accepted > DELIVERY_ROUNDING * self.kw:
                reasons.append(f"only {self.most_kwh - state.stored_kwh:.3f} kWh were deferred")
            accepted = lowest
        return accepted, "; ".join(reasons)

    def next_stored_kwh(self, stored_kwh: float, kw: float, step_h: float, time_s: float = 0.0) -> float:
        """Deferring lowers it, paying back raises it, one to one."""
        del time_s
        return stored_kwh - kw * step_h


class Shifting(Config):
    """What may be deferred of a load, for how long, and what it costs."""

    share: Share = Field(0.2, description="of the demand that is flexible")
    hours: PositiveFloat = Field(2.0, description="energy that may be deferred, in hours of the share")
    payback: PositiveFloat = Field(1.0, description="largest additional power, per flexible power")
    window_h: PositiveFloat = Field(24.0, description="everything is served by the end of each window")
    comfort_cost_per_kwh: NonNegativeFloat = Field(0.01, description="paid for energy that is deferred")


class ShiftableLoadConfig(Shifting):
    """A share of the load at a bus that may be served later within a window."""

    kind: Literal["shiftable_load"]
    name: Name
    bus: BusName = Field(description="bus with phases, e.g. 65.1; all loads of the bus take part")
    delta: bool = Field(False, description="connected between phases")

    def device(self, place: Placement) -> ShiftableLoad:
        """The flexible share of the loads at a place."""
        return _device(self.name.lower(), place, self)


class SiteShiftableLoad(Shifting):
    """Shiftable loads at a random share of the load buses."""

    kind: Literal["shiftable_load"]
    share_of_load_buses: Share
    at_most: PositiveInt | None = Field(None, description="no more than this many")
    seed: NonNegativeInt

    def device(self, place: Placement) -> ShiftableLoad:
        """The flexible share of the loads at one of the sites."""
        return _device(f"shiftable_{place.bus}", place, self)


def _device(name: str, place: Placement, config: Shifting) -> ShiftableLoad:
    kw = config.share * place.local_kw
    return ShiftableLoad(
        name,
        place.bus,
        place.phases,
        place.delta,
        kw,
        kw * max(config.payback, 1.0),
        loads=place.loads,
        share=config.share,
        payback_kw=config.payback * kw,
        most_kwh=config.hours * kw,
        window_h=config.window_h,
        comfort_cost_per_kwh=config.comfort_cost_per_kwh,
        since_midnight_s=place.since_midnight_s,
        kvar_max=0.0,
        kvar_max_abs=0.0,
    )


def shiftable_bounds(loads: tuple[ShiftableLoad, ...], context: PlanContext) -> EnergyBounds:
    """What a plan may defer and when it must be served, and what it costs."""
    horizon, count = context.horizon, len(loads)
    shape = (len(horizon), count)
    ends_s = context.time_s + horizon.starts_s + 3600.0 * horizon.hours
    most_kwh = each(loads, "most_kwh")
    give = [
        [load.most_kw(float(kw)) for load, kw in zip(loads, row, strict=True)]
        for row in context.available_kw
    ]
    least = [[load.least_kwh(float(end)) for load in loads] for end in ends_s]
    return EnergyBounds(
        take_max_kw=np.broadcast_to(each(loads, "payback_kw"), shape).copy(),
        give_max_kw=np.array(give).reshape(shape),
        charge_efficiency=np.ones(count),
        discharge_efficiency=np.ones(count),
        start_kwh=np.minimum(context.stored_kwh, most_kwh),
        least_kwh=np.array(least).reshape(shape),
        most_kwh=np.broadcast_to(most_kwh, shape).copy(),
        drain_kwh=np.zeros(shape),
        take_cost_per_kwh=np.zeros(shape),
        give_cost_per_kwh=np.broadcast_to(each(loads, "comfort_cost_per_kwh"), shape).copy(),
        loss_cost_per_kwh=np.zeros(count),
        reactive=np.zeros(count, dtype=bool),
        kwh=np.maximum(most_kwh, 1e-3),
        ends=np.zeros(count, dtype=bool),
    )


def shiftable_figures(loads: tuple[ShiftableLoad, ...], history: DeviceHistory) -> tuple[Figure, ...]:
    """Energy that was deferred, what was paid for it, and what is still due."""
    deferred_kwh = np.maximum(history.kw, 0.0).sum(axis=0) * history.step_h
    due_kwh = each(loads, "most_kwh") - history.stored_kwh[-1]
    return (
        Figure("energy deferred", float(deferred_kwh.sum()), "kWh"),
        Figure("paid for it", _paid(loads, deferred_kwh), "currency", Part.DISCOMFORT),
        Figure("still due at the end", float(due_kwh.sum()), "kWh", Part.UNSERVED),
    )


def _paid(loads: tuple[ShiftableLoad, ...], deferred_kwh: FloatArray) -> float:
    return float(deferred_kwh @ each(loads, "comfort_cost_per_kwh"))


SHIFTABLE_LOAD = DeviceKind(
    name="shiftable_load",
    title="shiftable load",
    plural="shiftable loads",
    rating=ShiftableLoad,
    config=ShiftableLoadConfig,
    siting=SiteShiftableLoad,
    element="cosim.feeder.elements.injection:INJECTION",
    energy_bounds=shiftable_bounds,
    moving_bounds=True,
    figures=shiftable_figures,
    columns=own_columns("shiftable_load"),
)
