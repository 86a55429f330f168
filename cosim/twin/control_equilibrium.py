"""Flow and controls in turn, until every period's regulators and capacitors rest in that period's flow."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import cast

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.model.scenario_tree import ScenarioTree
from cosim.model.twin import Quantity
from cosim.twin.commanded_positions import Commands
from cosim.twin.controls import Controls, ControlState, Settled
from cosim.twin.factor import Switching
from cosim.twin.node_voltages import NodeVoltages, Slopes, joined
from cosim.twin.power_flow import FlowSolver

SETTLING_TOLERANCE_PU = 2e-5
CONTROL_ITERATIONS = 40
"""Of the controls of one period; twice what any rest has taken."""
MOST_KEPT_STATES = 200
"""Inverses of so many switching states are kept: plans meet the same ones again and again."""
TRIED_AGAIN = 3
"""So many periods from now are given another chance to rest at every plan."""

States = tuple[ControlState, ...]
"""One state per period."""
Hunting = frozenset[int]
"""Periods whose controls hunt; they are held."""


@dataclass(frozen=True)
class Gain:
    """How regulated voltages answer to taps in one period.

    Attributes:
        state: in which it was found.
        taps: regulators that are free to follow, ascending.
        of_taps: change of the voltages of these per change of their taps, shape (regulator, tap).
    """

    state: ControlState
    taps: IntArray
    of_taps: FloatArray


@dataclass
class InnerFlow:
    """What the twin keeps of a flow.

    Attributes:
        volts: voltages of all periods.
        states: of the controls.
        hunting_periods: periods that are held.
        gains: how regulated voltages answer to taps, by period, see :class:`Gain`.
        kept_slopes: of the leg currents, once they were asked for.
        kept_values: of limited quantities, likewise.
    """

    volts: NodeVoltages
    states: States
    hunting_periods: Hunting
    gains: dict[int, Gain] = field(default_factory=dict)
    kept_slopes: Slopes | None = None
    kept_values: dict[Quantity, FloatArray] = field(default_factory=dict)

    def moved(self, period: IntArray) -> InnerFlow:
        """The given periods, in the given order; the nearest that hunted are tried again."""
        hunted = {new for new, old in enumerate(period) if int(old) in self.hunting_periods}
        hunting_periods = frozenset(new for new in hunted if new >= TRIED_AGAIN)
        gains = {new: self.gains[int(old)] for new, old in enumerate(period) if int(old) in self.gains}
        states = tuple(self.states[i] for i in period)
        return InnerFlow(self.volts.moved(period), states, hunting_periods, gains)


class ControlEquilibrium:
    """Flows of one feeder under its controls.

    Args:
        solver: of the flows.
        controls: regulators and capacitors.

    Attributes:
        measured: state of the controls now.
        demand_kva: forecast demand at rated voltage, shape (period, load).
        source_ratio: forecast voltage of the source, shape (period,).
        tree: which period follows which; with scenarios, periods are its nodes.

    Device powers may be those of several candidates: then they have one row per candidate and period,
    candidate by candidate, and each candidate starts from the measured state.
    """

    def __init__(self, solver: FlowSolver, controls: Controls) -> None:
        self._solver, self._controls = solver, controls
        self._sensed = solver.place[controls.nodes]
        self.measured = controls.present
        self.demand_kva: ComplexArray = np.zeros((0, 0), dtype=np.complex128)
        self.source_ratio: FloatArray = np.ones(0)
        self.tree = ScenarioTree(1)
        self._inverses: dict[ControlState, ComplexArray] = {}

    def solve(
        self, device_kva: ComplexArray, states: States, start: NodeVoltages | None, tolerance: float
    ) -> NodeVoltages:
        """Flows with the controls held in some states."""
        candidates = self._candidates(device_kva)
        return self._solver.solve(
            np.tile(self.demand_kva, (candidates, 1)) if candidates > 1 else self.demand_kva,
            device_kva,
            self.switching(states),
            source_ratio=np.tile(self.source_ratio, candidates),
            tolerance=tolerance,
            start=start,
        )

    def _candidates(self, device_kva: ComplexArray) -> int:
        return max(len(device_kva) // max(len(self.demand_kva), 1), 1)

    def _solve_rows(
        self, device_kva: ComplexArray, rows: IntArray, states: States, start: NodeVoltages
    ) -> NodeVoltages:
        """Flows of some rows of device powers, each in some state."""
        period = rows % len(self.demand_kva)
        return self._solver.solve(
            self.demand_kva[period],
            device_kva[rows],
            self.switching(states),
            source_ratio=self.source_ratio[period],
            tolerance=SETTLING_TOLERANCE_PU,
            start=start,
        )

    def switching(self, states: States) -> Switching:
        """States of some periods as the factors need them."""
        distinct = list(dict.fromkeys(states))
        index = {state: i for i, state in enumerate(distinct)}
        of_period = np.array([index[state] for state in states], dtype=np.int64)
        return Switching(np.array([self._inverse(state) for state in distinct]), of_period)

    def _inverse(self, state: ControlState) -> ComplexArray:
        """Inverse of the border's Schur complement in a state."""
        known = self._inverses.get(state)
        if known is not None:
            return known
        if len(self._inverses) > MOST_KEPT_STATES:
            self._inverses.clear()
        change = self._controls.admittance_change(state)
        inverse = self._inverses[state] = self._solver.factor.inverse(change)
        return inverse

    def sensed(self, volts: NodeVoltages) -> ComplexArray:
        """Voltages that the controls look at, volt, shape (node, period)."""
        return volts.complex(self._sensed)

    def settle(
        self,
        device_kva: ComplexArray,
        states: States,
        start: NodeVoltages | None,
        hunting_periods: Hunting,
        commands: Commands,
    ) -> tuple[States, NodeVoltages | None, Hunting]:
        """Where the controls go, period after period, each from where the one before rests.

        They see the exact flow of every state they pass through, as in the feeder: which rest is found
        depends on the way there. A period whose controls hunt is held from then on: it has no rest.

        Args:
            device_kva: injections.
            states: near which the rest is expected.
            start: voltages to start from.
            hunting_periods: periods that are held in their states.
            commands: positions that are commanded, row by row.

        Returns:
            States, the flow in the expected ones to start from, and the periods that are held.
        """
        periods = len(self.demand_kva)
        if not self._controls.act:
            return commands.expected((self.measured,) * len(states), periods), start, hunting_periods
        volts = self.solve(device_kva, states, start, SETTLING_TOLERANCE_PU)
        settled, overran = list(states), set[int]()
        good = volts.converged.reshape(-1, periods).all(axis=1)
        firsts = (np.flatnonzero(good) * periods).tolist()
        sensed, previous = self.sensed(volts), self.tree.previous.tolist()
        for period in range(self.tree.periods):
            paths = []
            for first, node in product(firsts, self.tree.at(period).tolist()):
                row = first + node
                if row in hunting_periods:
                    settled[row] = states[row]
                    continue
                before = self.measured if previous[node] < 0 else settled[first + previous[node]]
                begun = self._controls.steps(commands.applied(before, row), CONTROL_ITERATIONS)
                paths.append(_Path(row, begun, {states[row]: sensed[:, row]}, volts))
            self._follow(paths, device_kva)
            for path in paths:
                settled[path.row] = path.rest.state
                if path.rest.overrun:
                    overran.add(path.row)
        return tuple(settled), volts, hunting_periods | overran

    def _follow(self, paths: Sequence[_Path], device_kva: ComplexArray) -> None:
        """Let the controls of one period in all candidates go to their rest, with flows in common."""
        waiting = [path for path in paths if not path.advance()]
        while waiting:
            rows = np.array([path.row for path in waiting])
            states = tuple(path.asked for path in waiting)
            flow = self._solve_rows(device_kva, rows, states, joined([path.last for path in waiting]))
            sensed = self.sensed(flow)
            for i, path in enumerate(waiting):
                path.seen[path.asked] = sensed[:, i]
                path.last = flow.moved(np.array([i]))
            waiting = [path for path in waiting if not path.advance()]


class _Path:
    """The way of the controls of one row to their rest.

    Controls that hunt come back to the same states again and again, so what they see is kept by state.

    Attributes:
        row: period, or period of a candidate.
        asked: state whose voltages are asked for.
        seen: voltages that the controls look at, by state.
        last: the last flow of the row, to start the next one from.
        rest: where the controls went; set once :meth:`advance` is true.
    """

    def __init__(
        self,
        row: int,
        steps: Generator[ControlState, ComplexArray, Settled],
        seen: dict[ControlState, ComplexArray],
        volts: NodeVoltages,
    ) -> None:
        self.row, self.seen, self._steps, self._all = row, seen, steps, volts
        self.asked = next(steps)
        self._last: NodeVoltages | None = None
        self.rest: Settled

    @property
    def last(self) -> NodeVoltages:
        """See the class."""
        return self._last or self._all.moved(np.array([self.row]))

    @last.setter
    def last(self, flow: NodeVoltages) -> None:
        self._last = flow

    def advance(self) -> bool:
        """Go on until a state is met whose flow is not known, or to the end; whether it is the end."""
        while self.asked in self.seen:
            try:
                self.asked = self._steps.send(self.seen[self.asked])
            except StopIteration as end:
                self.rest = cast("Settled", end.value)
                return True
        return False
