"""Stored energy is what OpenDSS integrates, and the plan's law is the same to a millionth of a kWh."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.model.state import Setpoints
from tests.conftest import a_feeder, a_storage, shipped_master

TOLERANCE_KWH = 1e-6
STEPS = 96


def setpoints(kw: list[float]) -> Setpoints:
    return Setpoints(np.array(kw), np.zeros(len(kw)))


def batteries():
    common = {"efficiency_charge": 0.95, "efficiency_discharge": 0.9}
    return (
        a_storage(name="b1", idling_kw=1.0, **common),
        a_storage(name="b2", bus="671", idling_kw=0.0, **common),
        # Small cells, so that a day of random set-points runs into both ends again and again.
        a_storage(name="b3", bus="611", phases=(3,), idling_kw=2.0, kwh=60.0, min_kwh=12.0,
                  max_kwh=60.0, initial_kwh=30.0, **common),
        a_storage(name="b4", bus="645", phases=(2,), idling_kw=0.0, kwh=50.0, min_kwh=5.0,
                  max_kwh=50.0, initial_kwh=25.0, **common),
    )  # fmt: skip


def random_kw(rng: np.random.Generator, count: int) -> list[float]:
    """Charge, discharge, rest, and trickles below the idling loss."""
    kind = rng.integers(0, 5, size=count)
    full = rng.uniform(-100, 100, size=count)
    return [
        0.0 if k == 0 else float(f) * (0.008 if k == 1 else 1.0) for k, f in zip(kind, full, strict=True)
    ]


def test_the_law_follows_the_engine_through_a_day_with_clipping_at_both_ends():
    """The engine gets the raw set-points here, so that it clips and the law must clip alike."""
    ratings = batteries()
    rng = np.random.default_rng(20240621)
    with a_feeder(shipped_master("ieee13"), devices=ratings, steps=STEPS) as feeder:
        expected = [rating.initial_kwh for rating in ratings]
        seen_empty, seen_full, worst = 0, 0, 0.0
        for step in range(STEPS):
            kw = random_kw(rng, len(ratings))
            feeder.measure(step)
            feeder.apply(setpoints([0.0] * len(ratings)))
            feeder._devices.write(setpoints(kw))
            stored = feeder.commit().stored_kwh
            for i, rating in enumerate(ratings):
                expected[i] = rating.next_stored_kwh(expected[i], kw[i], 0.25)
                worst = max(worst, abs(expected[i] - stored[i]))
                seen_empty += expected[i] == rating.min_kwh
                seen_full += expected[i] == rating.kwh
    assert seen_empty > 3
    assert seen_full > 3
    assert worst < TOLERANCE_KWH


def test_the_law_follows_the_plant_with_its_own_limits():
    ratings = batteries()
    rng = np.random.default_rng(7)
    with a_feeder(shipped_master("ieee13"), devices=ratings, steps=STEPS) as feeder:
        expected = np.array([rating.initial_kwh for rating in ratings])
        for step in range(STEPS):
            feeder.measure(step)
            applied = feeder.apply(setpoints(random_kw(rng, len(ratings))))
            result = feeder.commit()
            expected = np.array(
                [
                    rating.next_stored_kwh(float(e), float(kw), 0.25)
                    for rating, e, kw in zip(ratings, expected, applied.setpoints.p_kw, strict=True)
                ]
            )
            assert np.abs(expected - result.stored_kwh).max() < TOLERANCE_KWH
            assert not result.events


def test_a_full_battery_is_not_charged_and_says_why():
    rating = a_storage(initial_kwh=380.0)
    with a_feeder(shipped_master("ieee13"), devices=(rating,), steps=1) as feeder:
        feeder.measure(0)
        applied = feeder.apply(setpoints([-50.0]))
        assert applied.setpoints.p_kw[0] == 0.0
        assert applied.reason[0] == "energy: 380.000 of 380 kWh stored"


def test_a_battery_delivers_only_what_it_can_hold_for_the_whole_step():
    """The engine would deliver 100 kW for the whole step and stop counting at the reserve."""
    rating = a_storage(initial_kwh=90.0, efficiency_discharge=1.0)
    with a_feeder(shipped_master("ieee13"), devices=(rating,), steps=1) as feeder:
        feeder.measure(0)
        applied = feeder.apply(setpoints([100.0]))
        assert applied.setpoints.p_kw[0] == pytest.approx(40.0)  # 10 kWh in a quarter hour
        assert "80 kWh reserve" in applied.reason[0]
        assert feeder.commit().stored_kwh[0] == pytest.approx(80.0, abs=TOLERANCE_KWH)


def test_energy_is_integrated_once_however_often_the_step_is_solved():
    rating = a_storage(efficiency_discharge=1.0)
    with a_feeder(shipped_master("ieee13"), devices=(rating,), steps=2) as feeder:
        feeder.measure(0)
        feeder.apply(setpoints([40.0]))
        feeder.commit()
        # The set-point is still in force while step 1 is measured: nothing may be integrated.
        measured = feeder.measure(1)
        assert measured.p_kw[0] == pytest.approx(40.0, abs=1e-4)
        assert measured.stored_kwh[0] == pytest.approx(190.0, abs=TOLERANCE_KWH)
