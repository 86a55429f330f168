"""Power in equals power out at every step: import, devices and the rest against loads and losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cosim.devices.pv import PvRating
from cosim.feeder.balance import balance_complaint
from cosim.feeder.plant import Feeder
from cosim.model.state import Setpoints, StepResult
from tests.conftest import a_feeder, a_storage, published_feeder, shipped_master

RELATIVE = 1e-6
"""Measured at a tolerance of 1e-8: at most 1e-7, with every multiplier from 0.05 to 1."""


def run(feeder: Feeder, steps: int) -> list[StepResult]:
    """Batteries discharge at half their rating in even steps and charge in odd ones."""
    idle = Setpoints.idle(feeder.site)
    kw = np.array([0.5 * storage.kw for storage in feeder.site.of_kind("storage")])
    results = []
    for step in range(steps):
        feeder.measure(step)
        asked = idle.p_kw.copy()
        asked[: len(kw)] = kw if step % 2 == 0 else -kw
        feeder.apply(replace(idle, p_kw=asked))
        results.append(feeder.commit())
    return results


def error_kw(result: StepResult) -> float:
    """The balance from the columns of the record."""
    devices = result.p_kw.sum()
    return float(result.import_kw + result.other_kw + devices - result.load_kw - result.losses_kw)


def closes(result: StepResult) -> bool:
    return (
        result.balance_error_kw == pytest.approx(error_kw(result), abs=1e-9)
        and abs(result.balance_error_kw) < RELATIVE * max(100.0, abs(result.import_kw))
        and not any("power balance" in event for event in result.events)
    )


def master_with(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "master.dss"
    path.write_text("\n".join([f'redirect "{shipped_master("ieee13")}"', *lines]), encoding="utf-8")
    return path


@pytest.mark.parametrize("multiplier", [1.0, 0.05])
@pytest.mark.parametrize("name", ["ieee13", "ieee123", "ieee123_1ph"])
def test_the_balance_of_shipped_feeders_closes(name, multiplier):
    with a_feeder(shipped_master(name), multiplier=multiplier, irradiance=0.7) as feeder:
        assert all(closes(result) for result in run(feeder, 4))


@pytest.mark.parametrize("name", ["8500-Node/Master.dss", "34Bus/ieee34Mod1.dss", "37Bus/ieee37.dss"])
def test_the_balance_of_published_feeders_closes(name):
    with a_feeder(published_feeder(name)) as feeder:
        assert all(closes(result) for result in run(feeder, 2))


def test_loads_draw_what_their_voltages_ask_for():
    # Constant impedance, current and power: at 1.05 pu they draw more than at rated voltage.
    with a_feeder(shipped_master("ieee13")) as feeder:
        measurement = feeder.measure(0)
        feeder.apply(Setpoints.idle(feeder.site))
        result = feeder.commit()
    assert result.load_kw != pytest.approx(float(measurement.demand_kw.sum()), abs=1.0)
    assert result.load_kw == pytest.approx(float(measurement.demand_kw.sum()), rel=0.05)
    assert result.load_kvar == pytest.approx(float(measurement.demand_kvar.sum()), rel=0.05)


def test_lossy_shunts_and_faults_count_as_losses(tmp_path):
    plain = a_feeder(shipped_master("ieee13"))
    lossy = a_feeder(
        master_with(
            tmp_path,
            "new reactor.shunt bus1=671 kv=4.16 kvar=100 R=1",
            "new reactor.series bus1=671 bus2=999 phases=3 R=0.1 X=0.1",
            "new reactor.off bus1=671 kv=4.16 kvar=100 R=1 enabled=no",
            "new capacitor.lossy bus1=680 kv=4.16 kvar=200 R=0.5",
            "new fault.tree bus1=633.1 r=500",
        )
    )
    with plain, lossy:
        without, result = run(plain, 1)[0], run(lossy, 1)[0]
    assert closes(result)
    # The fault alone draws (2.40 kV)² / 500 ohm at 1 pu.
    assert result.losses_kw > without.losses_kw + 2.4**2 / 500 * 1e3 * 0.95


def test_what_nobody_commands_is_other_injection_and_what_is_disabled_is_nothing(tmp_path):
    master = master_with(
        tmp_path,
        "new generator.on bus1=671 kv=4.16 kw=300",
        "new generator.off bus1=671 kv=4.16 kw=500 enabled=no",
        "new load.off bus1=671 kv=4.16 kw=700 enabled=no",
        "new isource.i bus1=675.1 amps=5",
    )
    pv = PvRating(name="p1", bus="680", phases=(1, 2, 3), delta=False, kw=200.0, kva=220.0)
    with a_feeder(master, devices=(a_storage(), pv), irradiance=0.5) as feeder:
        results = run(feeder, 2)
    assert all(closes(result) for result in results)
    assert [result.other_kw for result in results] == pytest.approx([300.0, 300.0], abs=0.1)
    assert results[0].p_kw[1] == pytest.approx(100.0, abs=0.1)
    assert results[0].load_kw == pytest.approx(3455, rel=0.01)  # the master's loads, not 700 kW more


def test_a_balance_that_does_not_close_is_an_event():
    assert balance_complaint(0.9e-4, 20.0) == ()
    (event,) = balance_complaint(-0.02, 5000.0)
    assert event.startswith("the power balance is off by -0.02 kW, allowed are 0.005 kW")


def test_a_loose_power_flow_shows_in_the_balance():
    with a_feeder(shipped_master("ieee13"), devices=(a_storage(),), tolerance=1e-2) as feeder:
        results = run(feeder, 4)
    assert any("power balance is off" in event for result in results for event in result.events)
