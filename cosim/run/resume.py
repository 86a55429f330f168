"""Carry on a run that was cut short: the same record as without the interruption, to the last bit.

The plant repeats the recorded decisions from step 0, without the controller, and must give the recorded
results; a power flow takes a small part of the time of a plan. The controller takes over its state after
the last step that both the record and a checkpoint hold. A controller that has no state to give repeats
its steps as well, and they must be those on record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosim.devices.registry import by_kind, by_network_kind
from cosim.model.part import Part
from cosim.model.roles import Controller, Resumable, is_resumable
from cosim.model.site import Site
from cosim.model.state import Decision, Setpoints, Source
from cosim.run.checkpoint import Checkpoints
from cosim.run.loop import PlantRole, StepRecord
from cosim.run.record import Record, read_record
from cosim.run.same_steps import must_be_same
from cosim.run.step_row import step_row
from cosim.run.study import Study
from cosim.run.together import joint_decision

OF_CONTROLLER = ("plan_", "belief_", "forecast_", "controller_plan_")
"""Columns that the plant does not repeat begin with these."""


@dataclass(frozen=True)
class Beginning:
    """What is there of a run that was cut short.

    Attributes:
        steps: finished steps on record.
        resumes_at: first step that the controller decides anew; 0 where it has no state.
    """

    steps: int
    resumes_at: int

    @property
    def sentence(self) -> str:
        """What is repeated, in words."""
        if not self.steps:
            return "no step is on record; the run begins anew"
        if self.resumes_at:
            return (
                f"{self.steps} steps are on record; the plant repeats {self.resumes_at} of them, then the "
                f"controller goes on at step {self.resumes_at}"
            )
        return (
            f"{self.steps} steps are on record; controller, planner or forecaster has no state to go on "
            "with, so all of them are repeated and compared"
        )


def checkpoints_of(study: Study, folder: Path) -> tuple[Checkpoints, ...]:
    """Where the state of each controller of a study is kept, in the order of the scenario."""
    return tuple(Checkpoints(folder, own.part or "") for own in study.each_controller)


def beginning_of(
    folder: Path, controllers: Sequence[object], states: Sequence[Checkpoints], total: int
) -> Beginning:
    """How far a run came, and from where its controllers can go on: all of them after the same step.

    Args:
        folder: of the run.
        controllers: made for the study, to see whether they have states.
        states: of each of them.
        total: steps of the whole run. The last one is always made again, because a run over HELICS ends
            with its recorder's word that this step is kept.

    Raises:
        RecordError: there are steps, and they cannot be read.
    """
    record = _record_so_far(folder)
    if record is None:
        return Beginning(0, 0)
    steps = record.steps["step"].to_numpy()
    gap = np.flatnonzero(steps != np.arange(len(steps)))
    # Behind a gap nothing counts; what is there must be the same when it is made again.
    whole = int(gap[0]) if gap.size else len(steps)
    if not all(is_resumable(controller) for controller in controllers):
        return Beginning(whole, 0)
    most = min(whole, total - 1) - 1
    common = set[int].intersection(*(own.steps(most) for own in states))
    return Beginning(whole, max(common, default=-1) + 1)


def repeat_steps(
    plant: PlantRole, study: Study, folder: Path, progress: Callable[[int], None] | None = None
) -> None:
    """Bring a plant to the step at which a study resumes.

    Args:
        plant: before step 0.
        study: knows where it resumes.
        folder: of the record.
        progress: told each step that is repeated.

    Raises:
        RecordError: the plant gives other results than the record: a file or a package has changed.
    """
    if not study.resumes_at:
        return
    record = read_record(folder)
    for step in range(study.resumes_at):
        if progress is not None:
            progress(step)
        measurement = plant.measure(step)
        decision = recorded_decision(record, plant.site, step, plant.parts)
        made = step_row(StepRecord(measurement, decision, plant.act(decision, step=step)), plant.site)
        repeated = {name: value for name, value in made.items() if not name.startswith(OF_CONTROLLER)}
        must_be_same(repeated, record.steps.iloc[step].to_dict(), step, "the plant")


def take_over(controller: Controller, study: Study, states: Checkpoints) -> None:
    """Give a controller that was started the state with which a study resumes."""
    if study.resumes_at:
        resumable: Resumable = controller  # type: ignore[assignment]
        resumable.restore(states.read(study.resumes_at - 1))


def recorded_decision(record: Record, site: Site, step: int, parts: Sequence[Part] = ()) -> Decision:
    """The decision of a step, without its plan; of several controllers with the decision of each part."""
    row = record.steps.iloc[step]
    p_kw, q_kvar = np.zeros(len(site.devices)), np.zeros(len(site.devices))
    for kind, place, _ in by_kind(site.devices):
        p_kw[place] = row[f"decided_{kind.columns['setpoint_kw']}"]
        q_kvar[place] = row[f"decided_{kind.columns['setpoint_kvar']}"]
    position = np.full(len(site.network_devices), np.nan)
    for network_kind, place, _ in by_network_kind(site.network_devices):
        position[place] = row[f"decided_{network_kind.columns['position']}"]
    setpoints = Setpoints(p_kw, q_kvar, position)
    if parts:
        return joint_decision(
            parts, [_recorded_part(row.to_dict(), at, setpoints, p) for at, p in enumerate(parts)]
        )
    return Decision(
        step=step,
        issued_at_s=float(row["issued_at_s"]),
        setpoints=setpoints,
        source=Source(row["source"]),
        reason=row["reason"],
        plan=None,
        owner=row["owner"],
    )


def _recorded_part(row: Mapping[Any, Any], place: int, setpoints: Setpoints, part: Part) -> Decision:
    """The decision of one of several controllers in a row of the record."""
    return Decision(
        step=int(row["step"]),
        issued_at_s=float(row["controller_issued_at_s"][place]),
        setpoints=part.narrowed(setpoints),
        source=Source(row["controller_source"][place]),
        reason=row["controller_reason"][place],
        owner=part.controller,
    )


def earlier_record(study: Study, folder: Path) -> Record | None:
    """The steps on record of a run that is carried on; None for one that begins, or has none."""
    return None if study.resumes_at is None else _record_so_far(folder)


def _record_so_far(folder: Path) -> Record | None:
    """The record of a run that was cut short; None where no step was finished.

    Raises:
        RecordError: there are steps, and they cannot be read.
    """
    return read_record(folder) if any((folder / "steps").glob("*.parquet")) else None
