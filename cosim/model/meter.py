"""A place in the feeder where the power is metered beside the head."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MeterPlace:
    """One terminal of an element.

    Attributes:
        name: of the meter.
        element: of the master, ``class.name`` in lower case.
        terminal: counted from 1; power into the element at this terminal is positive.
    """

    name: str
    element: str
    terminal: int
