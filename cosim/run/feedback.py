"""When a decision acts, and what happens when none arrives."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from cosim.errors import ContractError
from cosim.model.part import Part
from cosim.model.site import Site
from cosim.model.state import Decision, Setpoints
from cosim.model.timegrid import TimeGrid
from cosim.run.links import SETPOINTS, CommunicationConfig, Link, rounded


@dataclass(frozen=True)
class Feedback:
    """The declared delay between a measurement and the action of its decision.

    Attributes:
        delay_s: 0 acts in the step that was measured, one step length in the next one; anything
            else acts in the first step that starts at or after the delay.
        setpoint_ttl_s: set-points older than this are dropped for the safe state; None never drops.
        communication: what the link does to set-points.
    """

    delay_s: int
    setpoint_ttl_s: int | None
    communication: CommunicationConfig = field(default_factory=CommunicationConfig)

    def steps(self, grid: TimeGrid) -> int:
        """How many steps after its measurement a decision acts."""
        return -(-self.delay_s // grid.step_s)


@dataclass(frozen=True)
class Standing:
    """Since when the set-points of one of several controllers are in force, or why they are not.

    Attributes:
        issued_at_s: time of the measurement behind them, None for the safe state.
        why_safe: why the safe state is in force, empty otherwise.
    """

    issued_at_s: float | None
    why_safe: str


@dataclass(frozen=True)
class InForce:
    """The set-points of a step.

    Attributes:
        setpoints: to be applied.
        issued_at_s: time of the measurement behind them, the earliest of several; None for the safe state.
        why_safe: why the safe state is in force, empty otherwise.
        parts: the same of each of several controllers; empty for one.
    """

    setpoints: Setpoints
    issued_at_s: float | None
    why_safe: str
    parts: tuple[Standing, ...] = ()

    @property
    def standing(self) -> Standing:
        """Since when, and why not."""
        return Standing(self.issued_at_s, self.why_safe)


class DecisionQueue(Protocol):
    """Holds decisions of one controller, or of several, until they act.

    Attributes:
        parts: the devices of each of several controllers; empty for one.
    """

    parts: tuple[Part, ...]

    def put(self, decision: Decision, *, step: int) -> str:
        """Accept a decision; what the link did to it in words."""
        ...

    def due(self, step: int) -> InForce:
        """The set-points that act in a step."""
        ...


class SetpointQueue:
    """Holds decisions until they act. The same object serves every driver.

    Args:
        feedback: the declared delay, time to live, and the link.
        site: time grid and safe state.
    """

    def __init__(self, feedback: Feedback, site: Site) -> None:
        self.parts: tuple[Part, ...] = ()
        self._feedback, self._site = feedback, site
        self._delay_steps = feedback.steps(site.grid)
        link = feedback.communication
        self._link: Link[Decision] = Link(link.setpoints, link.seed, SETPOINTS, site.grid)
        self._waiting: list[tuple[int, Decision]] = []
        self._acting: Decision | None = None

    def put(self, decision: Decision, *, step: int) -> str:
        """Accept the decision made from the measurement of ``step``.

        Returns:
            What the link did to it, in words; empty if it arrived at once.

        Raises:
            ContractError: it answers another step, or is malformed.
        """
        if decision.step != step:
            raise ContractError(
                f"set-points for step {decision.step} arrived while the feeder waits for step {step}; "
                f"check that feeder and controller both use steps of {self._site.grid.step_s} s"
            )
        decision.setpoints.check(self._site, sender="the controller", step=step)
        arrival = self._link.arrival(step)
        if arrival is None:
            return f"communication: the set-points of step {step} were lost"
        resolution_kw = self._feedback.communication.setpoints.resolution_kw
        sent = replace(decision, setpoints=rounded(decision.setpoints, resolution_kw))
        self._waiting.append((max(arrival, step + self._delay_steps), sent))
        return (
            ""
            if arrival == step
            else f"communication: the set-points of step {step} arrive in step {arrival}"
        )

    def due(self, step: int) -> InForce:
        """The set-points that act in ``step``: of those that have arrived, the last that were sent."""
        there = [decision for acts_at, decision in self._waiting if acts_at <= step]
        self._waiting = [item for item in self._waiting if item[0] > step]
        for decision in there:
            if self._acting is None or decision.step > self._acting.step:
                self._acting = decision
        now_s = float(self._site.grid.second(step))
        if self._acting is None:
            return InForce(Setpoints.idle(self._site), None, self._why_none())
        age_s = now_s - self._acting.issued_at_s
        ttl = self._feedback.setpoint_ttl_s
        if ttl is not None and age_s > ttl:
            return InForce(
                Setpoints.idle(self._site), None, f"set-points are {age_s:.0f} s old, limit {ttl} s"
            )
        return InForce(self._acting.setpoints, self._acting.issued_at_s, "")

    def _why_none(self) -> str:
        if self._feedback.communication.setpoints.perfect:
            return f"no decision is due before {self._feedback.delay_s} s"
        return "no decision has arrived yet"
