"""Time: the steps of a run and the periods of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from cosim.model.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class TimeGrid:
    """The steps of a run: step k covers ``[k * step_s, (k + 1) * step_s)`` seconds after the start.

    Attributes:
        start: aware timestamp of second zero.
        step_s: length of a step.
        steps: how many steps the run has.
    """

    start: datetime
    step_s: int
    steps: int

    @property
    def step_h(self) -> float:
        """Length of a step in hours."""
        return self.step_s / 3600.0

    def second(self, step: int) -> int:
        """Seconds from the start of the run to the start of a step."""
        return step * self.step_s

    def timestamp(self, step: int) -> datetime:
        """Aware timestamp of the start of a step."""
        return self.start + timedelta(seconds=self.second(step))


@dataclass(frozen=True)
class Horizon:
    """The periods a plan looks at, counted from the moment of the decision.

    Fine periods first, coarser ones allowed after them.

    Attributes:
        period_s: length of each period.
    """

    period_s: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.period_s)

    @property
    def hours(self) -> FloatArray:
        """Length of each period in hours, shape (period,)."""
        return np.asarray(self.period_s, dtype=np.float64) / 3600.0

    @property
    def starts_s(self) -> IntArray:
        """Start of each period after the decision, shape (period,)."""
        return np.concatenate([[0], np.cumsum(self.period_s)[:-1]]).astype(np.int64)

    @property
    def length_s(self) -> int:
        """How far the plan looks."""
        return sum(self.period_s)

    def period_at(self, offset_s: int) -> int | None:
        """Index of the period that holds a moment, or None beyond the end."""
        if not 0 <= offset_s < self.length_s:
            return None
        return int(np.searchsorted(self.starts_s, offset_s, side="right")) - 1

    def periods_after(self, shift_s: float) -> IntArray:
        """Period of an earlier plan in which each period of a later one begins; at most its last one.

        Args:
            shift_s: by which the later plan begins later.

        Returns:
            Shape (period,).
        """
        ends = np.cumsum(self.period_s)
        found = np.searchsorted(ends, self.starts_s + shift_s, side="right")
        return np.minimum(found, len(ends) - 1)
