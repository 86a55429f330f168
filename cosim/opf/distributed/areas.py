"""Areas of a feeder: who owns which nodes, and where one area ends and the next begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import IntArray


@dataclass(frozen=True)
class Boundary:
    """Where an area is fed from another.

    The nodes belong to the upstream area. The branch from them belongs to the downstream area.

    Attributes:
        upstream, downstream: positions of the two areas.
        branches: names of the elements that are cut.
        nodes: nodes of the upstream area at which the downstream area draws its power, shape (phase,).
    """

    upstream: int
    downstream: int
    branches: tuple[str, ...]
    nodes: IntArray


@dataclass(frozen=True)
class Area:
    """A connected part of the feeder.

    Attributes:
        name: ``area1`` is the area at the substation.
        nodes: its nodes in the order of the network, shape (node,).
        buses: names of its buses.
        devices: positions of its devices in the site, shape (device,).
        loads: positions of its loads in the site, shape (load,).
    """

    name: str
    nodes: IntArray
    buses: tuple[str, ...]
    devices: IntArray
    loads: IntArray


@dataclass(frozen=True)
class Areas:
    """A feeder cut into areas.

    Attributes:
        areas: in the order of their distance from the substation; the first one holds the substation.
        boundaries: one for each area but the first, in the order of the areas.
    """

    areas: tuple[Area, ...]
    boundaries: tuple[Boundary, ...]

    def upstream_of(self, area: int) -> Boundary | None:
        """Where an area is fed from; None for the area at the substation."""
        return None if area == 0 else self.boundaries[area - 1]

    def downstream_of(self, area: int) -> tuple[Boundary, ...]:
        """Where an area feeds others."""
        return tuple(boundary for boundary in self.boundaries if boundary.upstream == area)

    def depth(self, area: int) -> int:
        """Number of boundaries between an area and the substation."""
        boundary = self.upstream_of(area)
        return 0 if boundary is None else 1 + self.depth(boundary.upstream)

    @property
    def depths(self) -> tuple[int, ...]:
        """Depth of each area."""
        return tuple(self.depth(area) for area in range(len(self.areas)))

    def area_of_node(self, size: int) -> IntArray:
        """Position of the area of each node, shape (node,)."""
        found = np.full(size, -1, dtype=np.int64)
        for position, area in enumerate(self.areas):
            found[area.nodes] = position
        return found
