"""A forecaster for each quantity, as a scenario names them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from cosim.errors import ScenarioError
from cosim.forecasting.by_quantity import ForecasterByQuantity
from cosim.run.assembly import Assembly
from cosim.run.check import check_study
from cosim.run.choice import forecasters_of
from cosim.run.manifest import effective_scenario, provenance_of
from cosim.run.policy import make_forecaster, needs_of_study
from cosim.run.scenario import Scenario
from cosim.run.schema import scenario_schema
from cosim.run.study import open_study

PARTS = {
    "load": {"type": "noisy", "options": {"load": "high"}},
    "irradiance": "persistence",
    "price": "perfect",
}
FLEXIBLE = [{"kind": "curtailable_load", "name": "c", "bus": "671", "depth": 0.3, "cost_per_kwh": 1.0}]


def control(forecast, **changes):
    return {"horizon_s": 3600, "forecast": forecast, **changes}


def at_work(path):
    study = open_study(path)
    assembly = Assembly(study)
    return study, assembly, make_forecaster(study, assembly.knowledge)


def single(path_of, name, options=None):
    """The forecast of the first step of one forecaster for all."""
    study, assembly, forecaster = at_work(
        path_of(control=control({"type": name, "options": options or {}}))
    )
    with assembly:
        return forecaster.forecast(assembly.feeder.measure(0), study.horizon)


def test_each_quantity_comes_from_its_forecaster(scenario_file):
    noisy = single(scenario_file, "noisy", {"load": "high"})
    perfect = single(scenario_file, "perfect")
    study, assembly, forecaster = at_work(scenario_file(control=control(PARTS)))
    with assembly:
        assert isinstance(forecaster, ForecasterByQuantity)
        first = assembly.feeder.measure(0)
        made = forecaster.forecast(first, study.horizon)
    assert np.array_equal(made.demand_kw, noisy.demand_kw)
    assert np.array_equal(made.demand_kvar, noisy.demand_kvar)
    assert not np.allclose(made.demand_kw[1:], perfect.demand_kw[1:])
    assert made.available_kw == pytest.approx(np.tile(first.available_kw, (4, 1)))
    assert np.array_equal(made.price_per_kwh, perfect.price_per_kwh)


class Offers:
    """Persistence, but for what devices are offered."""

    def __init__(self, base, kw):
        self.made = replace(base, available_kw=np.full_like(base.available_kw, kw))

    def forecast(self, measurement, horizon):
        return self.made


def test_flexible_demand_comes_with_the_load_and_pv_with_the_sun(scenario_file):
    study, assembly, forecaster = at_work(scenario_file(devices=FLEXIBLE, control=control("persistence")))
    with assembly:
        site, first = assembly.site, assembly.feeder.measure(0)
        base = forecaster.forecast(first, study.horizon)
    load, sun = Offers(base, 1.0), Offers(base, 2.0)
    made = ForecasterByQuantity(site, load, sun, sun).forecast(first, study.horizon)
    kinds = [device.kind for device in site.devices]
    assert (made.available_kw[:, kinds.index("pv")] == 2.0).all()
    assert (made.available_kw[:, kinds.index("curtailable_load")] == 1.0).all()


def test_forecasters_of_one_name_and_the_same_options_are_one_object(scenario_file):
    parts = {"load": "persistence", "irradiance": {"type": "persistence"}, "price": "perfect"}
    study, assembly, forecaster = at_work(scenario_file(control=control(parts)))
    with assembly:
        forecaster.forecast(assembly.feeder.measure(0), study.horizon)
    state = forecaster.state()
    assert len(state) == 2
    assert len(state[0]) == 1, "persistence saw one measurement, once"
    assert forecaster.resumable


def test_needs_and_mistakes_of_all_of_them_count(scenario_file):
    study = open_study(
        scenario_file(
            control=control({"load": "persistence", "irradiance": "seasonal_naive", "price": "perfect"})
        )
    )
    assert {"truth", "history"} <= needs_of_study(study)
    wrong = {
        "load": "perfekt",
        "irradiance": {"type": "noisy", "options": {"laod": "high"}},
        "price": "perfect",
    }
    problems, _ = check_study(open_study(scenario_file(control=control(wrong))))
    text = "\n".join(problems)
    assert "control.forecast.load: no forecaster 'perfekt'; did you mean 'perfect'?" in text
    assert "control.forecast.irradiance.options.laod: unknown option; did you mean 'load'?" in text


def test_a_quantity_that_is_not_named_is_missed(scenario_file):
    with pytest.raises(ScenarioError, match=r"control\.forecast\.price: is missing"):
        open_study(scenario_file(control=control({"load": "perfect", "irradiance": "perfect"})))


def test_the_single_name_has_the_same_text_and_hash_as_before(scenario_file):
    """Text of a scenario as earlier releases wrote it: none of the new keys is in it."""
    study = open_study(scenario_file(control=control("persistence")))
    text = effective_scenario(study)
    assert "  forecast:\n    type: persistence\n    options: {}\n  planner:" in text
    for key in ("history", "vintages", "forecasts", "by_quantity"):
        assert key not in text
    assert "record:\n  sync: never\ncontrol:" in text
    digest = provenance_of(study, over="local").facts["sha256"]["scenario"]
    assert digest == hashlib.sha256(text.encode()).hexdigest()


def test_a_scenario_by_quantity_survives_its_own_text(scenario_file):
    study = open_study(scenario_file(control=control(PARTS), record={"forecasts": True}))
    data = study.scenario.model_dump(mode="json", by_alias=True)
    assert data["record"]["forecasts"] is True
    assert Scenario.model_validate(data) == study.scenario
    assert [choice.name for choice in forecasters_of(study)] == ["noisy", "persistence", "perfect"]


def test_the_schema_knows_both_forms():
    definitions = scenario_schema()["$defs"]
    forms = str(definitions["ControlConfig"]["properties"]["forecast"])
    assert "ForecastConfig" in forms
    assert "ForecastByQuantity" in forms
