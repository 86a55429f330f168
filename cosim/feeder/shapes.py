"""The load shapes a feeder brings along."""

from __future__ import annotations

import numpy as np

from cosim.errors import SeriesError
from cosim.feeder.engine import Engine
from cosim.feeder.loads import LoadTable
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.timegrid import TimeGrid


def daily_shapes(
    engine: Engine, loads: LoadTable, grid: TimeGrid, steps: int
) -> tuple[FloatArray, IntArray]:
    """Multipliers of the loads' daily shapes at each step, and which load follows which.

    Shapes start at midnight and repeat; coarser points are held, finer ones averaged. Loads without a
    shape, and fixed loads, keep their nominal demand.

    Raises:
        SeriesError: no load has a shape, or a shape cannot be followed (kW instead of multipliers, its
            own kvar, points that do not divide the steps).
    """
    used = sorted({shape for shape in loads.shapes if shape})
    if not used:
        raise SeriesError("no load of this feeder has a daily shape; give a multiplier or a table")
    midnight_s = (grid.start.hour * 60 + grid.start.minute) * 60 + grid.start.second
    seconds = midnight_s + grid.step_s * np.arange(steps)
    columns = [_multipliers(engine, name, seconds, grid.step_s) for name in used]
    columns.append(np.ones(steps))
    column_of = {name: i for i, name in enumerate(used)}
    profile_of = [
        len(used) if fixed or not shape else column_of[shape]
        for shape, fixed in zip(loads.shapes, loads.fixed, strict=True)
    ]
    return np.column_stack(columns), np.array(profile_of, dtype=np.int64)


def _multipliers(engine: Engine, name: str, seconds: IntArray, step_s: int) -> FloatArray:
    shapes = engine.dss.LoadShape
    shapes.Name(name)
    if shapes.UseActual():
        raise SeriesError(
            f"load shape {name!r} holds kW (useactual=yes); give the demand as table_kw instead"
        )
    values = np.asarray(shapes.PMult(), dtype=np.float64)
    reactive = np.asarray(shapes.QMult(), dtype=np.float64)
    if reactive.size > 1 and not np.array_equal(reactive, values):
        raise SeriesError(f"load shape {name!r} has a shape of its own for kvar, which is not followed")
    interval_s = round(float(shapes.HrInterval()) * 3600.0)
    if interval_s <= 0 or not values.size:
        raise SeriesError(f"load shape {name!r} has no fixed interval")
    if interval_s < step_s:
        if step_s % interval_s or seconds[0] % interval_s:
            raise SeriesError(
                f"load shape {name!r} has a point every {interval_s} s, which does not divide the steps "
                f"of {step_s} s"
            )
        per_step = step_s // interval_s
        points = (seconds[:, None] // interval_s + np.arange(per_step)[None, :]) % len(values)
        return np.asarray(values[points].mean(axis=1))
    # The first point covers the first interval of the day, as in the engine's daily mode.
    return values[(seconds // interval_s) % len(values)]
