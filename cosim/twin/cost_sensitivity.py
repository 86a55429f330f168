"""What a flow is charged: its slope, and what the taps of regulators would give back of it.

With taps held, a plan can lower the voltage, and with it what loads draw, by reactive power; once the
voltage leaves a regulator's band the tap undoes it. The worth of a regulated voltage is what its tap
earns per part of it: charged to whoever moves that voltage, it makes the slope with taps held the slope
with taps that follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import BoolArray, ComplexArray, FloatArray
from cosim.model.twin import Prices
from cosim.twin.adjoint_seeds import AdjointSeeds
from cosim.twin.control_equilibrium import Gain, InnerFlow
from cosim.twin.controls import Controls, ControlState
from cosim.twin.node_voltages import Slopes
from cosim.twin.power_flow import FlowSolver
from cosim.twin.quantities import Quantities

WORTH_CORRECTIONS = 3
"""Passes of an adjoint for the worth of taps, an estimate of what they will do."""
ALIKE_TAPS = 0.02
"""Gains of taps are taken anew once one has moved by more, about three steps: they change by 2 % then."""
LEAST_GAIN = 1e-6
"""Of a combination of taps on the regulated voltages, as a part of the largest."""


@dataclass(frozen=True)
class _Regulated:
    """Voltages that regulators hold, in parts of their set voltage.

    Attributes:
        value: shape (regulator, period).
        slope: by the sensed nodes, shape (regulator, node, period).
        own: by the regulator's own tap at given voltages, shape (regulator, period).
        follows: where the tap is free to follow, shape (regulator, period).
    """

    value: FloatArray
    slope: ComplexArray
    own: FloatArray
    follows: BoolArray


class CostSensitivity:
    """Slopes of the cost of one feeder's flows.

    Args:
        solver, controls, quantities: of the feeder.
    """

    def __init__(self, solver: FlowSolver, controls: Controls, quantities: Quantities) -> None:
        self._solver, self._controls, self._quantities = solver, controls, quantities
        self._sensed = solver.place[controls.nodes]
        self._border = solver.place[controls.switching_nodes]

    def weights(self, flow: InnerFlow, slopes: Slopes, prices: Prices) -> AdjointSeeds:
        """AdjointSeeds of the cost, one functional per period.

        Losses are what all sources and devices feed in less the loads' demand, which follows the voltage;
        what the devices feed in is not in here.
        """
        volts, solver = flow.volts, self._solver
        weights = solver.import_weights(volts).scaled((prices.import_kw + prices.losses_kw) / 1e3)
        if prices.losses_kw.any():
            per_watt = prices.losses_kw / 1e3
            weights = weights.joined(solver.other_sources_weights(volts).scaled(per_watt))
            weights = weights.joined(solver.demand_weights(slopes).scaled(-per_watt))
        if prices.deviation_pu2.any():
            apart = self._quantities.deviation_weights(volts, prices.centre_pu)
            weights = weights.joined(apart.scaled(prices.deviation_pu2))
        return weights

    def regulated(self, flow: InnerFlow) -> FloatArray:
        """Voltages that regulators hold, in parts of their set voltage, shape (regulator, period)."""
        return self._regulated(flow).value

    def charged(self, flow: InnerFlow, worth: FloatArray) -> AdjointSeeds:
        """AdjointSeeds of the regulated voltages at what they are worth, one functional per period."""
        slope = self._regulated(flow).slope
        value = (worth[:, None, :] * slope).sum(axis=0)
        return AdjointSeeds.dense(self._sensed, value, np.arange(flow.volts.periods))

    def tap_worth(self, flow: InnerFlow, slopes: Slopes, cost: AdjointSeeds) -> FloatArray:
        """What each regulated voltage is worth by the taps, shape (regulator, period).

        With the taps free, ``dx`` moves cost and regulated voltages by ``c dx + g dr`` and
        ``R dx + G dr``; taps that hold the voltages make that ``(c - w R) dx`` with ``w G = g``.
        Regulators whose tap cannot follow are worth nothing.
        """
        regulated = self._regulated(flow)
        worth = np.zeros_like(regulated.value)
        if not regulated.follows.any():
            return worth
        self._take_gains(flow, slopes, regulated)
        paid = self._adjoint(slopes, cost)
        at_border = flow.volts.complex(self._border)
        for t, state in enumerate(flow.states):
            taps = np.flatnonzero(regulated.follows[:, t])
            current = self._controls.tap_currents(state, at_border[:, t])[taps]
            earned = -np.real(current @ paid[t])
            worth[taps, t] = np.linalg.lstsq(flow.gains[t].of_taps.T, earned, rcond=LEAST_GAIN)[0]
        return worth

    def _take_gains(self, flow: InnerFlow, slopes: Slopes, regulated: _Regulated) -> None:
        """How regulated voltages answer to taps, taken anew where taps or banks have moved far.

        They depend on powers and taps only a little: what was found in a state like it will do, for
        this plan or an earlier one.
        """
        known = [
            t in flow.gains
            and np.array_equal(flow.gains[t].taps, np.flatnonzero(regulated.follows[:, t]))
            and _alike(flow.gains[t].state, state)
            for t, state in enumerate(flow.states)
        ]
        which, period = np.nonzero(regulated.follows & ~np.array(known))
        rows = np.ascontiguousarray(regulated.slope[which, :, period].T)
        held = self._adjoint(slopes, AdjointSeeds.dense(self._sensed, rows, period))
        at_border = flow.volts.complex(self._border)
        for t in np.flatnonzero(~np.array(known)):
            here = np.flatnonzero(period == t)
            taps = which[here]
            current = self._controls.tap_currents(flow.states[t], at_border[:, t])[taps]
            gain = -np.real(held[here] @ current.T) + np.diag(regulated.own[taps, t])
            flow.gains[int(t)] = Gain(flow.states[t], taps, gain)

    def _adjoint(self, slopes: Slopes, weights: AdjointSeeds) -> ComplexArray:
        return self._solver.adjoint_at(slopes, weights, WORTH_CORRECTIONS, self._border)

    def _regulated(self, flow: InnerFlow) -> _Regulated:
        value, slope, own = self._controls.regulated(flow.states, flow.volts.complex(self._sensed))
        return _Regulated(value, slope, own, self._controls.follows(flow.states))


def _alike(kept: ControlState, state: ControlState) -> bool:
    """Whether taps stand about the same in two states, and all else alike."""
    apart = np.abs(np.subtract(kept.taps, state.taps)).max(initial=0.0)
    return kept.closed == state.closed and kept.backwards == state.backwards and bool(apart <= ALIKE_TAPS)
