"""Sensors, the estimator, and the stage between plant and controller, over both drivers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosim.errors import SeriesError
from cosim.run.assembly import Assembly
from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.study import open_study
from cosim.sensing.sensors import SensorModel, Sensors
from tests.conftest import a_feeder, a_storage, shipped_master
from tests.timeline.test_two_drivers import CLOCKED, same

POOR = {
    "voltage": {"noise": 0.01, "count": 12, "dead": ["671.1"]},
    "demand": {"noise": 0.1, "every_s": 1800, "delay_s": 900},
    "substation": {"noise": 0.005},
    "seed": 5,
}


@pytest.fixture(scope="module")
def truth():
    """Site and measurement of IEEE 13."""
    with a_feeder(shipped_master("ieee13"), devices=(a_storage(),), steps=1) as feeder:
        return feeder.site, feeder.measure(0)


def later(measurement, step: int):
    """The state of a later step, told apart by its voltages."""
    return replace(measurement, step=step, time_s=900.0 * step, voltage_pu=measurement.voltage_pu + step)


def test_a_perfect_sensor_reports_the_truth(truth):
    site, measurement = truth
    sensors = Sensors(site, {"voltage": SensorModel()}, seed=1)
    assert sensors.perfect
    assert sensors.sense(measurement).measurement is not measurement
    assert np.array_equal(sensors.sense(measurement).measurement.voltage_pu, measurement.voltage_pu)


def test_noise_is_that_of_the_seed_and_of_the_size_asked_for(truth):
    site, measurement = truth

    def errors(seed: int, step: int) -> np.ndarray:
        sensors = Sensors(site, {"voltage": SensorModel(noise=0.01, bias=0.002)}, seed)
        now = later(measurement, step)
        return sensors.sense(now).measurement.voltage_pu - now.voltage_pu

    assert np.array_equal(errors(1, 0), errors(1, 0))
    assert not np.array_equal(errors(1, 0), errors(2, 0))
    many = np.concatenate([errors(1, step) for step in range(60)])
    assert many.mean() == pytest.approx(0.002, abs=0.001)
    assert many.std() == pytest.approx(0.01, rel=0.1)


def test_rate_and_delay_decide_which_sample_is_known(truth):
    """Every half hour and a quarter late: at steps 0 to 6 the samples are those of 0, 0, 0, 2, 2, 4, 4."""
    site, measurement = truth
    sensors = Sensors(site, {"voltage": SensorModel(every_s=1800, delay_s=900)}, seed=1)
    seen = [sensors.sense(later(measurement, step)).sample_step["voltage"] for step in range(7)]
    assert seen == [0, 0, 0, 2, 2, 4, 4]


def test_a_sample_is_reported_unchanged_until_the_next(truth):
    site, measurement = truth
    sensors = Sensors(site, {"voltage": SensorModel(noise=0.01, every_s=1800)}, seed=1)
    first, second, third = (
        sensors.sense(later(measurement, step)).measurement.voltage_pu for step in range(3)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(second, third)


def test_dead_frozen_and_missing_sensors(truth):
    site, measurement = truth
    model = SensorModel(
        only=("671.1", "671.2", "671.3"), dead=("671.1",), frozen=("671.2",), resolution=0.25
    )
    sensors = Sensors(site, {"voltage": model}, seed=1)
    seen = [sensors.sense(later(measurement, step)).measurement.voltage_pu for step in range(3)]
    dead, frozen, alive = (site.nodes.index(f"671.{phase}") for phase in (1, 2, 3))
    assert all(np.isnan(values[dead]) for values in seen)
    assert seen[0][frozen] == seen[2][frozen]
    assert seen[2][alive] == pytest.approx(round((measurement.voltage_pu[alive] + 2) * 4) / 4)
    assert np.isfinite(seen[0]).sum() == 2


def test_a_sensor_at_no_place_is_named(truth):
    with pytest.raises(SeriesError, match=r"sensing\.voltage\.dead: there is no 999\.1"):
        Sensors(truth[0], {"voltage": SensorModel(dead=("999.1",))}, seed=1)


def test_more_sensors_than_places_are_refused(scenario_file):
    study = open_study(scenario_file(sensing={"voltage": {"noise": 0.01, "count": 9999}}))
    with (
        Assembly(study) as assembly,
        pytest.raises(SeriesError, match=r"sensing\.voltage\.count: 9999 .* has 38 places"),
    ):
        assembly.controller  # noqa: B018 - made here


def run(path, folder, over: str):
    execute(open_study(path), folder, over=over, overwrite=False, progress=lambda _done: None)
    return read_record(folder)


def test_both_drivers_see_the_same(scenario_file, tmp_path):
    """With an estimator, which sees what the sensors of the other tests give."""
    control = {"horizon_s": 3600, "forecast": "persistence", "planner": {"type": "lindistflow"}}
    path = scenario_file(sensing=POOR | {"estimator": "twin_wls"}, control=control)
    local, helics = (run(path, tmp_path / over, over) for over in ("local", "helics"))
    for column in set(local.steps.columns) - CLOCKED:
        for one, other in zip(local.steps[column], helics.steps[column], strict=True):
            assert same(one, other), column
    assert local.vector("belief_voltage_pu").shape == local.vector("measured_voltage_pu").shape


def test_the_estimator_is_better_than_its_sensors_and_knows_how_good_it_is(scenario_file, tmp_path):
    control = {"horizon_s": 3600, "forecast": "persistence", "planner": {"type": "lindistflow"}}
    error, deviation = {}, np.zeros(0)
    for estimator in ("none", "twin_wls"):
        path = scenario_file(sensing=POOR | {"estimator": estimator}, control=control)
        record = run(path, tmp_path / estimator, "local")
        error[estimator] = record.vector("belief_voltage_pu") - record.vector("measured_voltage_pu")
        deviation = record.vector("belief_voltage_std_pu")
    rms = {name: float(np.sqrt((values**2).mean())) for name, values in error.items()}
    assert rms["twin_wls"] < 0.01 / 2, "half the noise of a sensor, at all nodes"
    assert rms["twin_wls"] < 0.3 * rms["none"]
    # Six steps hold few independent errors, so three deviations are asked for.
    assert (np.abs(error["twin_wls"]) < 3 * deviation).mean() > 0.95


def test_a_sensor_that_lies_is_rejected(scenario_file):
    """Frozen far from what is there: its voltage is more than four deviations off."""
    sensing = {"voltage": {"noise": 0.003, "only": ["671.1", "671.2", "671.3", "680.1", "692.3"]}}
    path = scenario_file(sensing=sensing | {"estimator": "twin_wls"}, control={"horizon_s": 3600})
    with Assembly(open_study(path)) as assembly:
        assembly.controller.start(assembly.site)
        measurement = assembly.plant.measure(0)
        at = assembly.site.nodes.index("680.1")
        wrong = measurement.voltage_pu.copy()
        wrong[at] += 0.05
        decision = assembly.controller.step(replace(measurement, voltage_pu=wrong))
    assert decision.belief is not None
    assert decision.belief.rejected == ("680.1",)
    assert decision.belief.voltage_pu[at] == pytest.approx(measurement.voltage_pu[at], abs=0.003)


def test_perfect_sensing_puts_nothing_in_between(scenario_file):
    with Assembly(open_study(scenario_file())) as assembly:
        assert type(assembly.controller).__name__ == "RecedingHorizonController"
