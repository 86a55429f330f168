"""Synthetic feeders: reproducible, and plausible at every size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.errors import FeederError
from cosim.networks.der import place_der
from cosim.networks.dss_text import write_model
from cosim.networks.sweep import power_flow
from cosim.networks.synthetic import synthetic_feeder
from tests.counting import calls_of
from tests.networks.feeders import largest_difference_pu, shipped_tables

SIZES = (10, 34, 128, 500)


@pytest.mark.parametrize("buses", SIZES)
def test_the_same_arguments_give_the_same_feeder(buses, tmp_path):
    texts = []
    for attempt in ("first", "second"):
        write_model(synthetic_feeder(buses, 3), tmp_path / attempt)
        texts.append({path.name: path.read_bytes() for path in (tmp_path / attempt).iterdir()})
    assert texts[0] == texts[1]
    write_model(synthetic_feeder(buses, 4), tmp_path / "other")
    assert (tmp_path / "other" / "lines.dss").read_bytes() != texts[0]["lines.dss"]


@settings(max_examples=60, deadline=None)
@given(buses=st.sampled_from(SIZES), seed=st.integers(0, 10_000))
def test_the_lowest_voltage_at_peak_is_in_the_band(buses, seed):
    feeder = synthetic_feeder(buses, seed)
    flow = power_flow(feeder, *feeder.peak_demand())
    assert 0.955 < np.abs(flow.voltage_pu).min() < 0.975
    assert np.max(np.abs(flow.current_amps) / feeder.branches.normal_amps) < 0.6
    assert flow.losses_kw < 0.08 * flow.import_kw


@pytest.mark.parametrize("seed", range(5))
def test_most_buses_join_two_branches(seed):
    feeder = synthetic_feeder(2000, seed)
    degree = np.bincount(feeder.branches.from_bus, minlength=feeder.size)[1:] + 1
    share = np.bincount(degree, minlength=5)[1:] / feeder.size
    assert share[1] > 0.5
    assert 0.15 < share[0] < 0.3
    assert len(share) == 4
    assert 5 < feeder.places.x.max() < 15, "km to the farthest bus"


def test_devices_are_sized_by_the_load_beside_them():
    feeder = synthetic_feeder(
        500, 1, pv_share=0.5, pv_times_load=2.0, storage_share=0.1, storage_times_load=0.5
    )
    local = dict(zip(feeder.loads.bus, feeder.loads.kw, strict=True))
    count = len(feeder.loads.bus)
    assert (len(feeder.pvs.bus), len(feeder.storages.bus)) == (round(count / 2), round(count / 10))
    # Ratings are rounded to 0.1 W.
    assert feeder.pvs.kw == pytest.approx([2.0 * local[bus] for bus in feeder.pvs.bus], abs=1e-4)
    assert feeder.storages.kwh == pytest.approx(4 * feeder.storages.kw)
    assert feeder.storages.kva == pytest.approx(1.2 * feeder.storages.kw)


def test_the_draw_of_batteries_does_not_move_the_panels():
    base = shipped_tables("ieee123_1ph")
    few, many = (
        place_der(base, pv_share=0.2, pv_times_load=1, storage_share=share, storage_times_load=1, seed=5)
        for share in (0.0, 0.8)
    )
    assert np.array_equal(few.pvs.bus, many.pvs.bus)
    assert len(few.storages.bus) == 0


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_the_possible_is_refused(share):
    with pytest.raises(FeederError, match="pv_share"):
        synthetic_feeder(10, 0, pv_share=share)


def test_two_buses_are_no_synthetic_feeder():
    with pytest.raises(FeederError, match="at least 3"):
        synthetic_feeder(2, 0)


def test_the_work_grows_with_the_size_and_not_with_its_square():
    small, large = (calls_of(lambda buses=buses: synthetic_feeder(buses, 0)) for buses in (1000, 4000))
    # Measured 3.4; a search through all buses at each bus gives 16.
    assert large < 5 * small
    flows = [
        calls_of(lambda feeder=feeder: power_flow(feeder, *feeder.peak_demand()))
        for feeder in (synthetic_feeder(1000, 0), synthetic_feeder(4000, 0))
    ]
    # Arrays hold all buses: only the number of sweeps may differ.
    assert flows[1] < 2 * flows[0]


def test_ten_thousand_buses_are_grown_solved_and_simulated(tmp_path):
    feeder = synthetic_feeder(10_000, 0)
    flow = power_flow(feeder, *feeder.peak_demand())
    assert 0.955 < np.abs(flow.voltage_pu).min() < 0.975
    assert largest_difference_pu(feeder, tmp_path, irradiance=1.0) < 1e-9
