"""Real kills: of the user's patience, of a worker, of everything, of a scheduler; nothing lost, nothing twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pandas as pd
import psutil
import pytest
import yaml

from tests.conftest import ROOT

RUNS = 6
LIMIT_S = 180
CAMPAIGN = {
    "schema": 1,
    "name": "kills",
    "scenario": "ieee13",
    "steps": 12,
    "seeds": {"key": "control.seed", "values": list(range(RUNS))},
}


def finished(folder):
    """When and as which file each run was committed; files on their way do not count."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("finished/*.json")
    }


@contextmanager
def started(folder, *arguments):
    """``cosim campaign`` in a process group of its own, as a terminal starts it."""
    command = [sys.executable, "-m", "cosim.cli", "campaign", "c.yaml", "--out", "out", *arguments]
    with (folder / "said.txt").open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            command, cwd=folder, stdout=said, stderr=said, env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for(condition):
    until = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(CAMPAIGN), encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_a_campaign_outlives_ctrl_c_a_dead_worker_and_the_death_of_everything(folder):
    out = folder / "out"
    with started(folder, "--workers", "2") as process:
        wait_for(lambda: len(finished(out)) >= 1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(LIMIT_S) == 1
    said = (folder / "said.txt").read_text()
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert len(pd.read_parquet(out / "runs")) == len(finished(out)) < RUNS
    first = finished(out)
    with started(folder, "--workers", "2") as process:
        wait_for(lambda: len(finished(out)) > len(first))
        workers = [
            one for one in psutil.Process(process.pid).children() if "spawn_main" in str(one.cmdline())
        ]
        workers[0].kill()
        after = finished(out)
        # The pool replaces it and goes on.
        wait_for(lambda: len(finished(out)) > len(after) or process.poll() is not None)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        _, alive = psutil.wait_procs(children, timeout=20)
        assert alive == []
    second = finished(out)
    assert first.items() <= second.items()
    with started(folder, "--workers", "2") as process:
        assert process.wait(LIMIT_S) == 0, (folder / "said.txt").read_text()
    assert second.items() <= finished(out).items()
    runs = pd.read_parquet(out / "runs")
    assert sorted(runs["seed"]) == list(range(RUNS))
    assert len(set(runs["adjusted_cost_currency"])) == 1


def test_two_campaigns_do_not_share_a_folder_at_the_same_time(folder):
    with started(folder, "--workers", "1") as first:
        wait_for((folder / "out" / ".scratch").is_dir)
        # It must not end before the second one begins.
        first.send_signal(signal.SIGSTOP)
        second = subprocess.run(
            [sys.executable, "-m", "cosim.cli", "campaign", "c.yaml", "--out", "out"],
            cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert second.returncode == 1
    assert "another campaign is running in out" in second.stderr


@contextmanager
def cluster(folder):
    """A scheduler with two workers, as an administrator starts it: its process and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, dask = f"tcp://127.0.0.1:{port}", [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    scheduler = subprocess.Popen(
        [*dask, "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], env=environment, **quiet
    )
    worker = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--nworkers", "2",
         "--no-dashboard", "--local-directory", str(folder / "workers")], env=environment, **quiet,
    )  # fmt: skip
    try:
        yield scheduler, address
    finally:
        worker.terminate()
        scheduler.kill()
        worker.wait(30)
        scheduler.wait()


def test_a_scheduler_that_exists_is_used_and_its_death_is_told(folder):
    # Short runs: those that nobody has begun when the scheduler dies are left, however short.
    (folder / "c.yaml").write_text(yaml.safe_dump(CAMPAIGN | {"steps": 2}), encoding="utf-8")
    out = folder / "out"
    with cluster(folder) as (scheduler, address):
        wait_for(lambda: scheduler.poll() is not None or _answers(address))
        with started(folder, "--scheduler", address) as process:
            wait_for(lambda: len(finished(out)) >= 2)
            scheduler.kill()
            assert process.wait(LIMIT_S) == 1
    said = (folder / "said.txt").read_text()
    assert "the dask scheduler is gone; finished runs are kept" in said
    first = finished(out)
    assert 2 <= len(first) < RUNS
    with started(folder, "--workers", "2") as process:
        assert process.wait(LIMIT_S) == 0
    assert first.items() <= finished(out).items()
    assert len(pd.read_parquet(out / "runs")) == RUNS


def _answers(address):
    host, port = address.removeprefix("tcp://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
