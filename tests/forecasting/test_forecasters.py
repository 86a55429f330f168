"""What a forecast may know: the perfect one everything, persistence only the past."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosim.errors import SeriesError
from cosim.forecasting.perfect import PerfectForecaster
from cosim.forecasting.persistence import PersistenceForecaster
from cosim.model.exogenous import Exogenous
from cosim.model.timegrid import Horizon
from tests.conftest import a_feeder, shipped_master

HORIZON = Horizon((900, 900, 1800))


@pytest.fixture(scope="module")
def measured():
    with a_feeder(shipped_master("ieee13"), steps=200) as feeder:
        yield feeder.site, feeder.measure(0)


def series(steps: int) -> Exogenous:
    ramp = np.arange(steps, dtype=float)
    one = np.ones(1)
    return Exogenous(900, 10 * one, 5 * one, ramp[:, None], np.zeros(1, dtype=np.int64), ramp, 0.1 * ramp)


def test_the_perfect_forecast_is_the_mean_of_what_will_come(measured):
    site, first = measured
    forecast = PerfectForecaster(site, series(10)).forecast(replace(first, step=2), HORIZON)
    # Steps 2, 3 and the mean of 4 and 5.
    assert forecast.demand_kw[:, 0].tolist() == [20, 30, 45]
    assert forecast.price_per_kwh == pytest.approx([0.2, 0.3, 0.45])


def test_the_perfect_forecast_cannot_see_beyond_the_series(measured):
    site, first = measured
    with pytest.raises(SeriesError, match="the series hold steps 0 to 9"):
        PerfectForecaster(site, series(10)).forecast(replace(first, step=8), HORIZON)


def at(first, step: int, price: float):
    return replace(first, step=step, time_s=900.0 * step, price_per_kwh=price)


def test_persistence_holds_the_present_on_the_first_day(measured):
    site, first = measured
    forecaster = PersistenceForecaster(site)
    forecaster.forecast(at(first, 0, 0.5), HORIZON)
    forecast = forecaster.forecast(at(first, 1, 0.7), HORIZON)
    assert forecast.price_per_kwh.tolist() == [0.7, 0.7, 0.7]


def test_persistence_remembers_the_same_time_yesterday(measured):
    site, first = measured
    forecaster = PersistenceForecaster(site)
    for step in range(98):
        forecast = forecaster.forecast(at(first, step, float(step)), HORIZON)
    # Now is 97; the next quarter hour is step 98, yesterday step 2; then 3 and 4 for the half hour.
    assert forecast.price_per_kwh.tolist() == [97.0, 2.0, 3.5]


def test_persistence_does_not_peek(measured):
    """The same past gives the same forecast, whatever follows."""
    site, first = measured
    one, other = PersistenceForecaster(site), PersistenceForecaster(site)
    for step in range(5):
        a = one.forecast(at(first, step, float(step)), HORIZON)
        b = other.forecast(at(first, step, float(step)), HORIZON)
        assert np.array_equal(a.price_per_kwh, b.price_per_kwh)
        assert a.price_per_kwh.max() <= step
