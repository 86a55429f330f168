"""Control states under commanded positions of tap changers and capacitor banks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np

from cosim.devices.capacitor_bank import CapacitorBank
from cosim.devices.tap_changer import TapChanger
from cosim.errors import ContractError
from cosim.model.arrays import FloatArray
from cosim.model.network_device import NetworkDevice
from cosim.twin.controls import Controls, ControlState

CLOSED = 0.5
"""Banks are closed from this position on; relaxed positions are rounded."""


@dataclass(frozen=True)
class Commands:
    """Commanded tap ratios and switches of each row.

    Attributes:
        tap_places, bank_places: places in a control state of what is commanded.
        ratio: tap ratios, shape (row, tap), NaN where nothing is commanded.
        closed: 1, 0, or NaN, shape (row, bank).
    """

    tap_places: tuple[int, ...]
    bank_places: tuple[int, ...]
    ratio: FloatArray
    closed: FloatArray

    def applied(self, state: ControlState, row: int) -> ControlState:
        """A state with the commands of a row carried out."""
        if not len(self.ratio):
            return state
        row %= len(self.ratio)
        taps, closed = list(state.taps), list(state.closed)
        for place, ratio in zip(self.tap_places, self.ratio[row].tolist(), strict=True):
            if not isnan(ratio):
                taps[place] = ratio
        for place, value in zip(self.bank_places, self.closed[row].tolist(), strict=True):
            if not isnan(value):
                closed[place] = value > CLOSED
        return replace(state, taps=tuple(taps), closed=tuple(closed))

    def expected(self, states: tuple[ControlState, ...], periods: int) -> tuple[ControlState, ...]:
        """States with the commands carried out, each device carrying on what was last commanded.

        Args:
            states: one per row.
            periods: after so many rows another candidate begins.
        """
        if not len(self.ratio):
            return states
        carried = replace(self, ratio=_carried(self.ratio, periods), closed=_carried(self.closed, periods))
        return tuple(carried.applied(state, row) for row, state in enumerate(states))


class PositionMap:
    """Which tap or switch of the twin each network device moves.

    Args:
        devices: of the site, in its order.
        controls: of the twin.

    Raises:
        ContractError: the twin does not know a device's element, or its kind has no tap and no switch.
    """

    def __init__(self, devices: Sequence[NetworkDevice], controls: Controls) -> None:
        windings = [item.transformer for item in controls.windings]
        banks = [item.name for item in controls.banks]
        self._count = len(devices)
        taps = [(i, item) for i, item in enumerate(devices) if isinstance(item, TapChanger)]
        switched = [(i, item) for i, item in enumerate(devices) if isinstance(item, CapacitorBank)]
        missing = [item.name for _, item in taps if item.element not in windings]
        missing += [item.name for _, item in switched if item.element not in banks]
        if missing or len(taps) + len(switched) != len(devices):
            raise ContractError(
                f"the twin cannot move network devices {', '.join(missing) or 'of an unknown kind'}; "
                "site and twin must come from one feeder, and devices be tap changers or capacitor banks"
            )
        self._taps = np.array([i for i, _ in taps], dtype=np.int64)
        self._banks = np.array([i for i, _ in switched], dtype=np.int64)
        self._tap_places = tuple(windings.index(item.element) for _, item in taps)
        self._bank_places = tuple(banks.index(item.element) for _, item in switched)
        self._middle = np.array([item.middle_ratio for _, item in taps])
        self._step = np.array([item.ratio_per_position for _, item in taps])

    def must_fit(self, position: FloatArray, rows: int) -> None:
        """Refuse positions of another shape.

        Raises:
            ContractError: names both shapes.
        """
        if position.shape != (rows, self._count):
            raise ContractError(
                f"positions of shape {position.shape} for {rows} periods and {self._count} network devices"
            )

    def commands(self, position: FloatArray | None, rows: int) -> Commands:
        """Commands of positions, shape (row, network device); None commands nothing."""
        if position is None:
            none = np.zeros((0, 0))
            return Commands((), (), none, none)
        self.must_fit(position, rows)
        ratio = self._middle + self._step * position[:, self._taps]
        return Commands(self._tap_places, self._bank_places, ratio, position[:, self._banks])


def _carried(values: FloatArray, periods: int) -> FloatArray:
    """NaN replaced by the last value before it in the same candidate, column by column."""
    filled = values.copy()
    for row in range(1, len(filled)):
        if row % periods:
            filled[row] = np.where(np.isnan(filled[row]), filled[row - 1], filled[row])
    return filled
