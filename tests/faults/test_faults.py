"""A run that fails says so at once, names who died, keeps what it had, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.signals import polite_signals
from cosim.run.study import open_study
from federates import launch
from tests.command import cosim
from tests.conftest import ROOT

STEPS = 60


def start(scenario: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "cosim.cli",
            "run",
            str(scenario),
            "--out",
            str(out),
            "--no-baseline",
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment | {"COLUMNS": "200"},
    )


def wait_for_step(process: subprocess.Popen[str], out: Path, step: int) -> None:
    """Wait until a run has a step on record.

    It takes seconds, or minutes on a machine with other work. A run that has ended is not waited for.
    """
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        steps = out / "steps"
        # A recorder that ends merges the single steps into one part.
        if (steps / f"step-{step:07d}.parquet").exists() or list(steps.glob("part-*.parquet")):
            return
        if process.poll() is not None:
            pytest.fail(f"ended before step {step}: {process.communicate()[0]}")
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"step {step} was not reached: {process.communicate()[0]}")


def federates_of(process: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    """The run's processes by role."""
    return {
        child.cmdline()[4]: child
        for child in psutil.Process(process.pid).children(recursive=True)
        if len(child.cmdline()) > 4 and child.cmdline()[3] == "federates"
    }


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and output of a run that ends by itself."""
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def slow(scenario_file) -> Path:
    return scenario_file(
        control={"type": "tests.controllers:SlowController"},
        time={"start": "2024-06-21T12:00:00+00:00", "step_s": 900, "steps": STEPS},
    )


def assert_aborted(out: Path, *, at_least: int) -> None:
    """The manifest says aborted, and the record holds every step up to the last committed one."""
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["status"] == "aborted"
    record = read_record(out)
    assert list(record.steps.step) == list(range(manifest["last_step"] + 1))
    assert at_least <= manifest["last_step"] < STEPS - 1


@pytest.mark.parametrize(
    "victim",
    [
        "controller",
        "broker",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("feeder", "recorder")),
    ],
)
def test_a_killed_process_ends_the_run(scenario_file, tmp_path, victim):
    out = tmp_path / "run"
    process = start(slow(scenario_file), out)
    wait_for_step(process, out, 3)
    members = federates_of(process)
    assert set(members) == {"broker", "feeder", "controller", "recorder"}
    assert not any("--key" in member.cmdline() for member in members.values()), "every user could read it"
    members[victim].send_signal(signal.SIGKILL)
    code, output = finish(process)
    assert code == 1
    assert f"{victim} died at step" in output
    assert "SIGKILL" in output
    assert not any(member.is_running() for member in members.values())
    assert_aborted(out, at_least=3)


def test_an_exception_in_the_controller_ends_the_run(scenario_file, tmp_path):
    out = tmp_path / "run"
    scenario = scenario_file(control={"type": "tests.controllers:BrokenController"})
    ended = cosim("run", scenario, "--out", out, "--no-baseline")
    assert ended.code == 1
    assert (
        "controller failed at step 3: RuntimeError: the solver met a number it did not like" in ended.said
    )
    record = read_record(out)
    assert list(record.steps.step) == [0, 1, 2]
    assert record.manifest["status"] == "aborted"


def test_a_controller_that_leaves_with_code_0_is_no_success(scenario_file, tmp_path):
    out = tmp_path / "run"
    scenario = scenario_file(control={"type": "tests.controllers:SilentlyLeavingController"})
    ended = cosim("run", scenario, "--out", out, "--no-baseline")
    assert ended.code == 1
    assert "controller died at step 3" in ended.said
    assert read_record(out).manifest["status"] == "aborted"


@pytest.mark.parametrize(
    ("controller", "message"),
    [
        ("WrongShapeController", "p_kw of step 2 from 'controller' has 4 values, the plant has 3 devices"),
        ("NanController", "p_kw[0] (b1) of step 2 from 'controller' is nan; set-points must be finite"),
    ],
)
def test_a_malformed_setpoint_ends_the_run_with_both_sides_named(
    scenario_file, tmp_path, controller, message
):
    out = tmp_path / "run"
    scenario = scenario_file(control={"type": f"tests.controllers:{controller}"})
    ended = cosim("run", scenario, "--out", out, "--no-baseline")
    assert ended.code == 1
    assert message in " ".join(ended.said.split())
    assert list(read_record(out).steps.step) == [0, 1]


def test_a_port_in_use_is_said_before_anything_starts(scenario_file, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = cosim(
            "run", scenario_file(), "--out", tmp_path / "run", "--no-baseline", "--port", str(port)
        )
    assert ended.code == 1
    assert f"port {port} is in use" in ended.said
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "aborted"
    # Each process has a log from its start on.
    assert list((tmp_path / "run" / "logs").iterdir()) == []
    assert not (tmp_path / "run" / "steps").exists()


def test_a_port_that_somebody_takes_meanwhile_is_replaced_by_another(scenario_file, tmp_path, monkeypatch):
    free = launch.free_port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        chosen = iter([taken.getsockname()[1], free()])
        monkeypatch.setattr(launch, "free_port", lambda: next(chosen))
        study = open_study(scenario_file(), steps=1).without_baseline()
        execute(study, tmp_path / "run", over="helics", overwrite=False, progress=lambda _steps: None)
    assert read_record(tmp_path / "run").manifest["status"] == "complete"
    assert list(chosen) == []


def test_ctrl_c_keeps_the_record_and_leaves_no_process(scenario_file, tmp_path):
    out = tmp_path / "run"
    process = start(slow(scenario_file), out)
    wait_for_step(process, out, 3)
    members = federates_of(process)
    process.send_signal(signal.SIGINT)
    code, _ = finish(process)
    assert code == 1
    assert not any(member.is_running() for member in members.values())
    assert_aborted(out, at_least=3)


def test_a_killed_launcher_takes_its_federates_along(scenario_file, tmp_path):
    out = tmp_path / "run"
    process = start(slow(scenario_file), out)
    wait_for_step(process, out, 3)
    members = federates_of(process)
    process.kill()
    process.communicate(timeout=60)
    _, alive = psutil.wait_procs(list(members.values()), timeout=60)
    assert not alive
    # Nobody was left to write the manifest: it still says running, and the steps are there.
    record = read_record(out)
    assert record.manifest["status"] == "running"
    assert len(record.steps) >= 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_a_destructor_swallowed_is_not_lost():
    """The interpreter prints what is raised inside a destructor, and goes on."""

    class Swallows:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    with polite_signals() as requests:
        requests.check()
        dies = Swallows()
        del dies
        with pytest.raises(KeyboardInterrupt, match="SIGINT"):
            requests.check()


def test_only_the_first_request_raises_where_the_way_out_takes_long():
    with polite_signals(once=True) as requests:
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            requests.check()
