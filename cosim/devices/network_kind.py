"""A kind of network device, declared in one place like every kind of device: see :mod:`cosim.devices.kind`.

Kinds of both sorts are in the entry-point group ``cosim.devices``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from cosim.devices.kind import Config, Name
from cosim.model.network_device import NetworkDevice


class NetworkDeviceConfig(Config):
    """A network device in a scenario, listed under ``devices``."""

    name: Name
    dead_time_s: NonNegativeFloat = Field(0.0, description="shortest time from one move to the next")
    operation_cost: NonNegativeFloat = Field(
        0.0, description="what planners that move it charge for one operation, currency"
    )
    operations_per_day: NonNegativeInt | None = Field(
        None, description="most operations that planners ask for in a day of the run; default: no limit"
    )


@dataclass(frozen=True)
class NetworkKind:
    """A kind of network device.

    Attributes:
        name: in scenarios and in the registry.
        title, plural: for people.
        operations: what its operations are called in a report.
        rating: its dataclass.
        config: one device in a scenario.
        element: ``module:NAME`` of what finds and moves it in OpenDSS; imported by the feeder only.
    """

    name: str
    title: str
    plural: str
    operations: str
    rating: type[NetworkDevice]
    config: type[NetworkDeviceConfig]
    element: str

    @property
    def columns(self) -> Mapping[str, str]:
        """Names in the record of ``position``, ``operations`` and ``reason``."""
        return {quantity: f"{self.name}_{quantity}" for quantity in ("position", "operations", "reason")}
