"""Exact power flows of all periods at once, and their exact slopes by adjoints.

The flow solves ``Y V + C I(C'V) = I_source`` with the currents I of loads and devices, by a fixed point
on one factorisation; slopes of any function of the voltages cost a few solves with the same factors.
Source of the adjoint: implicit function theorem on the flow equation, with the derivative of the load
currents included (without it plans cost up to one percent more).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.twin.adjoint_seeds import AdjointSeeds, as_parts
from cosim.twin.data import TwinData
from cosim.twin.factor import BorderedFactor, Switching
from cosim.twin.kernels import (
    LegArrays,
    add_leg_currents,
    extrapolate,
    largest_change,
    leg_powers,
    leg_slopes,
    subtract_slopes,
)
from cosim.twin.node_voltages import NodeVoltages, Slopes

MOST_ITERATIONS = 100
PLAIN_PASSES, GROWING, WORTH_ACCELERATING = 3, 1.2, 0.15
"""After so many passes their rate of convergence is taken, times the second number because slow parts
show last; from the third number on passes are accelerated. Load currents answer to the conjugate
voltage, so errors shrink alike in both directions, which is what Chebyshev's second-order iteration asks
for (Golub and Varga 1961). Measured: a quarter fewer passes on 8500 nodes."""
NEAR_JUMP_PU = 1e-3
"""What a jump of one load may move its own voltage by."""
COLUMNS = 32
"""Adjoints are solved in blocks of so many columns, to stay in the cache and out of memory."""


class FlowSolver:
    """Flows and adjoints of one feeder.

    Args:
        data: the feeder.
        border: nodes whose admittances switch or whose voltages the controls sense.

    Attributes:
        factor: of the network with the loads' balance.
        place: row of each node of the engine, ground last, shape (node + 1,).
    """

    def __init__(self, data: TwinData, border: IntArray) -> None:
        self._data = data
        legs = [data.loads, data.devices]
        self._loads = len(data.loads)
        balance = np.concatenate([part.balance for part in legs])
        ends_a, ends_b = (np.concatenate([getattr(part, end) for part in legs]) for end in ("a", "b"))
        matrix = sp.csc_matrix(data.admittance + _between(ends_a, ends_b, balance, data.size))
        self.factor = BorderedFactor(matrix, border)
        self.place: IntArray = np.empty(data.size + 1, dtype=np.int64)
        self.place[self.factor.order] = np.arange(data.size)
        self.place[-1] = data.size
        self._legs = LegArrays(
            a=self.place[ends_a],
            b=self.place[ends_b],
            base_v=np.concatenate([part.base_v for part in legs]),
            law=np.concatenate([part.law for part in legs]),
            edges=data.laws.edges,
            terms=data.laws.terms,
            drop_out=data.laws.drop_out,
            balance=balance,
        )
        self._owner = [part.owner for part in legs]
        self._share = [part.share for part in legs]
        self._scale = 1.0 / data.base_v[self.factor.order]
        self._start = np.append(data.voltage[self.factor.order], 0.0)

    # --- flows ------------------------------------------------------------------------------------

    def consumption(
        self, demand_kva: ComplexArray, device_kva: ComplexArray
    ) -> tuple[FloatArray, FloatArray]:
        """Consumption of every leg in watt and var, shape (leg, period).

        Args:
            demand_kva: of loads, then of standing generators, at rated voltage, shape (period, load).
            device_kva: injection of devices, shape (period, device).
        """
        load = demand_kva[:, self._owner[0]] * self._share[0]
        device = -device_kva[:, self._owner[1]] * self._share[1]
        power = 1e3 * np.concatenate([load, device], axis=1).T
        return np.ascontiguousarray(power.real), np.ascontiguousarray(power.imag)

    def solve(
        self,
        demand_kva: ComplexArray,
        device_kva: ComplexArray,
        switching: Switching,
        *,
        source_ratio: FloatArray,
        tolerance: float,
        start: NodeVoltages | None = None,
    ) -> NodeVoltages:
        """Exact flows; periods that have no solution are marked, not raised.

        Args:
            demand_kva, device_kva: see :meth:`consumption`.
            switching: tap and capacitor states of the periods.
            source_ratio: voltage of the source over what the master says, shape (period,).
            tolerance: largest change of a voltage in the last iteration, per unit.
            start: voltages to start from; those of the reading by default.
        """
        watt, var = self.consumption(demand_kva, device_kva)
        periods = len(switching.of_period)
        v = (
            as_parts(np.repeat(self._start[:, None], periods, axis=1))
            if start is None
            else start.parts.copy()
        )
        source = self._source_parts(source_ratio)
        change, before = np.full(periods, np.inf), v
        iterations, rate, weight = 0, 0.0, 1.0
        for iterations in range(1, MOST_ITERATIONS + 1):
            x = source.copy()
            add_leg_currents(self._legs, watt, var, v, x)
            x[-1] = 0.0
            self.factor.solve(x, switching)
            if rate > WORTH_ACCELERATING:
                weight = 1.0 / (1.0 - rate * rate * weight / (2.0 if weight == 1.0 else 4.0))
                extrapolate(weight, before, x)
            slowest = float(change.max())
            largest_change(v, x, self._scale, change)
            before, v = v, x
            if change.max() <= tolerance or not np.isfinite(change).any():
                break
            if iterations == PLAIN_PASSES:
                rate = min(GROWING * float(change.max()) / slowest, 0.8)
        converged = change <= max(10.0 * tolerance, 1e-6)
        return NodeVoltages(v, switching, source_ratio, watt, var, converged, iterations)

    def _source_parts(self, source_ratio: FloatArray) -> FloatArray:
        """Current of the source in every period, in the layout of the kernels."""
        periods, source = len(source_ratio), self._data.source
        parts = np.zeros((len(self.place), 2 * periods))
        current = source.current[:, None] * source_ratio
        rows = self.place[source.nodes]
        np.add.at(parts, rows, np.concatenate([current.real, current.imag], axis=1))
        return parts

    def at_reading(self, switching: Switching) -> NodeVoltages:
        """Voltages of the reading with no power drawn yet, as a start; taps and capacitors as given."""
        periods = len(switching.of_period)
        none = np.zeros((len(self._legs.a), periods))
        v = as_parts(np.repeat(self._start[:, None], periods, axis=1))
        at_rest = np.ones(periods)
        return NodeVoltages(v, switching, at_rest, none, none, np.ones(periods, dtype=bool), 0)

    def import_kva(self, volts: NodeVoltages) -> tuple[ComplexArray, ComplexArray]:
        """Complex power from the main source, and from all others, shape (period,) each."""
        v, current = self._head(volts)
        kva, main = v * np.conj(current) / 1e3, self._data.source.main
        return np.asarray(kva[:main].sum(axis=0)), np.asarray(kva[main:].sum(axis=0))

    def _head(self, volts: NodeVoltages) -> tuple[ComplexArray, ComplexArray]:
        source = self._data.source
        v = volts.complex(self.place[source.nodes])
        return v, source.current[:, None] * volts.source_ratio - source.admittance @ v

    def load_power(self, volts: NodeVoltages) -> ComplexArray:
        """Power in VA that each load leg really draws, shape (leg, period)."""
        loads = self._loads
        power = np.empty((loads, volts.periods), dtype=np.complex128)
        leg_powers(self._legs, volts.watt[:loads], volts.var, volts.parts, power)
        return power

    def near_jump(self, volts: NodeVoltages) -> int:
        """Loads so near a voltage where their law jumps that there may be another flow, in any period."""
        a, b, law = (part[: self._loads] for part in (self._legs.a, self._legs.b, self._legs.law))
        m = np.abs(volts.complex(a) - volts.complex(b)) / self._legs.base_v[: self._loads, None]
        near = np.zeros(len(m), dtype=bool)
        for edge, jumps in zip(self._data.laws.edges.T, self._data.laws.jumps().T, strict=True):
            near |= jumps[law] & (np.abs(m - edge[law, None]) < NEAR_JUMP_PU).any(axis=1)
        return len(np.unique(self._owner[0][near]))

    # --- adjoints ---------------------------------------------------------------------------------

    def slopes(self, volts: NodeVoltages) -> Slopes:
        """Slopes of all legs at a flow; compute once, use for every adjoint of that flow."""
        shape = volts.watt.shape
        direct, conjugate = np.empty(shape, dtype=np.complex128), np.empty(shape, dtype=np.complex128)
        leg_slopes(self._legs, volts.watt, volts.var, volts.parts, direct, conjugate)
        return Slopes(volts, direct, conjugate)

    def import_weights(self, volts: NodeVoltages) -> AdjointSeeds:
        """AdjointSeeds of the import in watt, one functional per period."""
        return self._source_weights(volts, slice(0, self._data.source.main))

    def other_sources_weights(self, volts: NodeVoltages) -> AdjointSeeds:
        """The same of what the sources feed in that are not the main one."""
        return self._source_weights(volts, slice(self._data.source.main, None))

    def _source_weights(self, volts: NodeVoltages, which: slice) -> AdjointSeeds:
        source = self._data.source
        v, current = self._head(volts)
        weights = np.conj(current) - source.admittance.T @ np.conj(v)
        return AdjointSeeds.dense(self.place[source.nodes[which]], weights[which], np.arange(volts.periods))

    def demand_weights(self, slopes: Slopes) -> AdjointSeeds:
        """AdjointSeeds of what the loads draw in watt, one functional per period.

        A leg draws ``Re(conj(u) I)``; with the slopes of I that gives the weight of du
        ``conj(I) + conj(u) direct + u conj(conjugate)``.
        """
        volts, loads = slopes.volts, self._loads
        a, b = self._legs.a[:loads], self._legs.b[:loads]
        u = volts.complex(a) - volts.complex(b)
        direct = slopes.direct[:loads] + self._legs.balance[:loads, None]
        weight = self.load_power(volts) / u + np.conj(u) * direct + u * np.conj(slopes.conjugate[:loads])
        rows, both = np.concatenate([a, b]), np.concatenate([weight, -weight])
        return AdjointSeeds.dense(rows, both, np.arange(volts.periods))

    def adjoint(
        self, slopes: Slopes, weights: AdjointSeeds, corrections: int
    ) -> tuple[FloatArray, FloatArray]:
        """How functionals follow the devices, per kW and per kvar, shape (functional, device).

        Args:
            slopes: at the flow.
            weights: the functionals, ``df = Re(w dV)``.
            corrections: passes that bring in the slopes of the load currents; each is a solve.
        """
        parts = [
            self._to_devices(slopes.volts, period, y)
            for period, y in self._adjoints(slopes, weights, corrections)
        ]
        if not parts:
            return np.zeros((0, self.devices)), np.zeros((0, self.devices))
        return np.concatenate([p for p, _ in parts]), np.concatenate([q for _, q in parts])

    def adjoint_at(
        self, slopes: Slopes, weights: AdjointSeeds, corrections: int, rows: IntArray
    ) -> ComplexArray:
        """How functionals follow a current into some nodes, shape (functional, row): ``df = Re(y dI)``."""
        parts = [
            (y[rows, : len(period)] + 1j * y[rows, len(period) :]).T
            for period, y in self._adjoints(slopes, weights, corrections)
        ]
        return np.concatenate([np.zeros((0, len(rows)), dtype=np.complex128), *parts])

    def response(self, slopes: Slopes, change_kva: ComplexArray, corrections: int) -> ComplexArray:
        """First-order change of the node voltages, volt, shape (node + 1, period), taps held.

        Args:
            slopes: at the flow.
            change_kva: of the device injections, shape (period, device).
            corrections: see :meth:`adjoint`.
        """
        volts = slopes.volts
        a, b = self._legs.a[self._loads :], self._legs.b[self._loads :]
        power = 1e3 * change_kva[:, self._owner[1]].T * self._share[1][:, None]
        current = np.conj(power / (volts.complex(a) - volts.complex(b)))
        injected = np.zeros((self._data.size + 1, volts.periods), dtype=np.complex128)
        np.add.at(injected, a, current)
        np.add.at(injected, b, -current)
        injected[-1] = 0.0
        source, period = as_parts(injected), np.arange(volts.periods)
        y = source.copy()
        self.factor.solve(y, volts.switching)
        for _ in range(corrections):
            x = source.copy()
            # The kernel's slopes are transposed: with this conjugate they are those of a forward solve.
            subtract_slopes(self._legs, slopes.direct, np.conj(slopes.conjugate), period, y, x)
            x[-1] = 0.0
            self.factor.solve(x, volts.switching)
            y = x
        return np.asarray(y[:, : volts.periods] + 1j * y[:, volts.periods :])

    def import_change(self, volts: NodeVoltages, change: ComplexArray) -> ComplexArray:
        """First-order change of the import from the main source, kVA, shape (period,)."""
        source = self._data.source
        v, current = self._head(volts)
        moved = change[self.place[source.nodes]]
        kva = (moved * np.conj(current) - v * np.conj(source.admittance @ moved)) / 1e3
        return np.asarray(kva[: source.main].sum(axis=0))

    @property
    def sites(self) -> IntArray:
        """Number of the site of each device: devices of one site inject into the same legs."""
        legs = self._data.devices
        of = [tuple(zip(legs.a[at], legs.b[at], strict=True)) for at in self._legs_of_devices()]
        number = {site: i for i, site in enumerate(dict.fromkeys(of))}
        return np.array([number[site] for site in of], dtype=np.int64)

    def _legs_of_devices(self) -> list[IntArray]:
        owner = self._owner[1]
        return [np.flatnonzero(owner == device) for device in range(self.devices)]

    @property
    def devices(self) -> int:
        """Number of devices."""
        return int(self._owner[1].max(initial=-1)) + 1

    def _adjoints(
        self, slopes: Slopes, weights: AdjointSeeds, corrections: int
    ) -> Iterator[tuple[IntArray, FloatArray]]:
        """Adjoint voltages, block by block, with the periods of each block's functionals."""
        count = len(weights.period)
        for first in range(0, count, COLUMNS):
            last = min(first + COLUMNS, count)
            period = weights.period[first:last]
            switching = slopes.volts.switching.at(period)
            w = weights.block(first, last, self._data.size + 1)
            y = w.copy()
            self.factor.solve(y, switching)
            for _ in range(corrections):
                x = w.copy()
                subtract_slopes(self._legs, slopes.direct, slopes.conjugate, period, y, x)
                x[-1] = 0.0
                self.factor.solve(x, switching)
                y = x
            yield period, y

    def _to_devices(
        self, volts: NodeVoltages, period: IntArray, y: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        at_a, at_b = self._legs.a[self._loads :], self._legs.b[self._loads :]
        width = len(period)
        difference = y[at_a] - y[at_b]
        u = volts.complex(at_a)[:, period] - volts.complex(at_b)[:, period]
        per_watt = (
            (difference[:, :width] + 1j * difference[:, width:]) * self._share[1][:, None] / np.conj(u)
        )
        total = np.zeros((self.devices, width), dtype=np.complex128)
        np.add.at(total, self._owner[1], 1e3 * per_watt)
        return np.ascontiguousarray(total.real.T), np.ascontiguousarray(total.imag.T)

    def device_response(self, volts: NodeVoltages, period: int) -> ComplexArray:
        """Voltage across each device leg per conjugate kVA of each device, shape (leg, device).

        Currents at frozen voltage: what the curvature of the losses is made of.
        """
        at_a, at_b = self._legs.a[self._loads :], self._legs.b[self._loads :]
        per_kva = self.current_per_kva(volts, period)
        response = np.empty((len(at_a), self.devices), dtype=np.complex128)
        for first in range(0, self.devices, COLUMNS):
            last = min(first + COLUMNS, self.devices)
            y = self._respond(volts, period, per_kva[:, first:last])
            z = y[at_a] - y[at_b]
            response[:, first:last] = z[:, : last - first] + 1j * z[:, last - first :]
        return response

    def current_per_kva(self, volts: NodeVoltages, period: int) -> ComplexArray:
        """Current of each device leg per conjugate kVA of each device, shape (leg, device)."""
        at_a, at_b = self._legs.a[self._loads :], self._legs.b[self._loads :]
        u = (volts.complex(at_a) - volts.complex(at_b))[:, period]
        matrix = np.zeros((len(at_a), self.devices), dtype=np.complex128)
        matrix[np.arange(len(at_a)), self._owner[1]] = 1e3 * self._share[1] / np.conj(u)
        return matrix

    def sketch(self, volts: NodeVoltages, period: int, mix: FloatArray) -> ComplexArray:
        """Voltages of all nodes per unit of some mixes of device powers, shape (node + 1, mix).

        Args:
            volts, period: the operating point.
            mix: kVA (conjugate) of each device in each mix, shape (device, mix).
        """
        y = self._respond(volts, period, self.current_per_kva(volts, period) @ mix)
        count = mix.shape[1]
        return np.asarray(y[:, :count] + 1j * y[:, count:])

    def _respond(self, volts: NodeVoltages, period: int, leg_current: ComplexArray) -> FloatArray:
        at_a, at_b = self._legs.a[self._loads :], self._legs.b[self._loads :]
        columns = leg_current.shape[1]
        current = np.zeros((self._data.size + 1, columns), dtype=np.complex128)
        np.add.at(current, at_a, leg_current)
        np.add.at(current, at_b, -leg_current)
        current[-1] = 0.0
        y = as_parts(current)
        self.factor.solve(y, volts.switching.at(np.full(columns, period, dtype=np.int64)))
        return y


def _between(a: IntArray, b: IntArray, y: ComplexArray, size: int) -> sp.csc_matrix:
    """Admittances between nodes as a matrix; the number of nodes stands for ground."""
    row = np.concatenate([a, b, a, b])
    column = np.concatenate([a, b, b, a])
    value = np.concatenate([y, y, -y, -y])
    keep = (row < size) & (column < size)
    return sp.csc_matrix((value[keep], (row[keep], column[keep])), shape=(size, size))
