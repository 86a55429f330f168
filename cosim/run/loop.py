"""The reference loop: the meaning of one step, told once.

Every driver calls the same two roles in the same order; a co-simulation only carries the values
from one to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cosim.errors import ControllerError, CosimError
from cosim.model.part import Part
from cosim.model.roles import Controller, Plant
from cosim.model.site import Site
from cosim.model.state import Applied, Decision, Measurement, StepResult
from cosim.run.contract import checked, sealed
from cosim.run.feedback import DecisionQueue, InForce
from cosim.run.injected import InjectedAtFeeder, Schedule
from cosim.run.patience import Patience


@dataclass(frozen=True)
class Outcome:
    """What the plant did with a step.

    Attributes:
        in_force: set-points that acted, and since when.
        applied: acknowledgement.
        result: what the grid did.
    """

    in_force: InForce
    applied: Applied
    result: StepResult


@dataclass(frozen=True)
class StepRecord:
    """Everything about one step, as the recorder gets it."""

    measurement: Measurement
    decision: Decision
    outcome: Outcome


class PlantRole:
    """The plant's half of a step.

    Args:
        feeder: in operation.
        queue: holds decisions until they act.
        faults: injected at the feeder; none by default.
    """

    def __init__(self, feeder: Plant, queue: DecisionQueue, faults: Schedule | None = None) -> None:
        self._feeder, self._queue = feeder, queue
        self._injected = InjectedAtFeeder(faults or Schedule((), 0), feeder.site)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The devices of each of several controllers; empty for one."""
        return self._queue.parts

    @property
    def site(self) -> Site:
        """The facts of the plant."""
        return self._feeder.site

    def measure(self, step: int) -> Measurement:
        """State at the start of a step."""
        return self._feeder.measure(step)

    def act(self, decision: Decision, *, step: int) -> Outcome:
        """Take the decision in, apply what is due, solve and integrate the step."""
        link = self._queue.put(decision, step=step)
        in_force = self._queue.due(step)
        arrived = self._injected.setpoints(in_force.setpoints, step)
        applied = self._injected.applied(self._feeder.apply(arrived), step)
        result = self._feeder.commit()
        events = (*result.events, *([link] if link else []), *self._injected.events(step))
        return Outcome(in_force, applied, replace(result, events=events))


def start_controller(controller: Controller, site: Site, owner: str) -> None:
    """Give a controller the facts of the site.

    Raises:
        ControllerError: it raised; names the type and the message.
    """
    try:
        controller.start(site)
    except CosimError:
        raise
    except (Exception, SystemExit) as error:
        raise ControllerError(f"{owner} failed to start: {type(error).__name__}: {error}") from error


def answer_of(controller: Controller, measurement: Measurement, owner: str) -> object:
    """What a controller answers.

    Raises:
        ControllerError: it raised; names the step, the type and the message.
    """
    try:
        return controller.step(measurement)
    except CosimError:
        raise
    except (Exception, SystemExit) as error:
        # A controller that leaves must not pass for a run that has ended.
        raise ControllerError(
            f"{owner} failed at step {measurement.step}: {type(error).__name__}: {error}"
        ) from error


def run_loop(
    plant: PlantRole,
    controller: Controller,
    keep: Callable[[StepRecord], None],
    *,
    owner: str = "controller",
    first_step: int = 0,
    patience: Patience | None = None,
) -> None:
    """Run all steps in one process.

    Args:
        plant, controller: the two roles.
        keep: receives each finished step, in order.
        owner: name of the federate that the controller stands for.
        first_step: to begin with. After step 0 the plant has gone through the steps before it, and the
            controller has been started and has its state.
        patience: how long decisions may take; by default by the rule.
    """
    patience = patience or Patience(None)
    if not first_step:
        with patience.waiting(owner, None):
            start_controller(controller, plant.site, owner)
    for step in range(first_step, plant.site.grid.steps):
        measurement = plant.measure(step)
        with patience.waiting(owner, step):
            decided = answer_of(controller, sealed(measurement), owner)
        decision = checked(decided, plant.site, measurement, owner=owner)
        keep(StepRecord(measurement, decision, plant.act(decision, step=step)))
