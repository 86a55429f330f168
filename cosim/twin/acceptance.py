"""When a twin counts as a model of its feeder."""

from __future__ import annotations

from dataclasses import dataclass

TOLERANCE_PU = 1e-5


@dataclass(frozen=True)
class Acceptance:
    """What is asked of a twin that is held against the feeder it was read from.

    Attributes:
        tolerance_pu: largest difference of a voltage; the same number, as a part of the import, is the
            largest difference of the import.
        constant_power: elements, ``class.name``, that count as ones of constant power, whatever they are.
    """

    tolerance_pu: float = TOLERANCE_PU
    constant_power: tuple[str, ...] = ()
