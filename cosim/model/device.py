"""What every controllable device is: where it is connected, what it may do, and its laws.

Sign: positive power flows into the network, so a discharging battery is positive and a charging
vehicle negative.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from cosim.model.arrays import FloatArray

ROUNDING = 1e-9
"""A cut below this part of the rated power is a rounding, not a broken promise."""

DELIVERY_ROUNDING = 1e-6
"""The same where stored energy follows the delivered power, which the simulator's tolerance moves."""


class DeviceState(NamedTuple):
    """What a device's acceptance depends on, at the start of a step.

    Attributes:
        step_h: length of the step in hours.
        stored_kwh: energy stored; 0 for a device without energy.
        available_kw: what the sun, or the load behind a flexible device, offers; 0 where that means
            nothing.
        time_s: start of the step, seconds since the start of the run.
    """

    step_h: float
    stored_kwh: float = 0.0
    available_kw: float = 0.0
    time_s: float = 0.0


class Accepted(NamedTuple):
    """The part of a request that a device will follow.

    Attributes:
        kw, kvar: accepted.
        reason: why they differ from the request, empty if they do not.
    """

    kw: float
    kvar: float
    reason: str


@dataclass(frozen=True)
class Device(ABC):
    """A controllable device behind an inverter.

    Attributes:
        kind: name of its kind in the registry ``cosim.devices``.
        has_energy: whether it carries energy from one step to the next.
        name: element name, lower case.
        bus: bus it is connected to.
        phases: node numbers it uses at the bus.
        delta: connected between phases rather than to neutral.
        kw: largest active power.
        kva: rating of the inverter.
        kvar_max, kvar_max_abs: largest reactive power it injects and absorbs; None: up to ``kva``.
        neutral: node number of the neutral conductor it is connected to; None is earth, or between phases.
    """

    kind: ClassVar[str]
    has_energy: ClassVar[bool]

    name: str
    bus: str
    phases: tuple[int, ...]
    delta: bool
    kw: float
    kva: float
    kvar_max: float | None = field(default=None, kw_only=True)
    kvar_max_abs: float | None = field(default=None, kw_only=True)
    neutral: int | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def rest_kw(self) -> float:
        """Active set-point of the safe state, in which nobody asks anything of the device."""

    @abstractmethod
    def accept_kw(self, kw: float, state: DeviceState) -> tuple[float, str]:
        """Largest part of an active power that the device can hold for a whole step, and what cut it."""

    def accept(self, kw: float, kvar: float, state: DeviceState) -> Accepted:
        """Largest part of a request that the device can hold for a whole step; active power goes first."""
        accepted, reason = self.accept_kw(kw, state)
        reactive, cuts = self._accept_kvar(self.inverter_kw(accepted, state), kvar)
        return Accepted(accepted, reactive, "; ".join([*([reason] if reason else []), *cuts]))

    def inverter_kw(self, accepted_kw: float, state: DeviceState) -> float:
        """Active power that the inverter carries under an accepted set-point."""
        del state
        return accepted_kw

    @property
    def idles(self) -> bool:
        """Whether it loses energy while it works."""
        return False

    @property
    def bounds_move(self) -> bool:
        """Whether its bounds in a plan change with time although those of its kind do not."""
        return False

    @property
    def first_stored_kwh(self) -> float:
        """Energy stored at the start of the run; 0 for a device without energy."""
        return 0.0

    def delivered_kw(self, accepted_kw: float, state: DeviceState) -> float:
        """Active power at the terminals under an accepted set-point."""
        del state
        return accepted_kw

    def next_stored_kwh(self, stored_kwh: float, kw: float, step_h: float, time_s: float = 0.0) -> float:
        """Energy stored after a step at a constant power, which ``accept`` let through."""
        del kw, step_h, time_s
        return stored_kwh

    def available_kw(self, irradiance: float, demand_kw: FloatArray) -> float:
        """What is offered now.

        Args:
            irradiance: kW/m².
            demand_kw: of the loads, in the site's order, positive consumption.
        """
        del irradiance, demand_kw
        return 0.0

    @property
    def kvar_range(self) -> tuple[float, float]:
        """Least and largest reactive power."""
        most = self.kva if self.kvar_max is None else min(self.kvar_max, self.kva)
        least = self.kva if self.kvar_max_abs is None else min(self.kvar_max_abs, self.kva)
        return -least, most

    def _accept_kvar(self, kw: float, kvar: float) -> tuple[float, list[str]]:
        """Reactive power within the inverter's own limits and beside its active power; what cut it."""
        reasons: list[str] = []
        least, most = self.kvar_range
        within = max(least, min(most, kvar))
        if abs(within - kvar) > ROUNDING * self.kva:
            if min(-least, most) < self.kva:
                bound = f"kvarmax {most:g}" if kvar > 0 else f"kvarmaxabs {-least:g}"
                reasons.append(f"{bound} kvar")
            else:
                reasons.append(f"inverter {self.kva:g} kVA")
        reactive, cut = _within_circle(kw, within, self.kva)
        if cut and not reasons:
            reasons.append(f"inverter {self.kva:g} kVA")
        return reactive, reasons


def available_kw(devices: Sequence[Device], irradiance: FloatArray, demand_kw: FloatArray) -> FloatArray:
    """What each device is offered.

    Args:
        devices: in the order of the site.
        irradiance: kW/m² that each of them sees.
        demand_kw: of the loads, positive consumption.
    """
    offered = [
        device.available_kw(float(seen), demand_kw)
        for device, seen in zip(devices, irradiance, strict=True)
    ]
    return np.array(offered, dtype=np.float64)


def _within_circle(kw: float, kvar: float, kva: float) -> tuple[float, bool]:
    """Reactive power that fits beside active power, and whether it was reduced.

    A part in 1e9 is let through: a plan on the circle is not a broken promise.
    """
    room = math.sqrt(max(kva * kva - kw * kw, 0.0))
    if abs(kvar) <= room * (1 + 1e-9) + 1e-9:
        return math.copysign(min(abs(kvar), room), kvar), False
    return math.copysign(room, kvar), True
