"""Multi-period branch-flow model of a balanced radial feeder, relaxed to cones or exact.

The equations of :mod:`cosim.opf.balanced_tree`. Only ``P² + Q² = v l`` is not affine: a convex solver
gets ``<=`` (Farivar and Low, 2013, eq. 14), a nonlinear one the equality itself.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from cosim.devices.bounds import each
from cosim.errors import FeederError
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.opf.balanced_tree import BalancedTree, BranchFlow
from cosim.opf.devices.energy_block import EnergyBlock
from cosim.opf.devices.source_block import SourceBlock
from cosim.opf.expected import Expected
from cosim.opf.formulations.coupling import SQUARED_UNIT_PU2, Coupling
from cosim.opf.formulations.network_block import radial_network
from cosim.opf.linear_flow import real_matrix
from cosim.opf.options import PlannerOptions
from cosim.opf.program import EmptyBlock, RotatedCones, Squares

PAID_LOSSES = (
    "at a negative price the relaxation is paid for losses that it invents; use planner branch_flow_nl"
)

SLACK_UNIT_PU2 = 0.01
"""Keeps a solver's rounding, times the penalty, out of the objective."""

SMALLEST_UNIT = 1e-3
"""Unit of the flow on a branch that carries nothing, as a part of the largest unit."""


class BranchFlowNetwork(EmptyBlock):
    """Network equations and soft limits of one compiled program.

    Flows are in units of what each branch may carry, so that every cone is of size one.

    Args:
        site: facts of the plant; needs a balanced radial network.
        energy, sources: device blocks, whose powers are injected.
        horizon: the periods.
        options: losses, voltage deviation and the voltage and line limits are built here.
        tight: ask for the equality; the name of the formulation follows from it.
        coupling: variables at the boundaries of an area whose neighbours have a say in them; None: what
            happens at boundaries is data.

    Raises:
        FormulationRefused: the feeder is meshed or unbalanced, or has loads that do not fit.
    """

    def __init__(
        self,
        site: Site,
        energy: EnergyBlock,
        sources: SourceBlock,
        horizon: Horizon,
        options: PlannerOptions,
        *,
        tight: bool,
        coupling: Coupling | None = None,
    ) -> None:
        super().__init__()
        self._coupling = coupling
        self._tight, self.caution = tight, ""
        name = "branch_flow_nl" if tight else "branch_flow_soc"
        self.tree = BalancedTree(radial_network(site, name), name)
        unrated = not (self.tree.network.limit_kva > 0).any()
        self.blind_to = ("losses_at_price", "limits.lines") if unrated else ("losses_at_price",)
        self._limits, self._horizon = options.limits, horizon
        network, tree = self.tree.network, self.tree
        self._split = len(energy.ratings)
        share_of_all = real_matrix(network.device_share, (tree.size, len(site.devices)))
        self._energy_share = share_of_all[:, : self._split]
        self._source_share = share_of_all[:, self._split :]
        kva = each(site.devices, "kva")
        self._unit = self._units(kva)
        shape = (tree.size, len(horizon))
        self._p, self._q = cp.Variable(shape), cp.Variable(shape)
        self._current, self._squared = cp.Variable(shape), cp.Variable(shape)
        self._add_balance(energy, sources)
        self._add_drop()
        self._add_limits(options)
        if coupling is not None:
            self._add_coupling(coupling)
        self.cones.append(RotatedCones(self._p, self._q, self._squared, self._current, tight=tight))
        self._add_losses(options.objective.losses_per_kwh)
        self._add_deviation(options)

    def _units(self, kva: FloatArray) -> FloatArray:
        """What each branch would carry at nominal load and full DER, kVA, shape (node,)."""
        tree = self.tree
        shares = sp.hstack([self._energy_share, self._source_share])
        most = tree.load_share @ tree.network.load_kva + shares @ kva
        carried = tree.carried(most)
        return np.asarray(np.maximum(carried, SMALLEST_UNIT * max(float(carried.max()), 1.0)))

    def _add_balance(self, energy: EnergyBlock, sources: SourceBlock) -> None:
        tree, unit = self.tree, self._unit
        shape = self._p.shape
        over = sp.diags(1.0 / unit)
        carry = over @ tree.children @ sp.diags(unit)
        lose = over @ tree.children @ sp.diags(unit**2)
        r, x = sp.diags(tree.z.real), sp.diags(tree.z.imag)
        self._demand_p, self._demand_q = cp.Parameter(shape), cp.Parameter(shape)
        p = self._demand_p + carry @ self._p + (lose @ r) @ self._current
        q = self._demand_q + carry @ self._q + (lose @ x) @ self._current
        blocks: tuple[EnergyBlock | SourceBlock, ...] = (energy, sources)
        for share, block in zip((self._energy_share, self._source_share), blocks, strict=True):
            if block.ratings:
                p -= (over @ share) @ block.change_kw
                q -= (over @ share) @ block.kvar
        if self._coupling is not None:
            feeding = self._coupling.feeding
            places = np.arange(len(feeding))
            at = sp.csr_matrix((np.ones(len(feeding)), (feeding, places)), shape=(tree.size, len(feeding)))
            for kw, kvar in self._coupling.fed():
                p -= (over @ at) @ kw
                q -= (over @ at) @ kvar
        # Only where a load or a capacitor answers the voltage: the product costs a parameter each.
        network = tree.network
        bent = np.abs(network.load_zip_p[:, 0]) + np.abs(network.load_zip_q[:, 0]) > 0
        answers = (abs(tree.load_share) @ bent.astype(float) > 0) | (network.shunt_kvar != 0)
        self._answering = np.flatnonzero(answers)
        if len(self._answering):
            here = (len(self._answering), shape[1])
            self._per_squared_p, self._per_squared_q = cp.Parameter(here), cp.Parameter(here)
            spread = sp.csr_matrix(
                (np.ones(here[0]), (self._answering, np.arange(here[0]))), shape=(tree.size, here[0])
            )
            voltage = self._squared[self._answering]
            p += spread @ cp.multiply(self._per_squared_p, voltage)
            q += spread @ cp.multiply(self._per_squared_q, voltage)
        self.constraints += [self._p == p, self._q == q]
        heads = np.flatnonzero(tree.heads)
        self.import_kw = unit[heads] @ self._p[heads]

    def _add_drop(self) -> None:
        tree, unit = self.tree, self._unit
        shape = self._squared.shape
        self._ratio = cp.Parameter(shape, nonneg=True) if tree.network.regulators else None
        upstream: cp.Expression
        if self._ratio is None:
            upstream = tree.upstream @ self._squared
        else:
            inner = np.flatnonzero(~tree.heads)
            pick = sp.csr_matrix(
                (np.ones(len(inner)), (inner, tree.parent[inner])), shape=(tree.size, tree.size)
            )
            upstream = cp.multiply(self._ratio, pick @ self._squared)
        heads, count = tree.network.head, len(tree.network.head)
        self._source2 = cp.Parameter((count, len(self._horizon)), nonneg=True)
        at_heads = sp.csr_matrix((np.ones(count), (heads, np.arange(count))), shape=(tree.size, count))
        coupling = self._coupling
        if coupling is None or not len(coupling.heads):
            source = at_heads @ self._source2
        else:
            source = at_heads @ (1.0 + SQUARED_UNIT_PU2 * coupling.squared[coupling.at_heads])
        self.constraints.append(
            self._squared
            == source
            + upstream
            - sp.diags(2.0 * tree.z.real * unit) @ self._p
            - sp.diags(2.0 * tree.z.imag * unit) @ self._q
            - sp.diags(np.abs(tree.z) ** 2 * unit**2) @ self._current
        )

    def _add_coupling(self, coupling: Coupling) -> None:
        """Tie voltages where the area feeds others, and powers at its heads, to the flow."""
        if len(coupling.feeding):
            here = coupling.squared[coupling.at_feeding]
            self.constraints.append(1.0 + SQUARED_UNIT_PU2 * here == self._squared[coupling.feeding])
        if len(coupling.heads):
            heads = coupling.at_heads
            scale = sp.diags(self._unit[coupling.heads] / coupling.unit_kva[heads])
            self.constraints += [
                coupling.kw[heads] == scale @ self._p[coupling.heads],
                coupling.kvar[heads] == scale @ self._q[coupling.heads],
            ]
        if len(coupling.nodes):
            self.squares += coupling.pull

    def _add_limits(self, options: PlannerOptions) -> None:
        limits, hours, unit = options.limits, self._horizon.hours, self._unit
        self._slack = cp.Variable(self._squared.shape)
        self.constraints += [
            self._slack >= 0.0,
            self._current >= 0.0,
            self._squared + SLACK_UNIT_PU2 * self._slack >= limits.voltage_min_pu**2,
            self._squared - SLACK_UNIT_PU2 * self._slack <= limits.voltage_max_pu**2,
        ]
        # d|v| = du / 2 near 1 pu.
        per_unit = limits.voltage_penalty_per_pu_h * SLACK_UNIT_PU2 / 2.0
        self.cost += per_unit * cp.sum(self._slack @ hours)
        self._rated = np.flatnonzero(self.tree.network.limit_kva > 0) if limits.lines else np.zeros(0, int)
        if len(self._rated):
            rating = self.tree.network.limit_kva[self._rated]
            self._over = cp.Variable((len(self._rated), len(hours)))
            self._rating = (rating / unit[self._rated])[:, None] ** 2
            self.constraints += [
                self._over >= 0.0,
                self._current[self._rated] <= self._rating + self._over,
            ]
            # d sqrt(l) = dl / (2 sqrt(l)) at the rating.
            self._over_kva = unit[self._rated] ** 2 / (2.0 * rating)
            self.cost += limits.power_penalty_per_kwh * cp.sum(self._over_kva @ self._over @ hours)

    def _add_losses(self, losses_per_kwh: float) -> None:
        if losses_per_kwh:
            inner = ~self.tree.heads
            ohmic = self.tree.z.real * self._unit**2 * inner
            self.cost += losses_per_kwh * cp.sum(ohmic @ self._current @ self._horizon.hours)

    def _add_deviation(self, options: PlannerOptions) -> None:
        weight = options.objective.voltage_deviation_per_pu2_h
        if not weight:
            return
        middle = (options.limits.voltage_min_pu + options.limits.voltage_max_pu) / 2.0
        each = np.repeat(weight * self._horizon.hours[None, :], self._squared.shape[0], axis=0)
        self.squares.append(Squares(self._squared, each, np.full(each.shape, middle**2)))

    def update(self, measurement: Measurement, forecast: Forecast) -> FloatArray:
        """Set demand, sun and taps; the import is decided in full, so its data part is zero."""
        tree, unit = self.tree, self._unit[:, None]
        paid = not self._tight and bool((forecast.price_per_kwh < 0).any())
        self.caution = PAID_LOSSES if paid else ""
        if self._ratio is not None:
            tree.set_taps(measurement.tap)
            self._ratio.value = np.repeat(tree.ratio[:, None], len(self._horizon), axis=1)
        self._source_ratio = forecast.source_ratio_from(measurement.source_ratio)
        self._source2.value = tree.network.source_squared_pu(self._source_ratio)[tree.network.head]
        constant, self._per_squared = tree.demand(forecast.demand_kw.T, forecast.demand_kvar.T)
        self._constant = constant
        sunny = constant - self._source_share @ forecast.available_kw.T[self._split :]
        self._demand_p.value, self._demand_q.value = sunny.real / unit, sunny.imag / unit
        if len(self._answering):
            answer = self._per_squared[self._answering] / unit[self._answering]
            self._per_squared_p.value, self._per_squared_q.value = answer.real, answer.imag
        start = self._start(sunny)
        self._adopt(start)
        if self._coupling is not None:
            nodes, fed = self._coupling.nodes, len(self._coupling.feeding)
            load_kva = (forecast.demand_kw + 1j * forecast.demand_kvar).T
            drawn = np.vstack([start.flow_kva[self._coupling.heads], load_kva[len(load_kva) - fed :]])
            self._coupling.set_base(start.squared_pu[nodes], drawn)
        return np.zeros(len(self._horizon))

    def _start(self, resting_kva: ComplexArray) -> BranchFlow:
        """Where a nonlinear solver starts: the flow with batteries at rest, flat if there is none."""
        try:
            return self.tree.flow(resting_kva, self._per_squared, self._source_ratio)
        except FeederError:
            nothing = np.zeros(resting_kva.shape)
            no_flow = nothing.astype(np.complex128)
            return BranchFlow(no_flow, nothing, nothing + 1.0, no_flow[0], nothing[0])

    def _adopt(self, flow: BranchFlow) -> None:
        """Put an exact flow into the variables, so that the cost can be read at it."""
        unit, limits = self._unit[:, None], self._limits
        self._p.value, self._q.value = flow.flow_kva.real / unit, flow.flow_kva.imag / unit
        self._current.value = flow.current_kva2 / unit**2
        self._squared.value = flow.squared_pu
        below = limits.voltage_min_pu**2 - flow.squared_pu
        above = flow.squared_pu - limits.voltage_max_pu**2
        if len(self._rated):
            self._over.value = np.maximum(self._current.value[self._rated] - self._rating, 0.0)
        self._slack.value = np.maximum(np.maximum(below, above), 0.0) / SLACK_UNIT_PU2

    def expected(self, energy_kva: ComplexArray, source_kva: ComplexArray) -> Expected:
        """The exact flow under a plan, which also replaces the values of the program's variables."""
        injected = self._energy_share @ energy_kva + self._source_share @ source_kva
        flow = self.tree.flow(self._constant - injected, self._per_squared, self._source_ratio)
        self._adopt(flow)
        self._drawn_kva = flow.flow_kva[self.tree.network.head]
        return Expected(flow.import_kva, flow.losses_kw, np.sqrt(flow.squared_pu))

    def drawn_now_kva(self, measurement: Measurement) -> ComplexArray:
        """See :class:`CoupledBlock`; with losses."""
        network = self.tree.network
        constant, per_squared = self.tree.demand(
            measurement.demand_kw[:, None], measurement.demand_kvar[:, None]
        )
        device_kva = (measurement.p_kw + 1j * measurement.q_kvar)[:, None]
        injected = self._energy_share @ device_kva[: self._split]
        injected += self._source_share @ device_kva[self._split :]
        ratio = np.array([measurement.source_ratio])
        if network.heads_measured:
            ratio = (measurement.voltage_pu[network.head] / network.source_pu)[None, :]
        flow = self.tree.flow(constant - injected, per_squared, ratio)
        return np.asarray(flow.flow_kva[network.head, 0])

    def drawn_kva(self) -> ComplexArray:
        """See :class:`AreaBlock`: with losses."""
        return self._drawn_kva

    def slack_pu(self) -> float:
        """Largest voltage violation the program allowed itself."""
        return float(np.max(self._slack.value)) * SLACK_UNIT_PU2 / 2.0

    def over_kw(self) -> float:
        """Largest violation of a line's rating, kVA; to first order in it."""
        if not len(self._rated):
            return 0.0
        return float(np.max(self._over_kva[:, None] * self._over.value))

    def relaxation_gap(self) -> FloatArray | None:
        """See :class:`NetworkBlock`: ``|z| (l - |S|²/v)``, shape (node, period)."""
        scale = np.abs(self.tree.z)[:, None] * self._unit[:, None] ** 2
        return np.asarray(scale * self.cones[0].gap() / np.asarray(self._squared.value))
