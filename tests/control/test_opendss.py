"""Controls of the simulator in charge of batteries and PV systems: against their own laws."""

from __future__ import annotations

import numpy as np
import pytest

import cosim
from cosim.control.volt_var_watt import VOLT_VAR
from cosim.errors import ScenarioError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.engine_controls import head_element
from cosim.feeder.operated_devices import LEFT_TO_ENGINE
from cosim.run.same_steps import CLOCKED, same
from cosim.run.shipped import find_scenario
from cosim.run.study import open_study

HIGH_KW, LOW_KW = 2500.0, 1500.0
OPTIONS = {"discharge_above_kw": HIGH_KW, "charge_below_kw": LOW_KW}


def study(**options):
    return cosim.load("ieee13", steps=24).with_settings(
        {"control.type": "opendss", "control.options": OPTIONS | options}
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A day in process, with the run without control beside it."""
    return study().run(tmp_path_factory.mktemp("opendss") / "run")


def test_batteries_shave_the_peak_and_fill_the_valley(done):
    steps, free = done.record.steps, done.baseline.steps
    battery_kw = np.stack(steps["storage_kw"].to_numpy()).sum(axis=1)
    assert battery_kw.max() > 100.0
    assert battery_kw.min() < -100.0
    # They discharge only where the feeder takes more than the target, and charge only where it takes less.
    assert free["import_kw"][battery_kw > 1.0].min() > 0.9 * HIGH_KW
    assert free["import_kw"][battery_kw < -5.0].max() < LOW_KW
    assert done.metrics.loc["Storage throughput", "run"] == pytest.approx(
        np.abs(battery_kw[np.abs(battery_kw) > 4]).sum(), rel=0.02
    )


def test_pv_systems_are_on_their_curve(done):
    record = done.record
    place = {name: i for i, name in enumerate(record.site.nodes)}
    pv_kvar = np.stack(record.steps["pv_kvar"].to_numpy())
    voltage_pu = np.stack(record.steps["voltage_pu"].to_numpy())
    names = [one.name for one in record.site.devices if one.kind == "pv"]
    at, share = zip(*VOLT_VAR["B"], strict=True)
    mine = names.index("pv_680")
    mean_pu = voltage_pu[:, [place[f"680.{phase}"] for phase in (1, 2, 3)]].mean(axis=1)
    noon = slice(9, 16)
    expected = 900.0 * np.interp(mean_pu[noon], at, share)
    assert pv_kvar[noon, mine] == pytest.approx(expected, abs=20.0)


def test_nothing_is_commanded_and_the_record_says_by_whom_it_is_done(done):
    assert done.record.manifest["engine_led"]
    assert set(np.concatenate(done.record.steps["storage_reason"].to_numpy())) == {LEFT_TO_ENGINE}
    assert done.record.steps["events"].map(len).sum() == 0


def test_both_drivers_have_the_same_record(tmp_path):
    few = (
        study()
        .with_settings({"time.steps": 6, "time.start": "2024-06-21T15:00:00-07:00"})
        .without_baseline()
    )
    local, helics = few.run(tmp_path / "local"), few.run(tmp_path / "helics", over="helics")
    for name in local.record.steps.columns:
        if name not in CLOCKED:
            pairs = zip(local.record.steps[name], helics.record.steps[name], strict=True)
            assert all(same(a, b) for a, b in pairs), name


def test_targets_must_fit_together():
    with pytest.raises(ScenarioError, match="charge_below_kw 2600 is not below discharge_above_kw 2500"):
        study(charge_below_kw=2600.0).opened()
    with pytest.raises(ScenarioError, match="together, or neither"):
        study(charge_below_kw=None).opened()


@pytest.mark.parametrize(("feeder", "head"), [("ieee13", "line.l650_632"), ("ieee123_1ph", None)])
def test_the_head_carries_the_phases_of_the_source(feeder, head):
    model = FeederModel(open_study(find_scenario(feeder)).master)
    found = head_element(model.engine)
    assert head is None or found == head
    assert found.partition(".")[0] in ("line", "transformer")
    model.close()
