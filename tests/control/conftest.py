"""A feeder at noon, and what a controller decides there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cosim.devices.pv import PvRating
from tests.conftest import a_feeder, a_storage, shipped_master


@pytest.fixture(scope="module")
def measured():
    """IEEE 13 with two batteries at 675 and a PV system, at noon under half the sun."""
    pv = PvRating("p1", "675", (1, 2, 3), False, 200.0, 220.0)
    second = a_storage(name="b2", kw=50.0, kva=60.0, initial_kwh=90.0)
    devices = (a_storage(), second, pv)
    with a_feeder(shipped_master("ieee13"), devices=devices, steps=96, irradiance=0.5) as feeder:
        yield feeder.site, feeder.measure(0)


def decided(controller, measured, **changes):
    site, measurement = measured
    controller.start(site)
    return controller.step(replace(measurement, **changes)).setpoints
