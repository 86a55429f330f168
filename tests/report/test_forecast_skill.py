"""Figures of forecasts, each computed by hand over three steps."""

from __future__ import annotations

import json
from math import sqrt

import numpy as np
import pytest

from cosim.experiments.forecast_skill import forecast_skill, pinball_loss, skill_score
from cosim.experiments.metrics import measure_report, metrics_to_dict
from cosim.report.html import page
from cosim.report.key_figures import ABSENT
from cosim.report.lists import skill_of_forecasts
from tests.report.records import PLANS, record_of, step

DEMAND = (100.0, 120.0, 90.0)
"""Sun 0, 5, 8 kW and price 0.1, 0.2, 0.6 are those of the record."""
LOAD = ([100.0, 110.0], [120.0, 100.0], [90.0, 70.0])
SUN = ([0.0, 3.0], [5.0, 8.0], [8.0, 9.0])
PRICE = ([0.1, 0.2], [0.2, 0.6], [0.6, 0.6])
LEVEL = [0.1, 0.5, 0.9]
NOTHING = dict.fromkeys(
    f"forecast_{q}_{part}" for q in ("load", "available", "price") for part in ("level", "quantiles")
)


def forecast(k: int, period_s=(1800.0, 1800.0), **changes):
    return {
        "demand_kw": DEMAND[k],
        "forecast_period_s": np.array(period_s),
        "forecast_load_kw": np.array(LOAD[k]),
        "forecast_available_kw": np.array(SUN[k]),
        "forecast_price_per_kwh": np.array(PRICE[k]),
        **NOTHING,
        **changes,
    }


def record(*rows):
    return record_of([step(k, planned=PLANS[k], **row) for k, row in enumerate(rows)])


@pytest.fixture
def kept():
    return record(*(forecast(k) for k in range(3)))


def by_lead(found, quantity: str):
    return {one.lead_s: one for one in found if one.quantity == quantity}


def test_errors_of_the_load_by_hand(kept):
    found = by_lead(forecast_skill(kept), "load")
    assert set(found) == {0.0, 1800.0}
    now, next_ = found[0.0], found[1800.0]
    assert (now.periods, now.mae, now.rmse, now.bias, now.skill) == (3, 0.0, 0.0, 0.0, None)
    # Said 110 and 100, came 120 and 90; the third forecast looks beyond the run.
    assert next_.periods == 2
    assert next_.mae == pytest.approx(10.0)
    assert next_.rmse == pytest.approx(10.0)
    assert next_.bias == pytest.approx(0.0)
    # Persistence says 100 and 120: errors of -20 and 30.
    assert next_.skill == pytest.approx(1.0 - 10.0 / sqrt((400.0 + 900.0) / 2))
    assert next_.unit == "kW"


def test_errors_of_sun_and_price_by_hand(kept):
    sun = by_lead(forecast_skill(kept), "sun")[1800.0]
    # Said 3 and 8, came 5 and 8.
    assert sun.mae == pytest.approx(1.0)
    assert sun.bias == pytest.approx(-1.0)
    assert sun.rmse == pytest.approx(sqrt(2.0))
    assert sun.skill == pytest.approx(1.0 - sqrt(2.0) / sqrt((25.0 + 9.0) / 2))
    price = by_lead(forecast_skill(kept), "price")[1800.0]
    assert (price.mae, price.skill) == (0.0, 1.0)
    assert price.pinball is None
    assert price.coverage is None


def test_a_period_of_two_steps_is_compared_with_their_mean():
    rows = [forecast(k, (1800.0, 3600.0)) for k in range(3)]
    found = by_lead(forecast_skill(record(*rows)), "load")
    # Said 110 for steps 1 and 2, came (120 + 90) / 2; persistence says 100.
    assert found[1800.0].periods == 1
    assert found[1800.0].bias == pytest.approx(5.0)
    assert found[1800.0].skill == pytest.approx(0.0)


def test_steps_without_a_forecast_are_left_out():
    silent = {name: None for name in forecast(1) if name.startswith("forecast_")} | {"demand_kw": DEMAND[1]}
    found = by_lead(forecast_skill(record(forecast(0), silent, forecast(2))), "load")
    assert (found[0.0].periods, found[1800.0].periods) == (2, 1)
    assert found[1800.0].bias == pytest.approx(-10.0)


def test_quantiles_by_hand():
    spread = (
        [[98, 105], [100, 110], [102, 118]],
        [[110, 80], [120, 100], [125, 110]],
        [[80, 60], [90, 70], [95, 80]],
    )
    rows = [
        forecast(
            k,
            forecast_load_level=np.array(LEVEL),
            forecast_load_quantiles=np.ravel(spread[k]).astype(float),
        )
        for k in range(3)
    ]
    found = by_lead(forecast_skill(record(*rows)), "load")[1800.0]
    # Came 120 over quantiles 105, 110, 118; then 90 over 80, 100, 110.
    first = (0.1 * 15 + 0.5 * 10 + 0.9 * 2) / 3
    second = (0.1 * 10 + 0.5 * 10 + 0.1 * 20) / 3
    assert found.pinball == pytest.approx((first + second) / 2)
    assert found.coverage == 0.5
    assert found.nominal_coverage == pytest.approx(0.8)


def test_pinball_and_skill_of_single_values():
    loss = pinball_loss(np.array([10.0, 10.0]), np.array([[8.0], [13.0]]), np.array([0.9]))
    assert loss[:, 0] == pytest.approx([1.8, 0.3])
    assert skill_score(1.0, 2.0) == 0.5
    assert skill_score(3.0, 2.0) == -0.5
    assert skill_score(1.0, 0.0) is None


def test_a_record_without_forecasts_has_no_figures(planned):
    assert forecast_skill(planned) == ()
    report = measure_report(planned, None)
    assert metrics_to_dict(report)["forecast_skill"] == []
    assert "Skill by lead time" not in page(report, planned, None)


def test_report_and_metrics_show_them(kept):
    report = measure_report(kept, None)
    plain = json.loads(json.dumps(metrics_to_dict(report), allow_nan=False))["forecast_skill"]
    assert [(one["quantity"], one["lead_s"]) for one in plain] == [
        (quantity, lead) for quantity in ("load", "sun", "price") for lead in (0.0, 1800.0)
    ]
    assert plain[1]["mae"] == pytest.approx(10.0)
    table = skill_of_forecasts(report.forecast_skill)
    assert table.rows[1][:7] == ("load", "0.5", "2", "10", "10", "0", "kW")
    assert table.rows[0][7] == ABSENT
    assert "Skill by lead time" in page(report, kept, None)
