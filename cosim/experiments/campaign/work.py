"""One run of a campaign, in a process of the pool."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cosim import plugins
from cosim.errors import CosimError
from cosim.experiments.acceptance import Figure
from cosim.experiments.campaign.courses import with_summaries
from cosim.experiments.campaign.row import RunRow, figures_of
from cosim.experiments.campaign.store import Store
from cosim.experiments.memory import peak_mb, reset_peak
from cosim.run.execute import execute
from cosim.run.manifest import software_versions
from cosim.run.record import read_record
from cosim.run.signals import reason_of
from cosim.run.study import Study

Finish = Callable[[Path], Any]
"""Completes the folder of a run that is kept; a function of a module, because it travels by its name."""
Measure = Callable[[Path], Mapping[str, Figure]]
"""Metrics of users of the run in a folder; a function of a module too."""
STOPPED = 1
"""Exit code of a process that a run used for too long."""


@dataclass(frozen=True)
class Task:
    """A run to be computed.

    Attributes:
        key: of its content.
        study: as JSON, see :meth:`cosim.run.study.Study.to_json`.
        over: name of the driver.
        folder: of the campaign; workers on other machines see the same.
        seconds: the run is stopped after this.
        attempt: a finished run of this attempt, or a later one, is not computed again.
        measure: metrics of users.
        metrics: those that the campaign asks for; a finished run that lacks one is computed again.
        keep_steps, keep_record: whether rows of steps, and the whole record, are kept.
        finish: completes a record that is kept.
    """

    key: str
    study: str
    over: str
    folder: Path
    seconds: float
    attempt: int
    measure: Measure
    metrics: tuple[str, ...]
    keep_steps: bool
    keep_record: bool
    finish: Finish | None


def run_in_worker(task: Task) -> None:
    """Compute a run and commit it; the process ends where it takes too long, and another one begins."""
    from distributed import get_worker

    run_task(task, Path(get_worker().local_directory))
    tidy()


def tidy() -> None:
    """Free what a finished run left behind, above all the simulator's circuit, before the next one begins.

    Objects that refer to each other wait for Python's collector, which does not know how large they are.
    """
    gc.collect()


def run_task(task: Task, scratch: Path) -> None:
    """Compute a run and commit it, as complete or as failed with its cause.

    Nothing is done where it is committed already: a process may have died after that.

    Args:
        task: what to compute.
        scratch: where the record grows.
    """
    store = Store(task.folder)
    earlier = store.row(task.key)
    if earlier is not None and (earlier.has(task.metrics) or earlier.attempt >= task.attempt):
        return
    measures_memory = _is_alone(task.over) and reset_peak()
    began = time.perf_counter()
    with _limited(task, store) as claim, tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name) / "run"
        row = _computed(task, store, folder)
        claim()
        if task.keep_record and folder.is_dir():
            store.keep_record(task.key, folder)
        seconds, peak_mib = time.perf_counter() - began, peak_mb() if measures_memory else None
        store.commit(replace(row, seconds=seconds, peak_memory_mib=peak_mib, attempt=task.attempt))


def lost(task: Task, why: str) -> RunRow:
    """The row of a run that took its process with it."""
    return RunRow(task.key, "failed", why, attempt=task.attempt, versions=software_versions())


def _computed(task: Task, store: Store, folder: Path) -> RunRow:
    try:
        # The run counts as a whole or not at all: what is half done need not outlive the process.
        study = replace(Study.from_json(task.study), kept_whole=True)
        execute(study, folder, over=task.over, overwrite=False, progress=_silent)
        figures = figures_of(read_record(folder), task.measure(folder))
        _installed(task.metrics, figures)
        if task.keep_steps:
            store.keep_steps(task.key, single_values(folder))
        if task.keep_record and task.finish is not None:
            task.finish(folder)
    except Exception as error:  # noqa: BLE001 - one run must not end the others, whatever its plug-ins do
        return replace(lost(task, reason_of(error)), trace=traceback.format_exc())
    return RunRow(task.key, "complete", figures=dict(figures), versions=software_versions())


def _installed(wanted: tuple[str, ...], figures: Mapping[str, Any]) -> None:
    missing = [name for name in wanted if name not in figures]
    if missing:
        raise CosimError(
            f"metric {', '.join(missing)} is not installed where the run was computed; install it there "
            "as an entry point cosim.metrics"
        )


def single_values(folder: Path) -> pa.Table:
    """The steps of a record without its vectors, of which some are summed up: one row per step.

    Args:
        folder: of the record.
    """
    table = with_summaries(pq.read_table(folder / "steps"))
    names = [field.name for field in table.schema if not pa.types.is_nested(field.type)]
    return table.select(names).sort_by("step")


@contextmanager
def _limited(task: Task, store: Store) -> Iterator[Callable[[], None]]:
    """End this process where a run takes too long; what is yielded is called before it is committed."""
    ends = threading.Lock()

    def stop() -> None:
        if ends.acquire(blocking=False):
            store.commit(lost(task, f"time limit of {task.seconds:g} s"))
            # Python cannot stop a solver; the pool starts another process.
            os._exit(STOPPED)

    timer = threading.Timer(task.seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield lambda: _wait_for(ends)
    finally:
        timer.cancel()


def _wait_for(lock: threading.Lock) -> None:
    """Take a lock; where the other side has it, this process ends meanwhile."""
    lock.acquire()


def _is_alone(over: str) -> bool:
    """Whether a driver computes in the process that asks it."""
    return plugins.declared(plugins.load("cosim.runners", over)).in_process


def _silent(_done: int) -> None:
    pass
