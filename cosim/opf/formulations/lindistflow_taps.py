"""LinDistFlow with taps as decisions: voltages, import and losses are also affine in the positions.

The response to a tap is that of the linear model itself, one position up and down from where the tap
changers stand, with loads following their voltages. Responses of several tap changers add up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from cosim.devices.tap_changer import TapChanger
from cosim.errors import FormulationRefused
from cosim.model.arrays import ComplexArray, FloatArray, Matrix
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.active_tree import ActiveTree, active_tree
from cosim.opf.devices.energy_block import EnergyBlock
from cosim.opf.devices.source_block import SourceBlock
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.expected import Expected
from cosim.opf.formulations.lindistflow import VOLTAGE_UNIT_PU2, LinDistFlowNetwork
from cosim.opf.formulations.tap_variables import TapVariables
from cosim.opf.linear_flow import Flow
from cosim.opf.network_positions.schedule import PositionSchedule
from cosim.opf.options import PlannerOptions

WATCHED_KVA = 10.0
"""Power of an imagined device at every node: taps move voltages that no device of the site does."""


class LinDistFlowTaps(LinDistFlowNetwork):
    """See the module.

    Args:
        site, energy, sources, horizon, options: see :class:`LinDistFlowNetwork`.
        reach: largest change of a position against now.

    Raises:
        FormulationRefused: the site has no tap changer, or no radial network.
    """

    def __init__(
        self,
        site: Site,
        energy: EnergyBlock,
        sources: SourceBlock,
        horizon: Horizon,
        options: PlannerOptions,
        *,
        reach: int,
    ) -> None:
        places = [i for i, item in enumerate(site.network_devices) if isinstance(item, TapChanger)]
        self._changers = site.of_network_type(TapChanger)
        if not places:
            raise FormulationRefused(
                "planner lindistflow_taps has no tap to decide: the scenario has no tap_changer; list one "
                "under devices, or use planner lindistflow"
            )
        schedule = PositionSchedule(site.network_devices, horizon)
        self.taps = TapVariables(self._changers, places, schedule, horizon, reach)
        self._winding = [site.regulators.index(item.element) for item in self._changers]
        periods = len(horizon)
        self._import_response = [cp.Parameter(periods) for _ in self._changers]
        self._voltage_response: list[tuple[cp.Parameter, cp.Parameter]] = []
        super().__init__(site, energy, sources, horizon, options)
        self.constraints += self.taps.constraints
        self.binaries += self.taps.binaries
        self.cost += self.taps.cost
        # A variable of its own: prices are parameters too, and a product of two is no DPP.
        by_taps_kw = cp.Variable(periods)
        columns = [
            cp.multiply(response, self.taps.change[:, i])
            for i, response in enumerate(self._import_response)
        ]
        self.constraints.append(by_taps_kw == cp.sum(cp.vstack(columns), axis=0))
        self.import_kw = self.import_kw + by_taps_kw

    def _active_tree(self, inject: Matrix, device_kva: FloatArray) -> ActiveTree:
        size, devices = inject.shape
        everywhere = sp.hstack([inject, sp.identity(size, dtype=np.complex128)]).tocsr()
        kva = np.concatenate([device_kva, np.full(size, WATCHED_KVA)])
        tree = active_tree(self._flow, everywhere, kva)
        return replace(tree, inject=tree.inject.tocsc()[:, :devices].tocsr())

    def _voltage_limits(self, change: cp.Expression) -> list[cp.Constraint]:
        """Both limits, each moved by the response of the node that is nearest to it."""
        moved: list[cp.Expression] = [change, change]
        for i in range(len(self._changers)):
            pair = cp.Parameter(change.shape), cp.Parameter(change.shape)
            self._voltage_response.append(pair)
            rows = cp.reshape(self.taps.change[:, i], (1, change.shape[1]), order="C")
            moved = [
                expression + cp.multiply(response, np.ones((change.shape[0], 1)) @ rows)
                for expression, response in zip(moved, pair, strict=True)
            ]
        return [moved[0] + self._slack >= self._lower, moved[1] - self._slack <= self._upper]

    def update(self, measurement: Measurement, forecast: Forecast) -> FloatArray:
        """See :class:`LinDistFlowNetwork`; also sets the responses to taps."""
        base_kw = super().update(measurement, forecast)
        self.taps.update(measurement)
        self._sunny = self.source_share @ forecast.available_kw.T[self._split :].astype(np.complex128)
        base = self._predicted(measurement.tap)
        nearest = self._nearest(base)
        self._responses = []
        for i, changer in enumerate(self._changers):
            above, below = (
                self._predicted(self._with_tap(measurement.tap, i, sign * changer.ratio_per_position))
                for sign in (1.0, -1.0)
            )
            self._responses.append(
                Expected(
                    (above.import_kva - below.import_kva) / 2.0,
                    (above.losses_kw - below.losses_kw) / 2.0,
                    (above.squared_pu - below.squared_pu) / 2.0,
                )
            )
            self._import_response[i].value = self._responses[i].import_kva.real
            squared = self._responses[i].voltage_pu / self.tree.group_scale[:, None] / VOLTAGE_UNIT_PU2
            for response, node in zip(self._voltage_response[i], nearest, strict=True):
                response.value = np.take_along_axis(squared, node, axis=0)
        self._flow.set_taps(measurement.tap)
        return base_kw

    def _predicted(self, taps: FloatArray) -> Flow:
        self._flow.set_taps(taps)
        return self._flow.predict(self._anchor, *self._demand, self._sunny, self._source)

    def _with_tap(self, taps: FloatArray, changer: int, change: float) -> FloatArray:
        changed = taps.copy()
        changed[self._winding[changer]] += change
        return changed

    def _nearest(self, base: Flow) -> tuple[np.ndarray, np.ndarray]:
        """Node of each group and period that is nearest to the lower, and to the upper limit."""
        tree, found = self.tree, []
        for sign in (1.0, -1.0):
            scaled = sign * base.squared_pu / tree.group_scale[:, None]
            nodes = np.zeros((tree.groups.shape[0], base.squared_pu.shape[1]), dtype=np.int64)
            for group in range(len(nodes)):
                members = np.flatnonzero(tree.group_of == group)
                nodes[group] = members[np.argmin(scaled[members], axis=0)]
            found.append(nodes)
        return found[0], found[1]

    def expected(self, energy_kva: ComplexArray, source_kva: ComplexArray) -> Expected:
        """See :class:`LinDistFlowNetwork`; taps to first order."""
        base = super().expected(energy_kva, source_kva)
        imported, losses, squared = base.import_kva, base.losses_kw, base.voltage_pu**2
        change = np.rint(np.asarray(self.taps.change.value))
        for i, response in enumerate(self._responses):
            imported = imported + response.import_kva * change[:, i]
            losses = losses + response.losses_kw * change[:, i]
            squared = squared + response.voltage_pu * change[:, i]
        return Expected(imported, losses, np.sqrt(np.maximum(squared, 0.0)))


class LinDistFlowTapsPlanner(DispatchPlanner):
    """Planner on :class:`LinDistFlowTaps`, whose plans command the tap changers."""

    @property
    def resumable(self) -> bool:
        """Operations so far are counted from all measurements, so a run is resumed by repeating it."""
        return False

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """See :class:`cosim.model.roles.Planner`."""
        plan = super().plan(measurement, forecast)
        if isinstance(plan, NoPlan):
            return plan
        return replace(plan, position=cast("LinDistFlowTaps", self.network).taps.position())
