"""Slopes of the cost of a flow and its tangent in the device powers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.timegrid import Horizon
from cosim.model.twin import Prices, Slope, Twin, TwinFlow
from cosim.opf.flow_cost import FlowCost
from cosim.opf.options import Limits, Objective
from cosim.opf.structured_qp.step_program import Peak, SoftRows, Tangent

LEAST_CURVATURE = 1e-9
"""Of the cost in kW², as a part of the energy price: where losses say nothing a step stays finite."""


@dataclass(frozen=True)
class Slopes:
    """First order of a flow.

    Attributes:
        import_kw: slope of the import, per kW and kvar, shape (period, device) each; None where neither
            a limit nor the peak asks for it.
        cost: slope of the cost of the network's terms.
    """

    import_kw: Slope | None
    cost: Slope


class NetworkCost(FlowCost):
    """The cost of a flow, its slopes by the twin's adjoints, and the tangent of it.

    Args:
        objective, limits: weights and limits.
        horizon: the periods.
        twin: gives slopes.
    """

    def __init__(self, objective: Objective, limits: Limits, horizon: Horizon, twin: Twin) -> None:
        super().__init__(objective, limits, horizon)
        self._twin = twin
        self._worth, self._regulated = np.zeros((0, len(horizon))), np.zeros((0, len(horizon)))

    def state(self) -> tuple[FloatArray, FloatArray]:
        """What taps give back, see :class:`cosim.model.roles.Resumable`."""
        return self._worth, self._regulated

    def restore(self, state: tuple[FloatArray, FloatArray]) -> None:
        """Take over what :meth:`state` gave."""
        self._worth, self._regulated = state

    def promised(
        self, flow: TwinFlow, slopes: Slopes, tangent: Tangent, p_kw: FloatArray, q_kvar: FloatArray
    ) -> float:
        """Change of the cost that the tangent expects of other device powers, shape (period, device)."""
        p, q = p_kw - tangent.centre_p_kw, q_kvar - tangent.centre_q_kvar
        mode = p @ tangent.mode_p.T + q @ tangent.mode_q.T
        change = (tangent.gradient_p * p + tangent.gradient_q * q).sum()
        change += (
            0.5 * (tangent.damping * (p**2 + q**2)).sum() + 0.5 * (tangent.mode_weight @ mode**2).sum()
        )
        if slopes.import_kw is not None:
            there = flow.import_kva.real
            moved = there + (slopes.import_kw[0] * p + slopes.import_kw[1] * q).sum(axis=1)
            change += float(self._bounded(moved) - self._bounded(there))
        return float(change)

    @property
    def _prices(self) -> Prices:
        objective = self._objective
        return Prices(
            import_kw=self._energy_rate,
            losses_kw=objective.losses_per_kwh * self._hours,
            deviation_pu2=objective.voltage_deviation_per_pu2_h * self._hours,
            centre_pu=self._middle_pu,
        )

    def follow_taps(self, flow: TwinFlow) -> None:
        """Charge regulated voltages from here on for what taps give back after this flow."""
        self._worth = self._twin.tap_worth(flow, self._prices)
        self._regulated = self._twin.regulated(flow)

    def given_back(self, flow: TwinFlow) -> float:
        """What a flow with held taps will cost more once the taps follow, to first order."""
        if not self._worth.any():
            return 0.0
        return float((self._worth * (self._regulated - self._twin.regulated(flow))).sum())

    def slopes(self, flow: TwinFlow) -> Slopes:
        """First order of the cost at a flow, taps following."""
        cost = self._twin.cost_slope(flow, self._prices, self._worth)
        bounded = self._import_bounds() or self._objective.peak_per_kw
        return Slopes(self._twin.import_slope(flow) if bounded else None, cost)

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
        if slopes.import_kw is None:
            return SoftRows.none(flow.device_kva.shape[1]), None
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
        return SoftRows(
            period=np.tile(periods, len(parts)),
            p=np.concatenate([part[0] for part in parts]),
            q=np.concatenate([part[1] for part in parts]),
            limit=np.concatenate([part[2] for part in parts]),
            price=np.concatenate([part[3] for part in parts]),
            of_peak=np.repeat([part[4] for part in parts], len(periods)),
        ), peak
