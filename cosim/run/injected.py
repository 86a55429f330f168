"""Faults that a scenario asks for: to see what a controller, and the feeder, make of them.

Whether a fault strikes in a step depends on the seed, the place of the fault in the list and the step
alone, so that both drivers, and a run that is carried on, meet the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Union, cast

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from cosim.devices.kind import Config
from cosim.errors import ScenarioError
from cosim.model.forecast import Forecast
from cosim.model.roles import Controller, Planner, Resumable, ResumesAsInner, is_resumable
from cosim.model.site import Site
from cosim.model.state import Applied, Decision, Measurement, NoPlan, Plan, Setpoints
from cosim.run.lean import Lean

OUT_OF_SERVICE = "out of service: an injected fault"
Quantity = Literal["voltage_pu", "demand_kw", "demand_kvar", "stored_kwh", "available_kw", "tap"]


class FaultConfig(Lean):
    """A fault: when it strikes."""

    from_step: NonNegativeInt = Field(description="first step of the window")
    steps: PositiveInt = Field(1, description="length of the window")
    probability: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="in each step of the window")


class OfController(FaultConfig):
    """A fault of a controller, or of all of them."""

    later: ClassVar[frozenset[str]] = frozenset({"controller"})

    controller: str | None = Field(None, description="which of several controllers; default all of them")

    def strikes(self, controller: str | None) -> bool:
        """Whether it is one of a controller's faults."""
        return self.controller in {None, controller}


class DeviceOutage(FaultConfig):
    """A device delivers nothing, whatever it is asked for."""

    kind: Literal["device_outage"]
    device: str


class NoPlanFault(OfController):
    """The planner finds no plan, or raises an exception."""

    kind: Literal["no_plan"]
    error: bool = Field(False, description="raise an exception instead")


class MeasurementNan(OfController):
    """A measured quantity is no number, at all places or at some."""

    kind: Literal["measurement_nan"]
    quantity: Quantity
    share: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="of the places")


class MeasurementFrozen(OfController):
    """The controller sees the measurement before the window again and again."""

    kind: Literal["measurement_frozen"]


class ControllerError(OfController):
    """The controller raises an exception."""

    kind: Literal["controller_error"]


class ControllerSlow(OfController):
    """The controller takes longer."""

    kind: Literal["controller_slow"]
    seconds: NonNegativeFloat


class AreaOutage(FaultConfig):
    """The controller of an area is out of service: it plans nothing, and says and hears nothing."""

    kind: Literal["area_outage"]
    area: str = Field(description="name of the area, such as area3")


class AreaLate(FaultConfig):
    """An area plans, but its messages and its plan come after the decision."""

    kind: Literal["area_late"]
    area: str = Field(description="name of the area, such as area3")


class SetpointsScaled(FaultConfig):
    """Set-points arrive multiplied by a factor."""

    kind: Literal["setpoints_scaled"]
    factor: float


Fault = Annotated[
    Union[  # noqa: UP007
        DeviceOutage, NoPlanFault, MeasurementNan, MeasurementFrozen, ControllerError, ControllerSlow,
        SetpointsScaled, AreaOutage, AreaLate,
    ],
    Field(discriminator="kind"),
]  # fmt: skip


class FaultsConfig(Config):
    """Faults that are injected on purpose; none by default."""

    inject: tuple[Fault, ...] = Field((), description="each with its kind and window of steps")
    seed: NonNegativeInt = Field(0, description="of faults with a probability")


class InjectedError(RuntimeError):
    """Raised where a scenario asks for an exception."""


class Schedule:
    """When the faults of a scenario strike.

    Args:
        faults: of the scenario.
        seed: of those with a probability.

    Attributes:
        faults: all of them.
    """

    def __init__(self, faults: Sequence[FaultConfig], seed: int) -> None:
        self.faults, self._seed = tuple(faults), seed

    def striking(self, step: int, *kinds: type[FaultConfig]) -> Iterator[Any]:
        """Faults of some kinds that strike in a step."""
        for number, fault in enumerate(self.faults):
            if not isinstance(fault, kinds):
                continue
            if not fault.from_step <= step < fault.from_step + fault.steps:
                continue
            random = np.random.default_rng([self._seed, number, step])
            if random.random() < fault.probability:
                yield fault

    def any(self, *kinds: type[FaultConfig]) -> bool:
        """Whether there are faults of some kinds at all."""
        return any(isinstance(fault, kinds) for fault in self.faults)


# --- at the feeder --------------------------------------------------------------------------------


class InjectedAtFeeder:
    """What faults do to set-points on their way into the feeder.

    Args:
        schedule: of the faults.
        site: whose devices they name.

    Raises:
        ScenarioError: a fault names a device that is not there.
    """

    def __init__(self, schedule: Schedule, site: Site) -> None:
        self._schedule = schedule
        self._place = {device.name: i for i, device in enumerate(site.devices)}
        known = ", ".join(list(self._place)[:5]) or "none at all"
        problems = [
            f"faults: no device is called {fault.device!r}; there are {known}"
            for fault in schedule.faults
            if isinstance(fault, DeviceOutage) and fault.device.lower() not in self._place
        ]
        if problems:
            raise ScenarioError("the scenario", problems)

    def setpoints(self, setpoints: Setpoints, step: int) -> Setpoints:
        """What arrives."""
        p_kw, q_kvar = setpoints.p_kw.copy(), setpoints.q_kvar.copy()
        for fault in self._schedule.striking(step, SetpointsScaled):
            p_kw, q_kvar = p_kw * fault.factor, q_kvar * fault.factor
        for place in self._out_of_service(step):
            p_kw[place] = q_kvar[place] = 0.0
        return replace(setpoints, p_kw=p_kw, q_kvar=q_kvar)

    def applied(self, applied: Applied, step: int) -> Applied:
        """The acknowledgement, with the reason at devices that are out of service."""
        reasons = list(applied.reason)
        for place in self._out_of_service(step):
            reasons[place] = OUT_OF_SERVICE
        return replace(applied, reason=tuple(reasons))

    def events(self, step: int) -> tuple[str, ...]:
        """What struck at the feeder."""
        outages = self._schedule.striking(step, DeviceOutage)
        scaled = self._schedule.striking(step, SetpointsScaled)
        return (
            *(f"injected: {fault.device} is out of service" for fault in outages),
            *(f"injected: set-points times {fault.factor:g}" for fault in scaled),
        )

    def _out_of_service(self, step: int) -> list[int]:
        return [self._place[fault.device.lower()] for fault in self._schedule.striking(step, DeviceOutage)]


# --- at the controller ----------------------------------------------------------------------------

AT_AREAS = (AreaOutage, AreaLate)
AT_CONTROLLER = (MeasurementNan, MeasurementFrozen, ControllerError, ControllerSlow)


class InjectedController:
    """A controller whose measurements and answers are disturbed.

    Args:
        inner: the controller.
        schedule: of the faults.
        seed: chooses places.
    """

    def __init__(self, inner: Controller, schedule: Schedule, seed: int) -> None:
        self._inner, self._schedule, self._seed = inner, schedule, seed
        self._before: Measurement | None = None

    def start(self, site: Site) -> None:
        """Pass the facts of the site on."""
        self._inner.start(site)

    def step(self, measurement: Measurement) -> Decision:
        """Disturb, and let the controller decide.

        Raises:
            InjectedError: where the scenario asks for it.
        """
        step, seen = measurement.step, measurement
        frozen = next(self._schedule.striking(step, MeasurementFrozen), None)
        if frozen is None:
            self._before = measurement
        elif self._before is not None:
            seen = replace(self._before, step=step, time_s=measurement.time_s)
        for fault in self._schedule.striking(step, MeasurementNan):
            seen = replace(
                seen, **{fault.quantity: self._blank(getattr(seen, fault.quantity), fault, step)}
            )
        for fault in self._schedule.striking(step, ControllerSlow):
            time.sleep(fault.seconds)
        if next(self._schedule.striking(step, ControllerError), None) is not None:
            raise InjectedError("an exception that the scenario asks for")
        return self._inner.step(seen)

    def _blank(self, values: Any, fault: MeasurementNan, step: int) -> Any:
        random = np.random.default_rng([self._seed, step, len(values)])
        blank = random.random(len(values)) < fault.share
        return np.where(blank, np.nan, values)

    @property
    def resumable(self) -> bool:
        """Whether the controller can be carried on."""
        return is_resumable(self._inner)

    def state(self) -> tuple[Any, Measurement | None]:
        """See :class:`cosim.model.roles.Resumable`."""
        return cast("Resumable", self._inner).state(), self._before

    def restore(self, state: tuple[Any, Measurement | None]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        cast("Resumable", self._inner).restore(state[0])
        self._before = state[1]


class InjectedPlanner(ResumesAsInner):
    """A planner that finds no plan in some steps.

    Args:
        inner: the planner.
        schedule: of the faults.
    """

    _inner: Planner

    def __init__(self, inner: Planner, schedule: Schedule) -> None:
        self._inner, self._schedule = inner, schedule

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Plan, or not.

        Raises:
            InjectedError: where the scenario asks for it.
        """
        fault = next(self._schedule.striking(measurement.step, NoPlanFault), None)
        if fault is None:
            return self._inner.plan(measurement, forecast)
        if fault.error:
            raise InjectedError("an exception that the scenario asks for")
        return NoPlan("injected", "the scenario asks for no plan")
