"""Things many tests need: scenarios in a temporary folder, feeders, the published test feeders."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import settings

from cosim.devices.storage import StorageRating
from cosim.feeder.compiled import FeederModel
from cosim.feeder.plant import Feeder
from cosim.model.device import Device
from cosim.model.exogenous import Exogenous
from cosim.model.state import Setpoints
from cosim.model.timegrid import TimeGrid
from cosim.run.shipped import shipped

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = Path(os.environ.get("COSIM_TEST_FEEDERS", ROOT.parent / "shared" / "feeders"))
"""The OpenDSS collection of IEEE test feeders, which is not part of this repository."""
START = datetime(2024, 6, 21, tzinfo=UTC)
# No test is about time, and a busy machine takes longer than the usual 200 ms of an example.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")


LONG = ("campaign", "faults", "docs", "timeline", "federates", "experiments", "devices", "opf")
"""Folders of tests that start processes or make whole runs; at the end they would leave a core without work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders of long tests, and leave the order inside them as it is."""
    rank = {ROOT / "tests" / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.parent, len(LONG)))


def published_feeder(relative: str) -> Path:
    """A feeder as published, or a skip where the collection is not at hand."""
    path = PUBLISHED / relative
    if not path.is_file():
        pytest.skip(f"no {relative}; set COSIM_TEST_FEEDERS to a folder with the OpenDSS test feeders")
    return path


def shipped_master(name: str) -> Path:
    return shipped("dss_models") / name / "master.dss"


def a_storage(**changes: Any) -> StorageRating:
    """A 100 kW, 400 kWh battery at bus 675 of IEEE 13."""
    values: dict[str, Any] = {
        "name": "b1", "bus": "675", "phases": (1, 2, 3), "delta": False, "kw": 100.0, "kva": 120.0,
        "kwh": 400.0, "min_kwh": 80.0, "max_kwh": 380.0, "initial_kwh": 200.0,
        "efficiency_charge": 0.95, "efficiency_discharge": 0.9, "idling_kw": 0.0,
    }  # fmt: skip
    return StorageRating(**(values | changes))


def a_feeder(
    master: Path,
    *,
    devices: Sequence[Device] = (),
    steps: int = 96,
    step_s: int = 900,
    multiplier: float = 1.0,
    irradiance: float = 0.0,
    tolerance: float = 1e-8,
) -> Feeder:
    """A feeder under constant load, sun and price."""
    model = FeederModel(master, tolerance=tolerance)
    loads = model.loads
    exogenous = Exogenous(
        step_s,
        loads.kw,
        loads.kvar,
        np.full((steps, 1), multiplier),
        np.zeros(len(loads.names), dtype=np.int64),
        np.full(steps, irradiance),
        np.full(steps, 0.1),
    )
    return Feeder(
        model,
        devices=(*devices, *model.found),
        exogenous=exogenous,
        grid=TimeGrid(START, step_s, steps),
    )


def setpoints(
    storage_kw: Any = (), storage_kvar: Any = (), pv_kw: Any = (), pv_kvar: Any = ()
) -> Setpoints:
    """Set-points of batteries, then of PV systems."""
    p, q = np.concatenate([storage_kw, pv_kw]), np.concatenate([storage_kvar, pv_kvar])
    return Setpoints(np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64))


def small_scenario(**changes: Any) -> dict[str, Any]:
    """IEEE 13 with two batteries and one PV system, six steps, as a mapping."""
    scenario: dict[str, Any] = {
        "schema": 1,
        "name": "small",
        "feeder": {"model": "ieee13"},
        "time": {"start": "2024-06-21T12:00:00+00:00", "step_s": 900, "steps": 6},
        "inputs": {"irradiance": {"constant": 0.6}, "price": {"constant": 0.2}},
        "storages": [
            {"name": "b1", "bus": "675", "kw": 100, "kwh": 400},
            {"name": "b2", "bus": "611.3", "kw": 50, "kwh": 200, "idling_kw": 0.5},
        ],
        "pvs": [{"name": "p1", "bus": "680", "kw": 300}],
        "control": {"horizon_s": 3600},
    }
    return scenario | changes


@pytest.fixture
def scenario_file(tmp_path: Path) -> Callable[..., Path]:
    """Write :func:`small_scenario` with changes to a file."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "scenario.yaml"
        path.write_text(yaml.safe_dump(small_scenario(**changes)), encoding="utf-8")
        return path

    return write


@pytest.fixture
def importable_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let federates in other processes import controllers from this test suite."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
