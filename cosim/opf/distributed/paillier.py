"""Sums of encrypted values: nobody but the aggregator can read them, and it gets only the sum.

The aggregator makes a key and tells its public part. Owners encrypt under it and send to one of them, the
collector. The collector multiplies the ciphertexts, which adds the values, and sends one sum on. Several
values share a ciphertext, 64 bits for each.

Source: after Paillier, 1999, "Public-key cryptosystems based on composite degree residuosity classes",
doi 10.1007/3-540-48910-X_16; by the package phe.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from phe import EncryptedNumber, PaillierPublicKey, generate_paillier_keypair

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray
from cosim.opf.distributed.messages import Message
from cosim.opf.distributed.sum_codes import BITS, FRACTION_BITS, Moment, to_whole

KEY_BITS = 2048
SLOT_BITS = 64
"""Of a value in a ciphertext: 52 of the value, the rest for what sums carry over."""
SLOTS = (KEY_BITS - 2) // SLOT_BITS
WORD_BYTES = 6
"""A double holds 6 bytes of a ciphertext exactly."""
KEY_WORDS = -(-KEY_BITS // (8 * WORD_BYTES))
CIPHER_WORDS = -(-2 * KEY_BITS // (8 * WORD_BYTES))


def to_words(number: int, words: int) -> Message:
    """A whole number as doubles that hold 6 bytes each, shape (words,)."""
    parts = np.frombuffer(number.to_bytes(words * WORD_BYTES, "little"), dtype=np.uint8)
    return parts.reshape(words, WORD_BYTES).astype(np.float64) @ 256.0 ** np.arange(WORD_BYTES)


def from_words(words: Message) -> int:
    """The number that :func:`to_words` made doubles of."""
    parts = words.astype("<u8").view(np.uint8).reshape(len(words), 8)[:, :WORD_BYTES]
    return int.from_bytes(parts.tobytes(), "little")


def ciphers_of(message: Message, key: PaillierPublicKey, count: int) -> list[EncryptedNumber]:
    """The ciphertexts of a message.

    Raises:
        ContractError: it has another number of them.
    """
    if message.shape != (count * CIPHER_WORDS,):
        raise ContractError(
            f"a message of {message.size} words arrived where {count} ciphertexts of {CIPHER_WORDS} words "
            "were expected; all areas must have the same horizon"
        )
    return [EncryptedNumber(key, from_words(words), 0) for words in message.reshape(count, CIPHER_WORDS)]


class CipherSeal:
    """Values under the key of the aggregator.

    Args:
        owners: number of owners in a sum.
    """

    def __init__(self, owners: int) -> None:
        self._owners = owners
        self._key: PaillierPublicKey | None = None

    def learn(self, opening: Message) -> None:
        """Take the public key."""
        self._key = PaillierPublicKey(from_words(opening))

    def close(self, values: FloatArray, moment: Moment, others: Sequence[Message]) -> Message:
        """See :class:`cosim.opf.distributed.sum_codes.Seal`."""
        if self._key is None:
            raise ContractError(
                f"an owner must send encrypted values in round {moment.round} and has no key; the "
                "aggregator sends it in round 0"
            )
        sums = [self._key.encrypt(packed) for packed in packs(values, self._owners)]
        for other in others:
            sums = [
                one + two for one, two in zip(sums, ciphers_of(other, self._key, len(sums)), strict=True)
            ]
        # Own numbers have just been encrypted with a new random factor, which hides the sum too.
        return np.concatenate([to_words(one.ciphertext(be_secure=False), CIPHER_WORDS) for one in sums])


def packs(values: FloatArray, owners: int) -> list[int]:
    """Plaintexts of up to 31 values each; an offset keeps them from being negative."""
    # The sign bit, seen as the offset of a number that is never negative.
    shifted = [int(item) ^ (1 << (BITS - 1)) for item in to_whole(values, owners)]
    return [
        sum(item << SLOT_BITS * place for place, item in enumerate(shifted[first : first + SLOTS]))
        for first in range(0, len(shifted), SLOTS)
    ]


class CipherOpener:
    """The private key, which only the aggregator has.

    Args:
        owners: number of owners in a sum.
    """

    def __init__(self, owners: int) -> None:
        self._owners = owners
        self._public, self._private = generate_paillier_keypair(n_length=KEY_BITS)

    def opening(self) -> Message:
        """The public key."""
        return to_words(self._public.n, KEY_WORDS)

    def total(self, messages: Sequence[Message], size: int) -> FloatArray:
        """See :class:`cosim.opf.distributed.sum_codes.Opener`."""
        total = np.zeros(size)
        for message in messages:
            ciphers = ciphers_of(message, self._public, -(-size // SLOTS))
            total += unpacked([self._private.decrypt(cipher) for cipher in ciphers], size, self._owners)
        return total


def unpacked(plaintexts: Sequence[int], size: int, owners: int) -> FloatArray:
    """Sums in units, shape (size,), of the plaintexts of :func:`packs` of all owners."""
    offset = owners << (BITS - 1)
    sums = [
        ((plaintexts[place // SLOTS] >> SLOT_BITS * (place % SLOTS)) & (1 << SLOT_BITS) - 1) - offset
        for place in range(size)
    ]
    return np.array(sums, dtype=np.float64) * 2.0**-FRACTION_BITS
