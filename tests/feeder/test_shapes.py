"""The load shapes a feeder brings along are read at the steps of the run."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from cosim.errors import SeriesError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.shapes import daily_shapes
from cosim.model.timegrid import TimeGrid
from tests.conftest import shipped_master


def model_with(tmp_path, *lines: str) -> FeederModel:
    master = tmp_path / "master.dss"
    master.write_text("\n".join([f'redirect "{shipped_master("ieee13")}"', *lines]))
    return FeederModel(master)


def test_a_shape_gives_its_points_hour_by_hour_and_repeats(tmp_path):
    points = " ".join(f"{hour / 24:.4f}" for hour in range(1, 25))
    model = model_with(
        tmp_path,
        f"new loadshape.day npts=24 interval=1 mult=[{points}]",
        "batchedit load..* daily=day",
        "edit load.s611_c status=fixed",
    )
    grid = TimeGrid(datetime(2024, 6, 21, 1, tzinfo=UTC), 1800, 50)
    profile, profile_of = daily_shapes(model.engine, model.loads, grid, 50)
    # The run starts at 01:00, which is the second hour of the day.
    assert profile[:4, 0] * 24 == pytest.approx([2, 2, 3, 3], abs=1e-3)
    assert profile[44:50, 0] * 24 == pytest.approx([24, 24, 1, 1, 2, 2], abs=1e-3)
    fixed = model.loads.names.index("s611_c")
    assert profile[:, profile_of[fixed]].tolist() == [1.0] * 50


def test_a_shape_in_kw_is_refused(tmp_path):
    model = model_with(
        tmp_path,
        "new loadshape.kw npts=2 interval=12 mult=[10 20] useactual=yes",
        "edit load.s611_c daily=kw",
    )
    grid = TimeGrid(datetime(2024, 6, 21, tzinfo=UTC), 3600, 24)
    with pytest.raises(SeriesError, match="load shape 'kw' holds kW"):
        daily_shapes(model.engine, model.loads, grid, 24)


def test_the_first_point_is_the_first_hour_as_in_the_engines_daily_mode(tmp_path):
    points = " ".join(f"{hour / 24:.4f}" for hour in range(1, 25))
    model = model_with(
        tmp_path, f"new loadshape.day npts=24 interval=1 mult=[{points}]", "batchedit load..* daily=day"
    )
    grid = TimeGrid(datetime(2024, 6, 21, tzinfo=UTC), 3600, 3)
    profile, _ = daily_shapes(model.engine, model.loads, grid, 3)
    engine = model.engine
    engine.command("set mode=daily stepsize=1h number=1")
    by_engine = []
    for _ in range(3):
        engine.dss.Solution.Solve()
        engine.dss.Circuit.SetActiveElement("load.s611_c")
        by_engine.append(sum(engine.dss.CktElement.Powers()[0::2]))
    ratio = profile[:3, 0] / profile[0, 0]
    assert np.array(by_engine) / by_engine[0] == pytest.approx(ratio, rel=0.02)  # current load: V moves


def test_finer_points_are_averaged(tmp_path):
    model = model_with(
        tmp_path, "new loadshape.q npts=4 minterval=15 mult=[1 2 3 6]", "edit load.s611_c daily=q"
    )
    grid = TimeGrid(datetime(2024, 6, 21, tzinfo=UTC), 3600, 2)
    profile, _ = daily_shapes(model.engine, model.loads, grid, 2)
    assert profile[:, 0].tolist() == [3.0, 3.0]


def test_a_shape_of_its_own_for_kvar_is_refused(tmp_path):
    model = model_with(
        tmp_path,
        "new loadshape.q npts=2 interval=12 mult=[1 0.5] qmult=[0.2 0.1]",
        "edit load.s611_c daily=q",
    )
    grid = TimeGrid(datetime(2024, 6, 21, tzinfo=UTC), 3600, 2)
    with pytest.raises(SeriesError, match="shape of its own for kvar"):
        daily_shapes(model.engine, model.loads, grid, 2)
