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

    def set_hours(self, hours: FloatArray) -> None:
        """Weigh the periods, or the nodes of scenarios: length times weight, shape (period,)."""
        self._hours = hours

    def update(self, price_per_kwh: FloatArray, peak_so_far_kw: float) -> None:
        """Set prices and the peak of the run so far."""
        self._price = np.asarray(price_per_kwh, dtype=np.float64)
        self._peak_so_far_kw = max(peak_so_far_kw, 0.0)

    def of(self, flow: Flow) -> float:
        """Cost of a flow, limits of the import included, currency."""
        return float(self.of_each(flow))

    def of_each(self, flow: Flow) -> FloatArray:
        """Costs of many flows, whose arrays have further axes before that of the periods, currency."""
        objective, imported = self._objective, flow.import_kva.real
        cost = np.asarray(imported @ self._energy_rate)
        cost = cost + objective.losses_per_kwh * (flow.losses_kw @ self._hours)
        if objective.voltage_deviation_per_pu2_h:
            apart = ((flow.voltage_pu**2 - self._middle_pu**2) ** 2).sum(axis=0)
            cost = cost + objective.voltage_deviation_per_pu2_h * (apart @ self._hours)
        return np.asarray(cost + self._bounded(imported))

    def of_each_period(self, flow: Flow) -> FloatArray:
        """Costs of energy, losses and voltage deviation of each period, same shape as the import."""
        objective = self._objective
        cost = flow.import_kva.real * self._energy_rate
        cost = cost + objective.losses_per_kwh * self._hours * flow.losses_kw
        if objective.voltage_deviation_per_pu2_h:
            apart = ((flow.voltage_pu**2 - self._middle_pu**2) ** 2).sum(axis=0)
            cost = cost + objective.voltage_deviation_per_pu2_h * self._hours * apart
        return np.asarray(cost)

    def peak_kw(self, flow: Flow) -> FloatArray:
        """Highest import of each flow and of the run so far."""
        return np.asarray(np.maximum(flow.import_kva.real.max(axis=-1), self._peak_so_far_kw))

    def of_each_node(self, flow: Flow) -> FloatArray:
        """Costs of each period or node, limits of the import included, the peak not, currency."""
        objective, imported = self._objective, flow.import_kva.real
        cost = self._energy_rate * imported + objective.losses_per_kwh * self._hours * flow.losses_kw
        if objective.voltage_deviation_per_pu2_h:
            apart = ((flow.voltage_pu**2 - self._middle_pu**2) ** 2).sum(axis=0)
            cost = cost + objective.voltage_deviation_per_pu2_h * self._hours * apart
        for sign, bound in self._import_bounds():
            over = np.maximum(sign * (imported - bound), 0.0)
            cost = cost + self._limits.power_penalty_per_kwh * self._hours * over
        return np.asarray(cost)

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

    def _bounded(self, imported_kw: FloatArray) -> FloatArray:
        """What peak and limits of the import cost."""
        over = sum(np.maximum(sign * (imported_kw - bound), 0.0) for sign, bound in self._import_bounds())
        highest = np.maximum(imported_kw.max(axis=-1), self._peak_so_far_kw)
        beyond = np.sum(self._hours * over, axis=-1)
        return np.asarray(
            self._objective.peak_per_kw * highest + self._limits.power_penalty_per_kwh * beyond
        )

    def _import_bounds(self) -> list[tuple[float, float]]:
        bounds = ((1.0, self._limits.import_max_kw), (-1.0, self._limits.import_min_kw))
        return [(sign, bound) for sign, bound in bounds if bound is not None]
