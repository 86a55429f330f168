"""The true series with errors: their size, their course over lead and issue, and what has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from cosim.forecasting.noisy import (
    IRRADIANCE,
    LOAD,
    ErrorProcess,
    LoadErrors,
    NoisyForecaster,
    NoisyOptions,
    SunErrors,
)
from cosim.forecasting.perfect import PerfectForecaster
from cosim.model.exogenous import Exogenous
from cosim.model.timegrid import Horizon
from tests.conftest import a_feeder, shipped_master
from tests.report.records import PV

STEP_S, AHEAD = 900, 97
HORIZON = Horizon((900, 900, 1800))


def process(count: int = 1, quantity: int = LOAD, seed: int = 3, **errors) -> ErrorProcess:
    kind = SunErrors if quantity == IRRADIANCE else LoadErrors
    return ErrorProcess(kind(**errors), seed, quantity, count, STEP_S)


def test_the_present_step_is_exact_and_errors_grow_to_their_cap():
    made = process(4000, std=0.1, common=0.0, correlation_s=3600.0).factors(5, AHEAD)
    spread = made.std(axis=1)
    phi = np.exp(-0.25)
    assert (made[0] == 1.0).all()
    expected = 0.1 * np.sqrt(1 - phi ** (2 * np.arange(AHEAD)))
    assert spread == pytest.approx(expected, abs=0.006)
    assert spread[1] < spread[2] < spread[8] < 0.11
    assert made[1:].mean() == pytest.approx(1.0, abs=0.002)


def test_later_forecasts_of_a_moment_differ_by_the_innovations_that_came_to_light():
    """e(t, m) - e(t + 1, m) = phi^(m - t - 1) n(t + 1), computed by hand for three steps."""
    phi = np.exp(-0.25)
    made = process(2, std=0.05, correlation_s=3600.0)
    now, later = made.factors(10, 4) - 1.0, made.factors(11, 3) - 1.0
    innovation = now[1]
    assert now[2] - later[1] == pytest.approx(phi * innovation)
    assert now[3] - later[2] == pytest.approx(phi**2 * innovation)


def test_a_fresh_object_makes_the_same_errors_whatever_was_asked_before():
    asked = process(3, std=0.1)
    for step in range(7):
        asked.factors(step, 20)
    assert np.array_equal(asked.factors(7, 20), process(3, std=0.1).factors(7, 20))
    assert not np.array_equal(asked.factors(8, 20), process(3, seed=4, std=0.1).factors(8, 20))


@pytest.mark.parametrize("common", [0.0, 0.5, 1.0])
def test_errors_of_loads_have_the_stated_correlation(common):
    made = process(2, std=0.1, common=common, correlation_s=900.0)
    pairs = np.array([made.factors(step, 2)[1] for step in range(4000)])
    assert np.corrcoef(pairs.T)[0, 1] == pytest.approx(common, abs=0.05)


def test_errors_of_the_sun_are_laplace_and_those_of_loads_normal():
    """Kurtosis: 6 for Laplace, 3 for normal."""
    for quantity, kurtosis in ((IRRADIANCE, 6.0), (LOAD, 3.0)):
        error = process(200_000, quantity, std=0.01, common=0.0).factors(0, 2)[1] - 1.0
        assert (error**4).mean() / (error**2).mean() ** 2 == pytest.approx(kurtosis, rel=0.05)


def test_bias_moves_all_but_the_present_and_nothing_is_negative():
    assert process(std=0.0, bias=0.2).factors(0, 3)[:, 0].tolist() == [1.0, 1.2, 1.2]
    wild = process(1000, std=3.0).factors(0, 20)
    assert wild.min() == 0.0


def test_a_level_is_its_standard_deviation_and_an_unknown_one_is_named():
    options = NoisyOptions.model_validate({"load": "high", "irradiance": "low", "price": {"std": 0.3}})
    assert (options.load.std, options.irradiance.std, options.price.std) == (0.12, 0.1, 0.3)
    with pytest.raises(ValidationError, match="give one of none, low, medium, high"):
        NoisyOptions.model_validate({"load": "huge"})


@pytest.fixture(scope="module")
def measured():
    with a_feeder(shipped_master("ieee13"), devices=(replace(PV, bus="671", phases=(1,)),)) as feeder:
        yield feeder.site, feeder.measure(0)


def series(site) -> Exogenous:
    ramp = 1.0 + np.arange(12.0)
    night = np.array([0.4, 0.5, 0.0, 0.0, 0.0, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6])
    count = len(site.loads)
    which = np.zeros(count, dtype=np.int64)
    return Exogenous(
        900, np.full(count, 10.0), np.full(count, 5.0), ramp[:, None], which, night, 0.1 * ramp
    )


def test_without_errors_it_is_the_perfect_forecast(measured):
    site, first = measured
    none = NoisyOptions.model_validate({"load": "none", "irradiance": "none"})
    made = NoisyForecaster(site, series(site), options=none, seed=0)
    now = replace(first, step=2)
    one, other = made.forecast(now, HORIZON), PerfectForecaster(site, series(site)).forecast(now, HORIZON)
    for name in ("demand_kw", "demand_kvar", "available_kw", "price_per_kwh", "source_ratio"):
        assert getattr(one, name) == pytest.approx(getattr(other, name)), name


def test_the_present_is_exact_the_night_stays_dark_and_the_power_factor_stays(measured):
    site, first = measured
    options = NoisyOptions.model_validate({"load": "high", "irradiance": "high", "price": "high"})
    made = NoisyForecaster(site, series(site), options=options, seed=1).forecast(
        replace(first, step=1), HORIZON
    )
    true = PerfectForecaster(site, series(site)).forecast(replace(first, step=1), HORIZON)
    assert made.demand_kw[0] == pytest.approx(true.demand_kw[0])
    assert made.price_per_kwh[0] == pytest.approx(true.price_per_kwh[0])
    assert made.available_kw[0] == pytest.approx(true.available_kw[0])
    assert (made.available_kw[1:] == 0.0).all(), "steps 2 to 4 are night"
    assert (np.abs(made.demand_kw[1:] / true.demand_kw[1:] - 1) > 1e-4).all()
    assert made.demand_kvar == pytest.approx(0.5 * made.demand_kw)
    assert made.price_per_kwh[1] != pytest.approx(true.price_per_kwh[1], rel=1e-4)
