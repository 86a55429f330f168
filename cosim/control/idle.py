"""No control: batteries rest, PV runs free. The baseline every controller must beat."""

from __future__ import annotations

from cosim.errors import ContractError
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, Setpoints, Source
from cosim.plugins import commands_nothing, needs


@needs()
@commands_nothing
class IdleController:
    """Leaves every device alone."""

    def __init__(self) -> None:
        self._site: Site | None = None

    def start(self, site: Site) -> None:
        """Receive the facts of the site."""
        self._site = site

    def state(self) -> None:
        """See :class:`cosim.model.roles.Resumable`: it has none."""

    def restore(self, state: None) -> None:
        """See :class:`cosim.model.roles.Resumable`."""

    def step(self, measurement: Measurement) -> Decision:
        """Decide to do nothing."""
        if self._site is None:
            raise ContractError("the controller was asked for a decision before start(site)")
        return Decision(
            measurement.step,
            measurement.time_s,
            Setpoints.idle(self._site),
            Source.PLAN,
            "",
            None,
        )
