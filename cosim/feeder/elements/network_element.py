"""What the plant asks of a network device's element in OpenDSS."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from cosim.devices.network_kind import NetworkKind
from cosim.feeder.engine import Engine


class NetworkElement(Protocol):
    """The OpenDSS side of a kind of network devices."""

    @property
    def class_name(self) -> str:
        """Class in OpenDSS, lower case."""
        ...

    def find(self, engine: Engine, config: Any) -> Any:
        """The device of a configuration, with the range of its element.

        Raises:
            FeederError: the circuit has no such element, or it has no positions.
        """
        ...

    def windings(self, device: Any) -> Sequence[tuple[str, int]]:
        """Transformers, each with its winding, whose taps the device moves."""
        ...

    def banks(self, device: Any) -> Sequence[str]:
        """Capacitors that the device switches."""
        ...

    def own_controls(self, engine: Engine, device: Any) -> list[str]:
        """``class.name`` of the enabled controls of the feeder that move it."""
        ...

    def position(self, engine: Engine, device: Any) -> float:
        """Where it stands."""
        ...

    def move(self, engine: Engine, device: Any, position: float) -> None:
        """Set its position."""
        ...


def network_element_of(kind: NetworkKind) -> NetworkElement:
    """The element that a kind names."""
    module, _, name = kind.element.partition(":")
    return cast("NetworkElement", getattr(import_module(module), name))
