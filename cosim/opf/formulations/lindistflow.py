"""Multi-period linearised DistFlow, multi-phase and unbalanced, anchored to the measurement or not.

Variables are the changes that batteries, curtailment and reactive power make to flows and squared
voltages; everything else (load, sun, anchor) is data. Losses, angles and the voltage dependence of
loads enter through the data only: the changes are lossless. Without the anchor this is the textbook
form, whose import counts no losses at all.

Sources: see :mod:`cosim.opf.linear_flow`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from cosim.devices.bounds import each
from cosim.model.arrays import ComplexArray, FloatArray, Matrix
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.opf.active_tree import ActiveTree, active_tree
from cosim.opf.expected import Expected
from cosim.opf.formulations.coupling import SQUARED_UNIT_PU2, Coupling
from cosim.opf.formulations.network_block import Injections, radial_network
from cosim.opf.linear_flow import Anchor, Flow, LinearFlow
from cosim.opf.options import Objective, PlannerOptions
from cosim.opf.program import EmptyBlock, Squares
from cosim.opf.uncertainty import ChanceLimits, margin

VOLTAGE_UNIT_PU2 = SQUARED_UNIT_PU2
"""Unit of the voltage variables: keeps them near one, which saves the solver iterations."""

SMALLEST_UNIT = 1e-6
"""Unit of the flow on a branch that no device can move, as a part of the largest unit."""

LINE_POLYGON_SIDES = 8
LINE_SCREEN = 0.8
DEMAND_MARGIN = 2.0
"""Only branches that this multiple of nominal demand and all devices together could load above
LINE_SCREEN of their rating are constrained."""

FAR_AWAY = 1e3
"""Stands for no bound, in units of the program: an infinite one would disable in-place updates."""


@dataclass(frozen=True)
class _Margins:
    """What a plan stays inside limits by, for chance constraints.

    Attributes:
        squared_pu: of squared voltages, shape (node, period).
        line_kva: of the lines whose ratings hold, shape (line, period).
    """

    squared_pu: FloatArray
    line_kva: FloatArray


class LinDistFlowNetwork(EmptyBlock):
    """Network equations and soft limits of one compiled program.

    Args:
        site: facts of the plant; needs a radial network.
        energy, sources: device blocks, whose powers are injected.
        horizon: the periods.
        options: losses, voltage deviation and the voltage and line limits are built here.
        coupling: variables at the boundaries of an area whose neighbours have a say in them; None: what
            happens at boundaries is data.

    Raises:
        FormulationRefused: the site has no radial network (the reason is repeated).
    """

    def __init__(
        self,
        site: Site,
        energy: Injections,
        sources: Injections,
        horizon: Horizon,
        options: PlannerOptions,
        *,
        coupling: Coupling | None = None,
    ) -> None:
        super().__init__()
        self.caution = ""
        self.blind_to: tuple[str, ...] = ()
        network = radial_network(site, "lindistflow")
        if not (network.limit_kva > 0).any():
            self.blind_to = ("limits.lines",)
        objective, limits = options.objective, options.limits
        self._anchored = options.anchor == "measurement"
        flow = self._flow = LinearFlow(network, losses_imported=self._anchored)
        self._limits, self._horizon = limits, horizon
        self._chance = options.uncertainty if isinstance(options.uncertainty, ChanceLimits) else None
        self._sun_kw = site.sun_kw()
        self._split = len(energy.ratings)
        share_of_all = flow.device_share(network.device_share, len(site.devices)).tocsc()
        self.energy_share = share_of_all[:, : self._split]
        self.source_share = share_of_all[:, self._split :]
        inject, kva = share_of_all.tocsr(), each(site.devices, "kva")
        self._coupling = coupling
        if coupling is not None:
            inject, kva = _with_feeding(inject, kva, coupling)
        self.tree: ActiveTree = self._active_tree(inject, kva)
        parts = [(block.change_kw, block.kvar) for block in (energy, sources) if block.ratings]
        self._add_flows(parts + ([] if coupling is None else coupling.fed()))
        if coupling is not None:
            self._add_coupling(coupling)
        self.import_kw = -((self.tree.head * self._unit) @ self._p)
        # d|v| = du / 2 near 1 pu.
        slack_cost = limits.voltage_penalty_per_pu_h * VOLTAGE_UNIT_PU2 / 2.0
        self.cost = slack_cost * cp.sum(self._slack @ horizon.hours)
        self._add_losses(objective)
        self._add_deviation(objective)
        self._line_rows = np.zeros(0, dtype=np.int64)
        if limits.lines:
            self._add_lines(kva, inject)

    def _add_flows(self, parts: list[tuple[cp.Expression, cp.Expression]]) -> None:
        """Changes of flows and squared voltages by the powers of devices and fed areas, kW and kvar."""
        tree, periods = self.tree, len(self._horizon)
        # Flows in units of what the devices behind each branch can do: all variables are near one.
        unit = self._unit = np.maximum(tree.reach_kva, SMALLEST_UNIT * tree.reach_kva.max(initial=1.0))
        inject_kva, share = (
            sp.diags(1.0 / unit) @ tree.inject,
            sp.diags(1.0 / unit) @ tree.share @ sp.diags(unit),
        )
        p = cp.vstack([kw for kw, _ in parts])
        q = cp.vstack([kvar for _, kvar in parts])
        self._p = cp.Variable((len(tree.flow_nodes), periods))
        self._q = cp.Variable((len(tree.flow_nodes), periods))
        self._u = cp.Variable((len(tree.voltage_nodes), periods))
        self._slack = cp.Variable((tree.groups.shape[0], periods), nonneg=True)
        self._lower = cp.Parameter(self._slack.shape)
        self._upper = cp.Parameter(self._slack.shape)
        drop = tree.drop @ sp.diags(2.0 * unit / VOLTAGE_UNIT_PU2)
        groups = tree.groups @ self._u
        self.constraints += [
            self._p
            == inject_kva.real @ p - inject_kva.imag @ q + share.real @ self._p - share.imag @ self._q,
            self._q
            == inject_kva.imag @ p + inject_kva.real @ q + share.imag @ self._p + share.real @ self._q,
            self._u
            == tree.gain @ self._u + drop.real @ self._p + drop.imag @ self._q + self._head_change(),
            *self._voltage_limits(groups),
        ]

    def _active_tree(self, inject: Matrix, device_kva: FloatArray) -> ActiveTree:
        """The part of the network that the devices influence."""
        return active_tree(self._flow, inject, device_kva, heads_move=self._coupling is not None)

    def _voltage_limits(self, change: cp.Expression) -> list[cp.Constraint]:
        """Soft limits of the changes of squared voltages, units of the program, shape (group, period)."""
        return [change + self._slack >= self._lower, change - self._slack <= self._upper]

    def _head_change(self) -> cp.Expression | float:
        """Change of the squared voltage of each voltage variable by what is upstream of the area."""
        coupling = self._coupling
        if coupling is None or not len(coupling.heads):
            return 0.0
        heads = coupling.at_heads
        lift = (self.tree.voltage_nodes[:, None] == coupling.heads[None, :]).astype(float)
        return sp.csr_matrix(lift) @ (coupling.squared[heads] - coupling.base_squared[heads])

    def _add_coupling(self, coupling: Coupling) -> None:
        """Tie voltages where the area feeds others, and powers at its heads, to the flow."""
        tree = self.tree
        if len(coupling.feeding):
            here = coupling.at_feeding
            change = tree.changes(coupling.feeding) @ self._u
            self.constraints.append(coupling.squared[here] == coupling.base_squared[here] + change)
        if len(coupling.heads):
            here = coupling.at_heads
            among = coupling.heads[:, None] == tree.flow_nodes[None, :]
            scale = self._unit[None, :] / coupling.unit_kva[here][:, None]
            select = sp.csr_matrix(among * scale)
            self.constraints += [
                coupling.kw[here] == coupling.base_kw[here] - select @ self._p,
                coupling.kvar[here] == coupling.base_kvar[here] - select @ self._q,
            ]
        if len(coupling.nodes):
            self.squares += coupling.pull

    def _add_losses(self, objective: Objective) -> None:
        """Losses as sum of R |S|^2, with S the flow of the data less the change."""
        self._losses: list[Squares] = []
        self._objective = objective
        if not objective.prices_losses:
            return
        resistance = np.maximum(self._flow.drop.diagonal()[self.tree.flow_nodes].real, 0.0)
        self._loss_weight = resistance[:, None] * self._horizon.hours
        for change in (self._p, self._q):
            self._losses.append(Squares(change, np.zeros(change.shape), np.zeros(change.shape)))
        self.squares += self._losses

    def _set_losses(self, flow_kva: ComplexArray, price_per_kwh: FloatArray) -> None:
        if not self._losses:
            return
        unit = self._unit[:, None]
        weight = self._loss_weight * self._objective.loss_rate(price_per_kwh) * unit**2
        for part, flow in zip(self._losses, (flow_kva.real, flow_kva.imag), strict=True):
            part.weight = weight
            part.center = flow / unit

    def _add_deviation(self, objective: Objective) -> None:
        """Squared distance of squared voltages from the middle of the band."""
        self._deviation: Squares | None = None
        if not objective.voltage_deviation_per_pu2_h:
            return
        weight = objective.voltage_deviation_per_pu2_h * self._horizon.hours[None, :] * VOLTAGE_UNIT_PU2**2
        each = np.repeat(weight, self._u.shape[0], axis=0)
        self._deviation = Squares(self._u, each, np.zeros(each.shape))
        self.squares.append(self._deviation)

    def _add_lines(self, kva: FloatArray, inject: Matrix) -> None:
        """Octagons around the rating of the branches that could be overloaded."""
        network = self._flow.network
        nominal = DEMAND_MARGIN * np.asarray(abs(self._flow.load_share) @ network.load_kva)
        moved = np.asarray(abs(inject) @ kva) + self._positions_kva()
        most = self._flow.flows_of(nominal) + self._flow.flows_of(moved)
        at_risk = (network.limit_kva > 0) & (most > LINE_SCREEN * network.limit_kva)
        self._line_rows = np.flatnonzero(at_risk[self.tree.flow_nodes])
        if not len(self._line_rows):
            return
        shape = (len(self._line_rows), len(self._horizon))
        self._line_p, self._line_q = cp.Parameter(shape), cp.Parameter(shape)
        over = self._line_over = cp.Variable(shape, nonneg=True)
        rating = network.limit_kva[self.tree.flow_nodes][self._line_rows] / self._unit[self._line_rows]
        room: cp.Expression | FloatArray = rating[:, None]
        if self._chance is not None:
            self._line_margin = cp.Parameter(shape)
            room = room - self._line_margin
        p, q = self._line_flows(
            self._line_p - self._p[self._line_rows], self._line_q - self._q[self._line_rows]
        )
        for angle in (2 * np.arange(LINE_POLYGON_SIDES) + 1) * np.pi / LINE_POLYGON_SIDES:
            self.constraints.append(np.cos(angle) * p + np.sin(angle) * q <= room + over)
        over_kw = self._unit[self._line_rows] @ over
        self.cost += self._limits.power_penalty_per_kwh * cp.sum(over_kw @ self._horizon.hours)

    def _positions_kva(self) -> FloatArray:
        """Largest power at each node that decided positions add, shape (node,)."""
        return np.zeros(self._flow.network.size)

    def _line_flows(self, p: cp.Expression, q: cp.Expression) -> tuple[cp.Expression, cp.Expression]:
        """Flows that are limited, shape (line row, period); those of decided positions are added."""
        return p, q

    def update(self, measurement: Measurement, forecast: Forecast) -> FloatArray:
        """Set the data: flows and voltages with batteries at rest and PV uncurtailed.

        Returns:
            The import without change, shape (period,).
        """
        if self._anchored:
            self._anchor = self._anchor_at(measurement)
        else:
            self._anchor = self._flow.unanchored(measurement.tap, measurement.source_ratio)
        self._demand = forecast.demand_kw.T, forecast.demand_kvar.T
        self._source = forecast.source_ratio_from(measurement.source_ratio)
        sunny = self.source_share @ forecast.available_kw.T[self._split :].astype(np.complex128)
        base = self._flow.predict(self._anchor, *self._demand, sunny, self._source)
        margins = None if self._chance is None else self._margins(base, forecast, self._chance)
        self._set_base(base, forecast.price_per_kwh, margins)
        if self._coupling is not None:
            nodes, fed = self._coupling.nodes, len(self._coupling.feeding)
            load_kva = (forecast.demand_kw + 1j * forecast.demand_kvar).T
            drawn = np.vstack([base.flow_kva[self._coupling.heads], load_kva[len(load_kva) - fed :]])
            self._coupling.set_base(base.squared_pu[nodes], drawn)
        return np.asarray(base.import_kva.real)

    def _margins(self, base: Flow, forecast: Forecast, chance: ChanceLimits) -> _Margins:
        """How far errors of the forecast move what is limited; no device answers to them.

        All scenarios of the sample are periods of one flow.
        """
        drawn, periods = forecast.scenarios(chance.sample, self._sun_kw), len(self._horizon)

        def side_by_side(values: FloatArray) -> FloatArray:
            return np.ascontiguousarray(values.reshape(-1, values.shape[-1]).T)

        sunny = self.source_share @ side_by_side(drawn.available_kw[:, :, self._split :]).astype(complex)
        demand = side_by_side(drawn.demand_kw), side_by_side(drawn.demand_kvar)
        source = np.concatenate([self._source] * chance.sample)
        moved = self._flow.predict(self._anchor, *demand, sunny, source)

        def spread(values: FloatArray, at: FloatArray) -> FloatArray:
            apart = values.reshape(len(values), chance.sample, periods) - at[:, None]
            return margin(apart.swapaxes(0, 1), chance.violation)

        rows = self.tree.flow_nodes[self._line_rows]
        return _Margins(
            spread(moved.squared_pu, base.squared_pu),
            spread(np.abs(moved.flow_kva[rows]), np.abs(base.flow_kva[rows])),
        )

    def _anchor_at(self, measurement: Measurement) -> Anchor:
        device_kva = measurement.p_kw + 1j * measurement.q_kvar
        injected = self._der_kva(device_kva[: self._split], device_kva[self._split :])
        return self._flow.anchor(measurement, injected)

    def expected(self, energy_kva: ComplexArray, source_kva: ComplexArray) -> Expected:
        """What the grid should do under a plan; see :class:`NetworkBlock`."""
        injected = self._der_kva(energy_kva, source_kva)
        flow = self._flow.predict(self._anchor, *self._demand, injected, self._source)
        drawn = flow.flow_kva[self._flow.network.head]
        self._drawn_kva = np.hstack([self._anchor.head_kva[:, None], drawn]) if self._anchored else drawn
        return Expected(flow.import_kva, flow.losses_kw, flow.voltage_pu)

    def drawn_kva(self) -> ComplexArray:
        """See :class:`AreaBlock`: without losses; with the anchor, that of the measurement comes first."""
        return self._drawn_kva

    def drawn_now_kva(self, measurement: Measurement) -> ComplexArray:
        """See :class:`CoupledBlock`."""
        return self._anchor_at(measurement).head_kva

    def _der_kva(self, energy_kva: ComplexArray, source_kva: ComplexArray) -> ComplexArray:
        return np.asarray(self.energy_share @ energy_kva + self.source_share @ source_kva)

    def _set_base(self, base: Flow, price_per_kwh: FloatArray, margins: _Margins | None = None) -> None:
        limits, tree = self._limits, self.tree
        band, low, high = (limits.voltage_min_pu, limits.voltage_max_pu), base.squared_pu, base.squared_pu
        if margins is not None:
            low, high = low - margins.squared_pu, high + margins.squared_pu
        lower, upper = tree.bounds(low, *band)[0], tree.bounds(high, *band)[1]
        self._lower.value = np.clip(lower / VOLTAGE_UNIT_PU2, -FAR_AWAY, FAR_AWAY)
        self._upper.value = np.clip(upper / VOLTAGE_UNIT_PU2, -FAR_AWAY, FAR_AWAY)
        flow = base.flow_kva[tree.flow_nodes]
        self._set_losses(flow, price_per_kwh)
        if self._deviation is not None:
            middle = (limits.voltage_min_pu + limits.voltage_max_pu) / 2.0
            deviation = base.squared_pu[tree.voltage_nodes] - middle**2
            self._deviation.center = -deviation / VOLTAGE_UNIT_PU2
        if len(self._line_rows):
            unit = self._unit[self._line_rows][:, None]
            self._line_p.value = flow.real[self._line_rows] / unit
            self._line_q.value = flow.imag[self._line_rows] / unit
            if margins is not None:
                self._line_margin.value = margins.line_kva / unit

    def slack_pu(self) -> float:
        """Largest voltage violation the plan expects."""
        if not self._slack.size:
            return 0.0
        return float(np.max(self._slack.value)) * VOLTAGE_UNIT_PU2 / 2.0

    def over_kw(self) -> float:
        """Largest violation of a line's rating the program allowed itself, kVA."""
        if not len(self._line_rows):
            return 0.0
        return float(np.max(self._unit[self._line_rows][:, None] * self._line_over.value))

    def relaxation_gap(self) -> FloatArray | None:
        """A linear model relaxes nothing."""
        return None


def _with_feeding(inject: Matrix, kva: FloatArray, coupling: Coupling) -> tuple[Matrix, FloatArray]:
    """Injections and ratings of devices, and after them those of the areas that the area feeds."""
    feeding = coupling.feeding
    places = np.arange(len(feeding))
    shape = (inject.shape[0], len(feeding))
    more = sp.csr_matrix((np.ones(len(feeding), dtype=np.complex128), (feeding, places)), shape=shape)
    return sp.hstack([inject, more], format="csr"), np.concatenate(
        [kva, coupling.unit_kva[coupling.at_feeding]]
    )
