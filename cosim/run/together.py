"""Several controllers of one feeder: their decisions joined, and held until they act.

Each controller decides by itself, on its own devices. Their set-points are joined to one vector. When they
act, and when they are too old, is decided for each controller alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from cosim.errors import ContractError
from cosim.model.part import Part
from cosim.model.roles import Controller, Resumable, is_resumable
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, Setpoints, Source
from cosim.run.contract import checked
from cosim.run.feedback import Feedback, InForce, SetpointQueue
from cosim.run.loop import answer_of, start_controller

WORST_FIRST = (Source.FALLBACK, Source.EARLIER_PLAN, Source.PLAN)


def owner_of(names: Sequence[str]) -> str:
    """What stands in the record for the owner of a joint decision."""
    return ", ".join(names)


def own_decision(answer: object, part: Part, measurement: Measurement) -> Decision:
    """What a controller answered, checked, with the set-points of its own devices alone.

    Raises:
        ContractError: it is no decision, or holds what cannot be sent.
    """
    decision = checked(answer, part.whole, measurement, owner=part.controller)
    return replace(decision, setpoints=part.narrowed(decision.setpoints))


def joint_decision(parts: Sequence[Part], decisions: Sequence[Decision]) -> Decision:
    """One decision of several controllers; devices that nobody has are in the safe state.

    Its source is the worst of theirs, its time the earliest. Each reason names its controller.

    Raises:
        ContractError: they are of different steps, or malformed.
    """
    steps = {decision.step for decision in decisions}
    if len(steps) != 1:
        told = ", ".join(f"{one.owner} step {one.step}" for one in decisions)
        raise ContractError(f"controllers answered different steps ({told}); all must answer each step")
    site = parts[0].whole
    setpoints = Setpoints.idle(site)
    for part, decision in zip(parts, decisions, strict=True):
        part.check(decision.setpoints, step=decision.step)
        setpoints = part.widened(decision.setpoints, setpoints)
    sources = {decision.source for decision in decisions}
    return Decision(
        step=steps.pop(),
        issued_at_s=min(decision.issued_at_s for decision in decisions),
        setpoints=setpoints,
        source=next(source for source in WORST_FIRST if source in sources),
        reason="; ".join(f"{one.owner}: {one.reason}" for one in decisions if one.reason),
        belief=next((one.belief for one in decisions if one.belief is not None), None),
        owner=owner_of([part.controller for part in parts]),
        parts=tuple(decisions),
    )


class ControllersTogether:
    """Several controllers in one process, as one controller of all their devices.

    Args:
        parts: the devices of each controller.
        controllers: see the whole feeder and answer for it, in the same order.
    """

    def __init__(self, parts: Sequence[Part], controllers: Sequence[Controller]) -> None:
        self._parts, self._controllers = tuple(parts), tuple(controllers)

    def start(self, site: Site) -> None:
        """Give each of them the facts of the site."""
        for part, controller in zip(self._parts, self._controllers, strict=True):
            start_controller(controller, site, part.controller)

    def step(self, measurement: Measurement) -> Decision:
        """Let each of them decide, one after the other, on the same measurement."""
        decisions = [
            own_decision(answer_of(controller, measurement, part.controller), part, measurement)
            for part, controller in zip(self._parts, self._controllers, strict=True)
        ]
        return joint_decision(self._parts, decisions)

    @property
    def resumable(self) -> bool:
        """Whether all of them can be carried on."""
        return all(is_resumable(controller) for controller in self._controllers)

    def state(self) -> list[Any]:
        """See :class:`cosim.model.roles.Resumable`."""
        return [cast("Resumable", controller).state() for controller in self._controllers]

    def restore(self, state: list[Any]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        for controller, own in zip(self._controllers, state, strict=True):
            cast("Resumable", controller).restore(own)


class PartQueues:
    """Holds the decisions of each of several controllers until they act.

    Args:
        feedback: of each controller, in the order of the parts: delay, time to live and link.
        parts: the devices of each controller.
    """

    def __init__(self, feedback: Sequence[Feedback], parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self._queues = [
            SetpointQueue(own, part.site()) for own, part in zip(feedback, self.parts, strict=True)
        ]

    def put(self, decision: Decision, *, step: int) -> str:
        """Accept a joint decision; what the links did to it in words, each with its controller.

        Raises:
            ContractError: it is not of these controllers, answers another step, or is malformed.
        """
        if len(decision.parts) != len(self.parts):
            raise ContractError(
                f"the decision of step {step} is of {len(decision.parts)} controllers, the feeder has "
                f"{len(self.parts)}: {owner_of([part.controller for part in self.parts])}"
            )
        said = [queue.put(own, step=step) for queue, own in zip(self._queues, decision.parts, strict=True)]
        named = zip(self.parts, said, strict=True)
        return "; ".join(f"{sentence} ({part.controller})" for part, sentence in named if sentence)

    def due(self, step: int) -> InForce:
        """The set-points of all controllers that act in a step; the safe state where one has none."""
        setpoints, found = Setpoints.idle(self.parts[0].whole), []
        for part, queue in zip(self.parts, self._queues, strict=True):
            own = queue.due(step)
            found.append(own.standing)
            setpoints = part.widened(own.setpoints, setpoints)
        since = [one.issued_at_s for one in found if one.issued_at_s is not None]
        why = [
            f"{part.controller}: {one.why_safe}"
            for part, one in zip(self.parts, found, strict=True)
            if one.why_safe
        ]
        return InForce(setpoints, min(since, default=None), "; ".join(why), tuple(found))
