"""Two areas that agree step by step, whatever happens to their messages.

Both areas of a boundary number their updates of what is agreed. Update n takes the copies of number n of
both areas, and nothing else. An area keeps the copies that it has sent under a number until it has those
of its neighbour, and repeats them. The neighbour is at most one update ahead; so a message has the copies
of two numbers. Agreed values, multipliers and penalties are therefore the same on both sides to the last
bit, with lost, late and old messages too. A delay of d rounds makes of R rounds about R / (d + 1) updates.

At the end of a plan one area may be one update ahead, and an area that was silent for some plans is further
behind. Messages carry what an area began the plan with, and both meet half way before the first update.

Over perfect links all of this is known, and a message has the copies alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray
from cosim.opf.distributed.consensus import Consensus
from cosim.opf.distributed.messages import Message

NOTHING = -1
"""Number of the copies of an area that has not planned yet."""


class LockstepState(NamedTuple):
    """What is kept from plan to plan; see :meth:`Lockstep.state`."""

    consensus: dict[str, Any]
    heard_at_s: float | None
    planned_at_s: float


class Lockstep:
    """One of the two sides of a boundary.

    Args:
        consensus: what is agreed there.
        perfect: whether every message arrives at once.
        receiver, sender: names of this area and of its neighbour.

    Attributes:
        consensus: what is agreed.
        theirs: copies of the neighbour at the last update.
        heard_at_s: time of the last plan in which the neighbour was heard; None: never.
    """

    def __init__(self, consensus: Consensus, *, perfect: bool, receiver: str, sender: str) -> None:
        self.consensus, self._perfect = consensus, perfect
        self._receiver, self._sender = receiver, sender
        self.heard_at_s: float | None = None
        self._now_s = 0.0
        self.begin(0.0)

    def begin(self, time_s: float) -> None:
        """Begin a plan, after the consensus has got its values."""
        self._now_s = time_s
        self.clear()
        known = self.consensus
        self._begins = np.concatenate(
            [known.agreed.ravel(), known.multiplier.ravel(), known.penalty.ravel()]
        )

    def clear(self) -> None:
        """Forget the copies of the plan before."""
        self._number, self._met = 0, self._perfect
        self._own: FloatArray | None = None
        self._last = self.theirs = np.zeros(self.consensus.agreed.shape)
        self._heard: tuple[int, FloatArray, FloatArray] | None = None

    def is_silent(self, time_s: float, hold_s: float | None) -> bool:
        """Whether the neighbour was not heard for longer than its last values count.

        Args:
            time_s: of the plan that begins.
            hold_s: for how long they count; None: for ever.
        """
        if self.heard_at_s is None or hold_s is None:
            return False
        return self.heard_at_s < self._now_s and time_s - self.heard_at_s > hold_s

    @property
    def size(self) -> int:
        """Values of a message."""
        copies = self.consensus.agreed.size
        return copies if self._perfect else 1 + 2 * copies + self._begins.size

    def offer(self, copies: FloatArray) -> None:
        """Copies of this area for the next update; those that were sent already count."""
        if self._own is None:
            self._own = copies

    def message(self) -> Message:
        """What the neighbour gets."""
        own = np.zeros(self._last.shape) if self._own is None else self._own
        if self._perfect:
            return own.ravel()
        number = NOTHING if self._own is None else self._number
        return np.concatenate([[float(number)], own.ravel(), self._last.ravel(), self._begins])

    def take(self, message: Message | None) -> bool:
        """Take a message of the neighbour, if there is one; whether anything was updated.

        Raises:
            ContractError: it has another length than agreed.
        """
        if message is not None:
            self._hear(message)
        if self._heard is None or self._own is None:
            return False
        number, now, last = self._heard
        theirs = {number: now, number - 1: last}.get(self._number)
        if theirs is None:
            return False
        moved = self.consensus.update(self._own, theirs)
        self.theirs = theirs
        self._last, self._own, self._number = self._own, None, self._number + 1
        if self._perfect:
            self._heard = None
        return moved

    def _hear(self, message: Message) -> None:
        """Keep the newest message."""
        if message.shape != (self.size,):
            raise ContractError(
                f"{self._receiver} expected {self.size} values from {self._sender}, got {message.size}; "
                "all areas must have the same horizon, the same cut and the same links"
            )
        self.heard_at_s = self._now_s
        shape = self.consensus.agreed.shape
        if self._perfect:
            self._heard = (self._number, message.reshape(shape), self._last)
            return
        number, values = int(message[0]), message[1:]
        if number == NOTHING or (self._heard is not None and number < self._heard[0]):
            return
        now, last, agreed, multiplier = values[: 4 * self._last.size].reshape(4, *shape)
        if not self._met:
            self._met = True
            penalty = values[4 * self._last.size :].reshape(self.consensus.penalty.shape)
            self.consensus.meet(agreed, multiplier, penalty)
        self._heard = (number, now, last)

    # --- carrying on ----------------------------------------------------------------------------------

    def state(self) -> LockstepState:
        """What later plans depend on; see :class:`cosim.model.roles.Resumable`."""
        return LockstepState(self.consensus.state(), self.heard_at_s, self._now_s)

    def restore(self, state: LockstepState) -> None:
        """Take over what :meth:`state` gave."""
        self.consensus.restore(state.consensus)
        self.heard_at_s, self._now_s = state.heard_at_s, state.planned_at_s
