"""What capacitor controls do with the voltages they see: OpenDSS's CapControl while the clock stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cosim.model.arrays import BoolArray, ComplexArray, FloatArray
from cosim.twin.control_settings import (
    AVERAGE,
    CURRENT,
    GROUND,
    KINDS,
    KVAR,
    MINIMUM,
    POWER_FACTOR,
    VOLTAGE,
    CapacitorControl,
)
from cosim.twin.regulator_law import Wishes, difference_rows, on_places


class Banks(NamedTuple):
    """Switching states of controlled capacitors, each of shape (control,): see ``ControlState``."""

    closed: BoolArray
    opened: BoolArray
    mistaken: BoolArray


class CapacitorLaw:
    """All capacitor controls at once. ``position`` maps system nodes to places in the voltages."""

    def __init__(self, controls: Sequence[CapacitorControl], position: dict[int, int]) -> None:
        def column(name: str) -> FloatArray:
            return np.array([getattr(c, name) for c in controls], dtype=float)

        self.on, self.off = column("on"), column("off")
        self.lowest_volts, self.highest_volts = column("lowest_volts"), column("highest_volts")
        self.least_kvar, self.step_kvar = column("least_kvar"), column("step_kvar")
        self.pt_ratio, self.ct_ratio = column("pt_ratio"), column("ct_ratio")
        self.on_delay_s, self.off_delay_s = column("on_delay_s"), column("off_delay_s")
        self.reclosing_delay_s = self.on_delay_s + column("dead_time_s")
        self.override = np.array([c.override for c in controls], dtype=bool)
        self._kind = {k: np.array([c.kind == k for c in controls], dtype=bool) for k in KINDS}
        self._any = {k: bool(mask.any()) for k, mask in self._kind.items()}
        self._read_sensing(controls, position)

    def _read_sensing(self, controls: Sequence[CapacitorControl], position: dict[int, int]) -> None:
        size = len(position)
        volts = [difference_rows(np.array(c.across).reshape(-1, 2), position) for c in controls]
        amps = [on_places(c.current_rows, c.nodes, position) for c in controls]
        self._volts = _Choice(volts, [c.voltage_choice for c in controls], size)
        self._amps = _Choice(amps, [c.current_choice for c in controls], size)
        self._read_power(controls, position)

    def _read_power(self, controls: Sequence[CapacitorControl], position: dict[int, int]) -> None:
        """Stack the conductors of all monitored terminals, to be summed by terminal."""
        grounded = [[(int(node), GROUND) for node in c.power_nodes] for c in controls]
        pairs = np.array([pair for terminal in grounded for pair in terminal]).reshape(-1, 2)
        rows = [on_places(c.power_rows, c.nodes, position) for c in controls]
        self._terminal = np.repeat(np.arange(len(controls)), [len(g) for g in grounded])
        empty = np.zeros((0, len(position)), dtype=complex)
        self._power: ComplexArray = np.vstack([difference_rows(pairs, position), empty, *rows])

    def sample(self, voltage: ComplexArray, banks: Banks, before: FloatArray) -> Wishes:
        """What the controls want at these voltages (volt).

        Args:
            voltage: of the nodes the controls name.
            banks: switching states now.
            before: change wanted at the last sample.
        """
        volts = self._volts.magnitude(voltage) / self.pt_ratio
        on, off = self._reasons(voltage, volts, banks.mistaken)
        taken_for_closed = banks.closed | banks.mistaken
        apart: BoolArray = taken_for_closed & (off | (self.override & (volts > self.highest_volts)))
        low = self.override & (volts < self.lowest_volts)
        close: BoolArray = (~taken_for_closed & (on | low)) | (banks.mistaken & ~apart & on)
        change: FloatArray = close.astype(float) - apart
        # A control that takes an open bank for closed and thinks it could add steps forgets nothing.
        stale = banks.mistaken & ~close & ~apart & ~self._kind[VOLTAGE]
        change = np.where(stale, before, change)
        on_delay = np.where(banks.opened, self.reclosing_delay_s, self.on_delay_s)
        delay = np.where(change < 0.0, self.off_delay_s, on_delay)
        return Wishes(change, change != 0.0, close | apart, delay)

    def kvar_rest(self, voltage: ComplexArray, closed: BoolArray) -> tuple[FloatArray, ComplexArray]:
        """How near banks that follow reactive power are to switching: at 1 they do.

        Args:
            voltage: of the nodes the controls name, volt.
            closed: which banks are.

        Returns:
            In halves of the gap between the settings, shape (control,), and its slope, the real part of
            slope times dV, shape (control, place). Banks that follow something else count as far.
        """
        volts, amps = (self._power @ voltage).reshape(2, -1)
        volt_rows, amp_rows = np.split(self._power, 2)
        each = 1j * (np.conj(volts)[:, None] * amp_rows - np.conj(amps)[:, None] * volt_rows) / 1000.0
        slope = np.zeros((len(self.on), self._power.shape[1]), dtype=np.complex128)
        np.add.at(slope, self._terminal, each)
        kvar = self._terminal_power(voltage).imag
        half_gap = np.maximum((self.on - self.off) / 2.0, 1.0)
        follows = self._kind[KVAR]
        distance = 1.0 + np.where(closed, self.off - kvar, kvar - self.on) / half_gap
        sign = np.where(closed, -1.0, 1.0) * follows / half_gap
        return np.where(follows, distance, 0.0), sign[:, None] * slope

    def _reasons(
        self, voltage: ComplexArray, volts: FloatArray, mistaken: BoolArray
    ) -> tuple[BoolArray, BoolArray]:
        """Whether the deciding quantity is beyond the setting for closing, and for opening."""
        on, off = np.zeros_like(mistaken), np.zeros_like(mistaken)
        if self._any[CURRENT]:
            amps = self._amps.magnitude(voltage) / self.ct_ratio
            on |= self._kind[CURRENT] & (amps > self.on)
            off |= self._kind[CURRENT] & (amps < self.off)
        if self._any[VOLTAGE]:
            on |= self._kind[VOLTAGE] & (volts < self.on)
            off |= self._kind[VOLTAGE] & (volts > self.off)
        if self._any[KVAR] or self._any[POWER_FACTOR]:
            power = self._terminal_power(voltage)
            on |= self._kind[KVAR] & (power.imag > self.on)
            off |= self._kind[KVAR] & (power.imag < self.off)
            least = np.where(mistaken, 0.5 * self.step_kvar, self.least_kvar)
            factor = _power_factor(power)
            on |= self._kind[POWER_FACTOR] & (factor < self.on) & (power.imag > least)
            off |= self._kind[POWER_FACTOR] & (factor > self.off)
        return on, off

    @staticmethod
    def switched(banks: Banks, change: FloatArray, acting: BoolArray) -> Banks:
        """States after the acting controls switched."""
        close, apart = acting & (change > 0.0), acting & (change < 0.0)
        return Banks(
            (banks.closed | close) & ~apart, banks.opened | apart, banks.mistaken & ~close & ~apart
        )

    def _terminal_power(self, voltage: ComplexArray) -> ComplexArray:
        """Power into each monitored terminal in kW + j kvar, shape (control,)."""
        volts, amps = (self._power @ voltage).reshape(2, -1)
        kva = volts * amps.conj() / 1000.0
        count = len(self.on)
        real = np.bincount(self._terminal, weights=kva.real, minlength=count)
        return real + 1j * np.bincount(self._terminal, weights=kva.imag, minlength=count)


class _Choice:
    """Magnitude of one of several sensed quantities, or their average, for every control."""

    def __init__(
        self, rows: Sequence[ComplexArray] | Sequence[FloatArray], choices: Sequence[int], size: int
    ) -> None:
        width = max((len(block) for block in rows), default=0) or 1
        matrix = np.zeros((len(rows), width, size), dtype=complex)
        for target, block in zip(matrix, rows, strict=True):
            target[: len(block)] = block
        self._matrix = matrix.reshape(len(rows) * width, size)
        self._shape = matrix.shape[:2]
        self._count = np.array([len(block) for block in rows])
        self._choice = np.array(choices)

    def magnitude(self, voltage: ComplexArray) -> FloatArray:
        """Shape (control,); 0 where nothing is sensed."""
        sizes: FloatArray = np.abs(self._matrix @ voltage)
        if self._shape[1] == 1:
            return sizes
        sizes = sizes.reshape(self._shape)
        absent = np.arange(self._shape[1]) >= self._count[:, None]
        average = sizes.sum(axis=1) / np.maximum(self._count, 1)
        least = np.where(absent, np.inf, sizes).min(axis=1)
        rest = np.where(self._choice == AVERAGE, average, sizes.max(axis=1))
        chosen: FloatArray = np.where(self._choice == MINIMUM, least, rest)
        return chosen


def _power_factor(power: ComplexArray) -> FloatArray:
    """Power factor from 0 to 2: above 1 the power leads, with a factor of 2 minus its value."""
    apparent = np.abs(power)
    factor: FloatArray = np.ones_like(apparent)
    np.divide(np.abs(power.real), apparent, out=factor, where=apparent != 0.0)
    return np.where(power.imag < 0.0, 2.0 - factor, factor)
