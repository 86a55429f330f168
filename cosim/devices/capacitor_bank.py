"""Capacitor banks that a controller switches, instead of a capacitor control of the feeder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from cosim.devices.network_kind import NetworkDeviceConfig, NetworkKind
from cosim.model.network_device import NetworkDevice


@dataclass(frozen=True)
class CapacitorBank(NetworkDevice):
    """A capacitor bank; position 0 is open, 1 closed."""

    kind: ClassVar[str] = "capacitor_bank"


class CapacitorBankConfig(NetworkDeviceConfig):
    """A bank that the controller switches; the feeder's own capacitor control is switched off."""

    kind: Literal["capacitor_bank"]
    capacitor: str = Field(description="capacitor of the feeder")


CAPACITOR_BANK = NetworkKind(
    name="capacitor_bank",
    title="capacitor bank",
    plural="capacitor banks",
    operations="switching operations",
    rating=CapacitorBank,
    config=CapacitorBankConfig,
    element="cosim.feeder.elements.capacitor_bank:CAPACITOR_BANK",
)
