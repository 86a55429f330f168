"""Feeders that the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cosim.networks.balanced import BalancedFeeder
from cosim.networks.dss_text import write_model
from cosim.networks.sweep import power_flow
from cosim.networks.tables import read_tables
from tests.conftest import a_feeder, shipped_master


def shipped_tables(name: str) -> BalancedFeeder:
    """ads10_1ph or ieee123_1ph from the tables beside its model."""
    return read_tables(shipped_master(name).parent, name=name, title=name, base_kv=2.4018, source_pu=1.03)


def largest_difference_pu(feeder: BalancedFeeder, folder: Path, *, irradiance: float = 0.0) -> float:
    """Largest voltage difference between the sweep and OpenDSS at peak load and a given sun."""
    kw, kvar = feeder.peak_demand()
    kw[feeder.pvs.bus] -= irradiance * feeder.pvs.kw
    expected = np.abs(power_flow(feeder, kw, kvar).voltage_pu)
    master = write_model(feeder, folder)
    with a_feeder(master, steps=1, irradiance=irradiance, tolerance=1e-10) as plant:
        found = dict(zip(plant.site.nodes, plant.measure(0).voltage_pu, strict=True))
    return max(
        abs(found[f"{bus}.1"] - voltage) for bus, voltage in zip(feeder.buses, expected, strict=True)
    )
