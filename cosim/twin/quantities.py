"""What can have a limit at a flow: its values, and the weights of the voltages in its slope."""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.model.twin import Quantity
from cosim.twin.adjoint_seeds import AdjointSeeds
from cosim.twin.control_equilibrium import TRIED_AGAIN, InnerFlow
from cosim.twin.controls import Controls
from cosim.twin.data import TwinData
from cosim.twin.node_voltages import NodeVoltages
from cosim.twin.power_flow import FlowSolver

ALPHA = np.exp(2j * np.pi / 3)
SEQUENCES = np.array([[1, ALPHA**2, ALPHA], [1, ALPHA, ALPHA**2]]) / 3.0
"""Negative and positive sequence from three phase voltages."""


class Quantities:
    """Limited quantities of one feeder.

    Args:
        data: the feeder.
        solver: knows the order of its nodes.
        controls: its capacitors' controls.
    """

    def __init__(self, data: TwinData, solver: FlowSolver, controls: Controls) -> None:
        self._data, self._controls, self._place = data, controls, solver.place
        self._sensed = solver.place[controls.nodes]
        self._watch_a, self._watch_b = self._place[data.watch.a], self._place[data.watch.b]
        self._three = _three_phase_places(data, self._place)
        self._lines = np.flatnonzero(data.ampacity.line == 1)
        self._transformers = np.flatnonzero(data.ampacity.line == 0)
        rows = np.repeat(np.arange(len(data.ampacity.amps)), np.diff(data.ampacity.row.indptr))
        highest_v = np.zeros(len(data.ampacity.amps))
        np.maximum.at(highest_v, rows, data.base_v[data.ampacity.row.indices])
        self._rating_kva: FloatArray = data.ampacity.amps * highest_v / 1e3

    def rating_kva(self, quantity: Quantity) -> FloatArray:
        """What a share of one means for each line or transformer conductor."""
        return self._rating_kva[self._conductors(quantity)]

    def places(self, quantity: Quantity) -> int:
        """How many places have a quantity."""
        if quantity is Quantity.VOLTAGE:
            return len(self._watch_a)
        if quantity is Quantity.SWITCHING:
            return len(self._controls.capacitors)
        return len(self._three) if quantity is Quantity.UNBALANCE else len(self._conductors(quantity))

    def values(self, flow: InnerFlow, quantity: Quantity) -> FloatArray:
        """A quantity everywhere, shape (place, period); computed once per flow."""
        if quantity not in flow.kept_values:
            flow.kept_values[quantity] = self._values(flow, quantity)
        return flow.kept_values[quantity]

    def _values(self, flow: InnerFlow, quantity: Quantity) -> FloatArray:
        volts = flow.volts
        if quantity is Quantity.VOLTAGE:
            return np.asarray(np.abs(self.watched(volts)) / self._data.watch.base_v[:, None])
        if quantity is Quantity.UNBALANCE:
            negative, positive = self._sequences(volts, np.arange(len(self._three)), slice(None))
            return np.asarray(np.abs(negative) / np.abs(positive))
        if quantity is Quantity.SWITCHING:
            return self._rest(flow)[0]
        at = self._conductors(quantity)
        current = self._data.ampacity.row[at] @ volts.complex(self._place[:-1])
        return np.asarray(np.abs(current) / self._data.ampacity.amps[at][:, None])

    def weights(
        self, flow: InnerFlow, quantity: Quantity, place: IntArray, period: IntArray
    ) -> AdjointSeeds:
        """AdjointSeeds of a quantity at some places and periods, one functional each."""
        if quantity is Quantity.VOLTAGE:
            return self._voltage_weights(flow.volts, place, period)
        if quantity is Quantity.SWITCHING:
            _, slope = self._rest(flow)
            return AdjointSeeds.dense(self._sensed, np.ascontiguousarray(slope[place, :, period].T), period)
        if quantity is Quantity.UNBALANCE:
            return self._unbalance_weights(flow.volts, place, period)
        return self._current_weights(flow.volts, self._conductors(quantity)[place], period)

    def _conductors(self, quantity: Quantity) -> IntArray:
        return self._lines if quantity is Quantity.LINE else self._transformers

    # --- voltages ---------------------------------------------------------------------------------

    def watched(self, volts: NodeVoltages) -> ComplexArray:
        """Complex voltages that have limits, volt, shape (place, period)."""
        return volts.complex(self._watch_a) - volts.complex(self._watch_b)

    def turned(self, response: ComplexArray, volts: NodeVoltages, period: int) -> ComplexArray:
        """Voltages of all nodes, shape (node, mix), as seen along the watched voltages of a period."""
        u = self.watched(volts)[:, period]
        along: ComplexArray = (np.conj(u) / np.abs(u))[:, None] * (
            response[self._watch_a] - response[self._watch_b]
        )
        return along

    def deviation_weights(self, volts: NodeVoltages, centre_pu: float) -> AdjointSeeds:
        """AdjointSeeds of the sum over places of ``(v² - centre²)²``, one functional per period."""
        u, base_v = self.watched(volts), self._data.watch.base_v[:, None]
        squared = (np.abs(u) / base_v) ** 2 - centre_pu**2
        weight = 4.0 * squared * np.conj(u) / base_v**2
        rows = np.concatenate([self._watch_a, self._watch_b])
        return AdjointSeeds.dense(rows, np.concatenate([weight, -weight]), np.arange(volts.periods))

    def voltage_change(self, volts: NodeVoltages, change: ComplexArray) -> FloatArray:
        """First-order change of the watched voltages, pu, shape (place, period).

        Args:
            volts: the operating point.
            change: of the node voltages, volt, shape (node + 1, period).
        """
        u = self.watched(volts)
        moved = change[self._watch_a] - change[self._watch_b]
        return np.asarray((np.conj(u) / np.abs(u) * moved).real / self._data.watch.base_v[:, None])

    def _voltage_weights(self, volts: NodeVoltages, place: IntArray, period: IntArray) -> AdjointSeeds:
        a, b = self._watch_a[place], self._watch_b[place]
        u = _picked(volts, a, period) - _picked(volts, b, period)
        value = np.conj(u) / (np.abs(u) * self._data.watch.base_v[place])
        column = np.arange(len(place))
        return AdjointSeeds(
            np.concatenate([a, b]), np.tile(column, 2), np.concatenate([value, -value]), period
        )

    # --- currents ---------------------------------------------------------------------------------

    def current_change(self, volts: NodeVoltages, change: ComplexArray, quantity: Quantity) -> FloatArray:
        """First-order change of the currents of lines or transformers, share of the rating.

        Args:
            volts: the operating point.
            change: of the node voltages, volt, shape (node + 1, period).
            quantity: whose currents.

        Returns:
            Shape (conductor, period).
        """
        at = self._conductors(quantity)
        row, amps = self._data.ampacity.row[at], self._data.ampacity.amps[at][:, None]
        current = row @ volts.complex(self._place[:-1])
        towards = np.conj(current) / np.maximum(np.abs(current), 1e-9)
        return np.asarray((towards * (row @ change[self._place[:-1]])).real / amps)

    def _current_weights(self, volts: NodeVoltages, conductor: IntArray, period: IntArray) -> AdjointSeeds:
        rows = self._data.ampacity.row[conductor].tocoo()
        node = self._place[rows.col]
        part = rows.data * _picked(volts, node, period[rows.row])
        current = np.zeros(len(conductor), dtype=np.complex128)
        np.add.at(current, rows.row, part)
        towards = np.conj(current) / np.maximum(np.abs(current), 1e-9) / self._data.ampacity.amps[conductor]
        value: ComplexArray = np.asarray(rows.data * towards[rows.row], dtype=np.complex128)
        return AdjointSeeds(node, rows.row.astype(np.int64), value, period)

    # --- capacitor controls -----------------------------------------------------------------------

    def _rest(self, flow: InnerFlow) -> tuple[FloatArray, ComplexArray]:
        """How near capacitor controls are to switching, shape (control, period), and slopes by node.

        Where the controls hunt, far away, there is no rest to keep yet, and the distance counts as none.
        """
        v = flow.volts.complex(self._sensed)
        slope = np.empty((len(self._controls.capacitors), *v.shape), dtype=np.complex128)
        apart = np.zeros((slope.shape[0], slope.shape[2]))
        for period, state in enumerate(flow.states):
            distance, slope[:, :, period] = self._controls.bank_rest(state, v[:, period])
            if period < TRIED_AGAIN or period not in flow.hunting_periods:
                apart[:, period] = distance
        return apart, slope

    # --- unbalance --------------------------------------------------------------------------------

    def _sequences(
        self, volts: NodeVoltages, place: IntArray, period: IntArray | slice
    ) -> tuple[ComplexArray, ComplexArray]:
        phases = [volts.complex(self._three[place, i]) for i in range(3)]
        v = np.array(
            [
                phase if isinstance(period, slice) else phase[np.arange(len(place)), period]
                for phase in phases
            ]
        )
        both = np.tensordot(SEQUENCES, v, axes=1)
        return both[0], both[1]

    def _unbalance_weights(self, volts: NodeVoltages, place: IntArray, period: IntArray) -> AdjointSeeds:
        negative, positive = self._sequences(volts, place, period)
        m, n = np.maximum(np.abs(negative), 1e-9), np.abs(positive)
        value = np.conj(negative) / (m * n) * SEQUENCES[0][:, None]
        value = value - m * np.conj(positive) / n**3 * SEQUENCES[1][:, None]
        column = np.tile(np.arange(len(place)), 3)
        weights: ComplexArray = np.asarray(value.ravel(), dtype=np.complex128)
        return AdjointSeeds(self._three[place].T.ravel(), column, weights, period)


def _picked(volts: NodeVoltages, row: IntArray, period: IntArray) -> ComplexArray:
    """One voltage per pair of row and period."""
    return np.asarray(volts.parts[row, period] + 1j * volts.parts[row, volts.periods + period])


def _three_phase_places(data: TwinData, place: IntArray) -> IntArray:
    """Rows of phases 1, 2 and 3 of the buses where all three are watched to ground, shape (bus, 3)."""
    at = {
        name: int(place[a])
        for name, a, b in zip(data.watch.names, data.watch.a, data.watch.b, strict=True)
        if b == data.size
    }
    buses = dict.fromkeys(name.rsplit(".", 1)[0] for name in at)
    full = [bus for bus in buses if all(f"{bus}.{phase}" in at for phase in (1, 2, 3))]
    return np.array(
        [[at[f"{bus}.{phase}"] for phase in (1, 2, 3)] for bus in full], dtype=np.int64
    ).reshape(-1, 3)
