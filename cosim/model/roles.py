"""The roles in a closed loop: plant, forecaster, planner, controller."""

from __future__ import annotations

from typing import Protocol

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
