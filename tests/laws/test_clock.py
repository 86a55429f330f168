"""What nobody commands follows the clock as in the engine's own yearly mode."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from cosim.feeder.compiled import FeederModel
from cosim.feeder.engine import Engine
from cosim.feeder.plant import Feeder
from cosim.feeder.script.reader import read_script
from cosim.model.exogenous import Exogenous
from cosim.model.state import Setpoints
from cosim.model.timegrid import TimeGrid
from cosim.twin.model_error import ModelError
from tests.conftest import a_storage

DAY = " ".join(f"{0.3 + 0.02 * hour:.2f}" for hour in range(24))
WEEK = " ".join(f"{0.2 + 0.003 * hour:.3f}" for hour in range(168))
FOLLOWERS = {
    "generator by day": "new generator.g bus1=b kv=12.47 kw=200 pf=0.9 daily=day",
    "generator by year": "new generator.g bus1=b kv=12.47 kw=200 pf=0.9 yearly=week",
    "PV system by day": "new pvsystem.g bus1=b kv=12.47 pmpp=200 kva=220 irradiance=0.9 daily=day",
    "battery that follows": "new storage.g bus1=b kv=12.47 kwrated=80 kwhrated=3000 dispmode=follow daily=day",
    "capacitor by time": (
        "new capacitor.g bus1=b kv=12.47 kvar=150\n"
        "new capcontrol.g capacitor=g element=line.l type=time onsetting=9 offsetting=17 delay=0"
    ),
    "source by day": "edit vsource.source daily=near_one",
}


def master_of(tmp_path, *lines):
    path = tmp_path / "m.dss"
    head = (
        "clear",
        "new circuit.c basekv=12.47 bus1=s mvasc3=200 mvasc1=180",
        f"new loadshape.day npts=24 interval=1 mult=({DAY})",
        f"new loadshape.week npts=168 interval=1 mult=({WEEK})",
        "new loadshape.near_one npts=3 interval=8 mult=(0.98 1.0 1.03)",
        "new line.l bus1=s bus2=b r1=0.3 x1=0.6 c1=0 c0=0 length=1",
        "new load.d bus1=b kv=12.47 kw=300 pf=0.95 daily=day",
        "new load.e bus1=b kv=12.47 kw=100 pf=0.95",
    )
    ends = ("set voltagebases=[12.47]", "calcvoltagebases", "solve")
    path.write_text("\n".join([*head, *lines, *ends]), encoding="utf-8")
    return path


def plant_of(master, start, step_s, steps, devices=()):
    model = FeederModel(master, discover=False)
    loads = model.loads
    flat = (
        np.ones((steps, 1)),
        np.zeros(len(loads.names), dtype=np.int64),
        np.zeros(steps),
        np.zeros(steps),
    )
    exogenous = Exogenous(step_s, loads.kw, loads.kvar, *flat)
    return Feeder(model, devices=devices, exogenous=exogenous, grid=TimeGrid(start, step_s, steps))


@pytest.mark.parametrize("step_s", [900, 3600])
@pytest.mark.parametrize("name", FOLLOWERS)
def test_it_is_the_engines_yearly_mode(name, step_s, tmp_path):
    """A day from an evening in a leap year on; the loads follow the inputs, which are constant."""
    start = datetime(2024, 7, 3, 18, tzinfo=timezone(timedelta(hours=-7)))
    master = master_of(tmp_path, FOLLOWERS[name])
    steps = 86_400 // step_s
    with Engine() as plain:
        plain.compile(read_script(master))
        plain.command("new loadshape.flat npts=1 interval=1 mult=(1)")
        plain.command("batchedit load..* daily=flat yearly=flat")
        if "yearly" not in FOLLOWERS[name] and "daily" in FOLLOWERS[name]:
            element = "vsource.source" if "vsource" in FOLLOWERS[name] else FOLLOWERS[name].split()[1]
            plain.command(f"edit {element} yearly={FOLLOWERS[name].rpartition('=')[2]}")
        hour = (31 + 29 + 31 + 30 + 31 + 30 + 2) * 24 + 18
        plain.command(f"set mode=yearly number=1 stepsize={step_s}s hour={hour} sec=0 tolerance=1e-8")
        with plant_of(master, start, step_s, steps, devices=(a_storage(bus="b"),)) as feeder:
            for step in range(steps):
                feeder.measure(step)
                feeder.apply(Setpoints.idle(feeder.site))
                result = feeder.commit()
                plain.dss.Solution.Solve()
                p, q = plain.dss.Circuit.TotalPower()
                assert result.import_kw == pytest.approx(-p, rel=1e-6, abs=1e-4), step
                assert result.import_kvar == pytest.approx(-q, rel=1e-6, abs=1e-4), step


def test_without_followers_the_engine_stays_in_snapshot_mode(tmp_path):
    """Loads with shapes follow the inputs, and a battery that is told what to do follows nothing."""
    battery = "new storage.g bus1=b kv=12.47 kwrated=80 kwhrated=300 daily=day dispmode=external"
    start = datetime(2024, 7, 3, tzinfo=UTC)
    with plant_of(master_of(tmp_path, battery), start, 3600, 2) as feeder:
        assert not feeder.engine.timed
        assert feeder.engine.command("get mode").lower() == "snap"


@pytest.mark.parametrize(
    "name", ["generator by day", "generator by year", "PV system by day", "battery that follows"]
)
def test_the_controllers_model_foresees_it(name, tmp_path):
    """Two days ahead of a run of one: beyond a day after the run the last value holds."""
    start, steps = datetime(2024, 7, 3, 18, tzinfo=timezone(timedelta(hours=-7))), 24
    master = master_of(tmp_path, FOLLOWERS[name])
    with plant_of(master, start, 3600, steps) as feeder:
        twin = feeder.twin_model(ModelError()).open()
        measured = feeder.measure(0)
        demand = np.tile(measured.demand_kw + 1j * measured.demand_kvar, (steps, 1))
        twin.set_forecast(measured, demand, period_s=np.full(steps, 3600.0))
        flow = twin.flow(np.zeros((steps, 0), dtype=np.complex128), twin.at_rest(steps), held=True)
        for step in range(steps):
            if step:
                feeder.measure(step)
            feeder.apply(Setpoints.idle(feeder.site))
            result = feeder.commit()
            assert flow.import_kva[step].real == pytest.approx(result.import_kw, rel=1e-5, abs=1e-2), step


@pytest.mark.parametrize("name", ["source by day", "capacitor by time"])
def test_the_controllers_model_says_what_it_does_not_foresee(name, tmp_path, caplog):
    start = datetime(2024, 7, 3, tzinfo=UTC)
    with plant_of(master_of(tmp_path, FOLLOWERS[name]), start, 3600, 2) as feeder:
        feeder.twin_model(ModelError())
    element = "vsource.source" if "source" in name else "capcontrol.g"
    assert f"holds as at step 0: {element}" in caplog.text


def test_coarse_periods_foresee_means(tmp_path):
    start = datetime(2024, 7, 3, tzinfo=UTC)
    with plant_of(master_of(tmp_path, FOLLOWERS["generator by day"]), start, 3600, 6) as feeder:
        data = feeder.twin_model(ModelError()).data
        kva = data.standing_kva[:, 0]
        found = data.standing_over(3600.0, np.array([3600.0, 7200.0, 5400.0]))[:, 0]
        due = [kva[1], kva[2:4].mean(), (kva[4] * 3600 + kva[5] * 1800) / 5400]
        assert found == pytest.approx(due)
        beyond = data.standing_over(3600.0 * len(kva) - 1800.0, np.array([3600.0, 3600.0]))[:, 0]
        assert beyond == pytest.approx([kva[-1], kva[-1]])


@pytest.mark.parametrize("follower", ["", FOLLOWERS["generator by day"]])
def test_exempt_and_fixed_loads_take_the_circuits_multiplier_as_in_the_engine(follower, tmp_path):
    """Exempt loads ignore it in snapshot and daily mode, but not in yearly mode."""
    lines = (
        "new load.f bus1=b kv=12.47 kw=50 pf=0.95 status=fixed",
        "new load.x bus1=b kv=12.47 kw=50 pf=0.95 status=exempt",
        "set loadmult=0.7",
    )
    start = datetime(2024, 7, 3, tzinfo=UTC)
    with plant_of(master_of(tmp_path, follower, *lines), start, 3600, 1) as feeder:
        feeder.measure(0)
        feeder.apply(Setpoints.idle(feeder.site))
        drawn = feeder.commit().load_kw
        assert drawn == pytest.approx(0.7 * 400 + 50 + 50, rel=1e-6)
