"""Flow and controls in turn, until every period's regulators and capacitors rest in that period's flow."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cosim.feeder.twin.controls import Controls, ControlState
from cosim.feeder.twin.flow import FlowSolver, Slopes, Volts
from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.model.twin import Quantity

SETTLING_TOLERANCE_PU = 2e-5
MOST_PASSES = 12
"""Flow and controls are repeated at most so often until the controls rest."""
MOST_CHANGES = 3
"""A period whose controls moved in more passes than this hunts."""
CONTROL_ITERATIONS = 40
"""Of the controls of one period; twice what any rest has taken."""
MOST_KEPT_STATES = 500
"""Admittances of so many switching states are kept: plans meet the same ones again and again."""
TRIED_AGAIN = 4
"""So many periods from now are given another chance to rest at every plan."""

States = tuple[ControlState, ...]
"""One state per period."""
Restless = frozenset[int]
"""Periods whose controls hunt; they are held."""


@dataclass
class InnerFlow:
    """What the twin keeps of a flow.

    Attributes:
        volts: voltages of all periods.
        states: of the controls.
        restless: periods that are held.
        kept_slopes: of the leg currents, once they were asked for.
        kept_values: of limited quantities, likewise.
    """

    volts: Volts
    states: States
    restless: Restless
    kept_slopes: list[Slopes] = field(default_factory=list)
    kept_values: dict[Quantity, FloatArray] = field(default_factory=dict)

    def moved(self, period: IntArray) -> InnerFlow:
        """The given periods, in the given order; the nearest that hunted are tried again."""
        hunted = {new for new, old in enumerate(period) if int(old) in self.restless}
        restless = frozenset(new for new in hunted if new >= TRIED_AGAIN)
        return InnerFlow(self.volts.moved(period), tuple(self.states[i] for i in period), restless)


class Settling:
    """Flows of one feeder under its controls.

    Args:
        solver: of the flows.
        controls: regulators and capacitors.

    Attributes:
        measured: state of the controls now.
        demand_kva: forecast demand at rated voltage, shape (period, load).
    """

    def __init__(self, solver: FlowSolver, controls: Controls) -> None:
        self._solver, self._controls = solver, controls
        self._sensed = solver.place[controls.nodes]
        self.measured = controls.present
        self.demand_kva: ComplexArray = np.zeros((0, 0), dtype=np.complex128)
        self._changes: dict[ControlState, ComplexArray] = {}

    def solve(
        self, device_kva: ComplexArray, states: States, start: Volts | None, tolerance: float
    ) -> Volts:
        """Flows with the controls held in some states."""
        column = self.use_states(states)
        return self._solver.solve(self.demand_kva, device_kva, column, tolerance=tolerance, start=start)

    def solve_period(
        self, device_kva: ComplexArray, period: int, state: ControlState, start: Volts
    ) -> Volts:
        """Flow of one period in some state."""
        column = self.use_states((state,))
        one = slice(period, period + 1)
        return self._solver.solve(
            self.demand_kva[one],
            device_kva[one],
            column,
            tolerance=SETTLING_TOLERANCE_PU,
            start=start,
        )

    def use_states(self, states: States) -> IntArray:
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

    def sensed(self, volts: Volts) -> ComplexArray:
        """Voltages that the controls look at, volt, shape (node, period)."""
        return volts.complex(self._sensed)

    def settle(
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
            volts = self.solve(device_kva, states, volts, SETTLING_TOLERANCE_PU)
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
        before, settled, overran = self.measured, list[ControlState](), set[int]()
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


class _PeriodFlow:
    """One period under its controls: the exact flow in whatever state they go through.

    Args:
        settling: whose feeder.
        period: which.
        device_kva: of the whole flow.
        volts: the whole flow.
        state: of the period in it.
    """

    def __init__(
        self,
        settling: Settling,
        period: int,
        device_kva: ComplexArray,
        volts: Volts,
        state: ControlState,
    ) -> None:
        self._settling, self._period, self._device_kva = settling, period, device_kva
        self._all, self._known = volts, state
        self._last: Volts | None = None
        # Controls that hunt come back to the same states again and again.
        self._seen: dict[ControlState, ComplexArray] = {}

    def sense(self, state: ControlState) -> ComplexArray:
        """Voltages that the controls look at in a state, volt."""
        if state == self._known:
            return self._settling.sensed(self._all)[:, self._period]
        if state not in self._seen:
            start = self._last or self._all.moved(np.array([self._period]))
            self._last = self._settling.solve_period(self._device_kva, self._period, state, start)
            self._seen[state] = self._settling.sensed(self._last)[:, 0]
        return self._seen[state]
