"""What the devices of a site can do in the coming step, by their own laws.

The laws are those by which the plant accepts set-points, so what is returned here is not cut, where the
decision acts in the step of its measurement.
"""

from __future__ import annotations

import numpy as np

from cosim.devices.storage import StorageRating
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.device import DeviceState
from cosim.model.site import Site
from cosim.model.state import Measurement, Setpoints


def batteries_of(site: Site) -> IntArray:
    """Places of the batteries among the devices, shape (battery,)."""
    places = [at for at, device in enumerate(site.devices) if isinstance(device, StorageRating)]
    return np.array(places, dtype=np.int64)


def within_ratings(site: Site, measurement: Measurement, setpoints: Setpoints) -> Setpoints:
    """Set-points without what ratings, stored energy and inverters forbid; active power goes first."""
    p_kw, q_kvar = np.zeros(len(site.devices)), np.zeros(len(site.devices))
    for at, device in enumerate(site.devices):
        accepted = device.accept(
            float(setpoints.p_kw[at]), float(setpoints.q_kvar[at]), state_of(site, measurement, at)
        )
        p_kw[at], q_kvar[at] = accepted.kw, accepted.kvar
    return Setpoints(p_kw, q_kvar, setpoints.position)


def state_of(site: Site, measurement: Measurement, at: int) -> DeviceState:
    """What the acceptance of one device depends on in the coming step."""
    return DeviceState(
        site.grid.step_h,
        float(measurement.stored_kwh[at]),
        float(measurement.available_kw[at]),
        measurement.time_s,
    )


def battery_range_kw(site: Site, measurement: Measurement) -> tuple[FloatArray, FloatArray]:
    """What each battery can take and give for a whole step, kW, both at least 0, shape (battery,)."""
    take, give = [], []
    for at in batteries_of(site):
        device, state = site.devices[at], state_of(site, measurement, int(at))
        take.append(-device.accept_kw(-device.kw, state)[0])
        give.append(device.accept_kw(device.kw, state)[0])
    return np.maximum(np.array(take, dtype=np.float64), 0.0), np.maximum(np.array(give), 0.0)


def shared_out(wanted_kw: float, take_kw: FloatArray, give_kw: FloatArray) -> FloatArray:
    """A power of all batteries, each in proportion to what it can do, shape (battery,).

    Args:
        wanted_kw: positive discharges.
        take_kw, give_kw: see :func:`battery_range_kw`.
    """
    able = give_kw if wanted_kw > 0.0 else take_kw
    whole = float(able.sum())
    if whole <= 0.0:
        return np.zeros_like(able)
    return np.asarray(able * (np.sign(wanted_kw) * min(abs(wanted_kw) / whole, 1.0)))


def with_batteries(site: Site, battery_kw: FloatArray) -> Setpoints:
    """The safe state, but for the active power of the batteries."""
    idle = Setpoints.idle(site)
    p_kw = idle.p_kw.copy()
    p_kw[batteries_of(site)] = battery_kw
    return Setpoints(p_kw, idle.q_kvar)
