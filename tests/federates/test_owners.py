"""Several controllers with devices of their own: one record, whoever carries it, and who commanded what."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cosim.api.run import open_run
from cosim.errors import CosimError
from cosim.run.assembly import Assembly
from cosim.run.execute import execute, resume
from cosim.run.manifest import read_manifest
from cosim.run.record import Record, read_record
from cosim.run.repeat import open_recorded
from cosim.run.same_steps import CLOCKED, same
from cosim.run.study import open_study
from tests.conftest import small_scenario

STEPS, FAILS_AT, SAFE_AT = 6, 4, 3
NAMES = ["aggregator", "household", "utility"]


def owners(**changes: Any) -> dict[str, Any]:
    """An aggregator, a household that fails, and a utility whose set-points are lost for half an hour."""
    worth = {"type": "value", "per_kwh": 0.3}
    lost = {"setpoints": {"outages": [[1800, 3600]]}}
    controllers = {
        "aggregator": {
            "devices": ["b1"], "horizon_s": 3600, "planner": {"type": "tangent", "terminal": worth}
        },
        "household": {
            "devices": ["B2"], "type": "decentralised", "horizon_s": 7200, "on_failure": "rest",
            "planner": {"terminal": worth | {"per_kwh": 0.05}},
        },
        "utility": {
            "devices": ["p*"], "type": "volt_var_watt", "options": {"category": "A"}, "communication": lost
        },
    }  # fmt: skip
    faults = [{"kind": "controller_error", "controller": "household", "from_step": FAILS_AT}]
    # So large that they are neither full nor empty at the end of any plan.
    storages = [
        {"name": "b1", "bus": "675", "kw": 100, "kwh": 1600},
        {"name": "b2", "bus": "611.3", "kw": 50, "kwh": 800},
    ]
    scenario = small_scenario(
        controllers=controllers,
        faults={"inject": faults},
        setpoint_ttl_s=900,
        storages=storages,
        baseline=False,
    )
    del scenario["control"]
    return scenario | changes


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("owners") / "scenario.yaml"
    path.write_text(yaml.safe_dump(owners(), sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def local(path) -> Record:
    return run(path, "local")


def run(path: Path, over: str) -> Record:
    folder = path.parent / over
    execute(open_study(path), folder, over=over, overwrite=False, progress=lambda _done: None)
    return read_record(folder)


def must_be_equal(one: Record, other: Record) -> None:
    assert list(one.steps.columns) == list(other.steps.columns)
    for column in set(one.steps.columns) - CLOCKED:
        for step, (a, b) in enumerate(zip(one.steps[column], other.steps[column], strict=True)):
            assert same(a, b), f"{column} of step {step}"


def test_each_controller_in_a_process_of_its_own_leaves_the_same_record(path, local):
    helics = run(path, "helics")
    must_be_equal(local, helics)
    logs = {log.stem for log in (helics.folder / "logs").glob("*.log")}
    assert logs >= set(NAMES)


def test_the_record_says_who_commanded_what(local):
    found = open_run(local.folder)
    assert found.controller_of_device == {"b1": "aggregator", "b2": "household", "p1": "utility"}
    told = {one["name"]: one for one in found.manifest["controllers"]}
    assert told["aggregator"]["planner"] == "tangent"
    assert told["utility"]["planner"] is None
    assert [told[name]["horizon_s"] for name in NAMES[:2]] == [3600, 7200]
    table = found.controllers
    assert table.index.names == ["step_start", "controller"]
    assert table.loc[(slice(None), "aggregator"), "source"].tolist() == ["PLAN"] * STEPS
    assert table.loc[(slice(None), "utility"), "issued_at_s"].tolist() == local.steps.time_s.tolist()
    assert table.loc[(slice(None), "utility"), "plan_status"].tolist() == [""] * STEPS
    moved_kw = np.abs(local.vector("decided_storage_kw"))[:FAILS_AT]
    assert (moved_kw > 1.0).all(), "both of them decide something"


def test_the_devices_of_a_controller_that_fails_rest_and_the_others_go_on(local):
    sources = [found.tolist()[1] for found in local.steps.controller_source]
    assert sources == ["PLAN"] * FAILS_AT + ["FALLBACK"] * (STEPS - FAILS_AT)
    assert local.steps.reason.iloc[-1].startswith("household: failed at step 4: InjectedError")
    aggregator_kw, household_kw = local.vector("decided_storage_kw")[FAILS_AT:].T
    assert not household_kw.any()
    assert (np.abs(aggregator_kw) > 1.0).all()


def test_the_devices_of_a_silent_controller_alone_are_in_the_safe_state(local):
    safe = [list(found) for found in local.steps.controller_why_safe]
    late = "set-points are 1800 s old, limit 900 s"
    assert safe == [["", "", late if step == SAFE_AT else ""] for step in range(STEPS)]
    assert local.vector("requested_pv_kvar")[SAFE_AT] == 0.0
    assert local.vector("decided_pv_kvar")[SAFE_AT] != 0.0
    assert np.array_equal(local.vector("requested_storage_kw"), local.vector("decided_storage_kw"))
    ages_s = local.vector("controller_setpoint_age_s")
    assert not ages_s[:, :2].any()
    assert ages_s[2, 2] == 900.0
    assert np.isnan(ages_s[SAFE_AT, 2])
    assert "communication: the set-points of step 2 were lost (utility)" in local.steps.events.iloc[2]


class Stopped(Exception):
    """Raised in the middle of a run."""


@pytest.mark.parametrize("last", [2, 4])
def test_a_run_that_was_cut_short_goes_on(path, local, tmp_path, last):
    def fail(done: int) -> None:
        if done > last:
            raise Stopped

    folder = tmp_path / "run"
    with pytest.raises(Stopped):
        execute(open_study(path), folder, over="local", overwrite=False, progress=fail)
    assert {place.name for place in (folder / "checkpoint").iterdir()} == set(NAMES)
    opened = Assembly(open_recorded(folder))
    resume(folder, progress=lambda _done: None, opened=opened, repeats=lambda _text: None)
    must_be_equal(read_record(folder), local)
    (again,) = read_manifest(folder)["resumed"]
    assert again["at_step"] > 0


def test_without_the_state_of_one_controller_all_repeat_their_steps(path, local, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(local.folder, folder)
    shutil.rmtree(folder / "checkpoint" / "household")
    opened = Assembly(open_recorded(folder))
    told: list[str] = []
    resume(folder, progress=lambda _done: None, opened=opened, repeats=told.append)
    assert "all of them are repeated and compared" in told[0]
    must_be_equal(read_record(folder), local)


def test_a_failure_that_nobody_allows_ends_the_run_and_names_the_controller(tmp_path):
    scenario = owners()
    scenario["controllers"]["household"]["on_failure"] = "stop"
    scenario["faults"]["inject"][0]["from_step"] = 0
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
    with pytest.raises(CosimError, match="household failed at step 0: InjectedError"):
        run(path, "local")
