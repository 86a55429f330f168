"""States of areas that run in processes of their own, so that a run can be carried on.

::

    DIR/areas/NAME/checkpoint/step-0000012.state

Areas write a state after every step, because the controller and all areas must go on after the same one.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from cosim.model.roles import Forecaster, Resumable, is_resumable
from cosim.opf.distributed.messages import AreaAgent
from cosim.run.checkpoint import Checkpoints

FOLDER, KEPT = "areas", 96
"""The controller leaves states out where writing takes too long, so areas keep more of them."""


class AreaStates:
    """The states of one area.

    Args:
        folder: of the run.
        name: of the federate.
        forecaster, agent: whose states they are.
    """

    def __init__(self, folder: Path, name: str, forecaster: Forecaster, agent: AreaAgent) -> None:
        self._parts = (forecaster, agent)
        self._checkpoints = area_checkpoints(folder, name)

    def keep(self, step: int) -> None:
        """Write the state after a step, if all parts have one."""
        if all(is_resumable(part) for part in self._parts):
            self._checkpoints.keep(step, [cast("Resumable", part).state() for part in self._parts])

    def take_over(self, step: int) -> None:
        """Give forecaster and agent the state after a step.

        Raises:
            RecordError: there is none, or it is damaged.
        """
        for part, state in zip(self._parts, self._checkpoints.read(step), strict=True):
            cast("Resumable", part).restore(state)


def area_checkpoints(folder: Path, name: str) -> Checkpoints:
    """Where the states of an area are."""
    place = folder / FOLDER / name
    place.mkdir(parents=True, exist_ok=True)
    return Checkpoints(place, kept=KEPT)
