"""What the plant's own controls do where a controller leaves the devices of a scenario to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class EngineControls:
    """Set-up of the controls that the simulator operates within each power flow.

    Attributes:
        discharge_above_kw: batteries together hold the power at the head of the feeder below this.
        charge_below_kw: and above this; both None where batteries rest.
        volt_var: reactive power of PV inverters as a share of their apparent power rating, positive
            injected, by voltage in pu: corners of a piecewise linear curve; empty where they give none.
    """

    discharge_above_kw: float | None
    charge_below_kw: float | None
    volt_var: tuple[tuple[float, float], ...]


class SetsUpEngineControls(Protocol):
    """Options of a controller that leaves devices to the plant's own controls."""

    def engine_controls(self) -> EngineControls:
        """The set-up that they ask for."""
        ...
