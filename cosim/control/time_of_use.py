"""Charge in cheap hours, discharge in dear ones: a schedule by the clock, by the price, or by both."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from cosim.control.allowed import batteries_of, with_batteries
from cosim.control.rule import RuleController
from cosim.model.arrays import FloatArray
from cosim.model.site import Site
from cosim.model.state import Measurement, Setpoints
from cosim.plugins import Options, needs, options

Hour = Annotated[float, Field(ge=0, le=24)]
Hours = tuple[Hour, Hour]
HOURS_PER_DAY = 24.0
CHARGE_HOURS: tuple[Hours, ...] = ((0.0, 6.0),)
DISCHARGE_HOURS: tuple[Hours, ...] = ((17.0, 21.0),)


class TimeOfUseOptions(Options):
    """When batteries charge and discharge. Hours may pass midnight: ``[22, 6]``."""

    charge_hours: tuple[Hours, ...] = Field(
        CHARGE_HOURS, description="from and to, hours of the day by the clock of the run"
    )
    discharge_hours: tuple[Hours, ...] = Field(DISCHARGE_HOURS, description="likewise")
    charge_below_per_kwh: float | None = Field(None, description="also charge below this price")
    discharge_above_per_kwh: float | None = Field(None, description="also discharge above this price")

    @model_validator(mode="after")
    def _one_thing_at_a_time(self) -> TimeOfUseOptions:
        low, high = self.charge_below_per_kwh, self.discharge_above_per_kwh
        if low is not None and high is not None and low > high:
            raise ValueError(f"charge_below_per_kwh {low:g} is above discharge_above_per_kwh {high:g}")
        edges = {
            edge % HOURS_PER_DAY for hours in (*self.charge_hours, *self.discharge_hours) for edge in hours
        }
        for edge in sorted(edges):
            if _within(self.charge_hours, edge) and _within(self.discharge_hours, edge):
                raise ValueError(f"charge_hours and discharge_hours overlap at hour {edge:g}")
        return self


def _within(ranges: tuple[Hours, ...], hour: float) -> bool:
    """Whether an hour of the day lies in one of the ranges; the end is not part of a range."""
    return any(begin <= hour < end if begin < end else hour >= begin or hour < end for begin, end in ranges)


def scheduled_kw(options: TimeOfUseOptions, site: Site, measurement: Measurement) -> FloatArray:
    """Rated power of each battery with the sign that hour and price ask for, shape (battery,).

    Where hours and prices contradict each other the batteries rest.
    """
    now = site.grid.timestamp(measurement.step)
    hour = now.hour + now.minute / 60.0 + now.second / 3600.0
    price, low, high = (
        measurement.price_per_kwh,
        options.charge_below_per_kwh,
        options.discharge_above_per_kwh,
    )
    charges = _within(options.charge_hours, hour) or (low is not None and price < low)
    discharges = _within(options.discharge_hours, hour) or (high is not None and price > high)
    rated_kw = np.array([site.devices[at].kw for at in batteries_of(site)], dtype=np.float64)
    return np.asarray(rated_kw * (float(discharges) - float(charges)))


@needs()
@options(TimeOfUseOptions)
class TimeOfUseController(RuleController):
    """Charges batteries in stated hours or below a price, discharges them in others, at rated power.

    Measures: stored energy, and the price of the step. Assumes: nothing of the feeder; voltages and lines
    are not looked at. PV systems run free, all else rests. It stops at the window of stored energy.

    Args:
        options: when to do what.
    """

    def __init__(self, *, options: TimeOfUseOptions) -> None:
        super().__init__()
        self._options = options

    def setpoints(self, site: Site, measurement: Measurement) -> Setpoints:
        """Rated power in the direction of the schedule."""
        return with_batteries(site, scheduled_kw(self._options, site, measurement))
