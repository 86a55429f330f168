"""The order of buses that makes a list of branches a tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from cosim.errors import FeederError, MeshedFeeder
from cosim.model.arrays import IntArray


def outward_order(from_bus: Sequence[str], to_bus: Sequence[str]) -> tuple[tuple[str, ...], IntArray]:
    """Order a list of branches into the tree it is, breadth first from the substation.

    Args:
        from_bus, to_bus: names of the ends of each branch, from the side of the substation.

    Returns:
        Names of the buses, and for every bus but the first the row of the branch that feeds it.

    Raises:
        FeederError: no or several buses without a feeding branch, or one with two.
        MeshedFeeder: a loop without connection to the substation.
    """
    feeding: dict[str, int] = {}
    children: dict[str, list[int]] = defaultdict(list)
    for row, (parent, bus) in enumerate(zip(from_bus, to_bus, strict=True)):
        if bus in feeding:
            raise FeederError(
                f"bus {bus} is fed from {from_bus[feeding[bus]]} and from {parent}; a tree has one feed"
            )
        feeding[bus] = row
        children[parent].append(row)
    roots = [bus for bus in children if bus not in feeding]
    if len(roots) > 1:
        raise FeederError(
            f"{', '.join(sorted(roots)[:5])} are not fed by any branch; only the substation may be so"
        )
    buses, rows = list(roots), list[int]()
    for bus in buses:  # grows while it is walked
        for row in children.get(bus, ()):
            buses.append(to_bus[row])
            rows.append(row)
    if len(rows) < len(feeding):
        raise MeshedFeeder(_loop({bus: from_bus[row] for bus, row in feeding.items()}, set(buses)))
    if not buses:
        raise FeederError("the feeder has no branch; give at least one, starting at the substation")
    return tuple(buses), np.array(rows, dtype=np.int64)


def _loop(parent: dict[str, str], reached: set[str]) -> list[str]:
    """A loop among the buses that were not reached: walk towards the source until a bus repeats."""
    bus = next(bus for bus in parent if bus not in reached)
    walked: list[str] = []
    while bus not in walked:
        walked.append(bus)
        bus = parent[bus]
    return walked[walked.index(bus) :]
