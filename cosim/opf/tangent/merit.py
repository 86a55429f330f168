"""What a flow costs, exactly, and the tangent of that cost in the device powers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.timegrid import Horizon
from cosim.model.twin import Slope, Twin, TwinFlow
from cosim.opf.tangent.qp.step_program import Peak, SoftRows, Tangent
from cosim.opf.terms import Limits, Objective

LEAST_CURVATURE = 1e-9
"""Of the cost in kW², as a part of the energy price: where losses say nothing a step stays finite."""


@dataclass(frozen=True)
class Slopes:
    """First order of a flow.

    Attributes:
        import_kw: slope of the import, per kW and kvar, shape (period, device) each.
        cost: slope of the cost of the network's terms.
    """

    import_kw: Slope
    cost: Slope


class NetworkCost:
    """Cost of energy, losses, voltage deviation, peak and import limits, as the grid will charge it.

    Args:
        objective, limits: weights and limits.
        horizon: the periods.
        twin: gives slopes.
    """

    def __init__(self, objective: Objective, limits: Limits, horizon: Horizon, twin: Twin) -> None:
        self._objective, self._limits, self._twin = objective, limits, twin
        self._hours = horizon.hours
        self._middle_pu = (limits.voltage_min_pu + limits.voltage_max_pu) / 2.0
        self._price = np.zeros(len(horizon))
        self._peak_so_far_kw = 0.0

    def update(self, price_per_kwh: FloatArray, peak_so_far_kw: float) -> None:
        """Set prices and the peak of the run so far."""
        self._price = np.asarray(price_per_kwh, dtype=np.float64)
        self._peak_so_far_kw = max(peak_so_far_kw, 0.0)

    @property
    def _energy_rate(self) -> FloatArray:
        return np.asarray(self._objective.energy_cost * self._price * self._hours)

    def of(self, flow: TwinFlow) -> float:
        """Cost of a flow, limits of the import included, currency."""
        objective, imported = self._objective, flow.import_kva.real
        cost = float(self._energy_rate @ imported)
        cost += objective.losses_per_kwh * float(self._hours @ flow.losses_kw)
        if objective.voltage_deviation_per_pu2_h:
            apart = ((flow.voltage_pu**2 - self._middle_pu**2) ** 2).sum(axis=0)
            cost += objective.voltage_deviation_per_pu2_h * float(self._hours @ apart)
        cost += objective.peak_per_kw * max(float(imported.max()), self._peak_so_far_kw)
        over = sum(np.maximum(sign * (imported - bound), 0.0) for sign, bound in self._import_bounds())
        return cost + self._limits.power_penalty_per_kwh * float(np.sum(self._hours * over))

    def turnover(self, flow: TwinFlow) -> float:
        """Sum of what all periods' imports cost or earn: what a difference in cost is measured by."""
        return float(np.abs(self._energy_rate * flow.import_kva.real).sum())

    def over_kw(self, flow: TwinFlow) -> float:
        """Largest violation of a limit of the import."""
        imported = flow.import_kva.real
        return max(
            (float(np.max(sign * (imported - bound))) for sign, bound in self._import_bounds()), default=0.0
        )

    def _import_bounds(self) -> list[tuple[float, float]]:
        bounds = ((1.0, self._limits.import_max_kw), (-1.0, self._limits.import_min_kw))
        return [(sign, bound) for sign, bound in bounds if bound is not None]

    def slopes(self, flow: TwinFlow) -> Slopes:
        """First order of the cost at a flow."""
        objective, hours = self._objective, self._hours[:, None]
        import_p, import_q = self._twin.import_slope(flow)
        rate = self._energy_rate[:, None]
        cost_p, cost_q = rate * import_p, rate * import_q
        if objective.losses_per_kwh:
            p, q = self._twin.losses_slope(flow)
            cost_p, cost_q = (
                cost_p + objective.losses_per_kwh * hours * p,
                cost_q + objective.losses_per_kwh * hours * q,
            )
        if objective.voltage_deviation_per_pu2_h:
            weight = objective.voltage_deviation_per_pu2_h * hours
            _, (p, q) = self._twin.deviation_slope(flow, self._middle_pu)
            cost_p, cost_q = cost_p + weight * p, cost_q + weight * q
        return Slopes((import_p, import_q), (cost_p, cost_q))

    def tangent(self, flow: TwinFlow, slopes: Slopes, modes: int) -> Tangent:
        """The cost about a flow: exact slope, curvature of the losses.

        Args:
            flow: where.
            slopes: there.
            modes: of the losses' curvature that are kept; the rest goes into each device's own.
        """
        objective = self._objective
        # Losses at a negative price would make the program concave.
        weight = np.maximum(self._energy_rate, 0.0) + objective.losses_per_kwh * self._hours
        busiest = int(np.argmax(np.abs(flow.import_kva)))
        curvature = self._twin.loss_curvature(flow, busiest, modes)
        typical = float(np.abs(self._energy_rate).max(initial=0.0)) + objective.losses_per_kwh
        own = 2.0 * weight[:, None] * curvature.rest
        return Tangent(
            gradient_p=slopes.cost[0],
            gradient_q=slopes.cost[1],
            damping=own + LEAST_CURVATURE * max(typical, 1e-6),
            centre_p_kw=flow.device_kva.real.copy(),
            centre_q_kvar=flow.device_kva.imag.copy(),
            mode_p=curvature.mode_p,
            mode_q=curvature.mode_q,
            mode_weight=2.0 * weight,
        )

    def rows(self, flow: TwinFlow, slopes: Slopes) -> tuple[SoftRows, Peak | None]:
        """Limits of the import and the peak, as rows of the program."""
        periods, (slope_p, slope_q) = np.arange(len(self._hours)), slopes.import_kw
        imported = flow.import_kva.real
        # What the import would be without any device, by the tangent.
        base = imported - (slope_p * flow.device_kva.real + slope_q * flow.device_kva.imag).sum(axis=1)
        parts: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray, bool]] = []
        for sign, bound in self._import_bounds():
            price = self._limits.power_penalty_per_kwh * self._hours
            parts.append((sign * slope_p, sign * slope_q, sign * (bound - base), price, False))
        peak = None
        if self._objective.peak_per_kw:
            parts.append((slope_p, slope_q, -base, 0.0 * self._hours, True))
            peak = Peak(self._objective.peak_per_kw, self._peak_so_far_kw)
        if not parts:
            none = np.zeros((0, slope_p.shape[1]))
            empty = np.zeros(0)
            return SoftRows(
                np.zeros(0, dtype=np.int64), none, none, empty, empty, np.zeros(0, dtype=bool)
            ), None
        return SoftRows(
            period=np.tile(periods, len(parts)),
            p=np.concatenate([part[0] for part in parts]),
            q=np.concatenate([part[1] for part in parts]),
            limit=np.concatenate([part[2] for part in parts]),
            price=np.concatenate([part[3] for part in parts]),
            of_peak=np.repeat([part[4] for part in parts], len(periods)),
        ), peak
