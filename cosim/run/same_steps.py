"""Whether two steps are the same, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cosim.errors import RecordError

CLOCKED = frozenset({"plan_build_s", "plan_solve_s", "controller_plan_build_s", "controller_plan_solve_s"})
"""Seconds on the wall: they differ between runs that are the same."""


def must_be_same(made: Mapping[str, Any], recorded: Mapping[Any, Any], step: int, who: str) -> None:
    """Refuse a step that differs from the one on record.

    Raises:
        RecordError: names the step and the column.
    """
    for name, value in made.items():
        if name not in CLOCKED and not same(value, recorded.get(name)):
            raise RecordError(
                f"{who} does not repeat step {step} of the record: {name} is {_short(value)}, on record is "
                f"{_short(recorded.get(name))}; run the scenario again instead"
            )


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit; nothing equals nothing."""
    if one is None or other is None:
        return _nothing(one) and _nothing(other)
    first, second = np.asarray(one), np.asarray(other)
    if first.dtype.kind in "iufb" and second.dtype.kind in "iufb":
        first, second = first.astype(np.float64), second.astype(np.float64)
        return bool(np.array_equal(first, second, equal_nan=True))
    return bool(np.array_equal(first, second))


def _nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _short(value: Any) -> str:
    values = np.ravel(np.asarray(value, dtype=object))
    return str(value) if len(values) < 2 else f"{len(values)} values from {values[0]!r}"
