"""Scenarios and quantiles of a forecast: drawn by the law of its errors, known mean, nothing about the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cosim.errors import ContractError
from cosim.forecasting.by_quantity import ForecasterByQuantity
from cosim.forecasting.noisy import NoisyForecaster, NoisyOptions
from cosim.forecasting.perfect import PerfectForecaster
from cosim.model.exogenous import Exogenous
from cosim.model.forecast import Forecast
from cosim.model.forecast_errors import IRRADIANCE, LOAD, PRICE, ErrorLaw, ForecastErrors
from cosim.model.scenario_tree import ScenarioTree
from cosim.model.timegrid import Horizon
from tests.conftest import a_feeder, shipped_master
from tests.report.records import PV

HOUR_S = 3600
LAW = ErrorLaw(std=0.1, correlation_s=HOUR_S, common=0.5)
SUN = ErrorLaw(std=0.2, correlation_s=HOUR_S, common=1.0, heavy_tails=True)


def errors(seed: int = 1, step: int = 5) -> ForecastErrors:
    return ForecastErrors(step, HOUR_S, seed, load=LAW, sun=SUN)


def a_forecast(seed: int = 1) -> Forecast:
    """Two loads, a battery and a PV system, over an hour, an hour and two hours."""
    return Forecast(
        Horizon((HOUR_S, HOUR_S, 2 * HOUR_S)),
        demand_kw=np.array([[100.0, 50.0], [110.0, 60.0], [120.0, 70.0]]),
        demand_kvar=np.array([[10.0, 5.0], [11.0, 6.0], [12.0, 7.0]]),
        available_kw=np.array([[0.0, 30.0], [0.0, 40.0], [0.0, 95.0]]),
        price_per_kwh=np.array([0.1, 0.2, 0.3]),
        errors=errors(seed),
    )


SUN_KW = np.array([0.0, 100.0])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 12))
def test_the_mean_of_scenarios_is_the_forecast_and_the_present_is_known(seed, count):
    drawn = errors(seed).factors(LOAD, count, 3, 6)
    assert drawn.mean(axis=0) == pytest.approx(np.ones((6, 3)))
    assert (drawn[:, 0] == 1.0).all()
    assert (drawn >= 0.0).all()


def test_one_scenario_is_the_forecast_itself():
    only = a_forecast().scenarios(1, SUN_KW)
    for name in ("demand_kw", "demand_kvar", "available_kw", "price_per_kwh"):
        assert np.array_equal(getattr(only, name)[0], getattr(a_forecast(), name)), name


def test_errors_grow_with_lead_time_to_their_standard_deviation():
    drawn = errors().factors(LOAD, 4000, 1, 8)[:, :, 0]
    expected = 0.1 * np.sqrt(1.0 - np.exp(-2.0 * np.arange(8)))
    assert drawn.std(axis=0) == pytest.approx(expected, rel=0.05, abs=1e-12)


def test_a_shared_factor_correlates_series():
    drawn = errors().factors(LOAD, 4000, 2, 2)[:, 1]
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(0.5, abs=0.05)
    shared = errors().factors(IRRADIANCE, 50, 2, 2)[:, 1]
    assert shared[:, 0] == pytest.approx(shared[:, 1])


def test_a_period_has_the_mean_of_its_steps():
    """The third period has two steps."""
    forecast = a_forecast()
    by_step = errors().factors(LOAD, 3, 2, 4)
    drawn = forecast.scenarios(3, SUN_KW).demand_kw
    assert drawn[:, 2] == pytest.approx(by_step[:, 2:].mean(axis=1) * forecast.demand_kw[2])


def test_reactive_demand_follows_and_the_sun_offers_no_more_than_it_can():
    drawn = a_forecast(3).scenarios(200, SUN_KW)
    assert drawn.demand_kvar / drawn.demand_kw == pytest.approx(np.full((200, 3, 2), 0.1), abs=2e-3)
    assert drawn.available_kw[:, :, 1].max() <= 100.0
    assert (drawn.available_kw[:, :, 0] == 0.0).all()
    # Nothing is known about errors of the price.
    assert (drawn.price_per_kwh == a_forecast().price_per_kwh).all()


def test_several_scenarios_of_a_forecast_without_errors_are_refused():
    with pytest.raises(ContractError, match="use a forecaster that does"):
        replace(a_forecast(), errors=None).scenarios(2, SUN_KW)


def test_scenarios_depend_on_seed_and_step_alone():
    one, same, other = (errors(seed).factors(LOAD, 5, 2, 4) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_later_forecasts_go_on_with_the_same_innovations():
    """The innovation of step 7 is that of step 7, whether a forecast is made at step 5 or at step 6."""
    early, late = errors(step=5).factors(LOAD, 4, 1, 3), errors(step=6).factors(LOAD, 4, 1, 2)
    phi = LAW.phi(HOUR_S)
    assert (early[:, 2] - 1.0) - phi * (early[:, 1] - 1.0) == pytest.approx(late[:, 1] - 1.0)


@pytest.fixture(scope="module")
def noisy_day():
    with a_feeder(shipped_master("ieee13"), devices=(replace(PV, bus="671", phases=(1,)),)) as feeder:
        count = len(feeder.site.loads)
        full, none = np.full(count, 10.0), np.zeros(count, dtype=np.int64)
        truth = Exogenous(900, full, full / 2, np.ones((12, 1)), none, np.full(12, 0.5), np.full(12, 0.1))
        yield feeder.site, truth, feeder.measure(0)


def test_each_quantity_keeps_what_its_own_forecaster_says(noisy_day):
    site, truth, measurement = noisy_day
    noisy = NoisyForecaster(site, truth, options=NoisyOptions(), seed=4)
    mixed = ForecasterByQuantity(site, noisy, PerfectForecaster(site, truth), noisy)
    found = mixed.forecast(measurement, Horizon((900,) * 3)).errors
    alone = noisy.forecast(measurement, Horizon((900,) * 3)).errors
    assert found is not None
    assert alone is not None
    assert (found.load, found.sun, found.price) == (alone.load, None, alone.price)


def test_noisy_forecasts_hold_the_quantiles_that_were_asked_for(noisy_day):
    site, truth, measurement = noisy_day
    forecaster = NoisyForecaster(site, truth, options=NoisyOptions(quantiles=(0.1, 0.5, 0.9)), seed=4)
    spread = forecaster.forecast(measurement, Horizon((900,) * 3)).load_quantiles
    assert spread is not None
    low, middle, high = spread.value
    assert low[0] == pytest.approx(high[0])  # the present is known
    assert (low[1:] < middle[1:]).all()
    assert (middle[1:] < high[1:]).all()


def test_quantiles_that_do_not_rise_are_refused():
    with pytest.raises(ValidationError, match="do not rise"):
        NoisyOptions(quantiles=(0.5, 0.5))


def test_nodes_of_a_tree_know_what_comes_before_them():
    tree = ScenarioTree(3, 2)
    assert tree.paths.tolist() == [[0, 1, 2], [0, 3, 4]]
    assert tree.previous.tolist() == [-1, 0, 1, 0, 3]
    assert tree.last.tolist() == [2, 4]
    assert tree.at(0).tolist() == [0]
    assert tree.at(1).tolist() == [1, 3]
    assert tree.node_weight(np.array([0.25, 0.75])).tolist() == [1.0, 0.25, 0.25, 0.75, 0.75]
    with pytest.raises(ContractError, match="at least one of each"):
        ScenarioTree(0)


def test_the_price_has_errors_where_they_are_asked_for():
    made = replace(errors(), price=LAW).factors(PRICE, 3, 1, 3)
    assert not np.array_equal(made[:, 1], np.ones((3, 1)))
