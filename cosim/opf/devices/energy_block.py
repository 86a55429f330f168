"""Devices with energy in a plan: batteries and whatever charges, defers or saves up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

from cosim.devices.bounds import EnergyBounds, each
from cosim.model.arrays import FloatArray
from cosim.model.timegrid import Horizon
from cosim.opf.devices.inverter import within_circle, within_limits
from cosim.opf.devices.model import DeviceModel
from cosim.opf.options import Complementarity, PlannerOptions, Terminal
from cosim.opf.program import EmptyBlock

SIMULTANEOUS_TOLERANCE = 1e-3
"""Charging and discharging at once counts from this part of the rated power."""

Bound = Any
"""A number, a parameter or an expression; cvxpy has no name for what it takes."""


class EnergyBlock(EmptyBlock):
    """Variables, constraints and cost of all devices with energy over a horizon.

    Powers are variables per unit of each device's rating, energies per unit of its store.

    Costs of charging and discharging rule out doing both at once. A cost of energy lost,
    ``(1 - eta_c) charge + (1 / eta_d - 1) discharge``, does so as long as it exceeds the negative of every
    nodal price (standard argument, e.g. Garifi et al., 2020); a cost of throughput as long as it exceeds
    ``-price (1 - n^2) / (1 + n^2)`` with round-trip efficiency n^2.

    Args:
        model: the devices.
        horizon: the periods.
        options: terminal condition, complementarity, inverter limit, cost of reactive power. A lossless
            network is indifferent to reactive power, and an interior-point solver would then return its
            largest circulation.
    """

    def __init__(self, model: DeviceModel, horizon: Horizon, options: PlannerOptions) -> None:
        super().__init__()
        self.ratings = ratings = model.energy
        self.horizon = horizon
        bounds, _ = model.constant_bounds()
        if bounds is None:  # solvers of array programs do not like empty arrays
            return
        count, periods = len(ratings), len(horizon)
        self._kw, self._kwh = _column(each(ratings, "kw")), _column(bounds.kwh)
        self._charge = cp.Variable((count, periods), nonneg=True)
        self._discharge = cp.Variable((count, periods), nonneg=True)
        self._reactive = cp.Variable((count, periods))
        self._energy = cp.Variable((count, periods + 1))
        self._start = cp.Parameter(count)
        self._drain = cp.Parameter((count, periods), nonneg=not model.moving)
        self.change_kw = cp.multiply(self._kw, self._discharge - self._charge)
        self.kvar = cp.multiply(self._kw, self._reactive)
        hours = horizon.hours[None, :]
        self._directions: tuple[cp.Parameter, cp.Parameter] | None = None
        self._moving: _MovingBounds | None = None
        most_charge, most_discharge = self._most_power(options.complementarity)
        least: Bound = _column(bounds.least_kwh[0] / bounds.kwh)
        most: Bound = _column(bounds.most_kwh[0] / bounds.kwh)
        if model.moving:
            self._moving = moving = _MovingBounds.of_shape(count, periods)
            least, most = moving.least, moving.most
            self.constraints += [self._charge <= moving.take, self._discharge <= moving.give]
        into = cp.multiply(_column(bounds.charge_efficiency) * self._kw / self._kwh * hours, self._charge)
        out = cp.multiply(
            self._kw / self._kwh / _column(bounds.discharge_efficiency) * hours, self._discharge
        )
        self.constraints += [
            self._charge <= most_charge,
            self._discharge <= most_discharge,
            *self._begin(least, most),
            self._energy[:, 1:] == self._energy[:, :-1] + into - out - self._drain,
            self._energy[:, 1:] >= least,
            self._energy[:, 1:] <= most,
        ]
        self._add_reactive(bounds, options)
        self._add_costs(bounds, options)
        self._ends = np.flatnonzero(bounds.ends)
        if len(self._ends):
            self.cost += self._terminal(options.terminal, model.target_kwh())

    def _begin(self, least: Bound, most: Bound) -> list[cp.Constraint]:
        """Where stored energy begins: at what is measured.

        Args:
            least, most: bounds per unit, shape (device, 1) or (device, period).
        """
        del least, most
        return [self._energy[:, 0] == self._start]

    def _add_reactive(self, bounds: EnergyBounds, options: PlannerOptions) -> None:
        """Reactive power inside the inverter, where it is offered at all."""
        if not bounds.reactive.any():
            self.constraints.append(self._reactive == 0)
            return
        kva = each(self.ratings, "kva")
        constraints, self.cones = within_circle(self.change_kw, self.kvar, kva, options.capability)
        self.constraints += constraints
        self.constraints += within_limits(self.kvar, self.ratings)
        if not bounds.reactive.all():
            self.constraints.append(self._reactive[np.flatnonzero(~bounds.reactive), :] == 0)

    def _add_costs(self, bounds: EnergyBounds, options: PlannerOptions) -> None:
        """Costs of charging, discharging and reactive power."""
        kwh = self._kw * self.horizon.hours[None, :]
        if bounds.loss_cost_per_kwh.any():
            price = _column(bounds.loss_cost_per_kwh)
            into = price * (_column(1.0 - bounds.charge_efficiency) * kwh)
            out = price * (_column(1.0 / bounds.discharge_efficiency - 1.0) * kwh)
            self.cost += cp.sum(cp.multiply(into, self._charge) + cp.multiply(out, self._discharge))
        take, give = bounds.take_cost_per_kwh.T * kwh, bounds.give_cost_per_kwh.T * kwh
        self.cost += cp.sum(cp.multiply(take, self._charge) + cp.multiply(give, self._discharge))
        if options.reactive_cost_per_kvarh and bounds.reactive.any():
            held = cp.sum(cp.multiply(kwh, cp.abs(self._reactive)))
            self.cost += options.reactive_cost_per_kvarh * held

    def _most_power(self, complementarity: Complementarity) -> tuple[Bound, Bound]:
        """Upper bounds of charge and discharge per unit, by the kind of complementarity."""
        shape = self._charge.shape
        if complementarity == "binary":
            charging = cp.Variable(shape)
            self.constraints += [charging >= 0.0, charging <= 1.0]
            self.binaries.append(charging)
            return charging, 1.0 - charging
        if complementarity == "repair":
            self._directions = (cp.Parameter(shape, nonneg=True), cp.Parameter(shape, nonneg=True))
            self.free_directions()
            return self._directions
        return 1.0, 1.0

    def free_directions(self) -> None:
        """Let every device charge and discharge in every period again."""
        if self.ratings and self._directions is not None:
            for most in self._directions:
                most.value = np.ones(most.shape)

    def fix_directions(self) -> bool:
        """Where the solution does both at once, leave only the direction of the net power.

        Returns:
            Whether anything was fixed that was free before.
        """
        if not self.ratings or self._directions is None:
            return False
        both = self._both_kw() > SIMULTANEOUS_TOLERANCE * self._kw
        net = np.asarray(self._discharge.value) - np.asarray(self._charge.value)
        for most, wrong in zip(self._directions, (net >= 0.0, net < 0.0), strict=True):
            most.value = np.where(both & wrong, 0.0, most.value)
        return bool(both.any())

    def _terminal(self, terminal: Terminal, target_kwh: FloatArray) -> cp.Expression | float:
        """The terminal condition of the devices it holds for."""
        here = self._ends
        full = self._kwh[:, 0][here]
        last = self._energy[:, -1] if len(here) == len(self.ratings) else self._energy[here, -1]
        target = target_kwh[here] / full
        if terminal.kind == "hard":
            self.constraints.append(last == target)
            return 0.0
        if terminal.kind == "soft":
            return terminal.per_kwh * (full @ cp.abs(last - target))
        if terminal.kind == "value":
            return -terminal.per_kwh * (full @ (last - target))
        return 0.0

    def update(self, bounds: EnergyBounds | None) -> None:
        """Set the stored energy now, what drains it, and bounds that change with time."""
        if bounds is None:
            return
        self._start.value = bounds.start_kwh / self._kwh[:, 0]
        self._drain.value = bounds.drain_kwh.T / self._kwh
        if self._moving is not None:
            self._moving.set(bounds, self._kw, self._kwh)
        # A nonlinear solver starts at rest, whatever was planned before.
        circles = [power for cones in self.cones for power in (cones.p, cones.q)]
        for power in (self._charge, self._discharge, self._reactive, *circles):
            power.value = np.zeros(power.shape)
        self._energy.value = np.repeat(self._start.value[:, None], self._energy.shape[1], axis=1)

    @property
    def start_kwh(self) -> FloatArray:
        """Stored energy that the program starts from, shape (device,)."""
        if not self.ratings:
            return np.zeros(0)
        return np.asarray(self._start.value * self._kwh[:, 0])

    def planned(self) -> tuple[FloatArray, FloatArray]:
        """Planned kW and kvar, shape (period, device); a part in 1e7 of the rating counts as rest."""
        if not self.ratings:
            return np.zeros((len(self.horizon), 0)), np.zeros((len(self.horizon), 0))
        kw = np.asarray(self.change_kw.value).T.copy()
        kvar = np.asarray(self.kvar.value).T.copy()
        kw[np.abs(kw) < 1e-7 * self._kw[:, 0]] = 0.0
        kvar[np.abs(kvar) < 1e-7 * self._kw[:, 0]] = 0.0
        return kw, kvar

    def programmed_kwh(self) -> FloatArray:
        """Stored energy of the program, shape (period + 1, device)."""
        if not self.ratings:
            return np.zeros((len(self.horizon) + 1, 0))
        return np.asarray(self._energy.value * self._kwh).T

    def first_decisions(self) -> list[cp.Expression]:
        """What is decided for the first period: charge, discharge and reactive power per unit."""
        if not self.ratings:
            return []
        return [part[:, 0] for part in (self._charge, self._discharge, self._reactive)]

    def simultaneous_kw(self) -> float:
        """Largest power that is charged and discharged at once."""
        if not self.ratings:
            return 0.0
        return float(max(self._both_kw().max(), 0.0))

    def simultaneous_hours(self) -> float:
        """Device-hours in which charging and discharging at once exceeds the tolerance."""
        if not self.ratings:
            return 0.0
        both = self._both_kw() > SIMULTANEOUS_TOLERANCE * self._kw
        return float((both * self.horizon.hours[None, :]).sum())

    def _both_kw(self) -> FloatArray:
        both = np.minimum(np.asarray(self._charge.value), np.asarray(self._discharge.value)) * self._kw
        return np.asarray(both)


@dataclass
class _MovingBounds:
    """Bounds that change with time, as parameters per unit, shape (device, period) each."""

    take: cp.Parameter
    give: cp.Parameter
    least: cp.Parameter
    most: cp.Parameter

    @classmethod
    def of_shape(cls, count: int, periods: int) -> _MovingBounds:
        """Without values yet."""
        return cls(*(cp.Parameter((count, periods)) for _ in range(4)))

    def set(self, bounds: EnergyBounds, kw: FloatArray, kwh: FloatArray) -> None:
        """Take the bounds of a plan; ``kw`` and ``kwh`` are units, shape (device, 1)."""
        self.take.value, self.give.value = bounds.take_max_kw.T / kw, bounds.give_max_kw.T / kw
        self.least.value, self.most.value = bounds.least_kwh.T / kwh, bounds.most_kwh.T / kwh


def _column(values: FloatArray) -> FloatArray:
    return np.asarray(values, dtype=np.float64)[:, None]
