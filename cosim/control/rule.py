"""A controller that is a rule: the same measurement gives the same set-points, whatever came before."""

from __future__ import annotations

from abc import ABC, abstractmethod

from cosim.control.allowed import within_ratings
from cosim.errors import ContractError
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, Setpoints


class RuleController(ABC):
    """Turns a rule into a controller, and keeps its set-points within ratings and stored energy."""

    def __init__(self) -> None:
        self._site: Site | None = None

    def start(self, site: Site) -> None:
        """Receive the facts of the site."""
        self._site = site

    @abstractmethod
    def setpoints(self, site: Site, measurement: Measurement) -> Setpoints:
        """What the rule asks for."""

    def state(self) -> object:
        """See :class:`cosim.model.roles.Resumable`: a rule has none."""
        return None

    def restore(self, state: object) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        del state

    def step(self, measurement: Measurement) -> Decision:
        """Apply the rule to a measurement.

        Raises:
            ContractError: there was no ``start`` before.
        """
        if self._site is None:
            raise ContractError("the controller was asked for a decision before start(site)")
        asked = self.setpoints(self._site, measurement)
        allowed = within_ratings(self._site, measurement, asked)
        return Decision(measurement.step, measurement.time_s, allowed)
