"""What each period of a plan begins with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.model.forecast import Forecast
from cosim.model.timegrid import Horizon
from cosim.opf.tangent.warm_start import matching_periods

HOUR = 3600


def day_of(load: np.ndarray, *, first: int = 0, periods: int = 24) -> Forecast:
    """Some hours of a day that repeats itself, with two loads, a PV system and a price."""
    hour = (first + np.arange(periods)) % len(load)
    kw = np.stack([load, 2.0 * load], axis=1)[hour]
    sun = np.maximum(np.sin(np.pi * hour / len(load)), 0.0)[:, None]
    return Forecast(Horizon((HOUR,) * periods), kw, 0.3 * kw, 50.0 * sun, 0.1 + 0.01 * hour)


@given(st.integers(0, 30), st.integers(2, 24))
def test_periods_of_the_same_time_follow_each_other(passed: int, periods: int) -> None:
    load = np.random.default_rng(3).uniform(1.0, 9.0, 24)
    before, now = day_of(load, periods=periods), day_of(load, first=passed, periods=periods)
    found = matching_periods(now, before, passed * HOUR)
    overlap = max(periods - passed, 0)
    assert found[:overlap].tolist() == [passed + t for t in range(overlap)]
    assert ((found >= 0) & (found < periods)).all()


@given(st.integers(1, 24))
def test_a_horizon_of_a_day_starts_its_end_like_the_day_before(passed: int) -> None:
    load = np.random.default_rng(3).uniform(1.0, 9.0, 24)
    found = matching_periods(day_of(load, first=passed), day_of(load), passed * HOUR)
    assert found.tolist() == [(passed + t) % 24 for t in range(24)]


def test_of_periods_alike_the_last_is_taken() -> None:
    flat = Forecast(
        Horizon((HOUR,) * 4), np.ones((4, 1)), np.zeros((4, 1)), np.zeros((4, 0)), np.full(4, 0.2)
    )
    assert matching_periods(flat, flat, HOUR).tolist() == [1, 2, 3, 3]


def test_sun_that_was_never_seen_hides_no_load() -> None:
    """A night says nothing about sun; a first ray must not make all its hours alike."""

    def night(last_kw: float, sun_kw: float) -> Forecast:
        kw, sun = np.array([[2.0], [5.0], [last_kw]]), np.array([[0.0], [0.0], [sun_kw]])
        return Forecast(Horizon((HOUR,) * 3), kw, 0.3 * kw, sun, np.full(3, 0.2))

    assert matching_periods(night(4.9, 1e-3), night(8.0, 0.0), HOUR)[-1] == 1


def test_periods_of_unequal_length_follow_the_clock() -> None:
    horizon = Horizon((900, 900, HOUR, HOUR))
    kw = np.array([[1.0], [2.0], [3.0], [4.0]])
    then = Forecast(horizon, kw, 0.0 * kw, np.zeros((4, 0)), np.full(4, 0.2))
    assert matching_periods(then, then, 900.0).tolist() == [1, 2, 2, 3]
    assert matching_periods(then, then, HOUR).tolist() == [2, 2, 3, 3]


@pytest.mark.parametrize(("load_kw", "like"), [(2.1, 0), (4.8, 1), (9.0, 2)])
def test_a_new_period_is_like_the_one_with_the_nearest_load(load_kw: float, like: int) -> None:
    def three(last: float) -> Forecast:
        kw = np.array([[2.0], [5.0], [last]])
        return Forecast(Horizon((HOUR,) * 3), kw, 0.0 * kw, np.zeros((3, 0)), np.full(3, 0.2))

    assert matching_periods(three(load_kw), three(8.0), HOUR)[-1] == like
