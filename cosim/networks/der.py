"""Photovoltaic systems and batteries at randomly chosen load buses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosim.errors import FeederError
from cosim.model.arrays import IntArray
from cosim.networks.balanced import BalancedFeeder, Pvs, Storages, no_pvs, no_storages

KVA_PER_KW = 1.2
STORAGE_HOURS = 4.0


def place_der(
    feeder: BalancedFeeder,
    *,
    pv_share: float,
    pv_times_load: float,
    storage_share: float,
    storage_times_load: float,
    seed: int,
) -> BalancedFeeder:
    """The same feeder with other photovoltaic systems and batteries.

    Inverters are rated 1.2 kVA per kW and batteries hold 4 kWh per kW, as in the reference systems
    of the MultiPeriodDistOPF project. The two draws are independent, so a bus may get both.

    Args:
        feeder: its own devices are replaced.
        pv_share, storage_share: of the buses with load, 0 .. 1; a positive share is at least one bus.
        pv_times_load, storage_times_load: rated kW per kW of the local peak load.
        seed: of the draws.

    Raises:
        FeederError: a share outside 0 .. 1, no positive multiple, or no bus with load.
    """
    shares = {"pv": (pv_share, pv_times_load), "storage": (storage_share, storage_times_load)}
    for what, (share, times_load) in shares.items():
        if not 0 <= share <= 1 or (share > 0 and times_load <= 0):
            raise FeederError(
                f"{what}_share {share:g} with {what}_times_load {times_load:g}: a share lies within "
                "0 .. 1 and the devices have a positive power"
            )
    pv_draw, storage_draw = np.random.default_rng(seed).spawn(2)
    pvs, storages = no_pvs(), no_storages()
    if pv_share > 0:
        at = _draw(feeder, pv_share, pv_draw)
        kw = np.round(pv_times_load * feeder.loads.kw[at], 4)
        pvs = Pvs(feeder.loads.bus[at], kw, np.round(KVA_PER_KW * kw, 6))
    if storage_share > 0:
        at = _draw(feeder, storage_share, storage_draw)
        kw = np.round(storage_times_load * feeder.loads.kw[at], 4)
        storages = Storages(
            feeder.loads.bus[at], kw, np.round(KVA_PER_KW * kw, 6), np.round(STORAGE_HOURS * kw, 6)
        )
    return replace(feeder, pvs=pvs, storages=storages)


def _draw(feeder: BalancedFeeder, share: float, generator: np.random.Generator) -> IntArray:
    """Positions in the list of loads."""
    candidates = np.flatnonzero(feeder.loads.kw > 0)
    if not len(candidates):
        raise FeederError(f"{feeder.name} has no load to place devices at")
    count = max(1, round(share * len(candidates)))
    return np.sort(generator.choice(candidates, size=count, replace=False))
