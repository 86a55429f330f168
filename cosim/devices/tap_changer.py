"""Tap changers: windings whose tap a controller sets, instead of a regulator control of the feeder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from cosim.devices.network_kind import NetworkDeviceConfig, NetworkKind
from cosim.model.network_device import NetworkDevice


@dataclass(frozen=True)
class TapChanger(NetworkDevice):
    """A tap changer; position 0 is the middle of its range, each position one tap.

    Attributes:
        winding: of the transformer, whose tap is moved.
        middle_ratio: tap ratio at position 0.
        ratio_per_position: change of the tap ratio from one position to the next.
    """

    kind: ClassVar[str] = "tap_changer"

    winding: int
    middle_ratio: float = field(default=1.0, kw_only=True)
    ratio_per_position: float = field(default=0.00625, kw_only=True)


class TapChangerConfig(NetworkDeviceConfig):
    """A tap changer that the controller moves; the feeder's own regulator control is switched off."""

    kind: Literal["tap_changer"]
    transformer: str = Field(description="transformer of the feeder")
    winding: PositiveInt | None = Field(
        None, description="winding with the taps; default: the one its regulator control moves, else 2"
    )


TAP_CHANGER = NetworkKind(
    name="tap_changer",
    title="tap changer",
    plural="tap changers",
    operations="taps moved",
    rating=TapChanger,
    config=TapChangerConfig,
    element="cosim.feeder.elements.tap_changer:TAP_CHANGER",
)
