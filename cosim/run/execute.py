"""Run a scenario with one of the drivers and leave a record, whatever happens."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

from cosim import plugins
from cosim.model.part import Part
from cosim.run.area_states import area_checkpoints
from cosim.run.assembly import Assembly
from cosim.run.choice import planner_name
from cosim.run.disk import FULL, full_disk_named
from cosim.run.loop import StepRecord, run_loop, start_controller
from cosim.run.manifest import Provenance, provenance_of, read_manifest, write_manifest
from cosim.run.patience import Patience, Told, silent
from cosim.run.record import RecordWriter
from cosim.run.resume import beginning_of, checkpoints_of, earlier_record, repeat_steps, take_over
from cosim.run.run_folder import in_use, prepare_folder
from cosim.run.signals import polite_signals, reason_of, undisturbed
from cosim.run.study import Study
from cosim.run.together import owner_of

Progress = Callable[[int], None]
"""Called with the number of finished steps."""


class Runner(Protocol):
    """A driver: carries a scenario from step 0 to its end and writes the steps to a folder."""

    def __call__(
        self,
        study: Study,
        folder: Path,
        progress: Progress,
        opened: Assembly | None = None,
        told: Told = silent,
    ) -> dict[str, Any]:
        """Run; raise on any failure, with all finished steps on disk.

        Returns:
            Facts for the manifest that came to light during the run.

        ``told`` hears for whom a run waits that does not move.
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


@plugins.in_process
def run_local(
    study: Study, folder: Path, progress: Progress, opened: Assembly | None = None, told: Told = silent
) -> dict[str, Any]:
    """The driver without a network: the reference loop in this process."""
    with opened or Assembly(study) as assembly:
        controller, plant = assembly.controller, assembly.plant
        earlier = earlier_record(study, folder)
        config = study.scenario.record
        writer = RecordWriter(folder, assembly.site, config, earlier, in_parts=study.kept_whole)
        states = checkpoints_of(study, folder)

        def keep(record: StepRecord) -> None:
            writer.keep(record)
            for own, one in zip(states, assembly.controllers, strict=True):
                own.offer(record.measurement.step, one)
            progress(record.measurement.step + 1)

        owner, first = owner_of(study.scenario.controller_names), study.resumes_at or 0
        patience = Patience(study.scenario.hang_limit_s, told, assembly.opened_s)
        try:
            if study.resumes_at:
                with patience.waiting(owner, None):
                    start_controller(controller, plant.site, owner)
                repeat_steps(plant, study, folder)
                for own, one in zip(states, assembly.controllers, strict=True):
                    take_over(one, study, own)
            run_loop(plant, controller, keep, owner=owner, first_step=first, patience=patience)
        finally:
            writer.close()
    return {}


class _Log(logging.FileHandler):
    """A log that a full disk cuts short without a word: whoever writes the record tells of it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Leave a message out that has no room."""
        error = sys.exc_info()[1]
        if not (isinstance(error, OSError) and error.errno in FULL):
            super().handleError(record)

    def close(self) -> None:
        """Close it, whatever is still waiting for room."""
        with suppress(OSError):
            super().close()


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Write what this process logs to a file as well, with tracebacks."""
    with full_disk_named(path):
        path.parent.mkdir(exist_ok=True)
    handler = _Log(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-5s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


def execute(
    study: Study,
    folder: Path,
    *,
    over: str,
    overwrite: bool,
    progress: Progress,
    opened: Assembly | None = None,
    told: Told = silent,
) -> Finished:
    """Run a scenario and write its manifest, as complete or as aborted with the reason.

    Args:
        study: scenario and feeder.
        folder: of the record.
        over: name of a runner, ``local`` or ``helics``.
        overwrite: whether an earlier run in the folder may be replaced.
        progress: told the number of finished steps.
        opened: the study, if it has been opened by a check.
        told: hears for whom the run waits, where it does not move.
    """
    runner = cast("Runner", plugins.load("cosim.runners", over))
    provenance = provenance_of(study, over=over)
    tells = study.scenario.inputs.may_fill_gaps() or study.scenario.controllers is not None
    if opened is None and tells:
        opened = Assembly(study)  # which tells what was filled, and who has which device
    if opened is not None:
        provenance = provenance.with_facts(**_found_by(opened))
    with in_use(folder):
        prepare_folder(folder, overwrite=overwrite)
        return _run(runner, study, folder, provenance, progress, opened, told)


def _found_by(opened: Assembly) -> dict[str, Any]:
    """Facts for the manifest that opening a study brings to light."""
    unsupplied = opened.site.unsupplied
    facts: dict[str, Any] = {} if unsupplied is None else {"unsupplied": unsupplied.sentence()}
    if opened.parts:
        facts["controllers"] = [_told(own, part) for own, part in _each(opened)]
    return facts | ({"filled": [asdict(gap) for gap in opened.filled]} if opened.filled else {})


def _each(opened: Assembly) -> Iterator[tuple[Study, Part]]:
    """Every one of several controllers with its devices."""
    return zip(opened.study.each_controller, opened.parts, strict=True)


def _told(study: Study, part: Part) -> dict[str, Any]:
    """What the manifest says of one of several controllers."""
    control = study.scenario.control
    return {
        "name": part.controller,
        "type": control.type,
        "planner": planner_name(study),
        "horizon_s": control.horizon_s,
        "devices": list(part.device_names),
    }


def resume(
    folder: Path,
    *,
    progress: Progress,
    opened: Assembly,
    repeats: Callable[[str], None],
    told: Told = silent,
) -> Finished:
    """Carry on a run that was cut short, with the driver it ran with.

    Args:
        folder: of its record.
        progress: told the number of finished steps.
        opened: the recorded study, opened.
        repeats: hears in a sentence what is repeated.
        told: hears for whom the run waits, where it does not move.

    Raises:
        RecordError: the run cannot be carried on, or repeated steps differ from the record.
    """
    manifest = read_manifest(folder)
    over, study = str(manifest["over"]), opened.study
    runner = cast("Runner", plugins.load("cosim.runners", over))
    with in_use(folder):
        areas = area_federates(study, over)
        states = checkpoints_of(study, folder)
        states = (*states, *(area_checkpoints(folder, name) for name in areas))
        beginning = beginning_of(folder, opened.controllers, states, study.grid.steps)
        repeats(beginning.sentence)
        resumed = replace(study, resumes_at=beginning.resumes_at)
        this = {"finished_steps": beginning.steps, "at_step": beginning.resumes_at}
        earlier = [*manifest.get("resumed", []), this]
        provenance = provenance_of(study, over=over).with_facts(
            **_found_by(opened), study=manifest["study"], resumed=earlier
        )
        # The plant of the check has not begun, its controller may have: the run opens its own.
        opened.__exit__()
        for own in states:
            own.drop_after(beginning.resumes_at - 1)
        return _run(runner, resumed, folder, provenance, progress, None, told)


def area_federates(study: Study, over: str) -> tuple[str, ...]:
    """Federates of areas that a driver starts, each with states of its own."""
    runner = plugins.load("cosim.runners", over)
    return () if plugins.declared(runner).in_process else study.scenario.area_federates


def _run(
    runner: Runner,
    study: Study,
    folder: Path,
    provenance: Provenance,
    progress: Progress,
    opened: Assembly | None,
    told: Told,
) -> Finished:
    write_manifest(folder, study, provenance, status="running")
    started = time.perf_counter()
    try:
        with polite_signals() as requests, logged_to(folder / "logs" / "run.log"):

            def finished(steps: int) -> None:
                requests.check()
                progress(steps)

            facts = runner(study, folder, finished, opened, told)
    except BaseException as error:
        # KeyboardInterrupt too: an interrupted run must say so.
        wall_s = time.perf_counter() - started
        with undisturbed():
            write_manifest(
                folder, study, provenance, status="aborted", reason=reason_of(error), wall_s=wall_s
            )
        raise
    wall_s = time.perf_counter() - started
    write_manifest(folder, study, provenance.with_facts(**(facts or {})), status="complete", wall_s=wall_s)
    return Finished(folder, wall_s)


def execute_bound(study: Study, folder: Path, *, name: str, progress: Progress) -> Finished:
    """The same scenario under a controller that is a bound, in this process, beside the run.

    Args:
        study: of the run.
        folder: of the run; the record goes to its folder ``name``.
        name: of the controller.
        progress: told the number of finished steps.
    """
    best = study.without_baseline().with_controller(name)
    best = replace(best, scenario=best.scenario.model_copy(update={"accept": ()}))
    return execute(best, folder / name, over="local", overwrite=True, progress=progress)


def execute_baseline(study: Study, folder: Path, *, progress: Progress) -> Finished:
    """The same scenario without control, in this process, beside the run it is compared with."""
    idle = study.without_control()
    return execute(idle, folder / "baseline", over="local", overwrite=True, progress=progress)
