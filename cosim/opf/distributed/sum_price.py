"""One price for all owners, which follows from the sum of their powers alone.

    owner i      x_i  minimises  own cost + y x_i + r / 2 (x_i - z_i)²
                 x_i  = a x_i + (1 - a) z_i                    over-relaxation
    aggregator   z    minimises  cost of the import and of limits - y z + r / (2 N) (z - S)²
    both         g    = (S - z) / N
                 y    = y + r g                                price
                 z_i  = x_i - g                                request of an owner, known to it alone

with the sum S of all x_i after over-relaxation, and the number N of owners. The aggregator needs S and no
x_i; all owners get the same message.

Source: after Boyd, Parikh, Chu, Peleato and Eckstein, 2011, doi 10.1561/2200000016, section 7.3 (sharing),
with the over-relaxation of section 3.4.3 and penalties that balance the residuals, section 3.4.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray
from cosim.opf.distributed.admm import LEAST_PRICE_PER_KWH
from cosim.opf.distributed.consensus import Balance, balanced
from cosim.opf.distributed.dual_price_options import SCALES, DualPriceOptions
from cosim.opf.distributed.messages import Message
from cosim.opf.distributed.owner import Terms
from cosim.opf.distributed.schedules import Schedules

KINDS = len(SCALES)


class SumPrice:
    """Price, penalty and distance of request and answer, as an owner and the aggregator know them.

    Args:
        periods: of the horizon.
        chosen: options of the planner.

    Attributes:
        price: y, shape (kind, 1, period), currency per unit.
        penalty: r, shape (kind, 1, 1), currency per unit squared.
        gap: (S - z) / N, of the shape of the price, units.
        agreed: whether request and answer agree.
        apart: largest difference of request and answer, units.
    """

    def __init__(self, periods: int, chosen: DualPriceOptions) -> None:
        self._chosen, self._started = chosen, False
        self.price = self._base = self.gap = np.zeros((KINDS, 1, periods))
        self.penalty = self.start = self.scale = np.ones((KINDS, 1, 1))
        self.agreed, self.apart = False, np.inf

    def begin(self, terms: Terms) -> None:
        """See :class:`cosim.opf.distributed.owner.OwnerLink`."""
        base = np.zeros_like(self._base)
        base[0] = -terms.charge * terms.unit_kva
        if not self._started:
            cost = max(float(np.abs(terms.charge).mean()), LEAST_PRICE_PER_KWH) * terms.unit_kva
            self.scale = cost * np.array(SCALES)[:, None, None]
            self.penalty = self.start = self._chosen.penalty * self.scale
        self.price = (self.price - self._base)[:, :, terms.periods] + base
        self._base, self._started = base, True
        self.gap = np.zeros_like(base)
        self.agreed, self.apart = False, np.inf

    def state(self) -> dict[str, Any]:
        """What later plans depend on; see :class:`cosim.model.roles.Resumable`."""
        return {
            "price": self.price,
            "base": self._base,
            "penalty": self.penalty,
            "start": self.start,
            "scale": self.scale,
            "started": self._started,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        self.price, self._base, self._started = state["price"], state["base"], state["started"]
        self.penalty, self.start, self.scale = state["penalty"], state["start"], state["scale"]

    @property
    def moved(self) -> FloatArray:
        """How far prices are from what they began with, in units of their scale, at least 1."""
        moved = np.abs(self.price - self._base) / self.scale
        return np.asarray(np.maximum(moved, 1.0).max(axis=(1, 2), keepdims=True))

    def message(self) -> Message:
        """All of it, for the owners."""
        state = np.array([float(self.agreed), self.apart])
        return np.concatenate([self.price.ravel(), self.gap.ravel(), self.penalty.ravel(), state])

    def hear(self, message: Message) -> None:
        """Take what the aggregator sent.

        Raises:
            ContractError: it has another length.
        """
        size = self.price.size
        if message.shape != (2 * size + KINDS + 2,):
            raise ContractError(
                f"an owner expected {2 * size + KINDS + 2} values from the aggregator, got {message.size}; "
                "all areas must have the same horizon"
            )
        self.price = message[:size].reshape(self.price.shape)
        self.gap = message[size : 2 * size].reshape(self.price.shape)
        self.penalty = message[2 * size : 2 * size + KINDS].reshape(self.penalty.shape)
        self.agreed, self.apart = bool(message[-2]), float(message[-1])


class OwnerOfSum:
    """The link of an owner whose answer is the sum of its devices.

    Args:
        periods: of the horizon.
        chosen: options of the planner.

    Attributes:
        known: price and penalty as heard.
    """

    def __init__(self, periods: int, chosen: DualPriceOptions) -> None:
        self.known = SumPrice(periods, chosen)
        self._own = self._asked = np.zeros((KINDS, 1, periods))
        self._relaxation = chosen.relaxation

    @property
    def agreed(self) -> bool:
        """See :class:`cosim.opf.distributed.owner.OwnerLink`."""
        return self.known.agreed

    @property
    def apart(self) -> float:
        """See :class:`cosim.opf.distributed.owner.OwnerLink`."""
        return self.known.apart

    @property
    def resting(self) -> FloatArray:
        """The answer of the last round."""
        return self._own

    def begin(self, terms: Terms) -> None:
        """See :class:`cosim.opf.distributed.owner.OwnerLink`."""
        self.known.begin(terms)
        self._own, self._asked = self._own[:, :, terms.periods], self._asked[:, :, terms.periods]

    def state(self) -> tuple[dict[str, Any], FloatArray, FloatArray]:
        """See :class:`cosim.opf.distributed.owner.OwnerLink`."""
        return self.known.state(), self._own, self._asked

    def restore(self, state: tuple[dict[str, Any], FloatArray, FloatArray]) -> None:
        """See :class:`cosim.opf.distributed.owner.OwnerLink`."""
        self.known.restore(state[0])
        self._own, self._asked = state[1], state[2]

    def hear(self, message: Message) -> None:
        """Take what the aggregator sent; what is asked of this owner follows."""
        settled = self.known.agreed
        self.known.hear(message)
        if not settled:
            a = self._relaxation
            self._asked = a * self._own + (1.0 - a) * self._asked - self.known.gap

    @property
    def center(self) -> FloatArray:
        """Where the square is centred."""
        return np.asarray(self._asked - self.known.price / self.known.penalty)

    @property
    def weight(self) -> FloatArray:
        """Of the square."""
        return np.asarray(np.broadcast_to(self.known.penalty / 2.0, self._own.shape))

    def pull(self, schedules: Schedules) -> None:
        """See :class:`cosim.opf.distributed.owner.OwnerLink`."""
        schedules.pull_to(self, slice(None))

    def read(self, schedules: Schedules) -> FloatArray:
        """The sums of active and of reactive power, shape (2, 1, period), in units."""
        self._own = schedules.values().sum(axis=1, keepdims=True)
        return self._own


class RequestedSum:
    """The aggregator's side: the sum that it asks for, and the price that follows.

    Args:
        periods: of the horizon.
        owners: their number.
        chosen: options of the planner.

    Attributes:
        known: price and penalty as all owners get to know them.
        asked: z, shape (kind, 1, period), units.
        answered: S, of that shape.
    """

    def __init__(self, periods: int, owners: int, chosen: DualPriceOptions) -> None:
        self.known = SumPrice(periods, chosen)
        self._owners, self._chosen, self._balance = owners, chosen, Balance()
        self.asked = self.answered = self._relaxed = np.zeros((KINDS, 1, periods))

    def begin(self, terms: Terms) -> None:
        """See :class:`cosim.opf.distributed.owner.OwnerLink`."""
        self.known.begin(terms)
        self.asked = self.asked[:, :, terms.periods]

    def state(self) -> tuple[dict[str, Any], FloatArray]:
        """See :class:`cosim.opf.distributed.owner.OwnerLink`."""
        return self.known.state(), self.asked

    def restore(self, state: tuple[dict[str, Any], FloatArray]) -> None:
        """See :class:`cosim.opf.distributed.owner.OwnerLink`."""
        self.known.restore(state[0])
        self.asked = state[1]

    def take(self, answered: FloatArray) -> None:
        """The sum of a round, before the aggregator asks again."""
        self.answered, a = answered, self._chosen.relaxation
        self._relaxed = a * answered + (1.0 - a) * self.asked

    @property
    def center(self) -> FloatArray:
        """Where the square of the aggregator is centred."""
        known = self.known
        return np.asarray(self._relaxed + self._owners * known.price / known.penalty)

    @property
    def weight(self) -> FloatArray:
        """Of the square."""
        return np.asarray(np.broadcast_to(self.known.penalty / (2.0 * self._owners), self.asked.shape))

    def ask(self, asked: FloatArray) -> None:
        """Take the new request; price, penalty and residuals follow."""
        known, owners = self.known, self._owners
        moved = known.penalty / owners / known.scale * np.abs(asked - self.asked)
        apart = self.answered - asked
        self.asked = asked
        known.gap = (self._relaxed - asked) / owners
        known.price = known.price + known.penalty * known.gap
        known.apart = float(np.abs(apart).max())
        small = known.apart <= self._chosen.tolerance
        known.agreed = small and float(moved.max()) <= self._chosen.dual_tolerance
        if not known.agreed:
            penalty = balanced(known.penalty, apart / owners, moved / known.moved, self._balance)
            most = self._balance.most
            known.penalty = np.clip(penalty, known.start / most, known.start * most)
