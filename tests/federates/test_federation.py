"""Federates are a list: other names, other commands, and somebody who only listens."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cosim.errors import FederationError, ScenarioError
from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.study import open_study

OWN = [sys.executable, "-m", "federates"]
JOIN = ["--port", "{port}", "--key", "{key}", "--core", "{core}", "--study", "{study}"]
OBSERVER = str(Path(__file__).with_name("observer.py"))


def run(path: Path, out: Path) -> None:
    execute(open_study(path, steps=3), out, over="helics", overwrite=False, progress=lambda _done: None)


@pytest.mark.usefixtures("importable_tests")
def test_other_names_another_command_and_an_observer(scenario_file, tmp_path):
    listened = tmp_path / "import.txt"
    path = scenario_file(
        federates=[
            {"role": "feeder", "name": "substation_7"},
            {"role": "controller", "name": "dispatcher", "command": [*OWN, "controller", *JOIN]},
            {"role": "recorder", "name": "historian"},
            {
                "role": "observer",
                "name": "display",
                "command": [
                    sys.executable, OBSERVER, "{core}", "{port}", "{key}", "{name}", "{study}", str(listened)
                ],
            },
        ]
    )  # fmt: skip
    run(path, tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert [float(line) for line in listened.read_text().split()] == record.steps.import_kw.tolist()
    assert record.steps.owner.tolist() == ["dispatcher"] * 3
    assert sorted(log.stem for log in (tmp_path / "run" / "logs").glob("*.log")) == [
        "broker", "dispatcher", "display", "historian", "substation_7",
    ]  # fmt: skip


def test_a_command_that_does_not_exist_is_named(scenario_file, tmp_path):
    path = scenario_file(
        federates=[
            {"role": "feeder", "name": "feeder"},
            {"role": "controller", "name": "mine", "command": ["/no/such/program"]},
            {"role": "recorder", "name": "recorder"},
        ]
    )
    with pytest.raises(FederationError, match="federate mine cannot be started by '/no/such/program'"):
        run(path, tmp_path / "run")


@pytest.mark.parametrize(
    ("code", "limit_s", "words"),
    [
        ("import time; time.sleep(60)", 1, "mine has not joined the federation within 1 s"),
        # However busy the machine is, a process that ends does so before its limit.
        ("", 120, "mine left before it joined the federation: exit code 0"),
        ("raise SystemExit(4)", 120, "mine left before it joined the federation: exit code 4"),
    ],
)
def test_a_federate_that_never_joins_is_named(scenario_file, tmp_path, code, limit_s, words):
    mine = {"command": [sys.executable, "-c", code], "join_limit_s": limit_s}
    path = scenario_file(
        federates=[
            {"role": "feeder", "name": "feeder"},
            {"role": "controller", "name": "mine", **mine},
            {"role": "recorder", "name": "recorder"},
        ]
    )
    with pytest.raises(FederationError, match=words):
        run(path, tmp_path / "run")


@pytest.mark.usefixtures("importable_tests")
def test_somebody_is_told_for_whom_the_run_waits(scenario_file, tmp_path, monkeypatch):
    monkeypatch.setattr("cosim.run.patience.LATE_S", 0.05)
    told: list[str] = []
    study = open_study(scenario_file(control={"type": "tests.controllers:SlowController"}), steps=3)
    folder, nothing = tmp_path / "run", lambda _done: None
    execute(study, folder, over="helics", overwrite=False, progress=nothing, told=told.append)
    waits = [text for text in told if text.startswith("waits for controller (plan, step 1) since ")]
    assert waits
    assert told[told.index(waits[0]) + 1] == ""


@pytest.mark.parametrize(
    ("federates", "words"),
    [
        ([{"role": "feeder", "name": "f"}], "there must be one controller, not 0"),
        (
            [{"role": role, "name": "same"} for role in ("feeder", "controller", "recorder")],
            "names must differ; same is used twice",
        ),
        (
            [
                *({"role": role, "name": role} for role in ("feeder", "controller", "recorder")),
                {"role": "observer", "name": "eye"},
            ],
            "observer eye needs a command",
        ),
    ],
)
def test_a_list_that_cannot_run_is_refused(scenario_file, federates, words):
    with pytest.raises(ScenarioError, match=words):
        open_study(scenario_file(federates=federates))
