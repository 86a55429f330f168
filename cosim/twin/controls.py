"""Which taps and capacitor states a feeder's own controls settle at, predicted outside the engine.

The engine repeats: solve the power flow, let every control look at it, carry out what is nearest in
time, until no control wants anything. The clock stands meanwhile, so delays only order the actions:
controls with the shortest delay move, and look again, before any slower one moves.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from cosim.errors import ContractError
from cosim.model.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from cosim.twin.capacitor_law import Banks, CapacitorLaw
from cosim.twin.control_settings import (
    GROUND,
    CapacitorControl,
    MovedWinding,
    RegulatorControl,
    SwitchedCapacitor,
    tap_parts,
    tap_scaled,
)
from cosim.twin.regulator_law import RegulatorLaw, Wishes
from cosim.twin.reverse_power import ReversePowerLaw

__all__ = ["ControlState", "Controls", "Settled", "tap_scaled"]

MOST_ITERATIONS = 100

T = TypeVar("T")


@dataclass(frozen=True)
class ControlState:
    """Positions of everything the controls move. Equal and hashable by taps and switches alone.

    Attributes:
        taps: tap ratio of each regulated winding, in the order of ``Controls.windings``.
        closed: of each controlled capacitor, in the order of ``Controls.banks``.
        opened: whether its control has opened the bank since the clock last moved. Its dead time then
            runs, and closing it waits until every faster control is satisfied.
        mistaken: the bank is out but its control takes it for closed. A change of the engine's solution
            mode does this to banks that were opened before.
        backwards: the winding's reversible control regulates for reversed power.
    """

    taps: tuple[float, ...]
    closed: tuple[bool, ...]
    opened: tuple[bool, ...] = field(compare=False)
    mistaken: tuple[bool, ...] = field(compare=False)
    backwards: tuple[bool, ...] = field(compare=False)


@dataclass(frozen=True)
class Settled:
    """Where the controls came to rest.

    Attributes:
        state: at rest, or where the limit of iterations was met.
        moves: control actions that changed a tap or a switch.
        overrun: the controls were still hunting at the limit.
        voltage: of ``Controls.nodes`` in ``state``, in volt.
    """

    state: ControlState
    moves: int
    overrun: bool
    voltage: ComplexArray


@dataclass(frozen=True)
class Controls:
    """All enabled regulator and capacitor controls of a feeder.

    Attributes:
        windings: regulated transformers, sorted by name, whether or not their control is reproduced.
        banks: controlled capacitors, sorted by name, likewise.
        regulators, capacitors: settings of the controls that are reproduced.
        present: state at reading. Two things cannot be read: an open bank is assumed to have been opened
            by its control, not by the file, and a reversible regulator to look the way power flows.
        left_alone: controls that are not reproduced, with the reason; what they move stays as it is.
    """

    windings: tuple[MovedWinding, ...]
    banks: tuple[SwitchedCapacitor, ...]
    regulators: tuple[RegulatorControl, ...]
    capacitors: tuple[CapacitorControl, ...]
    present: ControlState
    left_alone: Mapping[str, str]

    @cached_property
    def nodes(self) -> IntArray:
        """System nodes whose voltages the controls need, ascending."""
        named: list[IntArray] = [np.zeros(0, dtype=np.int64)]
        for regulator in self.regulators:
            named += [np.ravel(regulator.across), np.ravel(regulator.limited_across or ())]
            named += [regulator.winding.nodes] if regulator.current_rows or regulator.reverse else []
        for capacitor in self.capacitors:
            named.append(np.ravel(capacitor.across))
            named += [capacitor.nodes] if len(capacitor.current_rows) + len(capacitor.power_rows) else []
        return _without_ground(named)

    @cached_property
    def switching_nodes(self) -> IntArray:
        """System nodes of all regulated transformers and controlled capacitors, ascending."""
        return _without_ground([w.nodes for w in self.windings] + [b.nodes for b in self.banks])

    @cached_property
    def _laws(self) -> tuple[RegulatorLaw, ReversePowerLaw, CapacitorLaw]:
        position = {int(node): place for place, node in enumerate(self.nodes)}
        return (
            RegulatorLaw(self.regulators, position),
            ReversePowerLaw(self.regulators, position),
            CapacitorLaw(self.capacitors, position),
        )

    @cached_property
    def _places(self) -> tuple[IntArray, IntArray]:
        """Places in a state of what the reproduced controls move: (taps, banks)."""
        winding = {item.transformer: place for place, item in enumerate(self.windings)}
        bank = {item.name: place for place, item in enumerate(self.banks)}
        return (
            np.array([winding[c.winding.transformer] for c in self.regulators], dtype=np.int64),
            np.array([bank[c.capacitor.name] for c in self.capacitors], dtype=np.int64),
        )

    def settle(
        self,
        state: ControlState,
        solve: Callable[[ControlState], ComplexArray],
        most_iterations: int = MOST_ITERATIONS,
    ) -> Settled:
        """Let the controls act from a state until they are content.

        Args:
            state: to start from.
            solve: gives the complex voltages of ``nodes`` (volt to ground) for a state.
            most_iterations: after which the controls count as hunting; the engine's own by default.

        Raises:
            ContractError: the state or the voltages do not fit these controls.
        """
        steps = self.steps(state, most_iterations)
        asked = next(steps)
        while True:
            try:
                asked = steps.send(solve(asked))
            except StopIteration as end:
                return cast("Settled", end.value)

    def steps(
        self, state: ControlState, most_iterations: int
    ) -> Generator[ControlState, ComplexArray, Settled]:
        """The same as :meth:`settle`, one flow at a time: yields states, is sent their voltages.

        Raises:
            ContractError: the state or the voltages do not fit these controls.
        """
        self._must_fit(state)
        round_ = _Round(self._laws, self._places, state)
        voltage = self._checked((yield state))
        moves = 0
        for _ in range(most_iterations - 1):
            if not round_.sample(voltage):
                return Settled(state, moves, overrun=False, voltage=voltage)
            moves += round_.act()
            before, state = state, round_.state()
            # An action may find that nothing is left to do, and then the network is what it was.
            if state != before:
                voltage = self._checked((yield state))
        # The engine solves once more at its limit, but no longer lets the controls look.
        return Settled(state, moves, overrun=True, voltage=voltage)

    @property
    def act(self) -> bool:
        """Whether there is any control that is reproduced."""
        return bool(self.regulators or self.capacitors)

    def _checked(self, voltage: ComplexArray) -> ComplexArray:
        if voltage.shape != self.nodes.shape:
            raise ContractError(
                f"{voltage.shape} voltages for the {len(self.nodes)} nodes the controls look at"
            )
        return voltage

    def bank_rest(self, state: ControlState, voltage: ComplexArray) -> tuple[FloatArray, ComplexArray]:
        """How near banks are to switching at some voltages of ``nodes``, and the slope of that."""
        return self._laws[2].kvar_rest(voltage, np.array(state.closed, dtype=bool)[self._places[1]])

    def regulated(
        self, states: Sequence[ControlState], voltage: ComplexArray
    ) -> tuple[FloatArray, ComplexArray, FloatArray]:
        """Voltages that regulators hold, in one state per period: see :meth:`RegulatorLaw.sensed`."""
        return self._laws[0].sensed(voltage, self._taps(states))

    def follows(self, states: Sequence[ControlState]) -> BoolArray:
        """Which regulators are free to move their taps either way, shape (regulator, period)."""
        backwards = np.array([state.backwards for state in states], dtype=bool).T
        return self._laws[0].follows(self._taps(states), backwards[self._places[0]])

    def _taps(self, states: Sequence[ControlState]) -> FloatArray:
        taps: FloatArray = np.array([state.taps for state in states], dtype=float).T[self._places[0]]
        return taps

    def tap_currents(self, state: ControlState, voltage: ComplexArray) -> ComplexArray:
        """Current that leaves ``switching_nodes`` more per change of each regulator's tap ratio.

        Args:
            state: where.
            voltage: of ``switching_nodes``, volt.

        Returns:
            Shape (regulator, node), ampere.
        """
        linear, quadratic, _ = self._change_parts
        taps = np.array(state.taps)
        s = (np.array([winding.tap for winding in self.windings]) / taps)[:, None]
        slope = (-s / taps[:, None]) * (linear + 2.0 * s * quadratic)
        size = len(self.switching_nodes)
        return np.asarray((slope.reshape(-1, size, size) @ voltage)[self._places[0]])

    def admittance_change(self, state: ControlState) -> ComplexArray:
        """What a state changes in the system admittance matrix against the state at reading.

        Returns:
            Shape (node, node) over ``switching_nodes``, in siemens: add it to those rows and columns.

        Raises:
            ContractError: the state does not fit these controls.
        """
        self._must_fit(state)
        linear, quadratic, switched = self._change_parts
        s = np.array([winding.tap for winding in self.windings]) / np.array(state.taps)
        toggled = np.array(state.closed, dtype=float) - np.array(self.present.closed, dtype=float)
        size = len(self.switching_nodes)
        flat: ComplexArray = (s - 1.0) @ linear + (s * s - 1.0) @ quadratic + toggled @ switched
        return flat.reshape(size, size)

    @cached_property
    def _change_parts(self) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
        """Flattened matrices over the switching nodes: per winding with s and s^2, per bank closed."""
        place = {int(node): index for index, node in enumerate(self.switching_nodes)}
        parts = [tap_parts(winding.admittance, winding.rows) for winding in self.windings]
        nodes = [winding.nodes for winding in self.windings]
        return (
            _spread([linear for linear, _ in parts], nodes, place),
            _spread([quadratic for _, quadratic in parts], nodes, place),
            _spread([bank.admittance for bank in self.banks], [bank.nodes for bank in self.banks], place),
        )

    def _must_fit(self, state: ControlState) -> None:
        taps, banks = len(self.windings), len(self.banks)
        if len(state.taps) != taps or {len(state.closed), len(state.opened), len(state.mistaken)} != {
            banks
        }:
            raise ContractError(
                f"control state with {len(state.taps)} taps and {len(state.closed)} capacitors, but the "
                f"feeder has {taps} regulated windings and {banks} controlled capacitors"
            )


class _Round:
    """One run of control iterations: positions, and when each armed control will act.

    A control that arms keeps its time until it has acted or lost its reason, while what it wants
    follows every sample.
    """

    def __init__(
        self,
        laws: tuple[RegulatorLaw, ReversePowerLaw, CapacitorLaw],
        places: tuple[IntArray, IntArray],
        state: ControlState,
    ) -> None:
        self._regulators, self._reversal, self._capacitors = laws
        self._tap_places, self._bank_places = places
        self._start = state
        self._taps: FloatArray = np.array(state.taps, dtype=float)[self._tap_places]
        self._backwards: BoolArray = np.array(state.backwards, dtype=bool)[self._tap_places]
        flags = (state.closed, state.opened, state.mistaken)
        self._banks = Banks(*(np.array(flag, dtype=bool)[self._bank_places] for flag in flags))
        self._tap_due: FloatArray = np.full(len(self._tap_places), np.inf)
        self._turn_due: FloatArray = np.full(len(self._tap_places), np.inf)
        self._bank_due: FloatArray = np.full(len(self._bank_places), np.inf)
        self._change: FloatArray = np.zeros(len(self._tap_places))
        self._switching: FloatArray = np.zeros(len(self._bank_places))

    def sample(self, voltage: ComplexArray) -> bool:
        """Let every control look; whether any is armed afterwards."""
        if self._tap_due.size:
            wishes = self._regulators.sample(voltage, self._taps, self._backwards)
            if self._reversal.any:
                wishes = self._turned(wishes, voltage)
            self._change = wishes.change
            self._tap_due = _due(self._tap_due, wishes)
        if self._bank_due.size:
            wishes = self._capacitors.sample(voltage, self._banks, self._switching)
            self._switching = wishes.change
            self._bank_due = _due(self._bank_due, wishes)
        return self._nearest() < np.inf

    def _turned(self, wishes: Wishes, voltage: ComplexArray) -> Wishes:
        """What reversible regulators want besides, and whether they will turn around."""
        self._turn_due = self._reversal.due(voltage, self._taps, self._backwards, self._turn_due)
        armed = np.isfinite(self._tap_due)
        return self._reversal.to_neutral(wishes, self._taps, self._backwards, armed, self._change)

    def _nearest(self) -> float:
        return min(
            float(due.min(initial=np.inf)) for due in (self._tap_due, self._turn_due, self._bank_due)
        )

    def act(self) -> int:
        """Carry out the actions nearest in time; the number of them that moved something."""
        now = self._nearest()
        count = 0
        acting = self._tap_due <= now
        if acting.any():
            taps = self._regulators.moved(self._taps, self._change, acting)
            count += int(np.count_nonzero(taps != self._taps))
            self._taps = taps
            self._tap_due[acting] = np.inf
        turning = self._turn_due <= now
        self._backwards = self._backwards ^ turning
        self._turn_due[turning] = np.inf
        acting = self._bank_due <= now
        if acting.any():
            banks = self._capacitors.switched(self._banks, self._switching, acting)
            count += int(np.count_nonzero(banks.closed != self._banks.closed))
            self._banks = banks
            self._bank_due[acting] = np.inf
        return count

    def state(self) -> ControlState:
        """Positions now, with those of other controls as they were."""
        start = self._start
        flags = zip((start.closed, start.opened, start.mistaken), self._banks, strict=True)
        closed, opened, mistaken = (_placed(was, self._bank_places, now) for was, now in flags)
        taps = _placed(start.taps, self._tap_places, self._taps)
        backwards = _placed(start.backwards, self._tap_places, self._backwards)
        return ControlState(taps, closed, opened, mistaken, backwards)


def _placed(whole: tuple[T, ...], places: IntArray, part: NDArray[Any]) -> tuple[T, ...]:
    """The whole with a part of it replaced."""
    values = list(whole)
    for place, value in zip(places.tolist(), part.tolist(), strict=True):
        values[place] = value
    return tuple(values)


def _due(due: FloatArray, wishes: Wishes) -> FloatArray:
    """When each control acts after a sample, infinity where it is not armed."""
    armed = np.isfinite(due)
    kept = np.where(armed & wishes.keep, due, np.inf)
    return np.where(wishes.arm & ~armed, wishes.delay_s, kept)


def _without_ground(nodes: list[IntArray]) -> IntArray:
    distinct: IntArray = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *nodes]).astype(np.int64))
    live: IntArray = distinct[distinct != GROUND]
    return live


def _spread(matrices: list[ComplexArray], nodes: list[IntArray], place: dict[int, int]) -> ComplexArray:
    """Element matrices on the common nodes, shape (element, node * node); ground drops out."""
    total = np.zeros((len(matrices), len(place), len(place)), dtype=complex)
    for target, matrix, its_nodes in zip(total, matrices, nodes, strict=True):
        live = np.flatnonzero(its_nodes != GROUND)
        there = np.array([place[int(node)] for node in its_nodes[live]], dtype=np.int64)
        # Two conductors may share a node, so their entries add up.
        np.add.at(target, np.ix_(there, there), matrix[np.ix_(live, live)])
    return total.reshape(len(matrices), len(place) ** 2)
