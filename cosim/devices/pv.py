"""PV systems: rating, laws, configuration, and what a plan may do with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from cosim.devices.bounds import SourceBounds
from cosim.devices.curve import along
from cosim.devices.kind import BusName, Config, DeviceKind, Name, Placement, PlanContext, Share
from cosim.model.arrays import FloatArray
from cosim.model.device import Device, DeviceState

DEFAULT_KVA_PER_KW = 1.1


@dataclass(frozen=True)
class PvRating(Device):
    """A photovoltaic system behind an inverter. Its active set-point is an upper limit.

    Attributes:
        kw: power of the panels at an irradiance of 1 kW/m².
        kva: rating of the inverter.
        warmth: power at the panels' temperature over that at the reference temperature.
        efficiency: of the inverter, points of panel power over ``kva`` and efficiency; empty: 1.
    """

    kind: ClassVar[str] = "pv"
    has_energy: ClassVar[bool] = False

    warmth: float = field(default=1.0, kw_only=True)
    efficiency: tuple[tuple[float, float], ...] = field(default=(), kw_only=True)

    @property
    def rest_kw(self) -> float:
        """No limit."""
        return self.kw

    def available_kw(self, irradiance: float, demand_kw: FloatArray) -> float:
        """Power without curtailment, before the inverter's rating cuts it.

        Source: OpenDSS PVSystem model (EPRI technical note *OpenDSS PVSystem Element Model*): panels times
        irradiance and temperature factor, times the inverter's efficiency at that power.
        """
        del demand_kw
        panel_kw = self.kw * irradiance * self.warmth
        if self.efficiency:
            panel_kw *= along(self.efficiency, panel_kw / self.kva)
        # The engine caps the output at the panels' rating, however bright the sun.
        return min(panel_kw, self.kw, self.kva)

    def delivered_kw(self, accepted_kw: float, state: DeviceState) -> float:
        """What the sun gives, up to the limit."""
        return min(accepted_kw, state.available_kw)

    def accept_kw(self, kw: float, state: DeviceState) -> tuple[float, str]:
        """Limit that the inverter will follow."""
        del state
        limit = max(0.0, min(self.kw, kw))
        return limit, "" if limit == kw else f"limit outside 0 .. {self.kw:g} kW"

    def inverter_kw(self, accepted_kw: float, state: DeviceState) -> float:
        """What the sun gives, up to the limit."""
        return min(accepted_kw, state.available_kw)


class PvConfig(Config):
    """A PV system."""

    name: Name
    bus: BusName = Field(description="bus with phases, e.g. 65.1; no phases means all")
    delta: bool = Field(False, description="connected between phases")
    kw: PositiveFloat = Field(description="power of the panels at 1 kW/m²")
    kva: PositiveFloat | None = Field(None, description="default 1.1 kw")

    def device(self, place: Placement) -> PvRating:
        """The PV system at its place."""
        kva = self.kva if self.kva is not None else DEFAULT_KVA_PER_KW * self.kw
        return PvRating(self.name.lower(), place.bus, place.phases, place.delta, self.kw, kva)


class SitePv(Config):
    """PV systems at a random share of the load buses, connected as the largest load there."""

    kind: Literal["pv"]
    share_of_load_buses: Share
    times_local_load: PositiveFloat = Field(description="kW per nominal kW of load at the bus")
    kva_per_kw: PositiveFloat = 1.1
    at_most: PositiveInt | None = Field(None, description="no more than this many")
    seed: NonNegativeInt

    def device(self, place: Placement) -> PvRating:
        """The PV system at one of the sites."""
        kw = round(self.times_local_load * place.local_kw, 3)
        return PvRating(f"pv_{place.bus}", place.bus, place.phases, place.delta, kw, self.kva_per_kw * kw)


def pv_bounds(pvs: tuple[PvRating, ...], context: PlanContext) -> SourceBounds:
    """What a plan may do with PV systems, and what it costs."""
    options = context.options
    available = np.maximum(context.available_kw, 0.0)
    curtails = np.full(len(pvs), options.pv_curtail)
    return SourceBounds(
        available_kw=available,
        curtail_max_kw=available if options.pv_curtail else 0.0 * available,
        curtail_cost_per_kwh=np.full(available.shape, options.curtailment_cost_per_kwh),
        curtails=curtails,
        reactive=np.full(len(pvs), options.pv_reactive),
    )


PV = DeviceKind(
    name="pv",
    title="PV system",
    plural="PV systems",
    rating=PvRating,
    config=PvConfig,
    siting=SitePv,
    scenario_key="pvs",
    element="cosim.feeder.elements.pv:PV",
    source_bounds=pv_bounds,
    columns={
        "setpoint_kw": "pv_kw_limit",
        "setpoint_kvar": "pv_kvar",
        "kw": "pv_kw",
        "kvar": "pv_kvar",
        "available_kw": "pv_available_kw",
        "reason": "pv_reason",
    },
)
