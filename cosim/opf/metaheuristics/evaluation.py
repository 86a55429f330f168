"""Candidates evaluated in batches on exact flows: cost, violation of limits, further objectives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.timegrid import Horizon
from cosim.model.twin import Quantity, Twin, TwinFlow
from cosim.opf.expected import Expected
from cosim.opf.flow_cost import FlowCost
from cosim.opf.tangent.active_limits import TOLERANCE, Bound
from cosim.opf.tangent.device_dispatch import DeviceDispatch, Dispatch
from cosim.opf.tangent.search_log import Devices

CACHED_VOLTAGES = 50_000
"""Flows are solved so many voltages at a time, which stay in the cache (measured: twice as fast)."""
NO_FLOW = 1e9
"""Cost and violation of a candidate that has no power flow."""


@dataclass(frozen=True)
class Evaluated:
    """Candidates with what they cost and do, all of shape (candidate,) unless said otherwise.

    Attributes:
        dispatch: the candidates, arrays of shape (candidate, period, device).
        cost: of the whole objective, currency, without limits of voltages and currents.
        violation: hours beyond each bound, in its unit (pu, or share of a rating) times hours, of the place
            that is worst in each period, shape (candidate, bound).
        losses_kwh: of the network over the horizon.
        deviation_pu: of all voltages from the middle of the band, mean over nodes and time.
        peak_kw: highest import, that of the run so far included.
        merit_by_period: cost of the network in each period, with what is beyond bounds paid for at the
            worst place, currency, shape (candidate, period).
    """

    dispatch: Dispatch
    cost: FloatArray
    violation: FloatArray
    losses_kwh: FloatArray
    deviation_pu: FloatArray
    peak_kw: FloatArray
    merit_by_period: FloatArray


class CandidateEvaluator:
    """Evaluates the candidates of one planner.

    Args:
        horizon: the periods.
        twin: gives exact flows.
        dispatcher: of the devices: what a dispatch costs and injects.
        cost: of a flow.
        bounds: that plans are asked to keep.
        middle_pu: middle of the voltage band.
    """

    def __init__(
        self,
        horizon: Horizon,
        twin: Twin,
        dispatcher: DeviceDispatch,
        cost: FlowCost,
        bounds: tuple[Bound, ...],
        middle_pu: float,
    ) -> None:
        self._horizon, self._twin, self._dispatcher, self._cost = horizon, twin, dispatcher, cost
        # How near a bank is to switching is a matter of slopes, not a limit of the network.
        self._bounds = tuple(bound for bound in bounds if bound.quantity is not Quantity.SWITCHING)
        self._middle_pu = middle_pu
        self._at_once = max(1, CACHED_VOLTAGES // (max(len(twin.nodes), 1) * len(horizon)))

    @property
    def bounds(self) -> int:
        """How many columns a violation has."""
        return len(self._bounds)

    def evaluate(
        self, dispatch: Dispatch, devices: Devices, start: TwinFlow, position: FloatArray | None = None
    ) -> Evaluated:
        """Evaluate candidates.

        Args:
            dispatch: arrays of shape (candidate, period, device).
            devices: what the devices may do.
            start: a flow to start from.
            position: of the network devices, shape (candidate, period, network device); None: not decided.
        """
        injected = self._dispatcher.injection_kva(dispatch)
        parts = [slice(i, i + self._at_once) for i in range(0, len(injected), self._at_once)]
        found = [
            self._of_part(injected[part], start, None if position is None else position[part])
            for part in parts
        ]
        network, violation, losses, deviation, peak, merit = (
            np.concatenate(column) for column in zip(*found, strict=True)
        )
        own = self._dispatcher.cost_of_each(dispatch, devices.energy, devices.sources)
        return Evaluated(dispatch, own + network, violation, losses, deviation, peak, merit)

    def _of_part(
        self, injected: ComplexArray, start: TwinFlow, position: FloatArray | None
    ) -> tuple[FloatArray, ...]:
        shape, hours = injected.shape[:2], self._horizon.hours
        # Floating-point errors of flows that diverge are what NO_FLOW stands for.
        with np.errstate(all="ignore"):
            flow = self._twin.candidates(injected, start, position)
            expected = Expected(
                flow.import_kva.reshape(shape),
                flow.losses_kw.reshape(shape),
                flow.voltage_pu.reshape(-1, *shape),
            )
            apart = np.abs(expected.voltage_pu - self._middle_pu).mean(axis=0) @ hours / hours.sum()
            violation, price = self._violation(flow, shape)
            columns = (
                self._cost.of_each(expected),
                violation,
                expected.losses_kw @ hours,
                apart,
                self._cost.peak_kw(expected),
                self._cost.of_each_period(expected) + price,
            )
        good = flow.converged.reshape(shape).all(axis=1)
        for values in columns:
            values[~good] = NO_FLOW
        return columns

    def _violation(self, flow: TwinFlow, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        """Hours beyond each bound, and what the bounds charge in each period."""
        columns, charged, hours = [], np.zeros(shape), self._horizon.hours
        for bound in self._bounds:
            beyond = bound.beyond(self._twin.values(flow, bound.quantity)) - TOLERANCE[bound.quantity]
            over = np.maximum(beyond, 0.0)
            columns.append(over.max(axis=0, initial=0.0).reshape(shape) @ hours)
            charged += hours * (bound.price[:, None] * over).max(axis=0, initial=0.0).reshape(shape)
        return np.stack(columns, axis=1), charged
