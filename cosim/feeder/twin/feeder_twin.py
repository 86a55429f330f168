"""The twin: a model of the feeder beside the feeder, exact in its flows and in their slopes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from cosim.errors import ContractError
from cosim.feeder.twin.controls import Controls, ControlState
from cosim.feeder.twin.curvature import curvature_of
from cosim.feeder.twin.data import TwinData
from cosim.feeder.twin.flow import FlowSolver, Slopes, Volts, Weights
from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.model.state import Measurement
from cosim.model.twin import LossCurvature, Quantity, Slope, TwinFlow

FLOW_TOLERANCE_PU, SETTLING_TOLERANCE_PU = 1e-8, 2e-5
MOST_PASSES = 12
"""Flow and controls are repeated at most so often until the controls rest."""
TRIED_AGAIN = 4
"""So many periods from now are given another chance to rest at every plan."""
MOST_CHANGES = 3
"""A period whose controls moved in more passes than this hunts."""
CONTROL_ITERATIONS = 40
"""Of the controls of one period; twice what any rest has taken."""
IMPORT_CORRECTIONS, LIMIT_CORRECTIONS = 8, 3
"""Passes that bring the load currents' slopes into an adjoint (each wins about a digit)."""
MOST_KEPT_STATES = 500
"""Admittances of so many switching states are kept: plans meet the same ones again and again."""
MIXES = 24
"""Random mixes of device powers that tell which voltages move alike."""
MIX_SEED = 8500
"""Of those mixes. They only choose which of some limits that move alike gets a row."""

ALPHA = np.exp(2j * np.pi / 3)
SEQUENCES = np.array([[1, ALPHA**2, ALPHA], [1, ALPHA, ALPHA**2]]) / 3.0
"""Negative and positive sequence from three phase voltages."""


States = tuple[ControlState, ...]
"""One state per period."""
Restless = frozenset[int]
"""Periods whose controls hunt; they are held."""


@dataclass
class _Inner:
    """What the twin keeps of a flow."""

    volts: Volts
    states: States
    restless: Restless
    kept_slopes: list[Slopes] = field(default_factory=list)
    kept_values: dict[Quantity, FloatArray] = field(default_factory=dict)


class FeederTwin:
    """See :class:`cosim.model.twin.Twin`.

    Args:
        data: the feeder.
        controls: its regulators and capacitors.
        stale: believe in the taps and capacitors measured first, ever after.
        frozen: believe that no control reacts to a plan.
    """

    def __init__(
        self, data: TwinData, controls: Controls, *, stale: bool = False, frozen: bool = False
    ) -> None:
        self._data, self._controls = data, controls
        self._solver = FlowSolver(data, controls.switching_nodes)
        self._sensed = self._solver.place[controls.nodes]
        place = self._solver.place
        self._watch_a, self._watch_b = place[data.watch.a], place[data.watch.b]
        self._three = _three_phase_places(data, place)
        self._lines = np.flatnonzero(data.ampacity.line == 1)
        self._transformers = np.flatnonzero(data.ampacity.line == 0)
        self._state = controls.present
        self._stale, self._frozen, self._measured = stale, frozen, False
        rows = np.repeat(np.arange(len(data.ampacity.amps)), np.diff(data.ampacity.row.indptr))
        highest_v = np.zeros(len(data.ampacity.amps))
        np.maximum.at(highest_v, rows, data.base_v[data.ampacity.row.indices])
        self._rating_kva: FloatArray = data.ampacity.amps * highest_v / 1e3
        self._demand: ComplexArray = np.zeros((0, 0), dtype=np.complex128)
        self._changes: dict[ControlState, ComplexArray] = {}
        self._sketch: ComplexArray | None = None
        self._curvature: dict[int, LossCurvature] = {}

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names behind ``voltage_pu``."""
        return self._data.watch.names

    # --- flows ------------------------------------------------------------------------------------

    def look_ahead(self, measurement: Measurement, demand_kva: ComplexArray) -> None:
        """See :class:`cosim.model.twin.Twin`."""
        self._demand = demand_kva
        if self._stale and self._measured:
            return
        self._measured = True
        closed = tuple(bool(value) for value in measurement.capacitor_closed)
        # A bank that is open counts as opened by its control: its dead time cannot be measured.
        self._state = replace(
            self._controls.present,
            taps=tuple(float(tap) for tap in measurement.tap),
            closed=closed,
            opened=tuple(not value for value in closed),
        )

    def at_rest(self, periods: int) -> TwinFlow:
        """The state of the reading in some periods, as a start for flows."""
        volts = self._solver.at_reading(periods)
        states = (self._state,) * periods
        self._use_states(states)
        none = np.zeros((periods, self._solver.devices), dtype=np.complex128)
        return self._describe(none, volts, states, frozenset())

    def moved(self, flow: TwinFlow, period: IntArray) -> TwinFlow:
        """See :class:`cosim.model.twin.Twin`."""
        inner = _inner(flow)
        states = tuple(inner.states[i] for i in period)
        return replace(
            flow,
            device_kva=flow.device_kva[period],
            tap=flow.tap[period],
            capacitor_closed=flow.capacitor_closed[period],
            voltage_pu=flow.voltage_pu[:, period],
            import_kva=flow.import_kva[period],
            losses_kw=flow.losses_kw[period],
            converged=flow.converged[period],
            inner=_Inner(inner.volts.moved(period), states, _still_restless(inner.restless, period)),
        )

    def flow(
        self, device_kva: ComplexArray, start: TwinFlow | None = None, *, held: bool = False
    ) -> TwinFlow:
        """See :class:`cosim.model.twin.Twin`.

        Raises:
            ContractError: states are to be held, but of no flow.
        """
        earlier = None if start is None else _inner(start)
        periods = len(self._demand)
        if held and earlier is None:
            raise ContractError("regulators can only be held as they were in an earlier flow")
        states = (self._state,) * periods if earlier is None else earlier.states
        volts = None if earlier is None else earlier.volts
        restless = frozenset() if earlier is None else earlier.restless
        if self._frozen:
            states = (self._state,) * periods
        elif not held:
            states, volts, restless = self._settle(device_kva, states, volts, restless)
        volts = self._solve(device_kva, states, volts, FLOW_TOLERANCE_PU)
        return self._describe(device_kva, volts, states, restless)

    def _settle(
        self, device_kva: ComplexArray, states: States, volts: Volts | None, restless: Restless
    ) -> tuple[States, Volts | None, Restless]:
        """Flow and controls in turn until every period's controls rest in that period's flow.

        A period starts where the one before it rests, and its controls see the exact flow of every
        state they go through. A period whose controls hunt is held from then on: it has no rest.
        """
        # Reached from the period before, or from the measured state: what the earlier flow settled.
        origins: list[ControlState | None] = [None, *states[:-1]] if volts else [None] * len(states)
        changes = np.zeros(len(states), dtype=np.int64)
        for _ in range(MOST_PASSES):
            volts = self._solve(device_kva, states, volts, SETTLING_TOLERANCE_PU)
            if not volts.converged.all():
                break
            settled, overran = self._react(device_kva, volts, states, origins, restless)
            moved = np.array([a != b for a, b in zip(settled, states, strict=True)])
            changes += moved
            hunting = overran | set(np.flatnonzero(changes > MOST_CHANGES).tolist())
            states, restless = settled, restless | hunting
            if not moved.any():
                break
        return states, volts, restless

    def _solve(
        self, device_kva: ComplexArray, states: States, start: Volts | None, tolerance: float
    ) -> Volts:
        column = self._use_states(states)
        return self._solver.solve(self._demand, device_kva, column, tolerance=tolerance, start=start)

    def _use_states(self, states: States) -> IntArray:
        """Let the factors know some switching states; returns the index of each period's."""
        distinct = list(dict.fromkeys(states))
        self._solver.factor.set_states([self._change(state) for state in distinct])
        index = {state: i for i, state in enumerate(distinct)}
        return np.array([index[state] for state in states], dtype=np.int64)

    def _change(self, state: ControlState) -> ComplexArray:
        """Change of the border's admittance against the reading."""
        known = self._changes.get(state)
        if known is not None:
            return known
        if len(self._changes) > MOST_KEPT_STATES:
            self._changes.clear()
        change = self._changes[state] = self._controls.admittance_change(state)
        return change

    def _react(
        self,
        device_kva: ComplexArray,
        volts: Volts,
        states: States,
        origins: list[ControlState | None],
        restless: Restless,
    ) -> tuple[States, Restless]:
        """Where the controls go from the states of a flow, and the periods in which they find no rest.

        Args:
            device_kva: of the flow.
            volts: flow in the states.
            states: of each period.
            origins: state from which each period's was reached; kept up to date here.
            restless: periods that are held.
        """
        before, settled, overran = self._state, list[ControlState](), set[int]()
        for period, state in enumerate(states):
            if period in restless:
                before = state
            else:
                begin = state if origins[period] == before else before
                origins[period] = before
                here = _PeriodFlow(self, period, device_kva, volts, state)
                rest = self._controls.settle(begin, here.sense, CONTROL_ITERATIONS)
                before = rest.state
                if rest.overrun:
                    overran.add(period)
            settled.append(before)
        return tuple(settled), frozenset(overran)

    def _sensed_in(self, volts: Volts, column: int) -> ComplexArray:
        """Voltages that the controls look at, volt."""
        return volts.complex(self._sensed)[:, column]

    def _solve_period(
        self, device_kva: ComplexArray, period: int, state: ControlState, start: Volts
    ) -> Volts:
        """Flow of one period in some state."""
        column = self._use_states((state,))
        one = slice(period, period + 1)
        return self._solver.solve(
            self._demand[one], device_kva[one], column, tolerance=SETTLING_TOLERANCE_PU, start=start
        )

    def _describe(
        self, device_kva: ComplexArray, volts: Volts, states: States, restless: Restless
    ) -> TwinFlow:
        imported = self._solver.import_kva(volts)
        drawn_kw = self._solver.load_power(volts).real.sum(axis=0) / 1e3
        return TwinFlow(
            device_kva=device_kva,
            tap=np.array([state.taps for state in states]),
            capacitor_closed=np.array([state.closed for state in states], dtype=bool),
            voltage_pu=self._magnitudes(volts),
            import_kva=imported,
            losses_kw=np.asarray(imported.real + device_kva.real.sum(axis=1) - drawn_kw),
            converged=volts.converged,
            hunting=len(restless),
            iterations=volts.iterations,
            inner=_Inner(volts, states, restless),
        )

    def _watched(self, volts: Volts) -> ComplexArray:
        return volts.complex(self._watch_a) - volts.complex(self._watch_b)

    def _magnitudes(self, volts: Volts) -> FloatArray:
        return np.asarray(np.abs(self._watched(volts)) / self._data.watch.base_v[:, None])

    # --- slopes of the objective ------------------------------------------------------------------

    def import_slope(self, flow: TwinFlow) -> Slope:
        """See :class:`cosim.model.twin.Twin`."""
        volts = _inner(flow).volts
        p, q = self._adjoint(flow, self._solver.import_weights(volts), IMPORT_CORRECTIONS)
        return p / 1e3, q / 1e3

    def losses_slope(self, flow: TwinFlow) -> Slope:
        """See :class:`cosim.model.twin.Twin`."""
        # Losses are import plus injection less the loads' demand; the demand follows the voltage.
        weights = self._solver.demand_weights(self._slopes(flow))
        demand_p, demand_q = self._adjoint(flow, weights, IMPORT_CORRECTIONS)
        import_p, import_q = self.import_slope(flow)
        return import_p + 1.0 - demand_p / 1e3, import_q - demand_q / 1e3

    def deviation_slope(self, flow: TwinFlow, centre_pu: float) -> tuple[FloatArray, Slope]:
        """See :class:`cosim.model.twin.Twin`."""
        volts = _inner(flow).volts
        u = self._watched(volts)
        squared = flow.voltage_pu**2 - centre_pu**2
        weight = 4.0 * squared * np.conj(u) / self._data.watch.base_v[:, None] ** 2
        rows = np.concatenate([self._watch_a, self._watch_b])
        weights = Weights.dense(rows, np.concatenate([weight, -weight]), np.arange(volts.periods))
        return np.asarray((squared**2).sum(axis=0)), self._adjoint(flow, weights, IMPORT_CORRECTIONS)

    def _adjoint(self, flow: TwinFlow, weights: Weights, corrections: int) -> Slope:
        self._use_states(_inner(flow).states)
        return self._solver.adjoint(self._slopes(flow), weights, corrections)

    def _slopes(self, flow: TwinFlow) -> Slopes:
        inner = _inner(flow)
        if not inner.kept_slopes:
            inner.kept_slopes.append(self._solver.slopes(inner.volts))
        return inner.kept_slopes[0]

    def loss_curvature(self, flow: TwinFlow, period: int, modes: int) -> LossCurvature:
        """See :class:`cosim.model.twin.Twin`. Computed once per feeder: it only guides the steps."""
        if modes not in self._curvature:
            self._use_states(_inner(flow).states)
            volts = _inner(flow).volts
            current = self._solver.current_per_kva(volts, period)
            losses = np.conj(current.T) @ self._solver.device_response(volts, period) / 1e3
            self._curvature[modes] = curvature_of(
                0.5 * (losses + np.conj(losses.T)), self._solver.sites, modes
            )
        return self._curvature[modes]

    def rating_kva(self, quantity: Quantity) -> FloatArray:
        """See :class:`cosim.model.twin.Twin`."""
        return self._rating_kva[self._conductors(quantity)]

    # --- limits -----------------------------------------------------------------------------------

    def places(self, quantity: Quantity) -> int:
        """See :class:`cosim.model.twin.Twin`."""
        if quantity is Quantity.VOLTAGE:
            return len(self._watch_a)
        if quantity is Quantity.SWITCHING:
            return len(self._controls.capacitors)
        return len(self._three) if quantity is Quantity.UNBALANCE else len(self._conductors(quantity))

    def values(self, flow: TwinFlow, quantity: Quantity) -> FloatArray:
        """See :class:`cosim.model.twin.Twin`. Computed once per flow and quantity."""
        if quantity is Quantity.VOLTAGE:
            return flow.voltage_pu
        kept = _inner(flow).kept_values
        if quantity not in kept:
            kept[quantity] = self._values(flow, quantity)
        return kept[quantity]

    def _values(self, flow: TwinFlow, quantity: Quantity) -> FloatArray:
        volts = _inner(flow).volts
        if quantity is Quantity.UNBALANCE:
            negative, positive = self._sequences(volts, np.arange(len(self._three)), slice(None))
            return np.asarray(np.abs(negative) / np.abs(positive))
        if quantity is Quantity.SWITCHING:
            return self._rest(_inner(flow))[0]
        at = self._conductors(quantity)
        current = self._data.ampacity.row[at] @ volts.complex(self._solver.place[:-1])
        return np.asarray(np.abs(current) / self._data.ampacity.amps[at][:, None])

    def _conductors(self, quantity: Quantity) -> IntArray:
        return self._lines if quantity is Quantity.LINE else self._transformers

    def slope(self, flow: TwinFlow, quantity: Quantity, place: IntArray, period: IntArray) -> Slope:
        """See :class:`cosim.model.twin.Twin`."""
        volts = _inner(flow).volts
        if quantity is Quantity.VOLTAGE:
            weights = self._voltage_weights(volts, place, period)
        elif quantity is Quantity.SWITCHING:
            _, slope = self._rest(_inner(flow))
            rows = self._solver.place[self._controls.nodes]
            weights = Weights.dense(rows, np.ascontiguousarray(slope[place, :, period].T), period)
        elif quantity is Quantity.UNBALANCE:
            weights = self._unbalance_weights(volts, place, period)
        else:
            weights = self._current_weights(volts, self._conductors(quantity)[place], period)
        return self._adjoint(flow, weights, LIMIT_CORRECTIONS)

    def _voltage_weights(self, volts: Volts, place: IntArray, period: IntArray) -> Weights:
        a, b = self._watch_a[place], self._watch_b[place]
        u = _picked(volts, a, period) - _picked(volts, b, period)
        value = np.conj(u) / (np.abs(u) * self._data.watch.base_v[place])
        column = np.arange(len(place))
        return Weights(np.concatenate([a, b]), np.tile(column, 2), np.concatenate([value, -value]), period)

    def _current_weights(self, volts: Volts, conductor: IntArray, period: IntArray) -> Weights:
        rows = self._data.ampacity.row[conductor].tocoo()
        node = self._solver.place[rows.col]
        part = rows.data * _picked(volts, node, period[rows.row])
        current = np.zeros(len(conductor), dtype=np.complex128)
        np.add.at(current, rows.row, part)
        towards = np.conj(current) / np.maximum(np.abs(current), 1e-9) / self._data.ampacity.amps[conductor]
        value: ComplexArray = np.asarray(rows.data * towards[rows.row], dtype=np.complex128)
        return Weights(node, rows.row.astype(np.int64), value, period)

    def _rest(self, inner: _Inner) -> tuple[FloatArray, ComplexArray]:
        """How near capacitor controls are to switching, shape (control, period), and slopes by node.

        Where the controls hunt there is no rest to keep, and the distance counts as none.
        """
        v = inner.volts.complex(self._sensed)
        slope = np.empty((len(self._controls.capacitors), *v.shape), dtype=np.complex128)
        apart = np.zeros((slope.shape[0], slope.shape[2]))
        for period, state in enumerate(inner.states):
            distance, slope[:, :, period] = self._controls.bank_rest(state, v[:, period])
            if period not in inner.restless:
                apart[:, period] = distance
        return apart, slope

    def _sequences(
        self, volts: Volts, place: IntArray, period: IntArray | slice
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

    def _unbalance_weights(self, volts: Volts, place: IntArray, period: IntArray) -> Weights:
        negative, positive = self._sequences(volts, place, period)
        m, n = np.maximum(np.abs(negative), 1e-9), np.abs(positive)
        value = np.conj(negative) / (m * n) * SEQUENCES[0][:, None]
        value = value - m * np.conj(positive) / n**3 * SEQUENCES[1][:, None]
        column = np.tile(np.arange(len(place)), 3)
        weights: ComplexArray = np.asarray(value.ravel(), dtype=np.complex128)
        return Weights(self._three[place].T.ravel(), column, weights, period)

    def alike(self, flow: TwinFlow, place: int, period: int, others: IntArray) -> FloatArray:
        """See :class:`cosim.model.twin.Twin`."""
        if self._sketch is None:
            mix = np.random.default_rng(MIX_SEED).standard_normal((self._solver.devices, MIXES))
            self._use_states(_inner(flow).states)
            volts = _inner(flow).volts
            response = self._solver.sketch(volts, period, mix)
            u = self._watched(volts)[:, period]
            turned = (np.conj(u) / np.abs(u))[:, None] * (response[self._watch_a] - response[self._watch_b])
            both = np.concatenate([turned.real, turned.imag], axis=1)
            self._sketch = both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-30)
        return np.asarray(self._sketch[others] @ self._sketch[place])


def _inner(flow: TwinFlow) -> _Inner:
    if not isinstance(flow.inner, _Inner):
        raise ContractError("the flow was not made by this twin")
    return flow.inner


def _still_restless(restless: Restless, period: IntArray) -> Restless:
    """Periods that hunted in an earlier flow, by their new number; the nearest are tried again."""
    moved = {new for new, old in enumerate(period) if int(old) in restless}
    return frozenset(new for new in moved if new >= TRIED_AGAIN)


def _picked(volts: Volts, row: IntArray, period: IntArray) -> ComplexArray:
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


class _PeriodFlow:
    """One period under its controls: the exact flow in whatever state they go through.

    Args:
        twin: whose feeder.
        period: which.
        device_kva: of the whole flow.
        volts: the whole flow.
        state: of the period in it.
    """

    def __init__(
        self,
        twin: FeederTwin,
        period: int,
        device_kva: ComplexArray,
        volts: Volts,
        state: ControlState,
    ) -> None:
        self._twin, self._period, self._device_kva = twin, period, device_kva
        self._all, self._known = volts, state
        self._last: Volts | None = None
        # Controls that hunt come back to the same states again and again.
        self._seen: dict[ControlState, ComplexArray] = {}

    def sense(self, state: ControlState) -> ComplexArray:
        """Voltages that the controls look at in a state, volt."""
        if state == self._known:
            return self._twin._sensed_in(self._all, self._period)
        if state not in self._seen:
            start = self._last or self._all.moved(np.array([self._period]))
            self._last = self._twin._solve_period(self._device_kva, self._period, state, start)
            self._seen[state] = self._twin._sensed_in(self._last, 0)
        return self._seen[state]
