"""When a decision acts, and what happens when none arrives."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from cosim.errors import ContractError
from cosim.model.site import Site
from cosim.model.state import Decision, Setpoints
from cosim.model.timegrid import TimeGrid


@dataclass(frozen=True)
class Feedback:
    """The declared delay between a measurement and the action of its decision.

    Attributes:
        delay_s: 0 acts in the step that was measured, one step length in the next one; anything
            else acts in the first step that starts at or after the delay.
        setpoint_ttl_s: set-points older than this are dropped for the safe state; None never drops.
    """

    delay_s: int
    setpoint_ttl_s: int | None

    def steps(self, grid: TimeGrid) -> int:
        """How many steps after its measurement a decision acts."""
        return -(-self.delay_s // grid.step_s)


@dataclass(frozen=True)
class InForce:
    """The set-points of a step.

    Attributes:
        setpoints: to be applied.
        issued_at_s: time of the measurement behind them, None for the safe state.
        why_safe: why the safe state is in force, empty otherwise.
    """

    setpoints: Setpoints
    issued_at_s: float | None
    why_safe: str


class SetpointQueue:
    """Holds decisions until they act. The same object serves every driver.

    Args:
        feedback: the declared delay and time to live.
        site: time grid and safe state.
    """

    def __init__(self, feedback: Feedback, site: Site) -> None:
        self._feedback, self._site = feedback, site
        self._delay_steps = feedback.steps(site.grid)
        self._waiting: deque[Decision] = deque()
        self._acting: Decision | None = None

    def put(self, decision: Decision, *, step: int) -> None:
        """Accept the decision made from the measurement of ``step``.

        Raises:
            ContractError: it answers another step, or is malformed.
        """
        if decision.step != step:
            raise ContractError(
                f"set-points for step {decision.step} arrived while the feeder waits for step {step}; "
                f"check that feeder and controller both use steps of {self._site.grid.step_s} s"
            )
        decision.setpoints.check(self._site, sender="the controller", step=step)
        self._waiting.append(decision)

    def due(self, step: int) -> InForce:
        """The set-points that act in ``step``."""
        while self._waiting and self._waiting[0].step + self._delay_steps <= step:
            self._acting = self._waiting.popleft()
        now_s = float(self._site.grid.second(step))
        if self._acting is None:
            return InForce(
                Setpoints.idle(self._site), None, f"no decision is due before {self._feedback.delay_s} s"
            )
        age_s = now_s - self._acting.issued_at_s
        ttl = self._feedback.setpoint_ttl_s
        if ttl is not None and age_s > ttl:
            return InForce(
                Setpoints.idle(self._site), None, f"set-points are {age_s:.0f} s old, limit {ttl} s"
            )
        return InForce(self._acting.setpoints, self._acting.issued_at_s, "")
