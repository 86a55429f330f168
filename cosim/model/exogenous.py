"""What the world does to the feeder: demand, sun, price and source voltage at every step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.errors import SeriesError
from cosim.model.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Exogenous:
    """Demand, sun and price for the steps of a run and for as far beyond as a forecast may look.

    Demand is nominal power times a profile, so that a year of thousands of loads stays small.

    Attributes:
        step_s: length of a step.
        load_kw, load_kvar: nominal demand, shape (load,), positive consumption.
        profile: multipliers, shape (step, profile).
        profile_of: which profile each load follows, shape (load,).
        irradiance: kW/m², shape (step,).
        price_per_kwh: shape (step,).
        source_ratio: voltage of the sources over what the master says, shape (step,); None: always 1.
        kvar_profile_of: which profile the kvar of each load follows, shape (load,); None: that of its kW.
        irradiance_profile_of: which profile is the irradiance of each device, in the order of the site,
            shape (device,); a negative number: the common one; None: all see the common one.
    """

    step_s: int
    load_kw: FloatArray
    load_kvar: FloatArray
    profile: FloatArray
    profile_of: IntArray
    irradiance: FloatArray
    price_per_kwh: FloatArray
    source_ratio: FloatArray | None = None
    kvar_profile_of: IntArray | None = None
    irradiance_profile_of: IntArray | None = None

    @property
    def steps(self) -> int:
        """How many steps are covered."""
        return len(self.price_per_kwh)

    def demand_kw(self, first: int, last: int) -> tuple[FloatArray, FloatArray]:
        """Mean demand over steps ``first .. last - 1``: kW and kvar per load.

        Raises:
            SeriesError: the steps are not covered.
        """
        self._check(first, last)
        return self._demand(self.profile[first:last].mean(axis=0))

    def _demand(self, multiplier: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Demand in kW and kvar per load under one multiplier for each profile."""
        kvar_of = self.profile_of if self.kvar_profile_of is None else self.kvar_profile_of
        return (
            np.asarray(self.load_kw * multiplier[self.profile_of]),
            np.asarray(self.load_kvar * multiplier[kvar_of]),
        )

    def irradiance_at(self, devices: int, first: int, last: int) -> FloatArray:
        """Mean irradiance over steps ``first .. last - 1`` that each of the devices sees, in kW/m²."""
        seen = np.full(devices, self.mean_irradiance(first, last))
        if self.irradiance_profile_of is not None:
            own = self.irradiance_profile_of >= 0
            seen[own] = self.profile[first:last].mean(axis=0)[self.irradiance_profile_of[own]]
        return seen

    def mean_irradiance(self, first: int, last: int) -> float:
        """Mean of the common irradiance over steps ``first .. last - 1`` in kW/m²."""
        self._check(first, last)
        return float(self.irradiance[first:last].mean())

    def mean_price(self, first: int, last: int) -> float:
        """Mean price over steps ``first .. last - 1`` per kWh."""
        self._check(first, last)
        return float(self.price_per_kwh[first:last].mean())

    def mean_source_ratio(self, first: int, last: int) -> float:
        """Mean voltage of the sources over steps ``first .. last - 1``, over what the master says."""
        self._check(first, last)
        return 1.0 if self.source_ratio is None else float(self.source_ratio[first:last].mean())

    def _check(self, first: int, last: int) -> None:
        if not 0 <= first < last <= self.steps:
            raise SeriesError(
                f"steps {first} to {last - 1} are asked for, the series hold steps 0 to {self.steps - 1}"
            )

    def value_at(self, step: int) -> tuple[FloatArray, FloatArray, float, float]:
        """Demand in kW and kvar per load, common irradiance and price of one step."""
        self._check(step, step + 1)
        demand_kw, demand_kvar = self._demand(self.profile[step])
        return demand_kw, demand_kvar, float(self.irradiance[step]), float(self.price_per_kwh[step])
