"""What another federate says of the coming steps, and for which step it said so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray

PUBLISHED = ("load_kw", "irradiance", "price_per_kwh")
"""Quantities that may be published."""


@dataclass(frozen=True)
class Published:
    """Values for the steps after the one that is decided; empty where nothing is said of a quantity.

    Attributes:
        step: that is decided; the first values are those of the step after it.
        load_kw: of all loads together at rated voltage, shape (step,).
        irradiance: that all devices see, kW/m², shape (step,).
        price_per_kwh: the price, shape (step,).
    """

    step: int
    load_kw: FloatArray
    irradiance: FloatArray
    price_per_kwh: FloatArray


class Publisher(Protocol):
    """Where published values come from: a federate, or what stands in for it."""

    @property
    def name(self) -> str:
        """Of the federate."""
        ...

    def at(self, step: int) -> Published:
        """What was published for the decision of a step, the one that is decided now.

        Raises:
            ContractError: nothing was.
        """
        ...


def published_of(step: int, values: Mapping[str, Sequence[float]], name: str) -> Published:
    """Published values from plain ones.

    Args:
        step: that is decided.
        values: by the names in :data:`PUBLISHED`; what is left out is not said.
        name: of the federate.

    Raises:
        ContractError: an unknown quantity, or no vector of numbers.
    """
    unknown = sorted(set(values) - set(PUBLISHED))
    if unknown:
        raise ContractError(
            f"{name} published {', '.join(unknown)} at step {step}; it may publish {', '.join(PUBLISHED)}"
        )
    return Published(step, *(_vector(step, values.get(key, ()), f"{name}/{key}") for key in PUBLISHED))


def _vector(step: int, values: Sequence[float], topic: str) -> FloatArray:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ContractError(f"{topic} of step {step} is no vector of numbers: {error}") from error
    if found.ndim != 1 or not np.isfinite(found).all():
        raise ContractError(f"{topic} of step {step} is no vector of finite numbers, one for each step")
    return found
