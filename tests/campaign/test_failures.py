"""Runs that fail, hang or take their process with them; then they are run again, alone."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

import cosim
from cosim.api.campaign import failed_again, planned
from cosim.errors import ScenarioError
from cosim.experiments.campaign.again import keys_again
from cosim.experiments.campaign.row import RunRow
from tests.command import cosim as command
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


def test_failed_runs_are_run_again_only_when_asked_and_only_those_that_are_named(begun):
    folder, first = begun
    kept = {path.name: path.stat().st_mtime_ns for path in first.folder.glob("finished/*")}
    cosim.campaign(folder / "c.yaml", folder / "out", trust=True)
    assert {path.name: path.stat().st_mtime_ns for path in first.folder.glob("finished/*")} == kept
    (folder / "mended").touch()
    keys = first.runs.set_index("how")["key"]
    ended = command(
        "campaign", "c.yaml", "--out", "out", "--trust", "--retry", "raise", "--retry", keys["crash"],
        folder=folder,
    )  # fmt: skip
    assert ended.code == 1
    again = cosim.Campaign(folder / "out")
    assert again.runs.set_index("how")["status"].to_dict() == {
        "behave": "complete", "raise": "complete", "hang": "failed", "crash": "complete", "grow": "failed",
    }  # fmt: skip
    touched = {
        path.stem for path in first.folder.glob("finished/*") if path.stat().st_mtime_ns != kept[path.name]
    }
    assert touched == {keys["raise"], keys["crash"]}
    assert len(set(again.complete["adjusted_cost_currency"])) == 1
    assert "failed hang: time limit of 20 s\n" in ended.err
    assert "failed raise" not in ended.said
    assert ended.err.endswith("by its name or key: --retry grow\n")
    plan = planned(folder / "c.yaml", trust=True)
    assert failed_again(plan, folder / "out", (), every=True) == {keys["hang"], keys["grow"]}
    assert failed_again(plan, folder / "out", (), every=False) is None


def test_a_name_that_is_no_failed_run_is_an_error_that_names_the_nearest(begun):
    folder, campaign = begun
    plan = planned(folder / "c.yaml", trust=True)
    rows = {key: RunRow(key, "failed") for key in campaign.runs.set_index("how")["key"][["hang", "grow"]]}
    rows |= {key: RunRow(key, "complete") for key in campaign.runs.set_index("how")["key"][["behave"]]}
    with pytest.raises(ScenarioError) as caught:
        keys_again(plan, rows, ("growth", "hang", "behave", "crash"), every=False)
    assert caught.value.problems == (
        "'growth' is no run of the campaign; nearest of those that failed: 'grow'; 'hang'",
        "'behave' has not failed but is complete; only failed runs are run again",
        "'crash' is not computed yet; run the campaign without retry",
    )
    with pytest.raises(ScenarioError, match="'growth' is no run of the campaign, of which none has failed"):
        keys_again(plan, {}, ("growth",), every=False)
    ended = command("campaign", "c.yaml", "--out", "out", "--trust", "--retry", "raises", folder=folder)
    assert ended.code == 2
    assert "'raises' is no run of the campaign" in ended.err
