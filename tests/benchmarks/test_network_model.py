"""The benchmark of the linear model gives the figures that are published with the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("benchmarks", reason="benchmarks are not part of an installed package")

from benchmarks.network_model import measure_feeder
from tests.conftest import shipped_master

PUBLISHED = Path(__file__).parents[2] / "docs" / "results" / "network_model.json"


def test_the_published_figures_of_ieee13_are_reproduced() -> None:
    row = measure_feeder(shipped_master("ieee13"), "ieee13/master.dss")
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))["feeders"]
    expected = next(item for item in published if item["feeder"] == "ieee13/master.dss")
    for size in ("full", "small"):
        assert row[size]["max_pu"] == pytest.approx(expected[size]["max_pu"], rel=0.01)
        assert row[size]["unanchored_max_pu"] == pytest.approx(
            expected[size]["unanchored_max_pu"], rel=0.01
        )
