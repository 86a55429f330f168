"""Power-flow model of the feeder for the planner: AC power flow, adjoint sensitivities, loss curvature.

:class:`FeederTwin` solves the power flow of all periods of a horizon, with regulators and capacitors at
their equilibrium. It computes the sensitivities of costs and constraints to the device powers.

A flow carries the tap and capacitor states it was solved with, so its sensitivities can be asked for at
any time and in any order. :meth:`FeederTwin.set_forecast` comes before a new flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.model.network_device import NetworkDevice
from cosim.model.scenario_tree import ScenarioTree
from cosim.model.state import Measurement
from cosim.model.twin import FirstOrder, LossCurvature, Prices, Quantity, Slope, TwinFlow
from cosim.twin.acceptance import TOLERANCE_PU
from cosim.twin.adjoint_seeds import AdjointSeeds
from cosim.twin.commanded_positions import PositionMap
from cosim.twin.control_equilibrium import TRIED_AGAIN, ControlEquilibrium, Hunting, InnerFlow
from cosim.twin.controls import Controls
from cosim.twin.cost_sensitivity import CostSensitivity
from cosim.twin.data import TwinData
from cosim.twin.first_order import expand
from cosim.twin.loss_curvature import curvature_of
from cosim.twin.node_voltages import NodeVoltages, Slopes
from cosim.twin.power_flow import FlowSolver
from cosim.twin.quantities import Quantities

FLOW_TOLERANCE_PU = 1e-8
"""Largest change of a node voltage in the last power-flow iteration, per unit."""
IMPORT_CORRECTIONS, LIMIT_CORRECTIONS = 8, 3
"""Fixed-point iterations of an adjoint solve: for import and cost, and for constraints.

They add the voltage dependence of the load currents to the factorised matrix. Each iteration gains about
one digit.
"""
MIXES = 24
"""Number of random vectors of device powers in the sketch of the voltage sensitivities, see ``alike``."""
MIX_SEED = 8500
"""Seed of these vectors. It affects only which of several similar voltage limits enters the subproblem."""


class FeederTwin:
    """Implementation of :class:`cosim.model.twin.Twin` on one factorised admittance matrix.

    Args:
        data: admittances, loads, devices and limits of the feeder.
        controls: settings of the regulator and capacitor controls.
        stale: model error for studies; keep the first measured taps and capacitors, ignore later ones.
        frozen: model error for studies; hold the measured taps and capacitors in every flow.
        apart_pu: how far the data are from the feeder.
        network_devices: tap changers and capacitor banks that follow positions.
    """

    def __init__(
        self,
        data: TwinData,
        controls: Controls,
        *,
        stale: bool = False,
        frozen: bool = False,
        apart_pu: float = 0.0,
        network_devices: Sequence[NetworkDevice] = (),
    ) -> None:
        self._data, self._names, self._controls = data, data.watch.names, controls
        self._solver = FlowSolver(data, controls.switching_nodes)
        self._equilibrium = ControlEquilibrium(self._solver, controls)
        self._quantities = Quantities(data, self._solver, controls)
        self._cost_sensitivity = CostSensitivity(self._solver, controls, self._quantities)
        self._stale, self._frozen, self._measured = stale, frozen, False
        self._positions = PositionMap(network_devices, controls)
        self._commanded: FloatArray | None = None
        self._apart_pu = apart_pu
        # Both are computed at the flow and period of the first call and reused for all later ones.
        self._sketch: FloatArray | None = None
        self._curvature: dict[int, LossCurvature] = {}

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names behind ``voltage_pu``."""
        return self._names

    @property
    def apart_pu(self) -> float:
        """See :class:`cosim.model.twin.Twin`."""
        return self._apart_pu if self._apart_pu > TOLERANCE_PU else 0.0

    def state(self) -> dict[str, Any]:
        """See :class:`cosim.model.twin.Twin`."""
        return {
            "sketch": self._sketch,
            "curvature": self._curvature,
            "measured": self._equilibrium.measured if self._measured else None,
            "positions": self._commanded,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See :class:`cosim.model.twin.Twin`."""
        self._sketch, self._curvature = state["sketch"], state["curvature"]
        self._commanded = state["positions"]
        self._measured = state["measured"] is not None
        if self._measured:
            self._equilibrium.measured = state["measured"]

    # --- flows ------------------------------------------------------------------------------------

    def set_forecast(
        self,
        measurement: Measurement,
        demand_kva: ComplexArray,
        source_ratio: FloatArray | None = None,
        period_s: FloatArray | None = None,
        scenarios: ScenarioTree | None = None,
    ) -> None:
        """See :class:`cosim.model.twin.Twin`."""
        tree = scenarios or ScenarioTree(len(demand_kva))
        now = np.full(len(tree), measurement.source_ratio)
        lengths = np.ones(tree.periods) if period_s is None else period_s
        standing = self._data.standing_over(measurement.time_s, lengths)[tree.period]
        self._equilibrium.tree = tree
        self._equilibrium.demand_kva = np.concatenate([demand_kva, standing], axis=1)
        self._equilibrium.source_ratio = now if source_ratio is None else source_ratio
        if self._stale and self._measured:
            return
        self._measured = True
        closed = tuple(bool(value) for value in measurement.capacitor_closed)
        # The measurement does not contain the dead time of a bank. Assume that its control opened each
        # open bank, so that the dead time runs.
        self._equilibrium.measured = replace(
            self._controls.present,
            taps=tuple(float(tap) for tap in measurement.tap),
            closed=closed,
            opened=tuple(not value for value in closed),
        )

    def at_rest(self, periods: int) -> TwinFlow:
        """See :class:`cosim.model.twin.Twin`. Voltages are those of the engine when the model was read."""
        states = (self._equilibrium.measured,) * periods
        none = np.zeros((periods, self._solver.devices), dtype=np.complex128)
        volts = self._solver.at_reading(self._equilibrium.switching(states))
        return self._describe(none, InnerFlow(volts, states, frozenset()))

    def moved(self, flow: TwinFlow, period: IntArray) -> TwinFlow:
        """See :class:`cosim.model.twin.Twin`."""
        return replace(
            flow,
            device_kva=flow.device_kva[period],
            tap=flow.tap[period],
            capacitor_closed=flow.capacitor_closed[period],
            voltage_pu=flow.voltage_pu[:, period],
            import_kva=flow.import_kva[period],
            losses_kw=flow.losses_kw[period],
            converged=flow.converged[period],
            inner=_inner(flow).moved(period),
        )

    def flow(
        self, device_kva: ComplexArray, start: TwinFlow | None = None, *, held: bool = False
    ) -> TwinFlow:
        """See :class:`cosim.model.twin.Twin`.

        Taps and capacitors of the result:

        - ``frozen`` twin: the measured ones, with ``held`` or without.
        - ``held``: those of ``start``.
        - otherwise: regulator equilibrium, period by period from the measured state. The states of
          ``start`` are the initial guess; hunting periods of ``start`` keep them.

        Raises:
            ContractError: ``held`` without ``start``, or ``start`` is not a flow of a ``FeederTwin``.
        """
        earlier = None if start is None else _inner(start)
        if held and earlier is None:
            raise ContractError("regulators can only be held as they were in an earlier flow")
        settling = self._equilibrium
        measured = (settling.measured,) * len(settling.demand_kva)
        states = measured if earlier is None or self._frozen else earlier.states
        commands = self._positions.commands(self._commanded, len(states))
        states = commands.expected(states, len(settling.demand_kva))
        volts = None if earlier is None else earlier.volts
        hunting_periods: Hunting = frozenset() if earlier is None else earlier.hunting_periods
        if not held and not self._frozen:
            hunting_periods -= self._worth_another_try(earlier)
            states, volts, hunting_periods = settling.settle(
                device_kva, states, volts, hunting_periods, commands
            )
        volts = settling.solve(device_kva, states, volts, FLOW_TOLERANCE_PU)
        gains = {} if earlier is None else dict(earlier.gains)
        return self._describe(device_kva, InnerFlow(volts, states, hunting_periods, gains))

    def candidates(
        self, device_kva: ComplexArray, start: TwinFlow, position: FloatArray | None = None
    ) -> TwinFlow:
        """See :class:`cosim.model.twin.Twin`."""
        settling, earlier = self._equilibrium, _inner(start)
        count, periods, devices = device_kva.shape
        rows = np.tile(np.arange(periods), count)
        power = np.ascontiguousarray(device_kva.reshape(count * periods, devices))
        wanted = self._commanded if position is None else position.reshape(count * periods, -1)
        commands = self._positions.commands(wanted, periods if position is None else len(rows))
        measured = (settling.measured,) * len(rows)
        known = measured if self._frozen else tuple(earlier.states[row] for row in rows)
        states = commands.expected(known, periods)
        begun: NodeVoltages | None = earlier.volts.moved(rows)
        hunting: Hunting = frozenset()
        if not self._frozen:
            states, begun, hunting = settling.settle(power, states, begun, hunting, commands)
        volts = settling.solve(power, states, begun, FLOW_TOLERANCE_PU)
        return self._describe(power, InnerFlow(volts, states, hunting))

    def set_positions(self, position: FloatArray | None) -> None:
        """See :class:`cosim.model.twin.Twin`."""
        if position is not None:
            self._positions.must_fit(position, len(self._equilibrium.demand_kva))
        self._commanded = position

    def _worth_another_try(self, earlier: InnerFlow | None) -> Hunting:
        """Hunting periods for which :meth:`flow` repeats the control iteration.

        These are the hunting periods among the first ``TRIED_AGAIN`` in which every capacitor control is
        inside its switching thresholds. The other hunting periods keep their states.
        """
        if earlier is None or not earlier.hunting_periods:
            return frozenset()
        of_row = np.resize(self._equilibrium.tree.period, len(earlier.states))
        near = frozenset(row for row in earlier.hunting_periods if of_row[row] < TRIED_AGAIN)
        if not near:
            return frozenset()
        nearest = self._quantities.values(earlier, Quantity.SWITCHING).max(axis=0, initial=0.0)
        return frozenset(period for period in near if nearest[period] < 1.0)

    def _describe(self, device_kva: ComplexArray, inner: InnerFlow) -> TwinFlow:
        volts = inner.volts
        imported, others = self._solver.import_kva(volts)
        drawn_kw = self._solver.load_power(volts).real.sum(axis=0) / 1e3
        return TwinFlow(
            device_kva=device_kva,
            tap=np.array([state.taps for state in inner.states]),
            capacitor_closed=np.array([state.closed for state in inner.states], dtype=bool),
            voltage_pu=self._quantities.values(inner, Quantity.VOLTAGE),
            import_kva=imported,
            losses_kw=np.asarray(imported.real + others.real + device_kva.real.sum(axis=1) - drawn_kw),
            converged=volts.converged,
            hunting=len(inner.hunting_periods),
            iterations=volts.iterations,
            inner=inner,
        )

    def first_order(self, flow: TwinFlow, change_kva: ComplexArray) -> FirstOrder:
        """See :class:`cosim.model.twin.Twin`."""
        parts = self._solver, self._quantities, self._cost_sensitivity
        return expand(*parts, _inner(flow), self._slopes(flow), change_kva)

    # --- slopes of the cost -----------------------------------------------------------------------

    def import_slope(self, flow: TwinFlow) -> Slope:
        """See :class:`cosim.model.twin.Twin`."""
        weights = self._solver.import_weights(_inner(flow).volts)
        p, q = self._adjoint(flow, weights, IMPORT_CORRECTIONS)
        return p / 1e3, q / 1e3

    def cost_slope(self, flow: TwinFlow, prices: Prices, worth: FloatArray) -> Slope:
        """See :class:`cosim.model.twin.Twin`."""
        inner = _inner(flow)
        weights = self._cost_sensitivity.weights(inner, self._slopes(flow), prices)
        if worth.any():
            weights = weights.joined(self._cost_sensitivity.charged(inner, -worth))
        p, q = self._adjoint(flow, weights, IMPORT_CORRECTIONS)
        return p + prices.losses_kw[:, None], q

    def regulated(self, flow: TwinFlow) -> FloatArray:
        """See :class:`cosim.model.twin.Twin`."""
        return self._cost_sensitivity.regulated(_inner(flow))

    def tap_worth(self, flow: TwinFlow, prices: Prices) -> FloatArray:
        """See :class:`cosim.model.twin.Twin`."""
        inner, slopes = _inner(flow), self._slopes(flow)
        if self._frozen:
            return np.zeros_like(self._cost_sensitivity.regulated(inner))
        return self._cost_sensitivity.tap_worth(
            inner, slopes, self._cost_sensitivity.weights(inner, slopes, prices)
        )

    def _adjoint(self, flow: TwinFlow, weights: AdjointSeeds, corrections: int) -> Slope:
        """Sensitivities of the functionals to the device powers, with taps held as in ``flow``."""
        return self._solver.adjoint(self._slopes(flow), weights, corrections)

    def _slopes(self, flow: TwinFlow) -> Slopes:
        inner = _inner(flow)
        if inner.kept_slopes is None:
            inner.kept_slopes = self._solver.slopes(inner.volts)
        return inner.kept_slopes

    def loss_curvature(self, flow: TwinFlow, period: int, modes: int) -> LossCurvature:
        """See :class:`cosim.model.twin.Twin`.

        Computed once for each value of ``modes``, at the flow and period of the first call. Later calls
        ignore ``flow`` and ``period``: an approximate curvature is sufficient for the subproblem.
        """
        if modes not in self._curvature:
            inner = _inner(flow)
            current = self._solver.current_per_kva(inner.volts, period)
            losses = np.conj(current.T) @ self._solver.device_response(inner.volts, period) / 1e3
            self._curvature[modes] = curvature_of(
                0.5 * (losses + np.conj(losses.T)), self._solver.sites, modes
            )
        return self._curvature[modes]

    def near_jump(self, flow: TwinFlow) -> int:
        """See :class:`cosim.model.twin.Twin`."""
        return self._solver.near_jump(_inner(flow).volts)

    # --- limits -----------------------------------------------------------------------------------

    def rating_kva(self, quantity: Quantity) -> FloatArray:
        """See :class:`cosim.model.twin.Twin`."""
        return self._quantities.rating_kva(quantity)

    def places(self, quantity: Quantity) -> int:
        """See :class:`cosim.model.twin.Twin`."""
        return self._quantities.places(quantity)

    def values(self, flow: TwinFlow, quantity: Quantity) -> FloatArray:
        """See :class:`cosim.model.twin.Twin`."""
        return self._quantities.values(_inner(flow), quantity)

    def slope(self, flow: TwinFlow, quantity: Quantity, place: IntArray, period: IntArray) -> Slope:
        """See :class:`cosim.model.twin.Twin`."""
        weights = self._quantities.weights(_inner(flow), quantity, place, period)
        return self._adjoint(flow, weights, LIMIT_CORRECTIONS)

    def alike(self, flow: TwinFlow, place: int, period: int, others: IntArray) -> FloatArray:
        """See :class:`cosim.model.twin.Twin`.

        The cosines are estimates from a random sketch of the sensitivities. The sketch is computed once,
        at the flow and period of the first call. Later calls ignore ``flow`` and ``period``.
        """
        if self._sketch is None:
            mix = np.random.default_rng(MIX_SEED).standard_normal((self._solver.devices, MIXES))
            inner = _inner(flow)
            response = self._solver.sketch(inner.volts, period, mix)
            turned = self._quantities.turned(response, inner.volts, period)
            both = np.concatenate([turned.real, turned.imag], axis=1)
            self._sketch = both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-30)
        return np.asarray(self._sketch[others] @ self._sketch[place])


def _inner(flow: TwinFlow) -> InnerFlow:
    if not isinstance(flow.inner, InnerFlow):
        raise ContractError("the flow was not made by this twin")
    return flow.inner
