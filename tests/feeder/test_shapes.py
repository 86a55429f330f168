"""The load shapes a feeder brings along are read at the steps of the run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cosim.feeder.plant import FeederModel
from cosim.feeder.shapes import daily_shapes
from cosim.errors import SeriesError
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
    # The engine's first point is hour 1. Half past belongs to the hour that ends next.
    assert profile[:4, 0] * 24 == pytest.approx([1, 2, 2, 3], abs=1e-3)
    assert profile[46:50, 0] * 24 == pytest.approx([24, 1, 1, 2], abs=1e-3)
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
