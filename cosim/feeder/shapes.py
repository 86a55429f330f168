"""The shapes a feeder brings along: of its loads, and of the sun on its PV systems."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from cosim.errors import SeriesError
from cosim.feeder.engine import Engine
from cosim.feeder.loads import LoadTable
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.timegrid import TimeGrid

log = logging.getLogger(__name__)

NAMED = 5


@dataclass(frozen=True)
class LoadProfiles:
    """Demand of all loads as profiles: kW of load i is ``kw[i] * profile[:, kw_of[i]]``.

    Attributes:
        profile: shape (step, profile).
        kw, kvar: what the profiles multiply, shape (load,).
        kw_of, kvar_of: which profile each load follows, shape (load,).
    """

    profile: FloatArray
    kw: FloatArray
    kvar: FloatArray
    kw_of: IntArray
    kvar_of: IntArray


@dataclass(frozen=True)
class Shape:
    """A load shape as the engine holds it.

    Attributes:
        name: of it.
        active, reactive: its points, multipliers or kW and kvar; ``reactive`` is empty where it has none.
        hours: of the points; empty where they have a fixed interval.
        interval_h: between the points; 0 where they have hours of their own.
        actual: the points are kW and kvar, not multipliers.
    """

    name: str
    active: FloatArray
    reactive: FloatArray
    hours: FloatArray
    interval_h: float
    actual: bool

    def at_steps(self, points: FloatArray, end_h: FloatArray, step_h: float) -> FloatArray:
        """Points at the steps of a run, as the engine finds them at the hour of the end of each step.

        Points with hours of their own are joined by straight lines. Of others the one nearest in time is
        taken, ties to the even number, and the shape repeats. Where several points fall into a step their
        mean is taken: the engine takes the last one, which is not what the step delivers.

        Args:
            points: of this shape, active or reactive.
            end_h: end of each step in hours since the start of the year, shape (step,).
            step_h: length of a step.

        Source: ``GetMultAtHour`` of the OpenDSS LoadShape element, and measurement.
        """
        if self.hours.size:
            wrapped = np.where(end_h > self.hours[-1], end_h % self.hours[-1], end_h)
            before = np.concatenate([[0.0], self.hours]), np.concatenate([[0.0], points])
            return np.asarray(np.interp(wrapped, *before))
        per_step = round(step_h / self.interval_h)
        if per_step > 1:
            last = np.rint(end_h / self.interval_h).astype(np.int64)
            index = last[:, None] - np.arange(per_step)[None, ::-1]
            return np.asarray(points[(index - 1) % len(points)].mean(axis=1))
        index = np.rint(end_h / self.interval_h).astype(np.int64)
        return np.asarray(points[(index - 1) % len(points)])


def load_profiles(engine: Engine, loads: LoadTable, grid: TimeGrid, steps: int) -> LoadProfiles:
    """Demand of the loads as their own shapes say, placed by the date and the clock of the run.

    A yearly shape goes before a daily one, that before one of duty. Loads without a shape, and fixed loads,
    keep their nominal demand. A shape of kW without kvar keeps the power factor of its load.

    Raises:
        SeriesError: no load has a shape, or a shape cannot be read.
    """
    if not any(loads.shapes):
        raise SeriesError(
            "no load of this feeder has a yearly, daily or duty shape; give a multiplier or a table"
        )
    end_h = hours_of_steps(grid, steps)
    columns, found = [np.ones(steps)], dict[tuple[str, str], int]()
    kw, kvar = loads.kw.copy(), loads.kvar.copy()
    kw_of, kvar_of = (np.zeros(len(loads.names), dtype=np.int64) for _ in range(2))

    def column(shape: Shape, kind: str) -> int:
        key = (shape.name, kind)
        if key not in found:
            points = shape.active if kind == "active" else shape.reactive
            columns.append(shape.at_steps(points, end_h, grid.step_h))
            found[key] = len(columns) - 1
        return found[key]

    shapes = {name: read_shape(engine, name) for name in sorted(set(loads.shapes)) if name}
    for i, name in enumerate(loads.shapes):
        if not name or loads.fixed[i]:
            continue
        shape = shapes[name]
        kw_of[i] = kvar_of[i] = column(shape, "active")
        if shape.reactive.size:
            kvar_of[i] = column(shape, "reactive")
        if shape.actual:
            factor = loads.kvar[i] / loads.kw[i] if loads.kw[i] else 0.0
            kw[i], kvar[i] = 1.0, 1.0 if shape.reactive.size else factor
    _say_power_factor(loads, shapes)
    return LoadProfiles(np.column_stack(columns), kw, kvar, kw_of, kvar_of)


def sun_profiles(
    engine: Engine, shapes: dict[str, tuple[str, float]], grid: TimeGrid, steps: int
) -> dict[str, FloatArray]:
    """Irradiance that PV systems of the master see by their own shapes, kW/m², shape (step,) each.

    Args:
        engine: with the shapes.
        shapes: name of the shape and base irradiance of each PV system.
        grid: the steps of the run.
        steps: how many are covered.

    Raises:
        SeriesError: a shape cannot be read.
    """
    end_h = hours_of_steps(grid, steps)
    found: dict[str, FloatArray] = {}
    for system, (name, base) in shapes.items():
        shape = read_shape(engine, name)
        found[system] = base * shape.at_steps(shape.active, end_h, grid.step_h)
    return found


def hours_of_steps(grid: TimeGrid, steps: int) -> FloatArray:
    """End of each step in hours since the start of the year of the run, by its clock, shape (step,)."""
    year = datetime(grid.start.year, 1, 1, tzinfo=grid.start.tzinfo or UTC)
    first_s = (grid.start - year).total_seconds()
    return np.asarray((first_s + grid.step_s * np.arange(1, steps + 1)) / 3600.0)


def read_shape(engine: Engine, name: str) -> Shape:
    """A load shape out of the engine.

    Raises:
        SeriesError: it has no points, or points that are not numbers.
    """
    shapes = engine.dss.LoadShape
    shapes.Name(name)
    active = np.asarray(shapes.PMult(), dtype=np.float64)
    reactive = np.asarray(shapes.QMult(), dtype=np.float64)
    interval_h = float(shapes.HrInterval())
    hours = np.asarray(shapes.TimeArray(), dtype=np.float64) if interval_h <= 0 else np.zeros(0)
    if not active.size or (interval_h <= 0 and len(hours) != len(active)):
        raise SeriesError(f"load shape {name!r} has no points, or no hours for them; correct it")
    if not (np.isfinite(active).all() and np.isfinite(reactive).all()):
        raise SeriesError(f"load shape {name!r} has points that are not numbers; correct its data")
    # Without points for kvar the engine answers with a single zero.
    has_own = len(reactive) == len(active) and bool(reactive.any())
    own = reactive if has_own else np.zeros(0)
    return Shape(name, active, own, hours, interval_h, bool(shapes.UseActual()))


def _say_power_factor(loads: LoadTable, shapes: dict[str, Shape]) -> None:
    by_factor: Sequence[str] = [
        load
        for load, name, fixed in zip(loads.names, loads.shapes, loads.fixed, strict=True)
        if name and not fixed and shapes[name].actual and not shapes[name].reactive.size
    ]
    if by_factor:
        more = f", {len(by_factor) - NAMED} more" if len(by_factor) > NAMED else ""
        log.info(
            "loads whose shape is in kW alone keep their power factor: %s%s",
            ", ".join(by_factor[:NAMED]),
            more,
        )
