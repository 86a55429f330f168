"""The links between plant and controller: messages are delayed, lost, or cut off for a while.

One message goes each way at every step. What happens to it depends on the seed, the direction and the step
alone, so that both drivers, and a run that is carried on, meet the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Generic, TypeVar, cast

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from cosim.devices.kind import Config
from cosim.model.roles import Controller, Resumable, is_resumable
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, Setpoints, Source
from cosim.model.timegrid import TimeGrid

MEASUREMENTS, SETPOINTS = 0, 1
"""Directions: part of the seed of every message."""
T = TypeVar("T")


class LinkConfig(Config):
    """What happens to messages of one direction."""

    delay_s: NonNegativeFloat = Field(0.0, description="of every message")
    jitter_s: NonNegativeFloat = Field(0.0, description="further delay, even between 0 and this")
    loss: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="probability that a message is lost")
    outages: tuple[tuple[NonNegativeFloat, PositiveFloat], ...] = Field(
        (), description="pairs of seconds of the run, from and to, in which every message is lost"
    )

    @model_validator(mode="after")
    def _in_order(self) -> LinkConfig:
        for start, end in self.outages:
            if end <= start:
                raise ValueError(f"outages: {end:g} s is not after {start:g} s")
        return self

    @property
    def perfect(self) -> bool:
        """Whether every message arrives at once."""
        return not (self.delay_s or self.jitter_s or self.loss or self.outages)


class SetpointLinkConfig(LinkConfig):
    """The same for set-points."""

    resolution_kw: NonNegativeFloat = Field(0.0, description="kW and kvar are rounded to multiples of this")


class CommunicationConfig(Config):
    """Links between plant and controller; perfect by default."""

    measurements: LinkConfig = LinkConfig()
    setpoints: SetpointLinkConfig = SetpointLinkConfig()
    seed: NonNegativeInt = 0


class Link(Generic[T]):
    """Messages of one direction.

    Args:
        config: what happens to them.
        seed: of the scenario's communication.
        direction: :data:`MEASUREMENTS` or :data:`SETPOINTS`.
        grid: the steps of the run.
    """

    def __init__(self, config: LinkConfig, seed: int, direction: int, grid: TimeGrid) -> None:
        self._config, self._seed, self._direction, self._grid = config, seed, direction, grid

    def arrival(self, step: int) -> int | None:
        """First step at whose start a message of a step is there; None if it is lost."""
        sent_s = float(self._grid.second(step))
        random = np.random.default_rng([self._seed, self._direction, step])
        lost, late = random.random(2)
        cut_off = any(start <= sent_s < end for start, end in self._config.outages)
        if cut_off or lost < self._config.loss:
            return None
        delay_s = self._config.delay_s + late * self._config.jitter_s
        return step + int(-(-delay_s // self._grid.step_s))


class RemoteController:
    """A controller that gets its measurements over a link: it decides on the last one that has arrived.

    Args:
        inner: the controller.
        config: of the link.
        seed: of the scenario's communication.
    """

    def __init__(self, inner: Controller, config: LinkConfig, seed: int) -> None:
        self._inner, self._config, self._seed = inner, config, seed
        self._under_way: dict[int, tuple[int, Measurement]] = {}
        self._last: Measurement | None = None

    def start(self, site: Site) -> None:
        """Pass the facts of the site on: they were agreed beforehand."""
        self._link: Link[Measurement] = Link(self._config, self._seed, MEASUREMENTS, site.grid)
        self._site = site
        self._inner.start(site)

    def step(self, measurement: Measurement) -> Decision:
        """Let the controller decide on what it last heard; without any word devices rest."""
        now = measurement.step
        arrival = self._link.arrival(now)
        if arrival is not None:
            self._under_way[now] = (arrival, measurement)
        there = [step for step, (arrives, _) in self._under_way.items() if arrives <= now]
        for step in sorted(there):
            _, heard = self._under_way.pop(step)
            if self._last is None or heard.step > self._last.step:
                self._last = heard
        if self._last is None:
            reason = "no measurement has arrived yet; devices rest"
            rest = Setpoints.idle(self._site)
            return Decision(now, measurement.time_s, rest, Source.FALLBACK, reason, None)
        heard = self._last
        decision = self._inner.step(replace(heard, step=now, time_s=measurement.time_s))
        if heard.step == now:
            return decision
        stale = f"decided on the measurement of second {heard.time_s:.0f}"
        reason = f"{decision.reason}; {stale}" if decision.reason else stale
        return replace(decision, issued_at_s=min(decision.issued_at_s, heard.time_s), reason=reason)

    @property
    def resumable(self) -> bool:
        """Whether the controller at the end of the link can be carried on."""
        return is_resumable(self._inner)

    def state(self) -> tuple[Any, dict[int, tuple[int, Measurement]], Measurement | None]:
        """See :class:`cosim.model.roles.Resumable`."""
        return cast("Resumable", self._inner).state(), dict(self._under_way), self._last

    def restore(self, state: tuple[Any, dict[int, tuple[int, Measurement]], Measurement | None]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        cast("Resumable", self._inner).restore(state[0])
        self._under_way, self._last = state[1], state[2]


def behind_link(controller: Controller, config: CommunicationConfig) -> Controller:
    """The controller at the end of a link, or itself where the link is perfect."""
    if config.measurements.perfect:
        return controller
    return RemoteController(controller, config.measurements, config.seed)


def rounded(setpoints: Setpoints, resolution_kw: float) -> Setpoints:
    """Set-points as a link with a coarse resolution carries them."""
    if not resolution_kw:
        return setpoints
    p_kw, q_kvar = (
        np.round(values / resolution_kw) * resolution_kw for values in (setpoints.p_kw, setpoints.q_kvar)
    )
    return replace(setpoints, p_kw=p_kw, q_kvar=q_kvar)
