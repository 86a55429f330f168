"""What regulator controls do with the voltages they see, and what all laws of controls share.

The laws are those of OpenDSS's RegControl while the clock stands (control mode static).
Every law is evaluated for all controls of its kind at once; the network is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from cosim.model.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from cosim.twin.control_settings import (
    GROUND,
    MINIMUM,
    RegulatorControl,
    ReverseMode,
    tap_parts,
)

REACH = 0.7
"""Share of the wanted taps that one static action makes."""


class Wishes(NamedTuple):
    """What the controls of one kind want after a sample, each of shape (control,).

    ``change`` is the wanted change of tap ratio or, of banks, 1 to close and -1 to open; ``keep`` the
    controls that stay armed if they are; ``arm`` those that arm if they are not; ``delay_s`` from arming
    to acting.
    """

    change: FloatArray
    keep: BoolArray
    arm: BoolArray
    delay_s: FloatArray


class _Aim(NamedTuple):
    """What regulators aim at in one direction of power, each of shape (control,), in control volts."""

    vreg: FloatArray
    half_band: FloatArray
    drop: ComplexArray
    drop_magnitude: FloatArray
    sign: FloatArray

    @classmethod
    def of(cls, settings: Sequence[RegulatorControl | ReverseMode], sign: FloatArray) -> _Aim:
        return cls(
            np.array([each.vreg for each in settings]),
            np.array([each.band for each in settings]) / 2.0,
            np.array([each.drop for each in settings], dtype=complex),
            np.array([each.drop_magnitude for each in settings]),
            sign,
        )

    def blended(self, other: _Aim, here: BoolArray) -> _Aim:
        """This aim where ``here``, the other elsewhere."""
        return _Aim(*(np.where(here, mine, its) for mine, its in zip(self, other, strict=True)))


class RegulatorLaw:
    """All regulator controls at once. ``position`` maps system nodes to places in the voltages."""

    def __init__(self, controls: Sequence[RegulatorControl], position: dict[int, int]) -> None:
        self._read_settings(controls)
        width = max((len(c.across) for c in controls), default=1)
        across = np.array([_padded(c.across, width) for c in controls]).reshape(-1, 2)
        blocks: list[ComplexArray] = [difference_rows(across, position).astype(complex)]
        self._compensates = any(c.current_rows for c in controls)
        if self._compensates:
            blocks += _current_blocks(controls, width, position)
        self._limits = bool((self.vlimit > 0.0).any())
        self._matrix: ComplexArray = np.vstack(blocks)
        self._shape = (len(blocks), len(controls), width)
        self._each = np.arange(len(controls))
        watched = [c.limited_across or (GROUND, GROUND) for c in controls]
        self._limited: FloatArray = difference_rows(np.array(watched).reshape(-1, 2), position)
        self._remote = np.array([c.limited_across is not None for c in controls], dtype=bool)

    def _read_settings(self, controls: Sequence[RegulatorControl]) -> None:
        def column(name: str) -> FloatArray:
            return np.array([getattr(c, name) for c in controls], dtype=float)

        self._forward = _Aim.of(controls, column("sign"))
        # Backwards every tap acts the other way, but not twice so if the other winding moves.
        backward = [c.reverse or c for c in controls]
        self._backward = _Aim.of(backward, np.full(len(controls), -1.0))
        self.vlimit, self.sensing_ratio = column("vlimit"), column("sensing_ratio")
        self.volts_per_volt, self.base_volts = column("volts_per_volt"), column("base_volts")
        self.increment, self.lowest, self.highest = column("increment"), column("lowest"), column("highest")
        self.most_taps, self.delay_s = column("most_taps"), column("delay_s")
        self.ct_amps = column("ct_amps")
        self._by_magnitude: BoolArray = column("drop_magnitude") != 0.0
        self._inverse = np.array([c.inverse_time for c in controls], dtype=bool)
        self._orientation = np.array([-1.0 if c.choice == MINIMUM else 1.0 for c in controls])[:, None]
        self._read_tap = np.array([c.winding.tap for c in controls])
        self._free: BoolArray = self.most_taps > 0.0

    def sample(self, voltage: ComplexArray, taps: FloatArray, backwards: BoolArray) -> Wishes:
        """What the controls want at these voltages (volt) and taps; which of them look backwards."""
        seen = (self._matrix @ voltage).reshape(self._shape)
        if self._shape[2] > 1:
            # The first of equals is chosen, as argmax does.
            seen = seen[:, self._each, (self._orientation * np.abs(seen[0])).argmax(axis=1)]
        else:
            seen = seen[:, :, 0]
        control = seen[0] / self.sensing_ratio
        aim = self._backward.blended(self._forward, backwards) if backwards.any() else self._forward
        actual = np.abs(self._compensated(control, seen, taps, aim) if self._compensates else control)
        if backwards.any():
            actual = np.where(backwards, actual / taps, actual)
        boost = aim.vreg - actual
        outside: BoolArray = np.abs(boost) > aim.half_band
        if self._limits:
            above, excess = self._above_limit(voltage, control)
            outside |= above
            boost = np.where(above, -excess, boost)
        outside &= self._free
        wanted = np.rint(boost * self.volts_per_volt / self.base_volts / self.increment) * self.increment
        change: FloatArray = np.where(outside, aim.sign * wanted, 0.0)
        room = np.where(change > 0.0, taps < self.highest, taps > self.lowest)
        delay = self.delay_s
        if self._inverse.any():
            # The engine measures this deviation from the forward voltage in either direction.
            deviation = np.abs(self._forward.vreg - actual) / self._forward.half_band
            shortened = delay / np.minimum(10.0, np.maximum(deviation, 1e-12))
            delay = np.where(self._inverse, shortened, delay)
        return Wishes(change, outside, (change != 0.0) & room, delay)

    def _above_limit(self, voltage: ComplexArray, control: ComplexArray) -> tuple[BoolArray, FloatArray]:
        """Whether the voltage limit is exceeded, and by how many control volts."""
        local = np.abs(control)
        if self._remote.any():
            there = np.abs(self._limited @ voltage) / self.volts_per_volt
            local = np.where(self._remote, there, local)
        above: BoolArray = (self.vlimit > 0.0) & (local > self.vlimit)
        return above, local - self.vlimit

    def _compensated(
        self, control: ComplexArray, seen: ComplexArray, taps: FloatArray, aim: _Aim
    ) -> ComplexArray:
        """Control voltage at the far end of the compensated line."""
        s = self._read_tap / taps
        _, fixed, once, twice = seen
        current = (fixed + s * once + s * s * twice) / self.ct_amps
        # The current counts into the transformer, so adding its drop goes down the line.
        far: ComplexArray = control + aim.drop * current
        if self._by_magnitude.any():
            plain = np.abs(control) - aim.drop_magnitude * np.abs(current)
            far = np.where(self._by_magnitude, plain, far)
        return far

    def sensed(
        self, voltage: ComplexArray, taps: FloatArray
    ) -> tuple[FloatArray, ComplexArray, FloatArray]:
        """What the controls hold by their taps while power flows forwards, as a part of the set voltage.

        Args:
            voltage: of the nodes the controls name in some periods, volt, shape (place, period).
            taps: shape (control, period).

        Returns:
            The value, shape (control, period); its slope, the real part of slope times dV, shape
            (control, place, period); and its slope in the control's own tap at given voltages, shape
            (control, period).
        """
        rows = self._matrix.reshape(*self._shape, self._matrix.shape[1])
        seen = np.tensordot(rows, voltage, axes=1)
        each, period = np.ogrid[: taps.shape[0], : taps.shape[1]]
        chosen = (self._orientation[:, :, None] * np.abs(seen[0])).argmax(axis=1)
        seen, picked = seen[:, each, chosen, period], rows[:, each, chosen]
        far, row = seen[0] / self.sensing_ratio[:, None], picked[0] / self.sensing_ratio[:, None, None]
        per_tap = np.zeros_like(far)
        if self._compensates:
            s = self._read_tap[:, None] / taps
            drop = (self._forward.drop / self.ct_amps)[:, None]
            far = far + drop * (seen[1] + s * seen[2] + s * s * seen[3])
            current = picked[1] + s[:, :, None] * picked[2] + (s * s)[:, :, None] * picked[3]
            row = row + drop[:, :, None] * current
            per_tap = -drop * (s / taps) * (seen[2] + 2.0 * s * seen[3])
        set_voltage = self._forward.vreg[:, None]
        unit = np.conj(far) / np.maximum(np.abs(far), 1e-9) / set_voltage
        slope = np.moveaxis(unit[:, :, None] * row, 2, 1)
        return np.abs(far) / set_voltage, slope, np.real(unit * per_tap)

    def follows(self, taps: FloatArray, backwards: BoolArray) -> BoolArray:
        """Which taps are free to follow their voltage either way; all shapes (control, period)."""
        lowest, highest = self.lowest + self.increment / 2, self.highest - self.increment / 2
        inside = (taps < highest[:, None]) & (taps > lowest[:, None])
        return np.asarray((self._free & ~self._by_magnitude)[:, None] & inside & ~backwards)

    def moved(self, taps: FloatArray, change: FloatArray, acting: BoolArray) -> FloatArray:
        """Tap ratios after the acting controls made their move, shape (control,)."""
        number = np.trunc(REACH * np.abs(change) / self.increment)
        number = np.minimum(np.maximum(number, 1.0), self.most_taps)
        there = np.clip(taps + np.sign(change) * number * self.increment, self.lowest, self.highest)
        return np.where(acting & (change != 0.0), there, taps)


def _padded(pairs: Sequence[tuple[int, int]], width: int) -> list[tuple[int, int]]:
    """As many pairs as wanted: the first one repeated never wins against itself."""
    return [*pairs, *[pairs[0]] * (width - len(pairs))]


def difference_rows(pairs: IntArray, position: dict[int, int]) -> FloatArray:
    """Rows that take the voltage difference of each pair of nodes, shape (pair, place)."""
    matrix = np.zeros((len(pairs), len(position)))
    for row, (plus, minus) in zip(matrix, pairs, strict=True):
        if plus != GROUND:
            row[position[int(plus)]] += 1.0
        if minus != GROUND:
            row[position[int(minus)]] -= 1.0
    return matrix


def on_places(rows: ComplexArray, nodes: Iterable[int], position: dict[int, int]) -> ComplexArray:
    """Admittance rows with the columns of system nodes moved to their places, shape (row, place)."""
    matrix = np.zeros((len(rows), len(position)), dtype=complex)
    if len(rows):
        for column, node in zip(rows.T, nodes, strict=True):
            if node != GROUND:
                matrix[:, position[int(node)]] += column
    return matrix


def _current_blocks(
    controls: Sequence[RegulatorControl], width: int, position: dict[int, int]
) -> list[ComplexArray]:
    """Rows that give the parts of the winding currents that scale with 1, s and s^2.

    Returns:
        Three blocks of shape (control * width, place).
    """
    blocks = np.zeros((3, len(controls), width, len(position)), dtype=complex)
    for index, control in enumerate(controls):
        if not control.current_rows:
            continue
        winding = control.winding
        linear, quadratic = tap_parts(winding.admittance, winding.rows)
        rows = [*control.current_rows, *[control.current_rows[0]] * (width - len(control.current_rows))]
        for part, matrix in enumerate((winding.admittance - linear - quadratic, linear, quadratic)):
            blocks[part, index] = on_places(matrix[rows], winding.nodes, position)
    return list(blocks.reshape(3, -1, len(position)))
