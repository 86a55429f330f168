"""Tariffs: prices by season, weekday and hour, and charges on the highest import within windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import yaml
from pydantic import AfterValidator, Field, NonNegativeFloat, ValidationError, model_validator

from cosim.bounded import Unreadable, bounded_text
from cosim.devices.kind import Config, Name
from cosim.errors import SeriesError
from cosim.model.arrays import BoolArray, FloatArray
from cosim.model.timegrid import TimeGrid
from cosim.run.bounded import MOST_SCENARIO_BYTES, yaml_of
from cosim.run.lean import Lean

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _not_empty(hours: tuple[float, float]) -> tuple[float, float]:
    if hours[0] == hours[1]:
        raise ValueError(f"{hours[0]:g} to {hours[1]:g} is no time; the whole day is [0, 24]")
    return hours


Hours = Annotated[
    tuple[Annotated[float, Field(ge=0, le=24)], Annotated[float, Field(ge=0, le=24)]],
    AfterValidator(_not_empty),
]


class When(Config):
    """Parts of the year, in the time zone of the run's start; what is not given does not restrict."""

    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = Field((), description="1 to 12")
    weekdays: tuple[Weekday, ...] = Field((), description="mon, tue, wed, thu, fri, sat, sun")
    hours: tuple[Hours, ...] = Field((), description="pairs from, to; [22, 6] goes over midnight")

    def covers(self, time: datetime) -> bool:
        """Whether a moment is in it."""
        hour = time.hour + time.minute / 60.0 + time.second / 3600.0
        return (
            (not self.months or time.month in self.months)
            and (not self.weekdays or WEEKDAYS[time.weekday()] in self.weekdays)
            and (not self.hours or any(_within(hour, *pair) for pair in self.hours))
        )


def _within(hour: float, start: float, end: float) -> bool:
    return start <= hour < end if start < end else hour >= start or hour < end


class Rate(When, Lean):
    """A price of energy and when it applies."""

    later: ClassVar[frozenset[str]] = frozenset({"export_per_kwh"})

    price_per_kwh: float = Field(description="currency per kWh; may be negative")
    export_per_kwh: float | None = Field(
        None,
        description="currency per kWh that is sent back at the head of the feeder; may be negative; "
        "default: price_per_kwh",
    )

    @property
    def earned_per_kwh(self) -> float:
        """What a kWh earns that is sent back."""
        return self.price_per_kwh if self.export_per_kwh is None else self.export_per_kwh


class Tariff(Config):
    """Prices of energy: the first rate that applies counts."""

    name: str = ""
    source: str = Field("", description="where the prices are from")
    rates: tuple[Rate, ...] = Field(min_length=1)

    @property
    def has_export_price(self) -> bool:
        """Whether energy that is sent back has a price of its own at some time."""
        return any(rate.export_per_kwh is not None for rate in self.rates)

    def price_per_kwh(self, grid: TimeGrid) -> FloatArray:
        """Mean price of every step, by its minutes, shape (step,).

        Raises:
            SeriesError: no rate applies at some time.
        """
        return self._means(grid, lambda rate: rate.price_per_kwh)

    def export_price_per_kwh(self, grid: TimeGrid) -> FloatArray:
        """Mean price of energy sent back, of every step, shape (step,); see :meth:`price_per_kwh`."""
        return self._means(grid, lambda rate: rate.earned_per_kwh)

    def scaled(self, factor: float) -> Tariff:
        """The same tariff with all prices multiplied."""
        rates = tuple(
            rate.model_copy(
                update={
                    "price_per_kwh": factor * rate.price_per_kwh,
                    "export_per_kwh": None if rate.export_per_kwh is None else factor * rate.export_per_kwh,
                }
            )
            for rate in self.rates
        )
        return self.model_copy(update={"rates": rates})

    def _means(self, grid: TimeGrid, price_of: Callable[[Rate], float]) -> FloatArray:
        minutes = max(grid.step_s // 60, 1)
        known: dict[tuple[int, int, int, int], float] = {}
        found = np.empty(grid.steps)
        for step in range(grid.steps):
            prices = []
            for i in range(minutes):
                moment = grid.timestamp(step) + timedelta(seconds=grid.step_s * i / minutes)
                key = (moment.month, moment.weekday(), moment.hour, moment.minute)
                if key not in known:
                    known[key] = price_of(self._rate_at(moment))
                prices.append(known[key])
            # A mean of equal numbers may differ from them in the last digit.
            found[step] = prices[0] if len(set(prices)) == 1 else float(np.mean(prices))
        return found

    def _rate_at(self, moment: datetime) -> Rate:
        for rate in self.rates:
            if rate.covers(moment):
                return rate
        raise SeriesError(
            f"no rate of the tariff {self.name!r} applies on {moment:%a %Y-%m-%d} at {moment:%H:%M}; let "
            "the last rate have no months, weekdays or hours"
        )


class DemandWindow(When):
    """A charge on the highest import within a window, for every calendar month that the run touches."""

    name: Name
    per_kw: NonNegativeFloat = Field(description="currency per kW and month; months are not prorated")

    def peaks_kw(self, times: Sequence[datetime], import_kw: FloatArray) -> dict[tuple[int, int], float]:
        """Highest import within the window by year and month, at least 0; months without it are left out.

        Args:
            times: begins of the steps, in the time zone of the run's start.
            import_kw: of each step.
        """
        inside: BoolArray = np.array([self.covers(time) for time in times], dtype=bool)
        peaks: dict[tuple[int, int], float] = {}
        for i in map(int, np.flatnonzero(inside)):
            month = (times[i].year, times[i].month)
            peaks[month] = max(peaks.get(month, 0.0), float(import_kw[i]))
        return peaks


class DemandConfig(Config):
    """Windows with charges."""

    demand_windows: tuple[DemandWindow, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> DemandConfig:
        names = [window.name for window in self.demand_windows]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two demand windows are called {name}")
        return self


def read_tariff(path: Path) -> Tariff:
    """A tariff from a YAML file.

    Raises:
        SeriesError: it cannot be read, or is wrong; all mistakes at once.
    """
    try:
        data, _ = yaml_of(bounded_text(path, MOST_SCENARIO_BYTES))
        return Tariff.model_validate(data)
    except (Unreadable, yaml.YAMLError) as error:
        raise SeriesError(f"{path}: {error}") from error
    except ValidationError as error:
        mistakes = [
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise SeriesError(f"{path}: {'; '.join(mistakes)}") from None
