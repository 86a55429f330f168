"""The roles in a closed loop: plant, forecaster, planner, controller; and carrying them on later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Applied, Decision, Measurement, NoPlan, Plan, Setpoints, StepResult
from cosim.model.timegrid import Horizon


class Plant(Protocol):
    """The feeder in operation: ``measure``, ``apply``, ``commit``, once each per step."""

    @property
    def site(self) -> Site:
        """The facts of the plant."""
        ...

    def measure(self, step: int) -> Measurement:
        """State at the start of a step, before its decision."""
        ...

    def apply(self, setpoints: Setpoints) -> Applied:
        """Write set-points; what was accepted, and why it differs."""
        ...

    def commit(self) -> StepResult:
        """Solve the step and move on."""
        ...


class Forecaster(Protocol):
    """Says what the coming periods will bring, from what was measured so far."""

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        """Forecast the periods of a horizon that starts at the measurement's time."""
        ...


class Planner(Protocol):
    """Finds a plan. All formulations are planners."""

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Plan the forecast's horizon from the measured state."""
        ...


class Controller(Protocol):
    """Decides set-points. Two methods, no base class: this is what users write."""

    def start(self, site: Site) -> None:
        """Receive the facts of the site, once, before step 0."""
        ...

    def step(self, measurement: Measurement) -> Decision:
        """Decide on one measurement."""
        ...


@runtime_checkable
class BeginsAtPlan(Protocol):
    """A planner that searches, and whose next search can begin at a plan that it did not make."""

    def begin_at(self, plan: Plan, forecast: Forecast) -> None:
        """Begin the next search at ``plan``, which was made for ``forecast``."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """A controller, planner or forecaster whose run can be carried on in another process.

    ``restore(state())`` on a fresh object, after ``start``, must lead to the same decisions to the last
    bit. A state consists of plain values, arrays, lists, tuples, dictionaries and the dataclasses of this
    project; it is written to disk after every step. Whoever has no such methods is resumed by repeating
    all its steps.
    """

    def state(self) -> Any:
        """All that later decisions depend on; None where that is nothing."""
        ...

    def restore(self, state: Any) -> None:
        """Take over what :meth:`state` gave."""
        ...


def is_resumable(role: object) -> bool:
    """Whether a role can be carried on; one made of others says so itself, by ``resumable``."""
    return isinstance(role, Resumable) and bool(getattr(role, "resumable", True))


class ResumesAsInner:
    """Base of a role that wraps another one and has no state besides: it is carried on as that one is.

    Attributes:
        _inner: the role that is wrapped; the subclass sets it.
    """

    _inner: Any

    @property
    def resumable(self) -> bool:
        """Whether the inner role can be carried on."""
        return is_resumable(self._inner)

    def state(self) -> Any:
        """See :class:`cosim.model.roles.Resumable`."""
        return self._inner.state()

    def restore(self, state: Any) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._inner.restore(state)


class ResumesAsParts:
    """Base of a role that is made of others and has no state besides: it is carried on as all of them are.

    Attributes:
        _parts: the roles that it is made of, always in the same order; the subclass sets it.
    """

    _parts: Sequence[Any]

    @property
    def resumable(self) -> bool:
        """Whether all parts can be carried on."""
        return all(is_resumable(part) for part in self._parts)

    def state(self) -> list[Any]:
        """States of the parts, in order; see :class:`cosim.model.roles.Resumable`."""
        return [part.state() for part in self._parts]

    def restore(self, state: list[Any]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        for part, known in zip(self._parts, state, strict=True):
            part.restore(known)
