"""What a value of a series may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cosim.errors import SeriesError
from cosim.model.arrays import FloatArray


@dataclass(frozen=True)
class Bounds:
    """What a value may be.

    Attributes:
        low, high: the ends.
        unit: of the value.
        hint: what to do about a value outside.
    """

    low: float
    high: float
    unit: str
    hint: str = ""

    def check(self, values: FloatArray, where: Iterable[str]) -> None:
        """Raise for the first value outside; ``where`` names the place of each.

        Raises:
            SeriesError: a value is outside.
        """
        outside = np.flatnonzero((values < self.low) | (values > self.high))
        if outside.size:
            at = int(outside[0])
            place = next(text for i, text in enumerate(where) if i == at)
            if values[at] < self.low == 0.0:
                raise SeriesError(f"{place}{values[at]:g} {self.unit} is negative")
            hint = f"; {self.hint}" if self.hint and values[at] > self.high else ""
            raise SeriesError(
                f"{place}{values[at]:g} {self.unit} is outside {self.low:g} .. {self.high:g} "
                f"{self.unit}{hint}"
            )
