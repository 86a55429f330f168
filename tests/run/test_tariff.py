"""Tariffs: prices by season, weekday and hour, demand windows by month; against hand-made figures."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from pydantic import ValidationError

import cosim
from cosim.errors import ScenarioError, SeriesError
from cosim.experiments.run_metrics import run_metrics
from cosim.model.timegrid import TimeGrid
from cosim.run.tariff import DemandWindow, Tariff, When, read_tariff
from tests.command import cosim as command
from tests.conftest import ROOT
from tests.report.records import record_of, step

ZONE = timezone(timedelta(hours=-7))
SHIPPED = ROOT / "configs" / "tariffs" / "time_of_use.yaml"


def grid(start, step_s=3600, steps=24):
    return TimeGrid(datetime.fromisoformat(start).replace(tzinfo=ZONE), step_s, steps)


def test_the_first_rate_that_applies_counts_by_season_weekday_and_hour():
    tariff = read_tariff(SHIPPED)
    # Friday 21 June: night 0.12 until 8, 0.22 until 16, 0.40 until 21, 0.22 until 23.
    friday = tariff.price_per_kwh(grid("2024-06-21T00:00:00"))
    expected = [0.12] * 8 + [0.22] * 8 + [0.40] * 5 + [0.22] * 2 + [0.12]
    assert friday.tolist() == pytest.approx(expected)
    assert set(tariff.price_per_kwh(grid("2024-06-22T00:00:00"))) == {0.12}
    sunday = tariff.price_per_kwh(grid("2024-04-14T00:00:00"))
    assert sunday[[10, 11, 14, 15, 17, 20]].tolist() == pytest.approx(
        [0.14, -0.02, -0.02, 0.14, 0.26, 0.14]
    )


def test_a_step_across_a_change_has_the_mean_price():
    tariff = Tariff.model_validate(
        {"rates": [{"price_per_kwh": 1.0, "hours": [[0, 9.25]]}, {"price_per_kwh": 3.0}]}
    )
    assert tariff.price_per_kwh(grid("2024-06-21T09:00:00", 3600, 2)) == pytest.approx([2.5, 3.0])
    assert tariff.price_per_kwh(grid("2024-06-21T09:00:00", 900, 2)) == pytest.approx([1.0, 3.0])


def test_hours_may_go_over_midnight():
    night = When(hours=((22.0, 6.0),))
    hours = [hour for hour in range(24) if night.covers(datetime(2024, 6, 21, hour, tzinfo=ZONE))]
    assert hours == [0, 1, 2, 3, 4, 5, 22, 23]
    with pytest.raises(ValidationError, match="is no time; the whole day is"):
        When(hours=((6.0, 6.0),))


def test_a_gap_and_a_mistake_are_named(tmp_path):
    tariff = Tariff.model_validate({"name": "gap", "rates": [{"price_per_kwh": 1.0, "weekdays": ["fri"]}]})
    with pytest.raises(
        SeriesError, match=r"no rate of the tariff 'gap' applies on Sat 2024-06-22 at 00:00"
    ):
        tariff.price_per_kwh(grid("2024-06-21T00:00:00", 3600, 48))
    (tmp_path / "t.yaml").write_text("rates: [{price_per_kwh: 1, month: [6]}]")
    with pytest.raises(SeriesError, match=r"rates.0.month"):
        read_tariff(tmp_path / "t.yaml")


def test_a_window_has_a_peak_for_each_month():
    window = DemandWindow.model_validate({"name": "evening", "per_kw": 4.0, "hours": [[17, 21]]})
    times = [datetime(2024, 6, 30, 12, tzinfo=ZONE) + timedelta(hours=6 * i) for i in range(6)]
    # 12:00, 18:00 in June, then 00:00, 06:00, 12:00, 18:00 in July.
    peaks = window.peaks_kw(times, np.array([900.0, 50.0, 800.0, 700.0, 600.0, -5.0]))
    assert peaks == {(2024, 6): 50.0, (2024, 7): 0.0}


def test_a_scenario_takes_a_tariff_from_a_file_or_here(tmp_path):
    study = cosim.load("ieee13", steps=24)
    windows = [
        {"name": "evening", "per_kw": 2.0, "hours": [[17, 21]]},
        {"name": "any_time", "per_kw": 1.0},
    ]  # fmt: skip
    settings = {
        "inputs.price": {"tariff": "tariffs/time_of_use.yaml"}, "control.type": "idle",
        "metrics.demand_windows": windows, "metrics.demand_charge_per_kw": 0.5,
    }  # fmt: skip
    run = study.with_settings(settings).run(tmp_path / "run")
    steps = run.record.steps
    assert steps["price_per_kwh"].to_numpy()[[0, 8, 16, 21]].tolist() == pytest.approx(
        [0.12, 0.22, 0.4, 0.22]
    )
    import_kw = steps["import_kw"].to_numpy()
    expected = 2.0 * import_kw[17:21].max() + 1.5 * import_kw.max()
    assert run.figures.figures["demand_charge"].run == pytest.approx(expected)
    with pytest.raises(ScenarioError, match=r"inputs.price.tariff: .*does_not.yaml"):
        study.with_settings({"inputs.price": {"tariff": "does_not.yaml"}}).opened()
    with pytest.raises(ScenarioError, match="or 'tariff'"):
        study.with_settings({"inputs.price": {"tariff": "a.yaml", "constant": 0.1}})


EXPORTING = {
    "rates": [
        {"price_per_kwh": 0.4, "hours": [[0, 0.5]], "export_per_kwh": 0.1},
        {"price_per_kwh": 0.2, "hours": [[0.5, 1]]},
        {"price_per_kwh": 0.2, "export_per_kwh": -0.3},
    ]
}


def test_energy_sent_back_has_a_price_of_its_own_by_hand():
    # Half hours with 10 kW in, 10 kW out at the import price, 20 kW out at a negative price.
    rows = [
        step(k, import_kw=kw, price_per_kwh=p)
        for k, (kw, p) in enumerate([(10, 0.4), (-10, 0.2), (-20, 0.2)])
    ]
    run = run_metrics(record_of(rows, export_tariff=EXPORTING))
    assert run.energy_cost == pytest.approx(0.5 * (10 * 0.4 - 10 * 0.2 - 20 * -0.3))
    plain = run_metrics(record_of(rows))
    assert plain.energy_cost == pytest.approx(0.5 * (10 * 0.4 - 10 * 0.2 - 20 * 0.2))
    # A record that lacks the first step is settled by the prices of its own steps.
    late = run_metrics(record_of(rows[1:], export_tariff=EXPORTING))
    assert late.energy_cost == pytest.approx(0.5 * (-10 * 0.2 - 20 * -0.3))


def test_a_run_is_settled_by_the_export_price_and_check_says_that_plans_are_not(scenario_file, tmp_path):
    # A hundredth of the load under 300 kW of PV in the sun: power flows back.
    tariff = {"rates": [{"price_per_kwh": 0.3, "export_per_kwh": 0.05}]}
    file = scenario_file(
        inputs={
            "irradiance": {"constant": 1.0},
            "load": {"multiplier": {"constant": 0.01}},
            "price": {"tariff": tariff, "scale": 2.0},
        },
        control={"type": "idle"},
        baseline=False,
    )
    said = command("check", file).said
    assert "plans value export at the price of import" in " ".join(said.split())
    run = cosim.load(file, steps=2).run(tmp_path / "run")
    import_kw, step_h = run.record.steps["import_kw"].to_numpy(), run.record.step_h
    assert (import_kw < -200).all()
    revenue = -import_kw.sum() * 0.1 * step_h
    assert run.figures.figures["export_revenue"].run == pytest.approx(revenue)
    assert run.figures.run.energy_cost == pytest.approx(-revenue)
    assert run.record.steps["price_per_kwh"].tolist() == [0.6, 0.6]


def test_a_tariff_without_export_prices_is_written_as_before():
    rate = {"price_per_kwh": 0.2, "hours": [[0, 24]]}
    dumped = Tariff.model_validate({"rates": [rate]}).model_dump(mode="json")["rates"][0]
    assert "export_per_kwh" not in dumped
    zero = Tariff.model_validate({"rates": [rate | {"export_per_kwh": 0.0}]})
    assert zero.model_dump(mode="json")["rates"][0]["export_per_kwh"] == 0.0
    assert zero.has_export_price


def test_the_shipped_example_of_an_export_price():
    tariff = read_tariff(SHIPPED.with_name("net_billing.yaml"))
    day = grid("2024-06-21T00:00:00")
    assert tariff.export_price_per_kwh(day)[[0, 11, 14, 15, 16, 20, 21]].tolist() == pytest.approx(
        [0.06, 0.0, 0.0, 0.06, 0.12, 0.12, 0.06]
    )
    assert (tariff.export_price_per_kwh(day) < tariff.price_per_kwh(day)).all()
    assert tariff.scaled(2.0).export_price_per_kwh(day)[16] == pytest.approx(0.24)
