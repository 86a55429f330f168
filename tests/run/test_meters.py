"""Meters at elements of the feeder: what they read and what they cost."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

import cosim as package
from cosim.errors import ScenarioError
from cosim.experiments.settlement import metered
from cosim.run.meter_config import MeterConfig, MetersConfig
from cosim.run.sources import input_files
from tests.command import cosim
from tests.conftest import small_scenario
from tests.report.records import record_of, step

NIGHT = {"rates": [{"price_per_kwh": 0.5, "export_per_kwh": 0.125}]}
METERS = [
    {"name": "head", "element": "Line.L650_632"},
    {"name": "far_end", "element": "line.l650_632", "terminal": 2, "tariff": NIGHT},
    {"name": "branch", "element": "line.l632_645"},
    {"name": "rest_of_branch", "element": "line.l645_646"},
]
QUICK = {"control": {"type": "time_of_use", "horizon_s": 3600}, "baseline": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two steps; that both drivers read the same is a claim of tests/federates/test_published.py."""
    folder = tmp_path_factory.mktemp("meters")
    file = folder / "scenario.yaml"
    file.write_text(json.dumps(small_scenario(metrics={"meters": METERS}, **QUICK)), encoding="utf-8")
    return package.load(file, steps=2).run(folder / "run")


def test_meters_read_the_power_into_their_elements(run):
    head, far_end, branch, rest = run.record.vector("meter_kw").T
    steps = run.record.steps
    # Between the source and the first line there is only a transformer and a regulator, of some losses.
    assert (head < steps["import_kw"]).all()
    assert head == pytest.approx(steps["import_kw"].to_numpy(), rel=0.02)
    # Out of a line's far end flows what flows in, less its losses.
    assert (far_end < 0).all()
    assert ((head + far_end > 0) & (head + far_end < 0.05 * head)).all()
    # The line to 645 and 646 carries the loads of both buses.
    assert (branch > rest).all()
    assert (rest > 0).all()


def test_each_meter_is_settled_by_its_own_tariff(run):
    power_kw, step_h = run.record.vector("meter_kw"), run.record.step_h
    found = metered(run.record)
    assert found["head"].cost == pytest.approx(0.2 * power_kw[:, 0].sum() * step_h)
    assert found["far_end"].payment == 0.0
    assert found["far_end"].cost == pytest.approx(0.125 * power_kw[:, 1].sum() * step_h)
    total = sum(meter.cost for meter in found.values())
    assert run.figures.figures["metered_cost"].run == pytest.approx(total)
    report = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "far_end" in report
    assert "cost without control (currency)" in report


def test_energy_and_money_by_hand():
    meters = {"meters": [{"name": "m", "element": "line.x"}, {"name": "own", "element": "line.y"}]}
    rows = [step(k, meter_kw=np.array(kw)) for k, kw in enumerate([(4.0, 2.0), (-2.0, -8.0), (0.0, 6.0)])]
    record = record_of(rows, metrics=meters, meter_tariffs=[None, NIGHT])
    found = metered(record)
    # Half hours at 0.1, 0.2 and 0.6; the other meter buys at 0.5 and sells at 0.125.
    assert (found["m"].import_kwh, found["m"].export_kwh, found["m"].peak_kw) == (2.0, 1.0, 4.0)
    assert found["m"].cost == pytest.approx(0.5 * (4 * 0.1 - 2 * 0.2))
    assert (found["own"].payment, found["own"].revenue) == (2.0, 0.5)
    assert metered(record_of(rows)) == {}


@pytest.mark.parametrize(
    ("meter", "words"),
    [
        (
            {"element": "line.l650_633"},
            "meter m: there is no element 'line.l650_633' in the feeder; nearest: line.",
        ),
        ({"element": "line.l650_632", "terminal": 3}, "meter m: line.l650_632 has 2 terminals, not 3"),
    ],
)
def test_a_meter_that_has_no_place_is_named(scenario_file, meter, words):
    study = package.load(scenario_file(metrics={"meters": [{"name": "m"} | meter]}, **QUICK), steps=2)
    with pytest.raises(ScenarioError, match=words):
        study.opened()
    ended = cosim("check", study.inner.path)
    assert (ended.code, words in " ".join(ended.said.split())) == (2, True)


def test_what_is_wrong_with_meters_is_said():
    with pytest.raises(ValidationError, match="two meters are called a"):
        MetersConfig.model_validate({"meters": [{"name": "a", "element": "line.x"}] * 2})
    with pytest.raises(ValidationError, match="element"):
        MeterConfig.model_validate({"name": "a", "element": "650632"})


def test_the_file_of_a_meters_tariff_is_an_input(scenario_file, tmp_path):
    (tmp_path / "night.yaml").write_text(json.dumps(NIGHT), encoding="utf-8")
    meters = [METERS[0] | {"tariff": "night.yaml"}]
    study = package.load(scenario_file(metrics={"meters": meters}, **QUICK), steps=2)
    assert tmp_path / "night.yaml" in input_files(study.inner)
