"""Where the buses of a feeder lie, for pictures."""

from __future__ import annotations

from cosim.feeder.circuit import Circuit
from cosim.feeder.engine import Engine
from cosim.model.site import FeederMap


def map_of(engine: Engine, circuit: Circuit) -> FeederMap:
    """Buses that have coordinates, and pairs of them that an element joins.

    Args:
        engine: with the circuit.
        circuit: as it was read.
    """
    places = engine.bus_coordinates()
    buses = tuple(sorted(places))
    pairs = [sorted(pair) for pair in circuit.between]
    return FeederMap(
        buses=buses,
        x=tuple(places[bus][0] for bus in buses),
        y=tuple(places[bus][1] for bus in buses),
        edges=tuple((first, second) for first, second in pairs if first in places and second in places),
    )
