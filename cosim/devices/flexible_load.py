"""What loads with a flexible share of their demand have in common; their laws are those of their kinds."""

from __future__ import annotations

from dataclasses import dataclass

from cosim.model.arrays import FloatArray
from cosim.model.device import Device


@dataclass(frozen=True)
class FlexibleLoad(Device):
    """A share of the demand of some loads at a bus.

    Attributes:
        loads: rows of the loads in the site's order.
        share: of their demand that is flexible.
        since_midnight_s: from the last midnight to the start of the run.
    """

    loads: tuple[int, ...]
    share: float
    since_midnight_s: float

    @property
    def rest_kw(self) -> float:
        """The demand is served as it comes."""
        return 0.0

    def available_kw(self, irradiance: float, demand_kw: FloatArray) -> float:
        """Flexible demand of now, at rated voltage."""
        del irradiance
        return self.share * float(demand_kw[list(self.loads)].sum())
