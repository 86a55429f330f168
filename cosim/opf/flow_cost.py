"""What a flow of the twin costs, exactly: for any planner that looks for plans on it."""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.timegrid import Horizon
from cosim.model.twin import TwinFlow
from cosim.opf.expected import Expected
from cosim.opf.options import Limits, Objective

Flow = TwinFlow | Expected
"""An exact flow, or what a model expects instead."""


class FlowCost:
    """Cost of energy, losses, voltage deviation, peak and import limits, as the grid will charge it.

    What devices cost themselves (wear, curtailment, comfort) and what voltages outside their limits cost
    is not in here.

    Args:
        objective, limits: weights and limits.
        horizon: the periods.
    """

    def __init__(self, objective: Objective, limits: Limits, horizon: Horizon) -> None:
        self._objective, self._limits = objective, limits
        self._hours = horizon.hours
        self._middle_pu = (limits.voltage_min_pu + limits.voltage_max_pu) / 2.0
        self._price = np.zeros(len(horizon))
        self._peak_so_far_kw = 0.0

    def update(self, price_per_kwh: FloatArray, peak_so_far_kw: float) -> None:
        """Set prices and the peak of the run so far."""
        self._price = np.asarray(price_per_kwh, dtype=np.float64)
        self._peak_so_far_kw = max(peak_so_far_kw, 0.0)

    def of(self, flow: Flow) -> float:
        """Cost of a flow, limits of the import included, currency."""
        objective, imported = self._objective, flow.import_kva.real
        cost = float(self._energy_rate @ imported)
        cost += objective.losses_per_kwh * float(self._hours @ flow.losses_kw)
        if objective.voltage_deviation_per_pu2_h:
            apart = ((flow.voltage_pu**2 - self._middle_pu**2) ** 2).sum(axis=0)
            cost += objective.voltage_deviation_per_pu2_h * float(self._hours @ apart)
        return cost + self._bounded(imported)

    def over_kw(self, flow: TwinFlow) -> float:
        """Largest violation of a limit of the import."""
        imported = flow.import_kva.real
        return max(
            (float(np.max(sign * (imported - bound))) for sign, bound in self._import_bounds()), default=0.0
        )

    def turnover(self, flow: Flow) -> float:
        """Sum of what all periods' imports cost or earn: what a difference in cost is measured by."""
        return float(np.abs(self._energy_rate * flow.import_kva.real).sum())

    @property
    def _energy_rate(self) -> FloatArray:
        return np.asarray(self._objective.energy_cost * self._price * self._hours)

    def _bounded(self, imported_kw: FloatArray) -> float:
        """What peak and limits of the import cost."""
        over = sum(np.maximum(sign * (imported_kw - bound), 0.0) for sign, bound in self._import_bounds())
        peak = self._objective.peak_per_kw * max(float(imported_kw.max()), self._peak_so_far_kw)
        return peak + self._limits.power_penalty_per_kwh * float(np.sum(self._hours * over))

    def _import_bounds(self) -> list[tuple[float, float]]:
        bounds = ((1.0, self._limits.import_max_kw), (-1.0, self._limits.import_min_kw))
        return [(sign, bound) for sign, bound in bounds if bound is not None]
