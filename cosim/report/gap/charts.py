"""Charts of an optimality-gap campaign as data, so that a picture and a page draw the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.report.style import BASELINE, INK, RUN, SUN

SHIFT_DECADES, SHIFT_NAMES = 0.035, 0.05
"""How far neighbouring curves stand apart: of a decade, and of the distance between two names."""


@dataclass(frozen=True)
class Style:
    """Colour and marker of a formulation, the marker by its names in matplotlib and plotly."""

    colour: str
    marker: str
    symbol: str


# Told apart by lightness and marker where colours are not seen.
STYLES = {
    "copper_plate": Style(BASELINE, "X", "x"),
    "lindistflow": Style(SUN, "s", "square"),
    "lindistflow_losses": Style("#12876b", "^", "triangle-up"),
    "lindistflow_binary": Style("#c56a9f", "D", "diamond"),
    "branch_flow_soc": Style(RUN, "o", "circle"),
    "branch_flow_soc_binary": Style("#5bb4e5", "v", "triangle-down"),
    "branch_flow_nl": Style(INK, "P", "cross"),
}
OTHERS = (
    Style("#8a6d3b", "<", "triangle-left"),
    Style("#7b4fa3", ">", "triangle-right"),
    Style("#9aa52b", "p", "pentagon"),
)


@dataclass(frozen=True)
class Curve:
    """A formulation along an axis.

    Attributes:
        formulation, style: whose.
        x: places, numbers or names, shape (place,).
        median, low, high: over the seeds, not below the floor, shape (place,).
        at_floor: whether the median was raised to the floor, shape (place,).
        outside: whether most seeds leave the voltage limits in OpenDSS, shape (place,); only said where
            it spoils the comparison.
    """

    formulation: str
    style: Style
    x: tuple[int | str, ...]
    median: FloatArray
    low: FloatArray
    high: FloatArray
    at_floor: tuple[bool, ...]
    outside: tuple[bool, ...]


@dataclass(frozen=True)
class Level:
    """A horizontal line with its meaning."""

    value: float
    text: str


@dataclass(frozen=True)
class Published:
    """A figure from the literature.

    Attributes:
        x, y: number of buses, and the value in the chart's unit.
        text: what it is.
        side: of the marker on which the text has room.
    """

    x: float
    y: float
    text: str
    side: Literal["left", "right"]


@dataclass(frozen=True)
class Chart:
    """One pair of axes.

    Attributes:
        title, caption: heading, and one or two sentences on how to read it.
        x_title, y_title: with units.
        ticks: along x, in order; names for an axis of names.
        log_x: whether x is logarithmic; y always is.
        curves, levels, published: what is drawn.
        stopped: formulation and number of buses of cases that met the time limit.
    """

    title: str
    caption: str
    x_title: str
    y_title: str
    ticks: tuple[int | str, ...]
    log_x: bool
    curves: tuple[Curve, ...]
    levels: tuple[Level, ...] = ()
    published: tuple[Published, ...] = ()
    stopped: tuple[tuple[Style, float], ...] = ()

    def places(self, number: int) -> FloatArray:
        """Where the points of a curve stand along x, shape (place,).

        Curves are set apart sideways, because many formulations have equal figures and would hide each
        other.
        """
        x, shift = self.curves[number].x, number - (len(self.curves) - 1) / 2
        if self.log_x:
            return np.array([float(size) * 10.0 ** (SHIFT_DECADES * shift) for size in x])
        return np.array([float(self.ticks.index(name)) for name in x]) + SHIFT_NAMES * shift

    @property
    def tick_places(self) -> list[float]:
        """Where the ticks stand along x."""
        return [float(tick) if self.log_x else float(i) for i, tick in enumerate(self.ticks)]

    @property
    def x_range(self) -> tuple[float, float]:
        """Ends of x, with room for the outer curves."""
        lowest, highest = self.tick_places[0], self.tick_places[-1]
        return (lowest / 1.7, highest * 1.7) if self.log_x else (lowest - 0.4, highest + 0.4)

    @property
    def y_range(self) -> tuple[float, float]:
        """Ends of y, with room for texts at the lowest and highest value."""
        values = [level.value for level in self.levels] + [point.y for point in self.published]
        for curve in self.curves:
            values += [float(curve.low.min()), float(curve.high.max())]
        lowest, highest = min(values, default=0.1), max(values, default=1.0)
        room = 0.15 + 0.08 * math.log10(highest / lowest)
        return lowest / 10.0**room, highest * 10.0**room

    @property
    def y_ticks(self) -> list[float]:
        """Whole decades, and 2 and 5 between them where there are few."""
        lowest, highest = self.y_range
        decades = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
        parts = (1.0, 2.0, 5.0) if math.log10(highest / lowest) < 2.5 else (1.0,)
        ticks = [part * 10.0**decade for decade in decades for part in parts]
        ticks = [tick for tick in ticks if lowest <= tick <= highest]
        return ticks[:: 1 + len(ticks) // 9]

    @property
    def plain(self) -> bool:
        """Whether the numbers along y are readable without powers of ten."""
        return self.y_ticks[0] >= 1e-3 and self.y_ticks[-1] < 1e5


@dataclass(frozen=True)
class Sheet:
    """Charts that belong together; a picture of its own as a file.

    Attributes:
        stem: of the file.
        title: above the charts.
        charts: side by side.
    """

    stem: str
    title: str
    charts: tuple[Chart, ...]
