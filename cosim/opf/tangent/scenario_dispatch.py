"""The devices of a tangent step with scenarios: one dispatch in the first period, then one per scenario."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from cosim.model.arrays import FloatArray, IntArray
from cosim.model.scenario_tree import ScenarioTree
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, Plan
from cosim.model.timegrid import Horizon
from cosim.model.twin import TwinFlow
from cosim.opf.options import PlannerOptions
from cosim.opf.structured_qp.step_program import EnergyDevices, SourceDevices
from cosim.opf.tangent.device_dispatch import FREE_KW, SIMULTANEOUS, DeviceDispatch, Dispatch

Part = TypeVar("Part", EnergyDevices, SourceDevices)


class ScenarioDispatch(DeviceDispatch):
    """See :class:`DeviceDispatch`; all that is per period there is per node of the scenarios' tree here.

    Costs are weighted by the scenarios. What is carried out is the mean over the scenarios, which keeps all
    ratings and energy windows, because these are convex.

    Args:
        site, horizon, options: see :class:`DeviceDispatch`.
        tree: of the scenarios.
    """

    def __init__(self, site: Site, horizon: Horizon, options: PlannerOptions, tree: ScenarioTree) -> None:
        super().__init__(site, horizon, options)
        self._tree, self._weight = tree, np.full(tree.branches, 1.0 / tree.branches)

    def set_weight(self, weight: FloatArray) -> None:
        """Weigh the scenarios, shape (branch,)."""
        self._weight = weight

    def devices(
        self, measurement: Measurement, available_kw: FloatArray, earlier: Plan | None
    ) -> tuple[EnergyDevices, SourceDevices]:
        """See :class:`DeviceDispatch`; ``available_kw``: shape (node, device)."""
        blocked, energy, sources = self._blocked, list[EnergyDevices](), list[SourceDevices]()
        for path in self._tree.paths:
            self._blocked = None if blocked is None else (blocked[0][path], blocked[1][path])
            own = super().devices(measurement, available_kw[path], earlier)
            energy.append(own[0])
            sources.append(own[1])
        self._blocked = blocked
        end_price = self._weight[:, None] * energy[0].end_price
        return replace(self._on_nodes(energy), end_price=end_price), self._on_nodes(sources)

    def _on_nodes(self, branches: list[Part]) -> Part:
        """Bounds of all branches; costs by the weight of their nodes."""
        weight, changes = self._tree.node_weight(self._weight)[:, None], dict[str, Any]()
        for item in fields(branches[0]):
            values: list[Any] = [getattr(branch, item.name) for branch in branches]
            if np.ndim(values[0]) == 2:
                nodes = np.concatenate([values[0][:1], *(value[1:] for value in values)])
                changes[item.name] = weight * nodes if item.name.endswith("_cost") else nodes
        return replace(branches[0], **changes)

    # --- what a dispatch costs and does ---------------------------------------------------------------

    def _end_cost(self, apart_kwh: FloatArray, energy: EnergyDevices) -> FloatArray:
        return np.asarray(self._end_costs(apart_kwh, energy).sum())

    def _end_costs(self, apart_kwh: FloatArray, energy: EnergyDevices) -> FloatArray:
        """Weighted cost of the ends of each scenario, shape (branch,)."""
        soft = self._options.terminal.kind == "soft"
        return np.asarray((energy.end_price * (np.abs(apart_kwh) if soft else -apart_kwh)).sum(axis=1))

    def _final_kwh(self, dispatch: Dispatch, energy: EnergyDevices) -> FloatArray:
        """At the end of each scenario, shape (branch, device)."""
        hours = self._horizon.hours[self._tree.period, None]
        into = energy.charge_efficiency * dispatch.charge_kw
        out = dispatch.discharge_kw / energy.discharge_efficiency
        change = hours * (into - out) - energy.drain_kwh
        return np.asarray(energy.start_kwh + change[self._tree.paths].sum(axis=1))

    def branch_cost(self, dispatch: Dispatch, energy: EnergyDevices, sources: SourceDevices) -> FloatArray:
        """Cost of the devices' own terms in each scenario, currency, shape (branch,)."""
        reactive = np.concatenate([energy.reactive_cost, sources.reactive_cost], axis=1)
        cost = (energy.charge_cost * dispatch.charge_kw).sum(axis=1)
        cost += (energy.discharge_cost * dispatch.discharge_kw).sum(axis=1)
        cost += (sources.curtail_cost * dispatch.curtailed_kw).sum(axis=1)
        cost += (reactive * np.abs(dispatch.reactive_kvar)).sum(axis=1)
        cost = (cost / self._tree.node_weight(self._weight))[self._tree.paths].sum(axis=1)
        if self._options.terminal.kind in {"value", "soft"} and self.model.energy:
            apart = self._final_kwh(dispatch, energy) - self._target_kwh
            cost += self._end_costs(apart, energy) / self._weight
        return np.asarray(cost)

    def simultaneous_hours(self, dispatch: Dispatch) -> float:
        """Expected battery-hours in which that exceeds a thousandth of the rating."""
        both = self.both_kw(dispatch) > SIMULTANEOUS * self._kw
        hours = (both * self._horizon.hours[self._tree.period, None])[self._tree.paths]
        return float(hours.sum() / self._tree.branches)

    # --- from and to plans ----------------------------------------------------------------------------

    def continued(
        self, dispatch: Dispatch, earlier: Plan, period: IntArray, available_kw: FloatArray
    ) -> Dispatch:
        """See :class:`DeviceDispatch`: every scenario goes on with its own dispatch."""
        del earlier
        node = self._tree.moved(period)
        curtailed = dispatch.curtailed_kw[node]
        limit = np.where(
            curtailed < FREE_KW * self._source_kw, self._source_kw, dispatch.available_kw[node] - curtailed
        )
        return Dispatch(
            charge_kw=dispatch.charge_kw[node],
            discharge_kw=dispatch.discharge_kw[node],
            curtailed_kw=np.maximum(available_kw - np.maximum(limit, 0.0), 0.0),
            reactive_kvar=dispatch.reactive_kvar[node],
            available_kw=np.maximum(available_kw, 0.0),
        )

    def planned(
        self, dispatch: Dispatch, measurement: Measurement, forecast_kw: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Set-points of the mean over the scenarios, see :class:`DeviceDispatch`."""
        means = {
            item.name: getattr(dispatch, item.name)[self._tree.paths].mean(axis=0)
            for item in fields(dispatch)
        }
        return super().planned(Dispatch(**means), measurement, forecast_kw)

    def plan(
        self,
        dispatch: Dispatch,
        flow: TwinFlow,
        measurement: Measurement,
        available_kw: FloatArray,
        certificate: Certificate,
    ) -> Plan:
        """See :class:`DeviceDispatch`: means over the scenarios."""
        paths = self._tree.paths
        mean = replace(
            flow,
            import_kva=flow.import_kva[paths].mean(axis=0),
            losses_kw=flow.losses_kw[paths].mean(axis=0),
            voltage_pu=flow.voltage_pu[:, paths].mean(axis=1),
        )
        return super().plan(dispatch, mean, measurement, available_kw, certificate)
