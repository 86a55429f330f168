"""Which way reversible regulators look, and what they do while they look backwards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosim.model.arrays import BoolArray, ComplexArray, FloatArray
from cosim.twin.control_settings import GROUND, RegulatorControl, tap_parts
from cosim.twin.regulator_law import Wishes, difference_rows, on_places

NEAR_NEUTRAL = 1e-12


class ReversePowerLaw:
    """The reversible ones among the regulator controls; ``position`` maps system nodes to places."""

    def __init__(self, controls: Sequence[RegulatorControl], position: dict[int, int]) -> None:
        modes = [c.reverse for c in controls]
        self.any = any(mode is not None for mode in modes)
        self._able = np.array([mode is not None for mode in modes], dtype=bool)
        self._to_neutral = np.array([mode is not None and mode.to_neutral for mode in modes], dtype=bool)
        self._threshold_w = np.array([mode.threshold_w if mode else 0.0 for mode in modes])
        self._delay_s = np.array([mode.delay_s if mode else 0.0 for mode in modes])
        self._neutral_delay_s = np.array([mode.neutral_delay_s if mode else 0.0 for mode in modes])
        self._increment = np.array([c.increment for c in controls])
        self._read_tap = np.array([c.winding.tap for c in controls])
        self._read_power(controls, position)

    def _read_power(self, controls: Sequence[RegulatorControl], position: dict[int, int]) -> None:
        size = len(position)
        blocks: list[list[ComplexArray]] = [[np.zeros((0, size), dtype=complex)] for _ in range(4)]
        owners: list[int] = []
        for index, control in enumerate(controls):
            if control.reverse is None:
                continue
            winding, rows = control.winding, list(control.reverse.power_rows)
            linear, quadratic = tap_parts(winding.admittance, winding.rows)
            pairs = np.array([(int(winding.nodes[row]), GROUND) for row in rows])
            blocks[0].append(difference_rows(pairs, position).astype(complex))
            for block, matrix in zip(
                blocks[1:], (winding.admittance - linear - quadratic, linear, quadratic), strict=True
            ):
                block.append(on_places(matrix[rows], winding.nodes, position))
            owners += [index] * len(rows)
        self._owner = np.array(owners, dtype=np.int64)
        self._matrix: ComplexArray = np.vstack([np.vstack(block) for block in blocks])

    def forward_w(self, voltage: ComplexArray, taps: FloatArray) -> FloatArray:
        """Power out of each sensed winding in watt, shape (control,); 0 where nobody asks."""
        volts, fixed, once, twice = (self._matrix @ voltage).reshape(4, len(self._owner))
        s = (self._read_tap / taps)[self._owner]
        into = (volts * (fixed + s * once + s * s * twice).conj()).real
        return -np.bincount(self._owner, weights=into, minlength=len(taps)).astype(float)

    def due(
        self, voltage: ComplexArray, taps: FloatArray, backwards: BoolArray, before: FloatArray
    ) -> FloatArray:
        """When each control turns around, infinity where it does not; ``before`` as of the last sample."""
        forward = self.forward_w(voltage, taps)
        against = np.where(backwards, forward > self._threshold_w, forward < -self._threshold_w)
        times = np.where(np.isfinite(before), before, self._delay_s)
        return np.where(against & self._able, times, np.inf)

    def to_neutral(
        self, wishes: Wishes, taps: FloatArray, backwards: BoolArray, armed: BoolArray, before: FloatArray
    ) -> Wishes:
        """Wishes with those replaced that send a tap to neutral; ``before`` is the last change."""
        here = backwards & self._to_neutral
        if not here.any():
            return wishes
        away = np.abs(taps - 1.0) > NEAR_NEUTRAL
        change = np.where(away, np.rint((1.0 - taps) / self._increment) * self._increment, 0.0)
        # An armed control does not look again before it has moved.
        change = np.where(armed, before, change)
        return Wishes(
            np.where(here, change, wishes.change),
            wishes.keep | here,
            np.where(here, change != 0.0, wishes.arm),
            np.where(here, self._neutral_delay_s, wishes.delay_s),
        )
