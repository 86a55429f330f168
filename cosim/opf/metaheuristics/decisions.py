"""Decisions of a candidate as numbers in [-1, 1], and their repair into a dispatch that can be carried out.

The columns of a candidate are, each for all periods and in the order of the site's devices: signed power of
devices with energy, curtailment of the others, and reactive power of all, as shares of what is allowed.
Columns that are not free (a PV system that may not be curtailed) are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.devices.bounds import each
from cosim.model.arrays import BoolArray, FloatArray
from cosim.model.timegrid import Horizon
from cosim.opf.devices.model import DeviceModel
from cosim.opf.structured_qp.step_program import EnergyDevices
from cosim.opf.tangent.device_dispatch import Dispatch
from cosim.opf.tangent.search_log import Devices

DEAD_BAND = 0.02
"""Decisions below this about devices with energy are rest: rest is where they have no idling loss."""
TINY = 1e-9


@dataclass(frozen=True)
class EnergyCorridor:
    """Stored energy from which all later windows and the target can still be kept.

    Attributes:
        least_kwh, most_kwh: at the end of each period, shape (period, device with energy).
        problem: why there is no plan at all, else empty.
    """

    least_kwh: FloatArray
    most_kwh: FloatArray
    problem: str

    @classmethod
    def of(cls, energy: EnergyDevices, hours: FloatArray) -> EnergyCorridor:
        """The corridor of devices that charge or discharge, never both.

        Args:
            energy: bounds of the devices.
            hours: of each period.
        """
        up = hours[:, None] * energy.charge_efficiency * energy.charge_max_kw - energy.drain_kwh
        down = hours[:, None] / energy.discharge_efficiency * energy.discharge_max_kw + energy.drain_kwh
        least, most = energy.least_kwh.copy(), energy.most_kwh.copy()
        if energy.end == "fixed" and len(least):
            least[-1] = most[-1] = energy.end_kwh
        for t in range(len(least) - 1, 0, -1):
            least[t - 1] = np.maximum(least[t - 1], least[t] - up[t])
            most[t - 1] = np.minimum(most[t - 1], most[t] + down[t])
        low = high = energy.start_kwh
        for t in range(len(least)):
            low, high = np.maximum(low - down[t], least[t]), np.minimum(high + up[t], most[t])
            missing = low - high
            if (missing > 1e-6 * np.maximum(energy.rating_kva, 1.0)).any():
                worst = int(np.argmax(missing))
                problem = (
                    f"device {worst} misses its energy window in period {t} by {missing[worst]:.6g} kWh"
                )
                return cls(least, most, problem)
        return cls(least, most, "")


class Decisions:
    """Candidates of one plan, and what they mean.

    Args:
        model: the devices.
        devices: what they may do over the horizon.
        horizon: the periods.
    """

    def __init__(self, model: DeviceModel, devices: Devices, horizon: Horizon) -> None:
        self._energy, self._sources, self._hours = devices.energy, devices.sources, horizon.hours
        self._source_kw = each(model.sources, "kw")
        self.corridor = EnergyCorridor.of(self._energy, self._hours)
        energy, sources = self._energy, self._sources
        self._inject = np.concatenate([energy.reactive_max_kvar, sources.reactive_max_kvar], axis=1)
        self._absorb = np.concatenate([energy.absorb_max_kvar, sources.absorb_max_kvar], axis=1)
        self._kva = np.concatenate([energy.rating_kva, sources.rating_kva])
        self._free = self._free_columns()

    def _free_columns(self) -> BoolArray:
        energy, sources = self._energy, self._sources
        power = (energy.charge_max_kw + energy.discharge_max_kw) > TINY
        reactive = np.where(np.isfinite(self._inject + self._absorb), self._inject + self._absorb, 1.0)
        return np.concatenate([power, sources.curtail_max_kw > TINY, reactive > TINY], axis=1)

    @property
    def count(self) -> int:
        """Number of decisions of a candidate."""
        return int(self._free.sum())

    @property
    def battery_periods(self) -> int:
        """Number of decisions about stored energy."""
        return int(self._free[:, : self._energy.charge_max_kw.shape[1]].sum())

    def dispatch(self, candidates: FloatArray) -> Dispatch:
        """The nearest dispatch that can be carried out.

        Powers are cut to ratings and to the energy corridor, period after period; reactive power to its
        limits and to what active power leaves of the inverter.

        Args:
            candidates: shape (candidate, decision).

        Returns:
            Arrays of shape (candidate, period, device).
        """
        whole = np.zeros((len(candidates), *self._free.shape))
        whole[:, self._free] = candidates
        B, K = self._energy.charge_max_kw.shape[1], self._sources.available_kw.shape[1]
        net = self._within_corridor(whole[:, :, :B])
        curtailed = self._curtailed(whole[:, :, B : B + K])
        available = np.broadcast_to(self._sources.available_kw, curtailed.shape)
        power = np.concatenate([net, available - curtailed], axis=-1)
        room = np.sqrt(np.maximum(self._kva**2 - power**2, 0.0))
        share = whole[:, :, B + K :]
        kvar = np.where(
            share >= 0.0, share * np.minimum(self._inject, room), share * np.minimum(self._absorb, room)
        )
        return Dispatch(np.maximum(-net, 0.0), np.maximum(net, 0.0), curtailed, kvar, available)

    def _curtailed(self, share: FloatArray) -> FloatArray:
        """Curtailed power; the lower half of the range is no curtailment beyond the rating's."""
        sources = self._sources
        least = np.where(
            sources.curtail_max_kw > TINY, np.maximum(sources.available_kw - self._source_kw, 0.0), 0.0
        )
        room = np.maximum(sources.curtail_max_kw - least, 0.0)
        return np.asarray(least + np.maximum(share, 0.0) * room)

    def _within_corridor(self, share: FloatArray) -> FloatArray:
        energy = self._energy
        share = np.sign(share) * np.maximum(np.abs(share) - DEAD_BAND, 0.0) / (1.0 - DEAD_BAND)
        net = np.where(share >= 0.0, share * energy.discharge_max_kw, share * energy.charge_max_kw)
        stored = np.broadcast_to(energy.start_kwh, net[:, 0].shape)
        for t, hours in enumerate(self._hours):
            rest = stored - energy.drain_kwh[t]
            most = self._net_kw(self.corridor.least_kwh[t] - rest, hours)
            least = self._net_kw(self.corridor.most_kwh[t] - rest, hours)
            kw = np.clip(net[:, t], np.minimum(least, most), most)
            kw = np.clip(kw, -energy.charge_max_kw[t], energy.discharge_max_kw[t])
            net[:, t] = kw
            into, out = np.maximum(-kw, 0.0), np.maximum(kw, 0.0)
            stored = rest + hours * (into * energy.charge_efficiency - out / energy.discharge_efficiency)
        return net

    def _net_kw(self, change_kwh: FloatArray, hours: float) -> FloatArray:
        """Net power that changes stored energy by so much in a period."""
        into = change_kwh / (hours * self._energy.charge_efficiency)
        out = change_kwh * self._energy.discharge_efficiency / hours
        return np.asarray(-np.where(change_kwh > 0.0, into, out))

    def candidates(self, dispatch: Dispatch) -> FloatArray:
        """Decisions that mean given dispatches, shape (candidate, decision); those are not repaired."""
        energy, sources = self._energy, self._sources
        net = dispatch.discharge_kw - dispatch.charge_kw
        power = net / np.maximum(np.where(net >= 0.0, energy.discharge_max_kw, energy.charge_max_kw), TINY)
        power = np.sign(power) * (np.abs(power) * (1.0 - DEAD_BAND) + DEAD_BAND)
        least = np.maximum(sources.available_kw - self._source_kw, 0.0)
        curtailed = (dispatch.curtailed_kw - least) / np.maximum(sources.curtail_max_kw - least, TINY)
        active = np.concatenate([net, dispatch.available_kw - dispatch.curtailed_kw], axis=-1)
        room = np.sqrt(np.maximum(self._kva**2 - active**2, 0.0))
        most = np.where(dispatch.reactive_kvar >= 0.0, self._inject, self._absorb)
        kvar = dispatch.reactive_kvar / np.maximum(np.minimum(most, room), TINY)
        whole = np.concatenate([power, np.maximum(curtailed, 0.0), kvar], axis=-1)
        return np.asarray(np.clip(whole[..., self._free], -1.0, 1.0))
