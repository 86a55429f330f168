"""How owners hide what they send, where only the sum of it is needed.

Values are whole multiples of 2^-32 units modulo 2^52, so that sums are exact, do not depend on their order,
and fit into doubles. All codes give the same sum, to the last bit.

Masking: each pair of owners adds a mask to one message and subtracts it from the other. A mask follows from
the secret of the pair, the time of the plan and the round. Each message alone is uniformly random, and the
masks cancel in the sum.

Source: after Bonawitz et al., 2017, "Practical secure aggregation for privacy-preserving machine learning",
doi 10.1145/3133956.3133982 (masks of pairs, without its protection against owners that leave).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray
from cosim.opf.distributed.messages import Message

FRACTION_BITS, BITS = 32, 52
"""Binary digits behind the point, and in all."""
LARGEST = 2.0 ** (BITS - 1 - FRACTION_BITS)
"""Sums must be smaller, units."""
_MODULUS = np.uint64(2**BITS - 1)

Whole = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Moment:
    """Of a message.

    Attributes:
        time_s: of the plan.
        round: of the message.
    """

    time_s: int
    round: int


class Seal(Protocol):
    """What an owner does with its values before it sends them."""

    def learn(self, opening: Message) -> None:
        """Take what the aggregator sends before the first round."""
        ...

    def close(self, values: FloatArray, moment: Moment, others: Sequence[Message]) -> Message:
        """The message of an owner.

        Args:
            values: in units, shape (value,).
            moment: of the message; must not come again with other values.
            others: sealed messages that are added to it.
        """
        ...


class Opener(Protocol):
    """What the aggregator does with sealed messages."""

    def opening(self) -> Message:
        """What owners must know before the first round; may be empty."""
        ...

    def total(self, messages: Sequence[Message], size: int) -> FloatArray:
        """The sum of the values of all owners, in units, shape (size,).

        Raises:
            ContractError: a message has another length.
        """
        ...


def to_whole(values: FloatArray, owners: int) -> Whole:
    """Multiples of 2^-32 modulo 2^52.

    Args:
        values: in units.
        owners: number of values in a sum.

    Raises:
        ContractError: a sum may be too large.
    """
    largest = float(np.abs(values).max(initial=0.0))
    if not largest * owners < LARGEST:
        raise ContractError(
            f"a power of {largest:.3g} mean ratings cannot be in a sum of {owners} owners, the sum must be "
            f"less than {LARGEST:.0f}; set control.planner.options.privacy to none or check the ratings"
        )
    whole = np.rint(values * 2.0**FRACTION_BITS).astype(np.int64)
    return np.asarray(whole.view(np.uint64) & _MODULUS)


def from_whole(whole: Whole) -> FloatArray:
    """Values in units; the upper half of the numbers is negative."""
    signed = whole.astype(np.int64)
    signed[signed >= 2 ** (BITS - 1)] -= 2**BITS
    return np.asarray(signed * 2.0**-FRACTION_BITS)


@dataclass(frozen=True)
class OpenSeal:
    """Values that anyone can read.

    Attributes:
        owners: number of owners in a sum.
    """

    owners: int

    def learn(self, opening: Message) -> None:
        """Nothing to learn."""

    def close(self, values: FloatArray, moment: Moment, others: Sequence[Message]) -> Message:
        """See :class:`Seal`."""
        del moment, others
        return to_whole(values, self.owners).astype(np.float64)


@dataclass(frozen=True)
class MaskSeal:
    """Values with the masks of all pairs.

    Attributes:
        name: of the owner.
        owners: names of all owners in a sum.
        seed: secrets of the pairs follow from it.
    """

    name: str
    owners: tuple[str, ...]
    seed: int

    def learn(self, opening: Message) -> None:
        """Nothing to learn."""

    def close(self, values: FloatArray, moment: Moment, others: Sequence[Message]) -> Message:
        """See :class:`Seal`."""
        del others
        whole, own = to_whole(values, len(self.owners)), self.owners.index(self.name)
        for place, other in enumerate(self.owners):
            if place < own:
                whole = whole - mask(pair_secret(self.seed, other, self.name), moment, whole.size)
            elif place > own:
                whole = whole + mask(pair_secret(self.seed, self.name, other), moment, whole.size)
        return (whole & _MODULUS).astype(np.float64)


def pair_secret(seed: int, first: str, second: str) -> bytes:
    """The secret of a pair of owners. It follows from the seed of the scenario, so that runs repeat."""
    return hashlib.sha256(f"{seed}|{first}|{second}".encode()).digest()


def mask(secret: bytes, moment: Moment, size: int) -> Whole:
    """Numbers that nobody can tell from uniformly random ones without the secret, shape (size,)."""
    stream = hashlib.shake_256(secret + f"|{moment.time_s}|{moment.round}".encode()).digest(8 * size)
    return np.frombuffer(stream, dtype="<u8").astype(np.uint64)


@dataclass(frozen=True)
class SumOpener:
    """The sum of messages, with or without masks."""

    def opening(self) -> Message:
        """Owners know all that they need."""
        return np.zeros(0)

    def total(self, messages: Sequence[Message], size: int) -> FloatArray:
        """See :class:`Opener`."""
        whole = np.zeros(size, dtype=np.uint64)
        for message in messages:
            if message.shape != (size,):
                raise ContractError(
                    f"a message with {message.size} sums arrived where {size} were expected; all areas "
                    "must have the same horizon"
                )
            whole = whole + message.astype(np.uint64)
        return from_whole(whole & _MODULUS)
