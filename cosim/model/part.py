"""What one of several controllers of a feeder sees: its own devices, and those of others as loads.

Each device of another controller is a load of constant power. Its demand is the negative of its measured
power, so a plan takes it as it is now. Only what the sun offers may change, see :meth:`Part.forecast`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.forecast import Forecast
from cosim.model.network import RadialNetwork, SparseEntries
from cosim.model.network_device import positions_of
from cosim.model.site import Site
from cosim.model.state import Measurement, Setpoints

CONSTANT_POWER = (0.0, 0.0, 1.0)
"""Shares of constant impedance, current and power."""


@dataclass(frozen=True)
class Part:
    """The devices of one controller, and where they stand in the vectors of the feeder.

    Attributes:
        controller: its name.
        whole: site of the feeder.
        devices: places of its devices, rising, shape (own device,).
        network_devices: places of its network devices, rising, shape (own network device,).
    """

    controller: str
    whole: Site
    devices: IntArray
    network_devices: IntArray

    @property
    def others(self) -> IntArray:
        """Places of devices that it does not have, shape (other device,)."""
        return np.setdiff1d(np.arange(len(self.whole.devices)), self.devices)

    @property
    def device_names(self) -> tuple[str, ...]:
        """Names of its devices, network devices last."""
        whole = self.whole
        return (
            *(whole.devices[at].name for at in self.devices),
            *(whole.network_devices[at].name for at in self.network_devices),
        )

    def site(self) -> Site:
        """The site with its devices alone; each device of others is a load behind the last one."""
        whole, others = self.whole, self.others
        names = tuple(f"device.{whole.devices[at].name}" for at in others)
        none = np.zeros(len(others))
        return replace(
            whole,
            loads=(*whole.loads, *names),
            load_kw=np.concatenate([whole.load_kw, none]),
            load_kvar=np.concatenate([whole.load_kvar, none]),
            devices=tuple(whole.devices[at] for at in self.devices),
            network_devices=tuple(whole.network_devices[at] for at in self.network_devices),
            network=None if whole.network is None else self._network(whole.network, names),
        )

    def _network(self, whole: RadialNetwork, names: Sequence[str]) -> RadialNetwork:
        others, loads = self.others, len(whole.loads)
        as_loads = _columns(whole.device_share, others, loads)
        rated_kva = np.array([self.whole.devices[at].kva for at in others], dtype=np.float64)
        return replace(
            whole,
            loads=(*whole.loads, *names),
            load_kva=np.concatenate([whole.load_kva, rated_kva]),
            load_share=_joined(whole.load_share, as_loads),
            load_voltage=_joined(whole.load_voltage, _mean_of_nodes(as_loads)),
            load_zip_p=np.vstack([whole.load_zip_p, np.tile(CONSTANT_POWER, (len(others), 1))]),
            load_zip_q=np.vstack([whole.load_zip_q, np.tile(CONSTANT_POWER, (len(others), 1))]),
            device_share=_columns(whole.device_share, self.devices, 0),
        )

    def measurement(self, whole: Measurement) -> Measurement:
        """What it sees of a measurement of the feeder; stored energy of others is left out."""
        position = positions_of(whole.position, len(self.whole.network_devices))
        return replace(
            whole,
            demand_kw=np.concatenate([whole.demand_kw, -whole.p_kw[self.others]]),
            demand_kvar=np.concatenate([whole.demand_kvar, -whole.q_kvar[self.others]]),
            p_kw=whole.p_kw[self.devices],
            q_kvar=whole.q_kvar[self.devices],
            stored_kwh=whole.stored_kwh[self.devices],
            available_kw=whole.available_kw[self.devices],
            position=position[self.network_devices],
        )

    def forecast(self, whole: Forecast, measured: Measurement) -> Forecast:
        """A forecast of the feeder with the devices of others among the demand.

        Every device of others keeps its measured active and reactive power. One that sees the sun gives
        what is forecast for it, less what is curtailed now, and never takes power.

        Args:
            whole: of the feeder.
            measured: of the feeder, when the forecast is made.
        """
        others, periods = self.others, len(whole.horizon)
        kw = np.tile(measured.p_kw[others], (periods, 1))
        curtailed_kw = np.maximum(measured.available_kw[others] - measured.p_kw[others], 0.0)
        sunny = self.whole.sun_kw()[others] > 0.0
        offered_kw = np.maximum(whole.available_kw[:, others] - curtailed_kw, 0.0)
        kw[:, sunny] = offered_kw[:, sunny]
        kvar = np.tile(measured.q_kvar[others], (periods, 1))
        return replace(
            whole,
            demand_kw=np.hstack([whole.demand_kw, -kw]),
            demand_kvar=np.hstack([whole.demand_kvar, -kvar]),
            available_kw=whole.available_kw[:, self.devices],
        )

    def check(self, own: Setpoints, *, step: int) -> None:
        """Refuse set-points that are not of its devices.

        Raises:
            ContractError: names the controller, the quantity and both lengths.
        """
        for quantity, values, count in (
            ("p_kw", own.p_kw, len(self.devices)),
            ("q_kvar", own.q_kvar, len(self.devices)),
            ("position", own.position, len(self.network_devices)),
        ):
            if values.shape != (count,) and (quantity != "position" or values.size):
                raise ContractError(
                    f"{quantity} of step {step} from {self.controller!r} has {values.size} values, it has "
                    f"{count} devices ({', '.join(self.device_names)}); send one value for each of them"
                )

    def narrowed(self, whole: Setpoints) -> Setpoints:
        """Its part of the set-points of the feeder."""
        position = whole.position[self.network_devices] if whole.position.size else whole.position
        return Setpoints(whole.p_kw[self.devices], whole.q_kvar[self.devices], position)

    def widened(self, own: Setpoints, whole: Setpoints) -> Setpoints:
        """Set-points of the feeder with its own in their places."""
        p_kw, q_kvar = whole.p_kw.copy(), whole.q_kvar.copy()
        p_kw[self.devices], q_kvar[self.devices] = own.p_kw, own.q_kvar
        if not (own.position.size and len(self.network_devices)):
            return Setpoints(p_kw, q_kvar, whole.position)
        position: FloatArray = positions_of(whole.position, len(self.whole.network_devices)).copy()
        position[self.network_devices] = own.position
        return Setpoints(p_kw, q_kvar, position)


def _columns(entries: SparseEntries, chosen: IntArray, first: int) -> SparseEntries:
    """Entries in chosen columns, numbered from ``first`` in their order."""
    place = np.full(max(int(entries.column.max(initial=-1)), int(chosen.max(initial=-1))) + 1, -1)
    place[chosen] = first + np.arange(len(chosen))
    column = place[entries.column]
    keep = column >= 0
    return SparseEntries(
        entries.row[keep],
        column[keep].astype(np.int64),
        entries.real[keep],
        entries.imaginary[keep],
    )


def _mean_of_nodes(shares: SparseEntries) -> SparseEntries:
    """Weights that give each load the mean of its nodes' squared voltages, turned to (load, node)."""
    nodes_of = np.bincount(shares.column) if len(shares.column) else np.zeros(0)
    weights = np.array([1.0 / nodes_of[load] for load in shares.column], dtype=np.float64)
    return SparseEntries(shares.column, shares.row, weights, np.zeros(len(weights)))


def _joined(entries: SparseEntries, more: SparseEntries) -> SparseEntries:
    return SparseEntries(
        np.concatenate([entries.row, more.row]),
        np.concatenate([entries.column, more.column]),
        np.concatenate([entries.real, more.real]),
        np.concatenate([entries.imaginary, more.imaginary]),
    )
