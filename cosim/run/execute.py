"""Run a scenario with one of the drivers and leave a record, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from cosim import plugins
from cosim.run.assembly import Assembly
from cosim.run.loop import StepRecord, run_loop
from cosim.run.manifest import provenance_of, write_manifest
from cosim.run.record import RecordWriter, prepare_folder
from cosim.run.study import Study

Progress = Callable[[int], None]
"""Called with the number of finished steps."""


class Runner(Protocol):
    """A driver: carries a scenario from step 0 to its end and writes the steps to a folder."""

    def __call__(
        self, study: Study, folder: Path, progress: Progress, opened: Assembly | None = None
    ) -> None:
        """Run; raise on any failure, with all finished steps on disk.

        ``opened`` is the study where it has been opened already, before step 0. It is closed afterwards.
        """
        ...


@dataclass(frozen=True)
class Finished:
    """A run that came to its end.

    Attributes:
        folder: its record.
        wall_s: seconds it took, start-up included.
    """

    folder: Path
    wall_s: float


def run_local(study: Study, folder: Path, progress: Progress, opened: Assembly | None = None) -> None:
    """The driver without a network: the reference loop in this process."""
    with opened or Assembly(study) as assembly:
        controller = assembly.controller
        writer = RecordWriter(folder, assembly.site)

        def keep(record: StepRecord) -> None:
            writer.keep(record)
            progress(record.measurement.step + 1)

        try:
            owner = study.scenario.federate("controller")
            run_loop(assembly.plant, controller, keep, owner=owner)
        finally:
            writer.close()


def execute(
    study: Study,
    folder: Path,
    *,
    over: str,
    overwrite: bool,
    progress: Progress,
    opened: Assembly | None = None,
) -> Finished:
    """Run a scenario and write its manifest, as complete or as aborted with the reason.

    Args:
        study: scenario and feeder.
        folder: of the record.
        over: name of a runner, ``local`` or ``helics``.
        overwrite: whether an earlier run in the folder may be replaced.
        progress: told the number of finished steps.
        opened: the study, if it has been opened by a check.
    """
    runner = cast("Runner", plugins.load("cosim.runners", over))
    provenance = provenance_of(study, over=over)
    prepare_folder(folder, overwrite=overwrite)
    write_manifest(folder, study, provenance, status="running")
    started = time.perf_counter()
    try:
        runner(study, folder, progress, opened)
    except BaseException as error:
        # KeyboardInterrupt too: an interrupted run must say so.
        reason = str(error) or type(error).__name__
        wall_s = time.perf_counter() - started
        write_manifest(folder, study, provenance, status="aborted", reason=reason, wall_s=wall_s)
        raise
    wall_s = time.perf_counter() - started
    write_manifest(folder, study, provenance, status="complete", wall_s=wall_s)
    return Finished(folder, wall_s)


def execute_baseline(study: Study, folder: Path, *, progress: Progress) -> Finished:
    """The same scenario without control, in this process, beside the run it is compared with."""
    idle = study.without_control()
    return execute(idle, folder / "baseline", over="local", overwrite=True, progress=progress)
