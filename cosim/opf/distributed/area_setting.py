"""What the controller of an area is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from cosim.model.site import Site
from cosim.model.timegrid import Horizon
from cosim.opf.distributed.area_site import AreaSite, area_site
from cosim.opf.distributed.areas import Areas
from cosim.opf.distributed.planner_options import AreasOptions
from cosim.opf.options import PlannerOptions

Chosen = TypeVar("Chosen", bound=AreasOptions)


@dataclass(frozen=True)
class AreaSetting(Generic[Chosen]):
    """One area of a feeder that is cut.

    Attributes:
        site: facts of the plant.
        areas: all areas of the feeder.
        position: of the area.
        horizon: the periods of every plan.
        shared: options that planners share, of the feeder.
        chosen: options of the planner.
    """

    site: Site
    areas: Areas
    position: int
    horizon: Horizon
    shared: PlannerOptions
    chosen: Chosen

    @cached_property
    def area(self) -> AreaSite:
        """The part of the site.

        Raises:
            FormulationRefused: the area has no device.
        """
        return area_site(self.site, self.areas, self.position)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all areas by position."""
        return tuple(area.name for area in self.areas.areas)

    @property
    def name(self) -> str:
        """Of the area."""
        return self.names[self.position]
