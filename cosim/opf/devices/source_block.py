"""Devices without energy in a plan: curtailment and reactive power."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from cosim.devices.bounds import SourceBounds, each
from cosim.model.arrays import FloatArray
from cosim.model.timegrid import Horizon
from cosim.opf.devices.circle import back_into_circle
from cosim.opf.devices.inverter import within_circle, within_limits
from cosim.opf.devices.model import DeviceModel
from cosim.opf.options import PlannerOptions
from cosim.opf.program import EmptyBlock


class SourceBlock(EmptyBlock):
    """Variables, constraints and cost of all devices without energy over a horizon.

    ``change_kw`` is what curtailment takes from the available power, ``kvar`` the reactive power;
    the available power itself belongs to the data.

    Args:
        model: the devices.
        horizon: the periods.
        options: inverter limit and cost of reactive power, see :class:`EnergyBlock`.
    """

    def __init__(self, model: DeviceModel, horizon: Horizon, options: PlannerOptions) -> None:
        super().__init__()
        self.ratings = ratings = model.sources
        self.horizon = horizon
        self._reactive_room: cp.Parameter | None = None
        _, bounds = model.constant_bounds()
        if bounds is None:  # solvers of array programs do not like empty arrays
            return
        curtail, reactive = bool(bounds.curtails.all()), bool(bounds.reactive.all())
        count, periods = len(ratings), len(horizon)
        self._kw_rated = each(ratings, "kw")[:, None]
        self._kva = each(ratings, "kva")
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
            constraints, self.cones = within_circle(kw, self.kvar, self._kva, options.capability)
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
        kwh = self._kw_rated * horizon.hours[None, :]
        self.cost = cp.sum(cp.multiply(bounds.curtail_cost_per_kwh.T * kwh, self._curtailed))
        if reactive:
            kvarh = cp.multiply(self._kw_rated * horizon.hours[None, :], cp.abs(self._reactive))
            self.cost += options.reactive_cost_per_kvarh * cp.sum(kvarh)

    def update(self, bounds: SourceBounds | None) -> None:
        """Set what is available."""
        if bounds is None:
            return
        available_kw = bounds.available_kw
        for choice in (self._curtailed, self._reactive):
            choice.value = np.zeros(choice.shape)
        self._available.value = available_kw.T / self._kw_rated
        if self._reactive_room is not None:
            room = np.maximum(
                self._kva[:, None] ** 2 - np.minimum(available_kw.T, self._kva[:, None]) ** 2, 0.0
            )
            self._reactive_room.value = np.sqrt(room) / self._kw_rated

    def first_decisions(self) -> list[cp.Expression]:
        """What is decided for the first period: curtailment and reactive power per unit."""
        return [part[:, 0] for part in (self._curtailed, self._reactive)] if self.ratings else []

    def planned(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Planned kW, limit in kW and kvar, shape (period, device).

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
