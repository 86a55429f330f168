"""What an area takes for true at its boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.opf.distributed.area_site import AreaSite
from cosim.opf.distributed.messages import Message, of_power, to_power

LEAST_UNIT_KVA = 1.0


class BoundaryValues:
    """Voltages at the heads of an area and power at the nodes where it feeds others.

    Before a neighbour has said anything, its voltage is that of the measurement and its power is zero. In
    later plans it is what the neighbour said last, shifted by the time that has passed.

    Args:
        area: whose boundaries.
        upstream, downstream: names of the neighbours.
        horizon: the periods of every plan.
        now: columns before the first period of powers: 1 where models are corrected by the measurement.
        hold_s: for how long the last values of a neighbour count that is silent; None: for ever. After
            that its voltage is that of the measurement, and its power stays at the first value.

    Attributes:
        head_squared_pu: shape (head, period); None at the substation.
    """

    def __init__(
        self,
        area: AreaSite,
        upstream: str | None,
        downstream: tuple[str, ...],
        horizon: Horizon,
        *,
        now: int,
        hold_s: float | None = None,
    ) -> None:
        self._hold_s = hold_s
        self._heard_at_s: dict[str, float] = {}
        self._area, self._upstream, self._downstream = area, upstream, downstream
        self._horizon, self._now = horizon, now
        columns = now + len(horizon)
        self._drawn = {
            name: np.zeros((len(nodes), columns), dtype=np.complex128)
            for name, nodes in zip(downstream, area.feeding, strict=True)
        }
        self._unit_kva = np.maximum(area.feeding_kva, LEAST_UNIT_KVA)[:, None]
        self.head_squared_pu: FloatArray | None = None
        self._began_s: float | None = None

    def begin(self, measurement: Measurement) -> None:
        """Begin a plan at the time of a measurement."""
        now_s = measurement.time_s
        periods = self._horizon.periods_after(0.0 if self._began_s is None else now_s - self._began_s)
        kept = np.concatenate([np.arange(self._now), self._now + periods])
        for name, drawn in self._drawn.items():
            silent = self._is_silent(name, now_s)
            self._drawn[name] = np.repeat(drawn[:, :1], len(kept), axis=1) if silent else drawn[:, kept]
        if self._upstream is not None:
            if self.head_squared_pu is None or self._is_silent(self._upstream, now_s):
                heads = self._area.nodes[: len(self._area.network.head)]
                now = measurement.voltage_pu[heads][:, None] ** 2
                self.head_squared_pu = np.repeat(now, len(self._horizon), axis=1)
            else:
                self.head_squared_pu = self.head_squared_pu[:, periods]
        self._began_s = now_s

    def _is_silent(self, name: str, now_s: float) -> bool:
        """Whether a neighbour was not heard in the last plan, and its last values count no more."""
        heard_s = self._heard_at_s.get(name)
        if heard_s is None or self._began_s is None or self._hold_s is None:
            return False
        return heard_s < self._began_s and now_s - heard_s > self._hold_s

    def take(self, received: Mapping[str, Message]) -> None:
        """Take over what neighbours say.

        Raises:
            ContractError: a message has another length than agreed.
        """
        for sender, message in received.items():
            self._heard_at_s[sender] = self._began_s or 0.0
            if sender == self._upstream:
                shape = (len(self._area.network.head), len(self._horizon))
                self._must_have(message, shape[0] * shape[1], sender)
                self.head_squared_pu = message.reshape(shape)
            else:
                drawn = self._drawn[sender]
                self._must_have(message, 2 * drawn.size, sender)
                self._drawn[sender] = to_power(message, len(drawn))

    def _must_have(self, message: Message, size: int, sender: str) -> None:
        if message.shape != (size,):
            raise ContractError(
                f"{self._area.name} expected {size} boundary values from {sender}, got {message.size}; all "
                "areas must have the same horizon and the same cut"
            )

    def drawn_kva(self) -> ComplexArray:
        """Power at all nodes where the area feeds others, shape (boundary node, now and periods)."""
        columns = self._now + len(self._horizon)
        none = np.zeros((0, columns), dtype=np.complex128)
        return np.vstack([none, *(self._drawn[name] for name in self._downstream)])

    def scaled(self) -> FloatArray:
        """All values as one vector: squared voltages, and powers as parts of the nominal power."""
        squared = np.zeros(0) if self.head_squared_pu is None else self.head_squared_pu.ravel()
        return np.concatenate([squared, of_power(self.drawn_kva() / self._unit_kva)])

    def resting_messages(self) -> dict[str, Message]:
        """Messages of an area that has no plan and has sent none: nothing drawn, nominal voltage."""
        periods = len(self._horizon)
        messages = {
            name: np.ones(len(nodes) * periods)
            for name, nodes in zip(self._downstream, self._area.feeding, strict=True)
        }
        if self._upstream is not None:
            messages[self._upstream] = np.zeros(2 * len(self._area.network.head) * (self._now + periods))
        return messages

    # --- carrying on ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """See :class:`cosim.model.roles.Resumable`."""
        return {
            "drawn": self._drawn,
            "squared": self.head_squared_pu,
            "began_s": self._began_s,
            "heard_at_s": self._heard_at_s,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._drawn, self.head_squared_pu = dict(state["drawn"]), state["squared"]
        self._began_s, self._heard_at_s = state["began_s"], dict(state["heard_at_s"])
