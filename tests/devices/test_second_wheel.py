"""A kind of device that comes in a wheel of its own runs over both drivers, and nothing here knows it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.command import cosim
from tests.devices.kit import flexible_scenario

SOURCE = Path(__file__).parent / "second_wheel" / "flywheel_kind.py"
INFO = "cosim_flywheel-1.0.dist-info"
CLOCKED = {"plan_build_s", "plan_solve_s"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A wheel, built and installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel, target = folder / "cosim_flywheel-1.0-py3-none-any.whl", folder / "site"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(SOURCE, "flywheel_kind.py")
        archive.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: cosim-flywheel\nVersion: 1.0\n")
        archive.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{INFO}/entry_points.txt", "[cosim.devices]\nflywheel = flywheel_kind:FLYWHEEL\n")
        archive.writestr(
            f"{INFO}/RECORD",
            f"flywheel_kind.py,,\n{INFO}/METADATA,,\n{INFO}/WHEEL,,\n{INFO}/entry_points.txt,,\n{INFO}/RECORD,,\n",
        )
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        "--target",
        str(target),
    ]
    subprocess.run([*command, str(wheel)], check=True)
    return target


def run(installed: Path, scenario: Path, over: str, out: Path) -> dict[str, list]:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "cosim.cli", "run", str(scenario), "--over", over, "--out", str(out)]
    done = subprocess.run(
        [*command, "--no-baseline"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (part,) = (out / "steps").glob("part-*.parquet")
    assert "flywheel" in (out / "report.html").read_text(encoding="utf-8")
    return pq.read_table(part).to_pydict()


def test_a_kind_from_another_wheel_runs_over_both_drivers(installed, tmp_path):
    device = {"kind": "flywheel", "name": "wheel_1", "bus": "671", "kw": 40, "kwh": 60}
    scenario = flexible_scenario(tmp_path, [device])
    local = run(installed, scenario, "local", tmp_path / "local")
    helics = run(installed, scenario, "helics", tmp_path / "helics")
    assert set(local) == set(helics)
    for column in set(local) - CLOCKED:
        assert local[column] == helics[column], column
    kw = np.array(local["flywheel_kw"])[:, 0]
    assert np.abs(kw).max() > 10.0
    stored = np.array(local["flywheel_stored_kwh"])[:, 0]
    expected = 30.0 - np.cumsum(np.array(kw) + 0.5)
    assert stored == pytest.approx(expected, abs=1e-5)
    assert not any(local["events"])
    planned = np.array(local["plan_flywheel_stored_kwh"][0])
    assert planned[1] == pytest.approx(stored[0], abs=1e-6)


def test_without_the_wheel_the_kind_is_unknown(tmp_path):
    device = {"kind": "flywheel", "name": "wheel_1", "bus": "671", "kw": 40, "kwh": 60}
    ended = cosim("check", flexible_scenario(tmp_path, [device]))
    assert ended.code == 2
    assert "flywheel" in ended.said
    assert "curtailable_load" in ended.said
