"""The kit for devices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cosim.model.device import Device, DeviceState
from cosim.testing.common import SLACK, Mistakes

REQUESTS = (-2.0, -1.0, -0.5, 0.0, 0.3, 1.0, 2.0)
"""Active and reactive requests in parts of a rating."""


def check_device(device: Device, *, available_kw: float | None = None, step_h: float = 0.25) -> Mistakes:
    """Ask a device for all kinds of power and look for broken laws.

    Found: more accepted than the rating; a request that is cut without a reason, or kept with one; an
    accepted request that is cut when it is asked again; stored energy that is no number.

    Args:
        device: the rating of one device.
        available_kw: what is offered to it; by default its rating.
        step_h: length of a step in hours.
    """
    mistakes: list[str] = []
    offered = device.kw if available_kw is None else available_kw
    state = DeviceState(step_h, device.first_stored_kwh, offered)
    for active in REQUESTS:
        for reactive in REQUESTS:
            kw, kvar = active * device.kw, reactive * device.kva
            try:
                mistakes += _law_mistakes(device, kw, kvar, state)
            except Exception as error:  # noqa: BLE001 - any failure of a user's law is the finding
                mistakes.append(f"accept({kw:g}, {kvar:g}) raised {type(error).__name__}: {error}")
    return tuple(dict.fromkeys(mistakes))


def _law_mistakes(device: Device, kw: float, kvar: float, state: DeviceState) -> Iterator[str]:
    accepted = device.accept(kw, kvar, state)
    asked = f"asked for {kw:g} kW and {kvar:g} kvar, {device.name} accepts {accepted.kw:g} kW"
    slack = SLACK * device.kva
    if not np.isfinite([accepted.kw, accepted.kvar]).all():
        yield f"{asked} and {accepted.kvar:g} kvar: accept finite values only"
        return
    if np.hypot(accepted.kw, accepted.kvar) > max(device.kva, abs(accepted.kw)) + slack:
        yield f"{asked} and {accepted.kvar:g} kvar, beyond its {device.kva:g} kVA: cut reactive power"
    if abs(accepted.kw) > max(device.kw, state.available_kw) + slack:
        yield f"{asked}, beyond its rating of {device.kw:g} kW: cut it"
    cut = abs(accepted.kvar - kvar) > slack or abs(accepted.kw - kw) > slack
    if cut and not accepted.reason:
        yield f"{asked} and gives no reason: say what cut the request"
    again = device.accept(accepted.kw, accepted.kvar, state)
    if abs(again.kw - accepted.kw) > slack or abs(again.kvar - accepted.kvar) > slack:
        yield f"{asked}, and {again.kw:g} kW when asked for that: what is accepted must be acceptable"
    stored = device.next_stored_kwh(state.stored_kwh, accepted.kw, state.step_h, state.time_s)
    if not np.isfinite(stored):
        yield f"{asked} and stores {stored:g} kWh afterwards: the law of stored energy gives no number"
