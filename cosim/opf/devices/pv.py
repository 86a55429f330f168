"""PV systems in a plan: curtailment and reactive power."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.ratings import PvRating
from cosim.model.timegrid import Horizon
from cosim.opf.devices.circle import back_into_circle
from cosim.opf.devices.inverter import within_circle, within_limits
from cosim.opf.options import Capability
from cosim.opf.program import EmptyBlock


class PvBlock(EmptyBlock):
    """Variables, constraints and cost of all PV systems over a horizon.

    ``change_kw`` is what curtailment takes from the available power, ``kvar`` the reactive power;
    the available power itself belongs to the data.

    Args:
        ratings: the PV systems.
        horizon: the periods.
        curtailment_cost_per_kwh: cost of each kWh not taken from the sun.
        reactive_cost_per_kvarh: small cost of reactive power, either sign. A lossless network is
            indifferent to it, and an interior-point solver would then return its largest circulation.
        capability: shape of the inverter limit.
        reactive, curtail: what the inverters may do.
    """

    def __init__(
        self,
        ratings: tuple[PvRating, ...],
        horizon: Horizon,
        *,
        curtailment_cost_per_kwh: float,
        reactive_cost_per_kvarh: float,
        capability: Capability,
        reactive: bool,
        curtail: bool,
    ) -> None:
        super().__init__()
        self.ratings = ratings
        self.horizon = horizon
        self._reactive_room: cp.Parameter | None = None
        if not ratings:  # solvers of array programs do not like empty arrays
            return
        count, periods = len(ratings), len(horizon)
        self._kw_rated = np.array([r.kw for r in ratings], dtype=np.float64)[:, None]
        self._kva = np.array([r.kva for r in ratings], dtype=np.float64)
        self._curtailed = cp.Variable((count, periods), nonneg=True)
        self._reactive = cp.Variable((count, periods))
        self._available = cp.Parameter((count, periods), nonneg=True)
        kw = cp.multiply(self._kw_rated, self._available - self._curtailed)
        self.change_kw = -cp.multiply(self._kw_rated, self._curtailed)
        self.kvar = cp.multiply(self._kw_rated, self._reactive)
        self.constraints.append(self._curtailed <= self._available)
        if not curtail:
            self.constraints.append(self._curtailed == 0)
        if not reactive:
            self.constraints.append(self._reactive == 0)
        elif curtail:
            constraints, self.cones = within_circle(kw, self.kvar, self._kva, capability)
            self.constraints += constraints
        else:
            # Active power is data, so the circle is an interval.
            self._reactive_room = cp.Parameter((count, periods), nonneg=True)
            self.constraints += [
                self._reactive <= self._reactive_room,
                self._reactive >= -self._reactive_room,
            ]
        if reactive:
            self.constraints += within_limits(self.kvar, ratings)
        lost = cp.multiply(self._kw_rated * horizon.hours[None, :], self._curtailed)
        self.cost = curtailment_cost_per_kwh * cp.sum(lost)
        if reactive:
            kvarh = cp.multiply(self._kw_rated * horizon.hours[None, :], cp.abs(self._reactive))
            self.cost += reactive_cost_per_kvarh * cp.sum(kvarh)

    def update(self, available_kw: FloatArray) -> None:
        """Set what the sun offers, shape (period, PV system)."""
        if not self.ratings:
            return
        for choice in (self._curtailed, self._reactive):
            choice.value = np.zeros(choice.shape)
        self._available.value = np.maximum(available_kw.T / self._kw_rated, 0.0)
        if self._reactive_room is not None:
            room = np.maximum(
                self._kva[:, None] ** 2 - np.minimum(available_kw.T, self._kva[:, None]) ** 2, 0.0
            )
            self._reactive_room.value = np.sqrt(room) / self._kw_rated

    def planned(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Planned kW, limit in kW and kvar, shape (period, PV system).

        Where nothing is curtailed the limit is the rating, so that an unexpected gleam is not lost.
        """
        if not self.ratings:
            none = np.zeros((len(self.horizon), 0))
            return none, none, none
        change = np.asarray(self.change_kw.value).T
        kw = np.asarray(self._available.value).T * self._kw_rated[:, 0] + change
        kvar = np.asarray(self.kvar.value).T.copy()
        rated = self._kw_rated[:, 0]
        kvar[np.abs(kvar) < 1e-7 * rated] = 0.0
        free = np.asarray(self._curtailed.value).T < 1e-5
        limit = np.where(free, rated, np.clip(kw, 0.0, rated))
        return kw, limit, back_into_circle(kw, kvar, self._kva)
