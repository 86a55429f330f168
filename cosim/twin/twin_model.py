"""Everything a twin is made of, as plain values that can be sent to another process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosim.model.network_device import NetworkDevice
from cosim.twin.controls import Controls
from cosim.twin.data import TwinData

if TYPE_CHECKING:
    from cosim.twin.feeder_twin import FeederTwin


@dataclass(frozen=True)
class TwinModel:
    """A feeder as its twin knows it.

    Attributes:
        data: network, loads and devices.
        controls: regulators and capacitors.
        stale: believe in the taps and capacitors measured first, ever after.
        frozen: believe that no control reacts to a plan.
        apart_pu: how far it is from the feeder at the reading: voltage in pu, or part of the import.
    """

    data: TwinData
    controls: Controls
    stale: bool = False
    frozen: bool = False
    apart_pu: float = 0.0

    def open(self, network_devices: Sequence[NetworkDevice] = ()) -> FeederTwin:
        """A twin of its own for a planner; its factorisations and caches are shared with nobody.

        Args:
            network_devices: of the site, which follow positions.
        """
        # A model that is only read, sent or kept needs no compiled kernels.
        from cosim.twin.feeder_twin import FeederTwin

        return FeederTwin(
            self.data,
            self.controls,
            stale=self.stale,
            frozen=self.frozen,
            apart_pu=self.apart_pu,
            network_devices=network_devices,
        )
