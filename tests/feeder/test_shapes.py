"""The shapes a feeder brings along are followed as the engine follows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from cosim.errors import SeriesError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.engine import Engine
from cosim.feeder.script.reader import read_script
from cosim.feeder.shapes import load_profiles
from cosim.model.state import Setpoints
from cosim.model.timegrid import TimeGrid
from cosim.run.assembly import Assembly
from cosim.run.study import study_in_code

RANDOM = np.random.default_rng(14)
WEST = timezone(timedelta(hours=-7))


def points(count: int, low: float = 0.2, high: float = 1.0) -> str:
    return " ".join(f"{value:.4f}" for value in RANDOM.uniform(low, high, count))


DAY, YEAR = points(24), points(8784)
SHAPES = {
    "daily": (f"new loadshape.s npts=24 interval=1 mult=({DAY})", "daily=s"),
    "yearly, hourly": (f"new loadshape.s npts=8784 interval=1 mult=({YEAR})", "yearly=s"),
    "yearly before daily": (
        f"new loadshape.s npts=8784 interval=1 mult=({YEAR})\nnew loadshape.d npts=24 interval=1 mult=({DAY})",
        "daily=d yearly=s",
    ),
    "every quarter of an hour": (f"new loadshape.s npts=672 minterval=15 mult=({points(672)})", "yearly=s"),
    "every 1800 seconds": (f"new loadshape.s npts=48 sinterval=1800 mult=({points(48)})", "daily=s"),
    "with kvar": (f"new loadshape.s npts=24 interval=1 mult=({DAY}) qmult=({points(24)})", "daily=s"),
    "in kW": (f"new loadshape.s npts=24 interval=1 useactual=yes mult=({points(24, 10, 90)})", "daily=s"),
    "in kW and kvar": (
        f"new loadshape.s npts=24 interval=1 useactual=yes mult=({DAY}) qmult=({points(24)})",
        "daily=s",
    ),
    "with hours of its own": (
        "new loadshape.s npts=5 interval=0 hour=(3 7 12 20 24) mult=(0.3 0.8 0.5 1 0.4)", "daily=s",
    ),
}  # fmt: skip
CIRCUIT = (
    "clear",
    "new circuit.c basekv=12.47 bus1=s mvasc3=200 mvasc1=180",
    "new line.l bus1=s bus2=b r1=0.3 x1=0.6 c1=0 c0=0 length=1",
)
ENDS = ("set voltagebases=[12.47]", "calcvoltagebases", "solve")


def master_of(tmp_path: Path, *lines: str) -> Path:
    master = tmp_path / "m.dss"
    master.write_text("\n".join([*CIRCUIT, *lines, *ENDS]), encoding="utf-8")
    return master


def study_of(master: Path, start: datetime, step_s: int, steps: int, **inputs):
    return study_in_code(
        {
            "schema": 1,
            "name": "shapes",
            "feeder": {"master": str(master)},
            "time": {"start": start.isoformat(), "step_s": step_s, "steps": steps},
            "inputs": {"load": {"feeder_shapes": True}, **inputs},
            "control": {"type": "idle", "horizon_s": step_s},
        },
        master.parent,
    )


def assert_as_the_engine(study, hour: int, mode: str) -> None:
    """Import, kW and kvar of every step against the engine's own mode."""
    with Engine() as plain, Assembly(study, ()) as assembly:
        plain.compile(read_script(study.master))
        step_s, feeder = study.grid.step_s, assembly.feeder
        plain.command(f"set mode={mode} number=1 stepsize={step_s}s hour={hour} sec=0 tolerance=1e-8")
        for step in range(study.grid.steps):
            feeder.measure(step)
            feeder.apply(Setpoints.idle(feeder.site))
            result = feeder.commit()
            plain.dss.Solution.Solve()
            p, q = plain.dss.Circuit.TotalPower()
            assert result.import_kw == pytest.approx(-p, rel=1e-6, abs=1e-4), step
            assert result.import_kvar == pytest.approx(-q, rel=1e-6, abs=1e-4), step


@pytest.mark.parametrize("step_s", [900, 3600])
@pytest.mark.parametrize("name", SHAPES)
def test_a_week_is_that_of_the_engine(name, step_s, tmp_path):
    """From a Friday evening of a leap year on; shapes finer than the steps are means, which the engine
    does not take, and are tested below."""
    shape, uses = SHAPES[name]
    if step_s == 3600 and ("quarter" in name or "1800" in name):
        pytest.skip("finer than the steps")
    loads = [f"new load.x bus1=b kv=12.47 kw=80 pf=0.9 {uses}", "new load.y bus1=b kv=12.47 kw=20 pf=0.9"]
    master = master_of(tmp_path, shape, *loads)
    study = study_of(master, datetime(2024, 3, 8, 18, tzinfo=WEST), step_s, 7 * 86_400 // step_s)
    assert_as_the_engine(study, (31 + 29 + 7) * 24 + 18, "yearly")
    if uses == "daily=s":
        short = study_of(master, datetime(2024, 3, 8, 18, tzinfo=WEST), step_s, 86_400 // step_s)
        assert_as_the_engine(short, (31 + 29 + 7) * 24 + 18, "daily")


@pytest.mark.parametrize("step_s", [900, 3600])
def test_the_sun_on_the_pv_systems_of_the_master_follows_their_shapes(step_s, tmp_path):
    lines = (
        f"new loadshape.s npts=24 interval=1 mult=({DAY})",
        f"new loadshape.y npts=8784 interval=1 mult=({YEAR})",
        "new load.x bus1=b kv=12.47 kw=80 pf=0.9 daily=s",
        "new pvsystem.a bus1=b kv=12.47 pmpp=60 kva=70 irradiance=0.9 daily=s %cutin=0.01 %cutout=0.01",
        "new pvsystem.c bus1=b kv=12.47 pmpp=30 kva=33 irradiance=1 yearly=y %cutin=0.01 %cutout=0.01",
    )
    study = study_of(
        master_of(tmp_path, *lines), datetime(2024, 6, 1, tzinfo=UTC), step_s, 86_400 // step_s
    )
    assert_as_the_engine(study, (31 + 29 + 31 + 30 + 31) * 24, "yearly")


def test_a_pv_system_without_a_shape_sees_the_sun_of_the_inputs(tmp_path):
    lines = (
        f"new loadshape.s npts=24 interval=1 mult=({DAY})",
        "new load.x bus1=b kv=12.47 kw=80 pf=0.9 daily=s",
        "new pvsystem.a bus1=b kv=12.47 pmpp=60 kva=70 irradiance=0.5 daily=s",
        "new pvsystem.c bus1=b kv=12.47 pmpp=30 kva=33 irradiance=1",
    )
    sun = {"irradiance": {"constant": 0.7}}
    study = study_of(master_of(tmp_path, *lines), datetime(2024, 6, 1, tzinfo=UTC), 3600, 2, **sun)
    with Assembly(study, ()) as assembly:
        first = float(DAY.split()[0])
        assert assembly.feeder.measure(0).available_kw == pytest.approx([60 * 0.5 * first, 30 * 0.7])


def test_finer_points_are_averaged(tmp_path):
    lines = (
        "new loadshape.q npts=4 minterval=15 mult=[1 2 3 6]",
        "new load.x bus1=b kv=12.47 kw=10 daily=q",
    )
    model = FeederModel(master_of(tmp_path, *lines))
    grid = TimeGrid(datetime(2024, 6, 21, tzinfo=UTC), 3600, 2)
    found = load_profiles(model.engine, model.loads, grid, 2)
    assert found.profile[:, found.kw_of[0]].tolist() == [3.0, 3.0]
    model.close()


def test_fixed_loads_and_loads_without_a_shape_keep_their_demand(tmp_path):
    lines = (
        f"new loadshape.s npts=24 interval=1 mult=({DAY})",
        "new load.x bus1=b kv=12.47 kw=10 daily=s",
        "new load.y bus1=b kv=12.47 kw=10 daily=s status=fixed",
        "new load.z bus1=b kv=12.47 kw=10",
    )
    model = FeederModel(master_of(tmp_path, *lines))
    grid = TimeGrid(datetime(2024, 6, 21, tzinfo=UTC), 3600, 3)
    found = load_profiles(model.engine, model.loads, grid, 3)
    assert found.profile[:, found.kw_of[1:]].tolist() == [[1.0, 1.0]] * 3
    model.close()


@pytest.mark.parametrize("lines", [(), (f"new loadshape.s npts=24 interval=1 mult=({DAY})",)])
def test_a_feeder_without_shapes_is_refused(lines, tmp_path):
    model = FeederModel(master_of(tmp_path, *lines, "new load.x bus1=b kv=12.47 kw=10"))
    with pytest.raises(SeriesError, match="no load of this feeder has a yearly, daily or duty shape"):
        load_profiles(model.engine, model.loads, TimeGrid(datetime(2024, 6, 21, tzinfo=UTC), 3600, 2), 2)
    model.close()


@pytest.mark.parametrize("year", [0, 1, 2, 5])
def test_growth_is_part_of_the_nominal_demand(year, tmp_path, caplog):
    lines = (
        "new growthshape.g npts=2 year=(1 4) mult=(1.1 1.2)",
        "new load.x bus1=b kv=12.47 kw=100 pf=0.9",
        "new load.y bus1=b kv=12.47 kw=100 pf=0.9 growth=g status=fixed",
        f"set %growth=3\nset year={year}",
    )
    model = FeederModel(master_of(tmp_path, *lines))
    years = max(year - 1, 0)
    due = [100 * 1.03**years, 100 * (1.1 ** min(years, 3)) * (1.2 if years > 3 else 1.0)]
    assert model.loads.kw == pytest.approx(due)
    drawn = -model.engine.dss.Circuit.TotalPower()[0]
    model.close()
    assert drawn == pytest.approx(sum(due), rel=0.02)
    assert ("year" in caplog.text) == (year > 1)


def test_a_table_in_kw_is_what_the_loads_draw_whatever_the_year(tmp_path):
    (tmp_path / "t.csv").write_text(
        "time,x\n2024-06-01T00:00:00+00:00,80\n2024-06-01T01:00:00+00:00,90\n", encoding="utf-8"
    )
    master = master_of(tmp_path, "new load.x bus1=b kv=12.47 kw=100 pf=0.9", "set year=5")
    study = study_of(master, datetime(2024, 6, 1, tzinfo=UTC), 3600, 2, load={"table_kw": "t.csv"})
    with Assembly(study, ()) as assembly:
        assembly.feeder.measure(0)
        assembly.feeder.apply(Setpoints.idle(assembly.feeder.site))
        assert assembly.feeder.commit().load_kw == pytest.approx(80.0, rel=1e-6)
