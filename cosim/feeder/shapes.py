"""The load shapes a feeder brings along."""

from __future__ import annotations

import numpy as np

from cosim.errors import SeriesError
from cosim.feeder.devices import LoadTable
from cosim.feeder.engine import Engine
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.timegrid import TimeGrid


def daily_shapes(
    engine: Engine, loads: LoadTable, grid: TimeGrid, steps: int
) -> tuple[FloatArray, IntArray]:
    """Multipliers of the loads' daily shapes at each step, and which load follows which.

    Shapes are read at the time of day of each step's start and repeat every day; a shape with
    coarser points is held. Loads without a shape, and fixed loads, keep their nominal demand.

    Raises:
        SeriesError: no load has a shape, or a shape gives kW instead of multipliers.
    """
    used = sorted({shape for shape in loads.shapes if shape})
    if not used:
        raise SeriesError("no load of this feeder has a daily shape; give a multiplier or a table")
    midnight_s = (grid.start.hour * 60 + grid.start.minute) * 60 + grid.start.second
    seconds = midnight_s + grid.step_s * np.arange(steps)
    columns = [_multipliers(engine, name, seconds) for name in used]
    columns.append(np.ones(steps))
    column_of = {name: i for i, name in enumerate(used)}
    profile_of = [
        len(used) if fixed or not shape else column_of[shape]
        for shape, fixed in zip(loads.shapes, loads.fixed, strict=True)
    ]
    return np.column_stack(columns), np.array(profile_of, dtype=np.int64)


def _multipliers(engine: Engine, name: str, seconds: IntArray) -> FloatArray:
    shapes = engine.dss.LoadShape
    shapes.Name(name)
    if shapes.UseActual():
        raise SeriesError(
            f"load shape {name!r} holds kW (useactual=yes); give the demand as table_kw instead"
        )
    values = np.asarray(shapes.PMult(), dtype=np.float64)
    interval_s = float(shapes.HrInterval()) * 3600.0
    if interval_s <= 0 or not values.size:
        raise SeriesError(f"load shape {name!r} has no fixed interval")
    # The engine counts from the end of the first interval: hour 1 is the first point.
    at = (np.ceil(seconds / interval_s - 1e-9).astype(np.int64) - 1) % len(values)
    return values[at]
