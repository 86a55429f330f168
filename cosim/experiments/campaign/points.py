"""Points of the axes of a campaign: what each sets, and how it is called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.stats import qmc

from cosim.experiments.campaign.config import Axis, GridAxis, Range, SampleAxis, VariantsAxis, ZipAxis
from cosim.model.arrays import FloatArray

Label = str | int | float | bool | None
Labels = dict[str, Label]
"""Value by the name of a column: a dotted key, or the name of an axis of named variants."""


@dataclass(frozen=True)
class Point:
    """A place on one axis, or on several.

    Attributes:
        labels: what the columns of the table say of it.
        settings: of the scenario, by dotted key.
    """

    labels: Labels
    settings: dict[str, Any]

    def with_point(self, other: Point) -> Point:
        """Both at once."""
        return Point(self.labels | other.labels, self.settings | other.settings)


ORIGIN = Point({}, {})


def combinations(axes: tuple[Axis, ...]) -> Iterator[Point]:
    """Every combination of the points of all axes, the last axis fastest."""
    for points in product(*(points_of(axis) for axis in axes)):
        found = ORIGIN
        for point in points:
            found = found.with_point(point)
        yield found


def points_of(axis: Axis) -> list[Point]:
    """The points of one axis, in the order of the file."""
    if isinstance(axis, VariantsAxis):
        return [Point({axis.name: name}, dict(settings)) for name, settings in axis.variants.items()]
    if isinstance(axis, SampleAxis):
        return [_valued(values) for values in _sampled(axis)]
    if isinstance(axis, ZipAxis):
        rows = zip(*axis.keys.values(), strict=True)
        return [_valued(dict(zip(axis.keys, row, strict=True))) for row in rows]
    assert isinstance(axis, GridAxis)
    return [_valued(dict(zip(axis.keys, row, strict=True))) for row in product(*axis.keys.values())]


def keys_of(axis: Axis) -> set[str]:
    """The keys that an axis sets."""
    return {key for point in points_of(axis) for key in point.settings}


def columns_of(axis: Axis) -> list[str]:
    """Names of the columns that say where on the axis a run lies."""
    if isinstance(axis, VariantsAxis):
        return [axis.name]
    return list(axis.ranges if isinstance(axis, SampleAxis) else axis.keys)


def _valued(settings: dict[str, Any]) -> Point:
    return Point({key: label_of(value) for key, value in settings.items()}, settings)


def label_of(value: Any) -> Label:
    """A value as a cell of a table: lists and mappings as JSON."""
    if value is None or isinstance(value, str | int | float):
        return value
    return json.dumps(value, sort_keys=True, default=str)


def _sampled(axis: SampleAxis) -> Iterator[dict[str, Any]]:
    """Values by key of each drawn point."""
    for row in _unit_cube(axis):
        yield {
            key: _scaled(float(place), within)
            for place, (key, within) in zip(row, axis.ranges.items(), strict=True)
        }


def _unit_cube(axis: SampleAxis) -> FloatArray:
    """Points in the unit cube, shape (count, key)."""
    dimensions, random = len(axis.ranges), np.random.default_rng(axis.seed)
    if axis.kind == "random":
        return random.random((axis.count, dimensions))
    kind = qmc.Sobol if axis.kind == "sobol" else qmc.LatinHypercube
    return np.asarray(kind(dimensions, seed=random).random(axis.count), dtype=np.float64)


def _scaled(place: float, within: Range) -> float | int:
    """A place between 0 and 1 as a value of a range."""
    low, high = within.low, within.high
    if within.whole:
        # Every whole number gets the same share; 1 itself is never drawn.
        low, high = np.ceil(low), np.floor(high) + 1
    if within.log:
        value = float(np.exp(np.log(low) + place * (np.log(high) - np.log(low))))
    else:
        value = float(low + place * (high - low))
    return int(value) if within.whole else value
