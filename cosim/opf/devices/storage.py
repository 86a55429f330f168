"""Batteries in a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cvxpy as cp
import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.ratings import StorageRating
from cosim.model.state import Plan
from cosim.model.timegrid import Horizon
from cosim.opf.devices.inverter import Capability, within_circle


@dataclass(frozen=True)
class Terminal:
    """What the end of the horizon asks of stored energy.

    Attributes:
        kind: ``hard`` (equal to the target), ``soft`` (deviation costs), ``value`` (energy left is
            worth something), ``free``.
        soc: target as a share of the full cell; None is the start of the run.
        per_kwh: cost of deviation, or value of stored energy, in currency.
    """

    kind: Literal["hard", "soft", "value", "free"] = "free"
    soc: float | None = None
    per_kwh: float = 0.0


class StorageBlock:
    """Variables, constraints and cost of all batteries over a horizon.

    Powers are variables per unit of each battery's rating, energies per unit of its cell.

    Args:
        ratings: the batteries.
        horizon: the periods.
        terminal: end condition.
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
        throughput_cost_per_kwh: float,
        reactive_cost_per_kvarh: float,
        capability: Capability,
        reactive: bool,
    ) -> None:
        self.ratings = ratings
        self.horizon = horizon
        self.constraints: list[cp.Constraint] = []
        self.cost: cp.Expression | float = 0.0
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
        into = cp.multiply(
            _column([r.efficiency_charge for r in ratings]) * self._kw / self._kwh * hours, self._charge
        )
        out = cp.multiply(
            self._kw / self._kwh / _column([r.efficiency_discharge for r in ratings]) * hours,
            self._discharge,
        )
        kva = np.array([r.kva for r in ratings], dtype=np.float64)
        self.constraints += [
            self._charge <= 1.0,
            self._discharge <= 1.0,
            self._energy[:, 0] == self._start,
            self._energy[:, 1:] == self._energy[:, :-1] + into - out - self._drain,
            self._energy[:, 1:] >= _column([r.min_kwh / r.kwh for r in ratings]),
            self._energy[:, 1:] <= _column([r.max_kwh / r.kwh for r in ratings]),
        ]
        if reactive:
            self.constraints += within_circle(self.kw, self.kvar, kva, capability)
        else:
            self.constraints.append(self._reactive == 0)
        moved = cp.multiply(self._kw * hours, self._charge + self._discharge)
        self.cost = throughput_cost_per_kwh * cp.sum(moved) + self._terminal(terminal)
        if reactive:
            kvarh = cp.multiply(self._kw * hours, cp.abs(self._reactive))
            self.cost += reactive_cost_per_kvarh * cp.sum(kvarh)

    def _terminal(self, terminal: Terminal) -> cp.Expression | float:
        last = self._energy[:, -1]
        full = self._kwh[:, 0]
        target = np.array(
            [r.initial_kwh / r.kwh if terminal.soc is None else terminal.soc for r in self.ratings]
        )
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
        self._drain.value = self._expected_drain(earlier, time_s)

    def _expected_drain(self, earlier: Plan | None, time_s: float) -> FloatArray:
        drain = np.zeros((len(self.ratings), len(self.horizon)))
        if earlier is None or not any(r.idling_kw for r in self.ratings):
            return drain
        for period, (offset_s, hours) in enumerate(
            zip(self.horizon.starts_s, self.horizon.hours, strict=True)
        ):
            then = earlier.period_at(time_s + float(offset_s))
            if then is None:
                continue
            for i, rating in enumerate(self.ratings):
                kw = earlier.storage_kw[then, i]
                if kw > 0:
                    drain[i, period] = rating.idling_kw / rating.efficiency_discharge * hours
                elif kw < 0:
                    drain[i, period] = rating.idling_kw * rating.efficiency_charge * hours
        return drain / self._kwh

    def planned(self) -> tuple[FloatArray, FloatArray]:
        """Planned kW and kvar, shape (period, battery); a part in 1e7 of the rating counts as rest."""
        if not self.ratings:
            return np.zeros((len(self.horizon), 0)), np.zeros((len(self.horizon), 0))
        kw = np.asarray(self.kw.value).T.copy()
        kvar = np.asarray(self.kvar.value).T.copy()
        kw[np.abs(kw) < 1e-7 * self._kw[:, 0]] = 0.0
        kvar[np.abs(kvar) < 1e-7 * self._kw[:, 0]] = 0.0
        return kw, kvar

    def roll_out(self, stored_kwh: FloatArray, kw: FloatArray) -> FloatArray:
        """Stored energy along a plan by the exact storage law, shape (period + 1, battery)."""
        stored = np.empty((kw.shape[0] + 1, len(self.ratings)))
        stored[0] = stored_kwh
        for period, hours in enumerate(self.horizon.hours):
            for i, rating in enumerate(self.ratings):
                stored[period + 1, i] = rating.next_stored_kwh(
                    float(stored[period, i]), float(kw[period, i]), float(hours)
                )
        return stored

    def simultaneous_kw(self) -> float:
        """Largest power that is charged and discharged at once."""
        if not self.ratings:
            return 0.0
        both = np.minimum(np.asarray(self._charge.value), np.asarray(self._discharge.value)) * self._kw
        return float(max(both.max(), 0.0))


def _column(values: list[float]) -> FloatArray:
    return np.asarray(values, dtype=np.float64)[:, None]
