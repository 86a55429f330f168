"""What a controller's model knows of elements that nobody commands, in every step of a run."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from cosim.feeder.clock import Clock
from cosim.feeder.engine import Engine
from cosim.feeder.reading.standing import StandingReader
from cosim.model.timegrid import TimeGrid
from cosim.twin.data import TwinData

log = logging.getLogger(__name__)

DAY_S = 86_400
"""So far beyond the end of a run a plan may look; further on the last value holds."""


def foresee(
    engine: Engine, clock: Clock, data: TwinData, grid: TimeGrid, constant_power: Collection[str]
) -> TwinData:
    """A twin's data with the power of what follows the clock in every step, and a day beyond the run.

    The engine is left at another time and state. A battery that follows a shape counts as never empty.

    Args:
        engine: in operation.
        clock: of the engine.
        data: of the twin, as read at step 0.
        grid: the steps of the run.
        constant_power: elements that count as ones of constant power.
    """
    unknown = [name for name in clock.followers if name not in data.standing]
    if unknown:
        log.warning("the controller's model holds as at step 0: %s", ", ".join(unknown))
    if not data.standing:
        return data
    reader = StandingReader(engine, data.standing, constant_power)
    slots = grid.steps + DAY_S // grid.step_s
    kva = np.zeros((slots, len(data.standing)), dtype=np.complex128)
    for step in range(slots):
        clock.set(step)
        engine.solve(controls=False)
        kva[step] = reader.read()
    return replace(data, standing_kva=kva, slot_s=float(grid.step_s))
