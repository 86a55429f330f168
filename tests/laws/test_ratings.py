"""Laws that hold for every battery and every request."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cosim.devices.pv import PvRating
from cosim.model.device import DeviceState
from tests.conftest import a_storage

powers = st.floats(-500, 500)


@st.composite
def batteries(draw):
    kw = draw(st.floats(1, 200))
    kwh = draw(st.floats(10, 1000))
    low = draw(st.floats(0, 0.4))
    high = draw(st.floats(0.6, 1))
    rating = a_storage(
        kw=kw, kva=kw * draw(st.floats(1, 1.5)), kwh=kwh, min_kwh=low * kwh, max_kwh=high * kwh,
        efficiency_charge=draw(st.floats(0.7, 1)), efficiency_discharge=draw(st.floats(0.7, 1)),
        idling_kw=kw * draw(st.floats(0, 0.03)),
    )  # fmt: skip
    stored = draw(st.floats(rating.min_kwh, rating.max_kwh))
    return rating, stored


@given(batteries(), powers, powers)
def test_what_is_accepted_is_kept(battery, kw, kvar):
    """Accepted power never meets the engine's clipping, and stays inside rating and circle."""
    rating, stored = battery
    got = rating.accept(kw, kvar, DeviceState(0.25, stored))
    got_kw, got_kvar, reason = got.kw, got.kvar, got.reason
    assert abs(got_kw) <= rating.kw
    assert math.hypot(got_kw, got_kvar) <= rating.kva * (1 + 1e-9)
    assert got_kw * kw >= 0
    assert abs(got_kw) <= abs(kw)
    after = rating.next_stored_kwh(stored, got_kw, 0.25)
    assert rating.min_kwh - 1e-6 <= after <= rating.max_kwh + 1e-6
    if (got_kw, got_kvar) != (kw, kvar) and abs(got_kvar - kvar) > 1e-6 * rating.kva:
        assert reason


@given(batteries(), powers)
def test_accepting_twice_changes_nothing(battery, kw):
    rating, stored = battery
    once = rating.accept(kw, 0.0, DeviceState(0.25, stored)).kw
    twice = rating.accept(once, 0.0, DeviceState(0.25, stored)).kw
    assert math.isclose(once, twice, rel_tol=1e-12, abs_tol=1e-9)


@given(batteries(), st.floats(0, 200))
def test_no_energy_is_gained_by_a_round_trip(battery, kw):
    rating, stored = battery
    charged = rating.next_stored_kwh(stored, -min(kw, rating.kw), 0.25)
    back = (charged - stored) * rating.efficiency_discharge
    assert back <= min(kw, rating.kw) * 0.25 + 1e-9


@given(st.floats(1, 500), st.floats(0.5, 1.5), st.floats(0, 1.2), powers, powers)
def test_pv_stays_inside_its_circle(kw, ratio, irradiance, limit, kvar):
    rating = PvRating("p", "1", (1,), False, kw, kw * ratio)
    available = rating.available_kw(irradiance, np.zeros(0))
    got = rating.accept(limit, kvar, DeviceState(0.25, available_kw=available))
    got_limit, got_kvar = got.kw, got.kvar
    assert 0 <= got_limit <= kw
    assert math.hypot(min(got_limit, available), got_kvar) <= rating.kva * (1 + 1e-9)
