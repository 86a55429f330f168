"""What devices can do, and the law by which a battery stores energy.

Sign: positive power flows into the network, so a discharging battery is positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FULL_TOLERANCE_KWH = 1e-9
ROUNDING = 1e-9
"""A cut below this part of the rated power is a rounding, not a broken promise."""


@dataclass(frozen=True)
class StorageRating:
    """A battery behind an inverter.

    Attributes:
        name: element name, lower case.
        bus: bus it is connected to.
        phases: node numbers it uses at the bus.
        delta: connected between phases rather than to neutral.
        kw: largest charging and discharging power at the terminals.
        kva: rating of the inverter; never below ``kw``.
        kwh: energy of the full cell, where the simulator stops charging.
        min_kwh, max_kwh: window the battery may be used in; ``min_kwh`` is the simulator's reserve.
        initial_kwh: stored energy at the start of the run.
        efficiency_charge, efficiency_discharge: between terminals and cell, each way.
        idling_kw: standby loss while the run lasts.
        kvar_max, kvar_max_abs: largest reactive power it injects and absorbs; None: up to ``kva``.
    """

    name: str
    bus: str
    phases: tuple[int, ...]
    delta: bool
    kw: float
    kva: float
    kwh: float
    min_kwh: float
    max_kwh: float
    initial_kwh: float
    efficiency_charge: float
    efficiency_discharge: float
    idling_kw: float
    kvar_max: float | None = None
    kvar_max_abs: float | None = None

    @property
    def kvar_range(self) -> tuple[float, float]:
        """Least and largest reactive power."""
        return _kvar_range(self.kva, self.kvar_max, self.kvar_max_abs)

    def next_stored_kwh(self, stored_kwh: float, kw: float, step_h: float) -> float:
        """Stored energy after one step at constant terminal power.

        The idling loss comes out of the cell while the battery works and out of the grid while it
        rests. An empty battery told to discharge, and a full one told to charge, rest. Energy outside
        the reserve and the full cell is cut off, whatever the power was: a set-point that would cross
        them must be reduced beforehand (see :meth:`accept`).

        Source: OpenDSS storage model (EPRI technical note *OpenDSS Storage Element*), checked
        against the engine step by step.
        """
        if kw > 0.0:
            if stored_kwh <= self.min_kwh:
                return stored_kwh
            after = stored_kwh - (kw + self.idling_kw) / self.efficiency_discharge * step_h
            return max(after, self.min_kwh)
        if kw < 0.0:
            if stored_kwh >= self.kwh:
                return stored_kwh
            into_cell_kw = -kw - self.idling_kw
            if into_cell_kw < 0.0:
                # A trickle below the idling loss drains the cell, and stops at the reserve too.
                after = stored_kwh + into_cell_kw / self.efficiency_discharge * step_h
                return max(after, self.min_kwh) if stored_kwh > self.min_kwh else stored_kwh
            return min(stored_kwh + into_cell_kw * self.efficiency_charge * step_h, self.kwh)
        return stored_kwh

    def accept(
        self, kw: float, kvar: float, *, stored_kwh: float, step_h: float
    ) -> tuple[float, float, str]:
        """Largest part of a request that the battery can hold for a whole step.

        Active power goes before reactive power.

        Returns:
            Accepted kW, accepted kvar, and the reason of any difference (empty if none).
        """
        reasons: list[str] = []
        accepted = max(-self.kw, min(self.kw, kw))
        if accepted != kw:
            reasons.append(f"rating {self.kw:g} kW")
        if accepted > 0.0:
            room = (stored_kwh - self.min_kwh) * self.efficiency_discharge / step_h - self.idling_kw
            if room < accepted:
                rounding = accepted - room <= ROUNDING * self.kw
                accepted = room if room > FULL_TOLERANCE_KWH else 0.0
                if not rounding:
                    reasons.append(f"energy: {stored_kwh:.3f} kWh stored, {self.min_kwh:g} kWh reserve")
        elif accepted < 0.0:
            room_kwh = self.max_kwh - stored_kwh
            room = room_kwh / (self.efficiency_charge * step_h) + self.idling_kw
            if room_kwh <= FULL_TOLERANCE_KWH:
                accepted = 0.0
                reasons.append(f"energy: {stored_kwh:.3f} of {self.max_kwh:g} kWh stored")
            elif room < -accepted:
                if -accepted - room > ROUNDING * self.kw:
                    reasons.append(f"energy: {stored_kwh:.3f} of {self.max_kwh:g} kWh stored")
                accepted = -room
        reactive, cuts = _accept_kvar(accepted, kvar, self.kva, self.kvar_range)
        reasons += cuts
        return accepted, reactive, "; ".join(reasons)


@dataclass(frozen=True)
class PvRating:
    """A photovoltaic system behind an inverter.

    Attributes:
        name, bus, phases, delta: as for :class:`StorageRating`.
        kw: power of the panels at an irradiance of 1 kW/m².
        kva: rating of the inverter.
        kvar_max, kvar_max_abs: as for :class:`StorageRating`.
    """

    name: str
    bus: str
    phases: tuple[int, ...]
    delta: bool
    kw: float
    kva: float
    kvar_max: float | None = None
    kvar_max_abs: float | None = None

    @property
    def kvar_range(self) -> tuple[float, float]:
        """Least and largest reactive power."""
        return _kvar_range(self.kva, self.kvar_max, self.kvar_max_abs)

    def available_kw(self, irradiance: float) -> float:
        """Power without curtailment, before the inverter's rating cuts it."""
        # The engine caps the panels at their rating, however bright the sun.
        return min(self.kw * irradiance, self.kw, self.kva)

    def accept(self, limit_kw: float, kvar: float, *, available_kw: float) -> tuple[float, float, str]:
        """Limit and reactive power the inverter will follow.

        Returns:
            Accepted limit in kW, accepted kvar, and the reason of any difference (empty if none).
        """
        reasons: list[str] = []
        limit = max(0.0, min(self.kw, limit_kw))
        if limit != limit_kw:
            reasons.append(f"limit outside 0 .. {self.kw:g} kW")
        active = min(limit, available_kw)
        reactive, cuts = _accept_kvar(active, kvar, self.kva, self.kvar_range)
        reasons += cuts
        return limit, reactive, "; ".join(reasons)


def _kvar_range(kva: float, kvar_max: float | None, kvar_max_abs: float | None) -> tuple[float, float]:
    most = kva if kvar_max is None else min(kvar_max, kva)
    least = kva if kvar_max_abs is None else min(kvar_max_abs, kva)
    return -least, most


def _accept_kvar(
    kw: float, kvar: float, kva: float, kvar_range: tuple[float, float]
) -> tuple[float, list[str]]:
    """Reactive power within the inverter's own limits and beside its active power; what cut it."""
    reasons: list[str] = []
    least, most = kvar_range
    within = max(least, min(most, kvar))
    if abs(within - kvar) > ROUNDING * kva:
        if min(-least, most) < kva:
            bound = f"kvarmax {most:g}" if kvar > 0 else f"kvarmaxabs {-least:g}"
            reasons.append(f"{bound} kvar")
        else:
            reasons.append(f"inverter {kva:g} kVA")
    reactive, cut = _within_circle(kw, within, kva)
    if cut and not reasons:
        reasons.append(f"inverter {kva:g} kVA")
    return reactive, reasons


def _within_circle(kw: float, kvar: float, kva: float) -> tuple[float, bool]:
    """Reactive power that fits beside active power, and whether it was reduced.

    A part in 1e9 is let through: a plan on the circle is not a broken promise.
    """
    room = math.sqrt(max(kva * kva - kw * kw, 0.0))
    if abs(kvar) <= room * (1 + 1e-9) + 1e-9:
        return math.copysign(min(abs(kvar), room), kvar), False
    return math.copysign(room, kvar), True
