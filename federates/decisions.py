"""The decisions of all controllers of a federation, for the feeder and the recorder."""

from __future__ import annotations

from collections.abc import Sequence

from cosim.model.part import Part
from cosim.model.state import Decision
from cosim.run.together import joint_decision
from federates.codec import Quantity, Sizes, decision_quantities, decode_decision
from federates.session import Session


class DecisionsOverHelics:
    """One decision per step: that of the controller, or those of several controllers joined.

    Args:
        session: of the feeder or the recorder.
        controllers: names of their federates.
        beside: what is heard of each of them beside set-points.
    """

    def __init__(self, session: Session, controllers: Sequence[str], beside: Sequence[Quantity]) -> None:
        self._session, self._controllers = session, tuple(controllers)
        self._parts: tuple[Part, ...] = ()
        for controller in self._controllers:
            session.subscribes(controller, [*decision_quantities(Sizes()), *beside])

    def expects(self, parts: Sequence[Part], sizes: Sizes) -> None:
        """Set the lengths of the vectors, once the site is known.

        Args:
            parts: the devices of each of several controllers; empty for one.
            sizes: of the site.
        """
        self._parts = tuple(parts)
        of_each = [Sizes.of_part(part) for part in parts] or [sizes]
        for controller, own in zip(self._controllers, of_each, strict=True):
            self._session.expects(controller, decision_quantities(own))

    def of_step(self, step: int) -> Decision:
        """The decision of a step.

        Raises:
            ContractError: one is missing, cannot be read, or is of another step.
        """
        found = [
            decode_decision(self._session.receive(controller, of_step=step))
            for controller in self._controllers
        ]
        return joint_decision(self._parts, found) if self._parts else found[0]
