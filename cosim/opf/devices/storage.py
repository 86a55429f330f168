"""Batteries in a plan."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.ratings import StorageRating
from cosim.model.state import Plan
from cosim.model.timegrid import Horizon
from cosim.opf.devices.circle import back_into_circle
from cosim.opf.devices.energy import expected_drain_kwh, within_window
from cosim.opf.devices.inverter import within_circle, within_limits
from cosim.opf.options import Capability, Complementarity, Terminal
from cosim.opf.program import EmptyBlock

SIMULTANEOUS_TOLERANCE = 1e-3
"""Charging and discharging at once counts from this part of the rated power."""

Bound = Any
"""A number, a parameter or an expression; cvxpy has no name for what it takes."""


class StorageBlock(EmptyBlock):
    """Variables, constraints and cost of all batteries over a horizon.

    Powers are variables per unit of each battery's rating, energies per unit of its cell.

    Args:
        ratings: the batteries.
        horizon: the periods.
        terminal: end condition.
        complementarity: see :data:`Complementarity`.
        loss_cost_per_kwh: cost of energy lost in charging and discharging,
            ``(1 - eta_c) charge + (1 / eta_d - 1) discharge``. It makes charging and discharging at
            once suboptimal as long as it exceeds the negative of every nodal price (standard
            argument, e.g. Garifi et al., 2020).
        throughput_cost_per_kwh: small cost of charged and discharged energy. It makes charging and
            discharging at once suboptimal as long as it exceeds ``-price (1 - n^2) / (1 + n^2)``
            with round-trip efficiency n^2.
        reactive_cost_per_kvarh: small cost of reactive power, either sign. A lossless network is
            indifferent to it, and an interior-point solver would then return its largest circulation.
        capability: shape of the inverter limit.
        reactive: whether the inverters may use reactive power.
    """

    def __init__(
        self,
        ratings: tuple[StorageRating, ...],
        horizon: Horizon,
        *,
        terminal: Terminal,
        complementarity: Complementarity,
        loss_cost_per_kwh: float,
        throughput_cost_per_kwh: float,
        reactive_cost_per_kvarh: float,
        capability: Capability,
        reactive: bool,
    ) -> None:
        super().__init__()
        self.ratings = ratings
        self.horizon = horizon
        if not ratings:  # solvers of array programs do not like empty arrays
            return
        count, periods = len(ratings), len(horizon)
        self._kw = _column([r.kw for r in ratings])
        self._kwh = _column([r.kwh for r in ratings])
        self._charge = cp.Variable((count, periods), nonneg=True)
        self._discharge = cp.Variable((count, periods), nonneg=True)
        self._reactive = cp.Variable((count, periods))
        self._energy = cp.Variable((count, periods + 1))
        self._start = cp.Parameter(count)
        self._drain = cp.Parameter((count, periods), nonneg=True)
        self.kw = cp.multiply(self._kw, self._discharge - self._charge)
        self.kvar = cp.multiply(self._kw, self._reactive)
        hours = horizon.hours[None, :]
        self._directions: tuple[cp.Parameter, cp.Parameter] | None = None
        most_charge, most_discharge = self._most_power(complementarity)
        into = cp.multiply(
            _column([r.efficiency_charge for r in ratings]) * self._kw / self._kwh * hours, self._charge
        )
        out = cp.multiply(
            self._kw / self._kwh / _column([r.efficiency_discharge for r in ratings]) * hours,
            self._discharge,
        )
        kva = np.array([r.kva for r in ratings], dtype=np.float64)
        self.constraints += [
            self._charge <= most_charge,
            self._discharge <= most_discharge,
            self._energy[:, 0] == self._start,
            self._energy[:, 1:] == self._energy[:, :-1] + into - out - self._drain,
            self._energy[:, 1:] >= _column([r.min_kwh / r.kwh for r in ratings]),
            self._energy[:, 1:] <= _column([r.max_kwh / r.kwh for r in ratings]),
        ]
        if reactive:
            constraints, self.cones = within_circle(self.kw, self.kvar, kva, capability)
            self.constraints += constraints
            self.constraints += within_limits(self.kvar, ratings)
        else:
            self.constraints.append(self._reactive == 0)
        self._add_costs(
            loss_cost_per_kwh, throughput_cost_per_kwh, reactive_cost_per_kvarh if reactive else 0.0
        )
        self.cost += self._terminal(terminal)

    def _add_costs(self, loss_per_kwh: float, throughput_per_kwh: float, reactive_per_kvarh: float) -> None:
        """The small costs, see the arguments of the class."""
        kwh = self._kw * self.horizon.hours[None, :]
        charged, discharged = cp.multiply(kwh, self._charge), cp.multiply(kwh, self._discharge)
        if loss_per_kwh:
            charging = _column([1.0 - r.efficiency_charge for r in self.ratings])
            discharging = _column([1.0 / r.efficiency_discharge - 1.0 for r in self.ratings])
            lost = cp.multiply(charging, charged) + cp.multiply(discharging, discharged)
            self.cost += loss_per_kwh * cp.sum(lost)
        self.cost += throughput_per_kwh * cp.sum(charged + discharged)
        if reactive_per_kvarh:
            self.cost += reactive_per_kvarh * cp.sum(cp.multiply(kwh, cp.abs(self._reactive)))

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
        """Let every battery charge and discharge in every period again."""
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

    def _terminal(self, terminal: Terminal) -> cp.Expression | float:
        last = self._energy[:, -1]
        full = self._kwh[:, 0]
        target = terminal.target_kwh(self.ratings) / full
        if terminal.kind == "hard":
            self.constraints.append(last == target)
            return 0.0
        if terminal.kind == "soft":
            return terminal.per_kwh * (full @ cp.abs(last - target))
        if terminal.kind == "value":
            return -terminal.per_kwh * (full @ (last - target))
        return 0.0

    def update(self, stored_kwh: FloatArray, earlier: Plan | None, time_s: float) -> None:
        """Set the stored energy now, and where idling losses are expected.

        Idling loss leaves the cell only while the battery works, which is not known before solving;
        the earlier plan says where it will.
        """
        if not self.ratings:
            return
        full = self._kwh[:, 0]
        # A measurement may lie a rounding outside the window; the program must stay feasible.
        self._start.value = np.clip(
            stored_kwh / full,
            [r.min_kwh / r.kwh for r in self.ratings],
            [r.max_kwh / r.kwh for r in self.ratings],
        )
        drain_kwh = expected_drain_kwh(self.ratings, self.horizon, earlier, time_s)
        self._drain.value = drain_kwh.T / self._kwh
        # A nonlinear solver starts at rest, whatever was planned before.
        circles = [power for cones in self.cones for power in (cones.p, cones.q)]
        for power in (self._charge, self._discharge, self._reactive, *circles):
            power.value = np.zeros(power.shape)
        self._energy.value = np.repeat(self._start.value[:, None], self._energy.shape[1], axis=1)

    def planned(self) -> tuple[FloatArray, FloatArray]:
        """Planned kW and kvar, shape (period, battery); a part in 1e7 of the rating counts as rest.

        What a solver's tolerance puts beyond the energy window is taken back here, so that the plant
        need not cut it. More than a tolerance is left as it is: it must be seen.
        """
        if not self.ratings:
            return np.zeros((len(self.horizon), 0)), np.zeros((len(self.horizon), 0))
        kw = np.asarray(self.kw.value).T.copy()
        kvar = np.asarray(self.kvar.value).T.copy()
        kw[np.abs(kw) < 1e-7 * self._kw[:, 0]] = 0.0
        kvar[np.abs(kvar) < 1e-7 * self._kw[:, 0]] = 0.0
        stored_kwh = np.asarray(self._start.value) * self._kwh[:, 0]
        kw = within_window(self.ratings, self.horizon, stored_kwh, kw)
        return kw, back_into_circle(kw, kvar, np.array([r.kva for r in self.ratings]))

    @property
    def idles(self) -> bool:
        """Whether a battery loses energy while it works."""
        return any(rating.idling_kw for rating in self.ratings)

    def drift_kwh(self, stored_kwh: FloatArray) -> float:
        """Largest difference between the exact storage law along the plan and the program's energy.

        Args:
            stored_kwh: by :func:`roll_out`, shape (period + 1, battery).
        """
        if not self.ratings:
            return 0.0
        programmed = np.asarray(self._energy.value) * self._kwh
        return float(np.max(np.abs(stored_kwh.T - programmed)))

    def simultaneous_kw(self) -> float:
        """Largest power that is charged and discharged at once."""
        if not self.ratings:
            return 0.0
        return float(max(self._both_kw().max(), 0.0))

    def simultaneous_hours(self) -> float:
        """Battery-hours in which charging and discharging at once exceeds the tolerance."""
        if not self.ratings:
            return 0.0
        both = self._both_kw() > SIMULTANEOUS_TOLERANCE * self._kw
        return float((both * self.horizon.hours[None, :]).sum())

    def _both_kw(self) -> FloatArray:
        both = np.minimum(np.asarray(self._charge.value), np.asarray(self._discharge.value)) * self._kw
        return np.asarray(both)


def _column(values: list[float]) -> FloatArray:
    return np.asarray(values, dtype=np.float64)[:, None]
