"""Forecasts of others as they came: each with the time of its issue, so that none is read too early."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class VintageSeries:
    """All vintages of one quantity, in the order of their issue. Seconds count from the start of the run.

    A value stands for the time from its target to the next target of its vintage; the last one for as long
    as the one before it.

    Attributes:
        issued_s: when each vintage became known, rising, shape (vintage,).
        first: row at which each vintage begins, and the number of rows, shape (vintage + 1,).
        target_s: rising within a vintage, shape (row,).
        value: shape (row,).
    """

    issued_s: IntArray
    first: IntArray
    target_s: IntArray
    value: FloatArray

    def known_at(self, now_s: float) -> VintageSeries:
        """The vintages that were issued at this time or before it."""
        count = int(np.searchsorted(self.issued_s, now_s, side="right"))
        rows = int(self.first[count])
        return VintageSeries(
            self.issued_s[:count], self.first[: count + 1], self.target_s[:rows], self.value[:rows]
        )

    def values(self, now_s: float, target_s: IntArray) -> FloatArray:
        """Value at each target from the newest vintage that is known and covers it; NaN where none does.

        Args:
            now_s: time of the decision; what was issued later is not read.
            target_s: seconds of the run, shape (target,).
        """
        known = self.known_at(now_s)
        found = np.full(len(target_s), np.nan)
        for vintage in reversed(range(len(known.issued_s))):
            missing = np.isnan(found)
            if not missing.any():
                break
            found[missing] = known._of(vintage, target_s[missing])
        return found

    def _of(self, vintage: int, target_s: IntArray) -> FloatArray:
        """What one vintage says; NaN where it says nothing."""
        rows = slice(int(self.first[vintage]), int(self.first[vintage + 1]))
        start_s, value = self.target_s[rows], self.value[rows]
        end_s = start_s[-1] + (start_s[-1] - start_s[-2])
        at = np.searchsorted(start_s, target_s, side="right") - 1
        covered = (at >= 0) & (target_s < end_s)
        return np.where(covered, value[np.maximum(at, 0)], np.nan)


@dataclass(frozen=True)
class Vintages:
    """Vintages by quantity; None where nobody gives any.

    Attributes:
        load_kw: of all loads together.
        irradiance: that all devices see, kW/m².
        price_per_kwh: the price.
    """

    load_kw: VintageSeries | None = None
    irradiance: VintageSeries | None = None
    price_per_kwh: VintageSeries | None = None

    @property
    def empty(self) -> bool:
        """Whether there is none of any quantity."""
        return self.load_kw is None and self.irradiance is None and self.price_per_kwh is None
