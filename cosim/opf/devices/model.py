"""The devices of a plan, as every planner sees them: bounds over the horizon, and exact laws."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from cosim.devices.bounds import EnergyBounds, SourceBounds, each, joined
from cosim.devices.kind import DeviceKind, PlanContext
from cosim.devices.registry import by_kind
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.device import Device, DeviceState
from cosim.model.state import Plan
from cosim.model.timegrid import Horizon
from cosim.opf.options import PlannerOptions

AT_REST = 1e-7
"""A device with energy below this part of its rating rests."""
ROUNDING = 1e-3
"""Up to this part of the rated power a step outside the energy window counts as the solver's rounding."""


class DeviceModel:
    """All devices over a horizon: those with energy come first.

    Args:
        devices: of the site, in its order.
        horizon: the periods.
        options: of the planner.

    Attributes:
        energy, sources: devices with energy, and the others.
    """

    def __init__(self, devices: tuple[Device, ...], horizon: Horizon, options: PlannerOptions) -> None:
        self.devices = devices
        self.energy = tuple(device for device in devices if device.has_energy)
        self.sources = devices[len(self.energy) :]
        self._horizon, self._options = horizon, options
        self._kw = each(self.energy, "kw")
        self._idling_kw = np.array(
            [-device.delivered_kw(0.0, DeviceState(1.0)) for device in self.energy], dtype=np.float64
        )
        self._kinds: list[tuple[DeviceKind, slice, tuple[Device, ...]]] = list(by_kind(devices))

    @property
    def count(self) -> int:
        """How many devices there are."""
        return len(self.devices)

    @property
    def idles(self) -> bool:
        """Whether a device loses energy while it works, which is only known once there is a plan."""
        return any(device.idles for device in self.devices)

    @property
    def moving(self) -> bool:
        """Whether bounds of a device with energy change with time."""
        of_kind = any(kind.moving_bounds for kind, _, _ in self._kinds)
        return of_kind or any(device.bounds_move for device in self.energy)

    def constant_bounds(self) -> tuple[EnergyBounds | None, SourceBounds | None]:
        """Bounds before anything is measured: sizes and constants of a program."""
        stored = np.array([device.first_stored_kwh for device in self.devices])
        nothing = np.zeros((len(self._horizon), self.count))
        return self.bounds(stored, nothing, None, 0.0)

    def bounds(
        self, stored_kwh: FloatArray, available_kw: FloatArray, earlier: Plan | None, time_s: float
    ) -> tuple[EnergyBounds | None, SourceBounds | None]:
        """What the devices may do; None where there is no device of that sort.

        Args:
            stored_kwh: now, shape (device,).
            available_kw: forecast, shape (period, device).
            earlier: plan of an earlier step.
            time_s: start of the horizon.
        """
        energy: list[EnergyBounds] = []
        sources: list[SourceBounds] = []
        for kind, place, devices in self._kinds:
            context = PlanContext(
                self._horizon,
                self._options,
                time_s,
                stored_kwh[place],
                available_kw[:, place],
                None if earlier is None else _planned_of(earlier, place),
            )
            if kind.energy_bounds is not None:
                energy.append(kind.energy_bounds(devices, context))
            elif kind.source_bounds is not None:
                sources.append(kind.source_bounds(devices, context))
        return (
            cast("EnergyBounds", joined(energy)) if energy else None,
            cast("SourceBounds", joined(sources)) if sources else None,
        )

    def target_kwh(self) -> FloatArray:
        """Energy that the terminal condition asks of each device with energy, shape (device,)."""
        return self._options.terminal.target_kwh(self.energy)

    # --- exact laws along a plan --------------------------------------------------------------------

    def at_terminals(self, power_kva: ComplexArray) -> ComplexArray:
        """What devices inject under planned powers: one with energy at rest draws its idling loss.

        Args:
            power_kva: planned, shape (period, device), or many plans with further axes before these.
        """
        power, count = power_kva.copy(), len(self.energy)
        kw = power.real[..., :count]
        power[..., :count] -= np.where(np.abs(kw) < AT_REST * self._kw, kw + self._idling_kw, 0.0)
        return power

    def within_window(
        self,
        stored_kwh: FloatArray,
        available_kw: FloatArray,
        kw: FloatArray,
        time_s: float,
        *,
        rounding: float = ROUNDING,
    ) -> FloatArray:
        """Powers of devices with energy without what a solver's tolerance puts beyond their window.

        More than a tolerance is left as it is: it must be seen. Without a limit to what counts as rounding,
        the powers become those that the devices accept by their exact laws.

        Args:
            stored_kwh: at the start, shape (device,).
            available_kw: forecast, shape (period, device).
            kw: planned, shape (period, device with energy).
            time_s: start of the horizon.
            rounding: part of the rated power that counts as rounding.
        """
        fitted = kw.copy()
        periods = self._periods(time_s)
        for i, device in enumerate(self.energy):
            stored = float(stored_kwh[i])
            wishes, offers = kw[:, i].tolist(), available_kw[:, i].tolist()
            for period, (hours, now_s) in enumerate(periods):
                wanted = wishes[period]
                state = DeviceState(hours, stored, offers[period], now_s)
                fits, _ = device.accept_kw(wanted, state)
                if abs(fits - wanted) <= rounding * device.kw:
                    fitted[period, i] = wanted = fits
                stored = device.next_stored_kwh(stored, wanted, hours, now_s)
        return fitted

    def roll_out(self, stored_kwh: FloatArray, kw: FloatArray, time_s: float) -> FloatArray:
        """Stored energy along a plan by the exact laws, shape (period + 1, device).

        Args:
            stored_kwh: at the start, shape (device,).
            kw: planned, shape (period, device with energy).
            time_s: start of the horizon.
        """
        stored = np.repeat(stored_kwh[None, :], len(self._horizon) + 1, axis=0)
        periods = self._periods(time_s)
        for i, device in enumerate(self.energy):
            energy = float(stored_kwh[i])
            for period, ((hours, now_s), power) in enumerate(zip(periods, kw[:, i].tolist(), strict=True)):
                energy = device.next_stored_kwh(energy, power, hours, now_s)
                stored[period + 1, i] = energy
        return stored

    def _periods(self, time_s: float) -> list[tuple[float, float]]:
        """Hours and start of each period, as plain numbers: loops run over all devices and periods."""
        return [*zip(self._horizon.hours.tolist(), (time_s + self._horizon.starts_s).tolist(), strict=True)]


def _planned_of(earlier: Plan, place: slice) -> Callable[[float], FloatArray | None]:
    def planned(time_s: float) -> FloatArray | None:
        period = earlier.period_at(time_s)
        return None if period is None else earlier.p_kw[period, place]

    return planned
