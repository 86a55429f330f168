"""Equivalents of three-phase feeders keep the tree, the load and the positive sequence."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.feeder.compiled import FeederModel
from cosim.networks.der import place_der
from cosim.networks.sweep import power_flow
from cosim.run.equivalent import equivalent_of
from tests.conftest import published_feeder, shipped_master
from tests.networks.feeders import largest_difference_pu, shipped_tables

# Lowest voltage at nominal load from 1.03 pu without regulators, as computed here: the 34 node feeder
# leans on two regulator banks, 37 and 8500 on one at the head and more on the way.
PUBLISHED = {
    "34Bus/ieee34Mod1.dss": (37, 0.71),
    "37Bus/ieee37.dss": (39, 0.91),
    "8500-Node/Master.dss": (4876, 0.86),
}


def total_load_kw(master):
    model = FeederModel(master, discover=False)
    total = float(model.loads.kw.sum())
    model.close()
    return total


def lowest_pu(feeder):
    return float(np.abs(power_flow(feeder, *feeder.peak_demand()).voltage_pu).min())


def with_der(feeder):
    return place_der(
        feeder, pv_share=0.2, pv_times_load=0.35, storage_share=0.3, storage_times_load=0.35, seed=0
    )


@pytest.mark.parametrize(("name", "buses", "lowest"), [("ieee13", 15, 0.970), ("ieee123", 130, 0.984)])
def test_shipped_feeders_have_an_equivalent(name, buses, lowest, tmp_path):
    feeder, total_kw = (
        equivalent_of(shipped_master(name), name="equivalent"),
        total_load_kw(shipped_master(name)),
    )
    assert feeder.size == buses
    assert feeder.loads.kw.sum() == pytest.approx(total_kw / 3)
    assert lowest_pu(feeder) == pytest.approx(lowest, abs=1e-3)
    assert largest_difference_pu(with_der(feeder), tmp_path, irradiance=1.0) < 1e-8


@pytest.mark.parametrize("relative", PUBLISHED)
def test_published_feeders_have_an_equivalent(relative, tmp_path):
    buses, lowest = PUBLISHED[relative]
    master = published_feeder(relative)
    feeder, total_kw = equivalent_of(master, name="equivalent"), total_load_kw(master)
    assert feeder.size == buses
    assert feeder.loads.kw.sum() == pytest.approx(total_kw / 3)
    assert lowest_pu(feeder) == pytest.approx(lowest, abs=0.01)
    assert largest_difference_pu(with_der(feeder), tmp_path, irradiance=1.0) < 1e-8


def test_the_equivalent_of_ieee123_is_the_one_of_the_literature():
    ours = equivalent_of(shipped_master("ieee123"), name="equivalent", capacitors=False)
    reference = shipped_tables("ieee123_1ph")
    # Powers of the reference are rounded to four digits.
    assert ours.loads.kw.sum() == pytest.approx(reference.loads.kw.sum(), rel=2e-4)
    assert ours.loads.kvar.sum() == pytest.approx(reference.loads.kvar.sum(), rel=2e-4)
    theirs = {
        (reference.buses[start], bus): reference.branches.r_ohm[k] + 1j * reference.branches.x_ohm[k]
        for k, (start, bus) in enumerate(zip(reference.branches.from_bus, reference.buses[1:], strict=True))
    }
    # Node of ours is bus - 2 of theirs. 149-1 has three phases, 1-2 and 1-3 one phase.
    for ends, same in {("149", "1"): ("2", "3"), ("1", "2"): ("3", "4"), ("1", "3"): ("3", "5")}.items():
        k = ours.buses.index(ends[1]) - 1
        assert ours.buses[ours.branches.from_bus[k]] == ends[0]
        found = ours.branches.r_ohm[k] + 1j * ours.branches.x_ohm[k]
        # The phases are not quite 120 degrees apart, and theirs has three digits.
        assert found == pytest.approx(theirs[same], rel=0.01)


def test_capacitors_are_negative_kvar():
    with_capacitors = equivalent_of(shipped_master("ieee13"), name="equivalent")
    without = equivalent_of(shipped_master("ieee13"), name="equivalent", capacitors=False)
    # 600 kvar at 675 and 100 kvar at 611, a third of each.
    assert without.loads.kvar.sum() - with_capacitors.loads.kvar.sum() == pytest.approx(700 / 3, rel=1e-3)
