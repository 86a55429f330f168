"""Runs that fail, hang or take their process with them; then they are run again, alone."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

import cosim
from tests.conftest import small_scenario

MODULE = '''
import os
import signal
import time
from pathlib import Path

from cosim.control.idle import IdleController

MENDED = Path(__file__).with_name("mended")


class Misbehaving(IdleController):
    """Idle, unless it is told what to do wrong."""

    options = dict

    def __init__(self, options):
        super().__init__()
        self.how = options.get("how")

    def step(self, measurement):
        if not MENDED.exists():
            if self.how == "raise":
                raise RuntimeError("out of ideas")
            if self.how == "hang":
                time.sleep(600)
            if self.how == "grow":
                grown = []
                while True:
                    grown.append(bytearray(50_000_000))
                    time.sleep(0.02)
            if self.how == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
        return super().step(measurement)
'''
HOW = ("behave", "raise", "hang", "crash", "grow")


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("failures")
    (folder / "misbehaving_controller.py").write_text(MODULE, encoding="utf-8")
    control = {"type": "misbehaving_controller:Misbehaving", "horizon_s": 3600, "hang_limit_s": 1000}
    (folder / "small.yaml").write_text(yaml.safe_dump(small_scenario(control=control)), encoding="utf-8")
    data = {
        "schema": 1,
        "name": "failures",
        "scenario": "small.yaml",
        "steps": 2,
        "seconds": 20,
        "axes": [
            {
                "kind": "variants",
                "name": "how",
                "variants": {how: {"control.options": {"how": how}} for how in HOW},
            }
        ],
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    return folder, cosim.campaign(folder / "c.yaml", folder / "out", workers=2, memory="1GiB", trust=True)


def test_failed_runs_are_kept_with_their_cause(begun):
    _, campaign = begun
    runs = campaign.runs.set_index("how")
    assert runs["status"].to_dict() == {
        "behave": "complete", "raise": "failed", "hang": "failed", "crash": "failed", "grow": "failed",
    }  # fmt: skip
    assert "out of ideas" in runs.loc["raise", "cause"]
    assert runs.loc["hang", "cause"] == "time limit of 20 s"
    for how in ("crash", "grow"):
        assert runs.loc[how, "cause"].startswith("ended 3 processes: it needs more memory than")
    assert campaign.verdicts[0].state == "fail"
    page = (campaign.folder / "index.html").read_text(encoding="utf-8")
    assert "out of ideas" in page
    assert pd.isna(runs.loc["raise", "adjusted_cost_currency"])


def test_failed_runs_are_run_again_only_when_asked(begun):
    folder, first = begun
    kept = {path.name: path.stat().st_mtime_ns for path in first.folder.glob("finished/*")}
    cosim.campaign(folder / "c.yaml", folder / "out", trust=True)
    assert {path.name: path.stat().st_mtime_ns for path in first.folder.glob("finished/*")} == kept
    (folder / "mended").touch()
    again = cosim.campaign(folder / "c.yaml", folder / "out", retry_failed=True, trust=True)
    assert set(again.runs["status"]) == {"complete"}
    whole = again.runs.set_index("how").loc["behave", "key"]
    touched = {
        path.stem for path in first.folder.glob("finished/*") if path.stat().st_mtime_ns != kept[path.name]
    }
    assert len(touched) == 4
    assert whole not in touched
    assert len(set(again.runs["adjusted_cost_currency"])) == 1
