"""LinDistFlow with taps and capacitor states as decisions: voltages, import and losses are affine in them.

The response to a position is that of the linear model itself, with loads following their voltages: for a
tap changer one position up and down from where it stands, for a capacitor bank its reactive power at the
predicted voltages. Responses of several devices add up.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import cast

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from cosim.devices.tap_changer import TapChanger
from cosim.errors import FormulationRefused
from cosim.model.arrays import ComplexArray, FloatArray, Matrix
from cosim.model.forecast import Forecast
from cosim.model.network_device import NetworkDevice
from cosim.model.site import Site
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.active_tree import ActiveTree, active_tree
from cosim.opf.devices.energy_block import EnergyBlock
from cosim.opf.devices.source_block import SourceBlock
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.expected import Expected
from cosim.opf.formulations.lindistflow import VOLTAGE_UNIT_PU2, LinDistFlowNetwork
from cosim.opf.formulations.position_variables import PositionVariables
from cosim.opf.linear_flow import Flow, real_matrix
from cosim.opf.network_positions.schedule import PositionSchedule
from cosim.opf.options import PlannerOptions

WATCHED_KVA = 10.0
"""Power of an imagined device at every node: positions move voltages that no device of the site does."""


class LinDistFlowTaps(LinDistFlowNetwork):
    """See the module.

    Args:
        site, energy, sources, horizon, options: see :class:`LinDistFlowNetwork`.
        reach: largest change of a position against now.

    Raises:
        FormulationRefused: the site has no network device, or no radial network.
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
        self._moved = site.network_devices
        if not self._moved:
            raise FormulationRefused(
                "planner lindistflow_taps has no position to decide: the scenario has no tap_changer and "
                "no capacitor_bank; list them under devices, or use planner lindistflow"
            )
        self.positions = PositionVariables(PositionSchedule(self._moved, horizon), horizon, reach)
        self._regulators = site.regulators
        periods = len(horizon)
        self._import_response = [cp.Parameter(periods) for _ in self._moved]
        self._voltage_response: list[tuple[cp.Parameter, cp.Parameter]] = []
        self._line_response: list[tuple[cp.Parameter, cp.Parameter]] = []
        super().__init__(site, energy, sources, horizon, options)
        self.constraints += self.positions.constraints
        self.binaries += self.positions.binaries
        self.cost += self.positions.cost
        # A variable of its own: prices are parameters too, and a product of two is no DPP.
        by_positions_kw = cp.Variable(periods)
        columns = [
            cp.multiply(response, self.positions.change[:, i])
            for i, response in enumerate(self._import_response)
        ]
        self.constraints.append(by_positions_kw == cp.sum(cp.vstack(columns), axis=0))
        self.import_kw = self.import_kw + by_positions_kw

    def _active_tree(self, inject: Matrix, device_kva: FloatArray) -> ActiveTree:
        size, devices = inject.shape
        everywhere = sp.hstack([inject, sp.identity(size, dtype=np.complex128)]).tocsr()
        kva = np.concatenate([device_kva, np.full(size, WATCHED_KVA)])
        tree = active_tree(self._flow, everywhere, kva)
        return replace(tree, inject=tree.inject.tocsc()[:, :devices].tocsr())

    @cached_property
    def _bank_kvar(self) -> Matrix:
        """Reactive power of each bank at each node when closed, shape (node, network device)."""
        network = self._flow.network
        return real_matrix(network.bank_kvar, (network.size, len(self._moved)))

    def _positions_kva(self) -> FloatArray:
        return np.asarray(abs(self._bank_kvar).sum(axis=1)).ravel()

    def _voltage_limits(self, change: cp.Expression) -> list[cp.Constraint]:
        """Both limits, each moved by the response of the node that is nearest to it."""
        low, high = self._moved_by_positions((change, change), self._voltage_response)
        return [low + self._slack >= self._lower, high - self._slack <= self._upper]

    def _line_flows(self, p: cp.Expression, q: cp.Expression) -> tuple[cp.Expression, cp.Expression]:
        return self._moved_by_positions((p, q), self._line_response)

    def _moved_by_positions(
        self,
        values: tuple[cp.Expression, cp.Expression],
        responses: list[tuple[cp.Parameter, cp.Parameter]],
    ) -> tuple[cp.Expression, cp.Expression]:
        """Two expressions of shape (row, period) with what positions add; their responses are appended."""
        shape, (first, second) = values[0].shape, values
        for i in range(len(self._moved)):
            pair = cp.Parameter(shape), cp.Parameter(shape)
            responses.append(pair)
            moved = np.ones((shape[0], 1)) @ cp.reshape(
                self.positions.change[:, i], (1, shape[1]), order="C"
            )
            first, second = first + cp.multiply(pair[0], moved), second + cp.multiply(pair[1], moved)
        return first, second

    def update(self, measurement: Measurement, forecast: Forecast) -> FloatArray:
        """See :class:`LinDistFlowNetwork`; also sets the responses to positions."""
        base_kw = super().update(measurement, forecast)
        self.positions.update(measurement)
        self._sunny = self.source_share @ forecast.available_kw.T[self._split :].astype(np.complex128)
        base = self._predicted(measurement.tap)
        nearest = self._nearest(base)
        self._responses = []
        for i, device in enumerate(self._moved):
            self._responses.append(self._response(i, device, measurement.tap, base))
            self._import_response[i].value = self._responses[i].import_kva.real
            squared = self._responses[i].squared_pu / self.tree.group_scale[:, None] / VOLTAGE_UNIT_PU2
            for response, node in zip(self._voltage_response[i], nearest, strict=True):
                response.value = np.take_along_axis(squared, node, axis=0)
            self._set_line_response(i)
        self._flow.set_taps(measurement.tap)
        return base_kw

    def _set_line_response(self, device: int) -> None:
        if not self._line_response:
            return
        rows = self.tree.flow_nodes[self._line_rows]
        flow = self._responses[device].flow_kva[rows] / self._unit[self._line_rows][:, None]
        for response, part in zip(self._line_response[device], (flow.real, flow.imag), strict=True):
            response.value = part

    def _response(self, column: int, device: NetworkDevice, taps: FloatArray, base: Flow) -> Flow:
        """Change of the flow for one position more."""
        if isinstance(device, TapChanger):
            step = np.zeros(len(taps))
            step[self._regulators.index(device.element)] = device.ratio_per_position
            above, below, positions = self._predicted(taps + step), self._predicted(taps - step), 2.0
        else:
            closing_kva = 1j * self._bank_kvar[:, [column]].toarray() * base.squared_pu
            above, below, positions = self._predicted(taps, closing_kva), base, 1.0
        return Flow(
            (above.squared_pu - below.squared_pu) / positions,
            (above.flow_kva - below.flow_kva) / positions,
            (above.import_kva - below.import_kva) / positions,
            (above.losses_kw - below.losses_kw) / positions,
        )

    def _predicted(self, taps: FloatArray, more_kva: ComplexArray | float = 0.0) -> Flow:
        self._flow.set_taps(taps)
        return self._flow.predict(self._anchor, *self._demand, self._sunny + more_kva, self._source)

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
        """See :class:`LinDistFlowNetwork`; positions to first order."""
        base = super().expected(energy_kva, source_kva)
        imported, losses, squared = base.import_kva, base.losses_kw, base.voltage_pu**2
        change = np.rint(np.asarray(self.positions.change.value))
        for i, response in enumerate(self._responses):
            imported = imported + response.import_kva * change[:, i]
            losses = losses + response.losses_kw * change[:, i]
            squared = squared + response.squared_pu * change[:, i]
        return Expected(imported, losses, np.sqrt(np.maximum(squared, 0.0)))


class LinDistFlowTapsPlanner(DispatchPlanner):
    """Planner on :class:`LinDistFlowTaps`, whose plans command tap changers and capacitor banks."""

    @property
    def resumable(self) -> bool:
        """Operations so far are counted from all measurements, so a run is resumed by repeating it."""
        return False

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """See :class:`cosim.model.roles.Planner`."""
        plan = super().plan(measurement, forecast)
        if isinstance(plan, NoPlan):
            return plan
        return replace(plan, position=cast("LinDistFlowTaps", self.network).positions.position())
