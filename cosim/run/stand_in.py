"""What publishes a forecast where the run is in one process: a function instead of a federate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import cast

from cosim import plugins
from cosim.errors import ControllerError, CosimError
from cosim.model.published import Published, Publisher, published_of
from cosim.run.study import Study

Values = Callable[[int], Mapping[str, Sequence[float]]]
"""From a step to what is published for its decision, by quantity."""


class StandIn:
    """The function that a scenario names beside its federate; it is imported when it is first asked.

    Args:
        study: of the run.
        name: of the federate.
        function: ``module:function``.
    """

    def __init__(self, study: Study, name: str, function: str) -> None:
        self.name = name
        self._study, self._function = study, function

    @cached_property
    def _values(self) -> Values:
        """The function.

        Raises:
            UnknownPlugin: it cannot be imported.
        """
        study = self._study
        found = plugins.load(
            "cosim.forecasters", self._function, study.plugin_folder, trusted=study.trusted
        )
        return cast("Values", found)

    def at(self, step: int) -> Published:
        """See :class:`cosim.model.published.Publisher`.

        Raises:
            ControllerError: the function raised; names it, the step and the message.
        """
        values = self._values
        try:
            said = values(step)
        except CosimError:
            raise
        except (Exception, SystemExit) as error:
            raise ControllerError(
                f"{self._function}, which stands in for {self.name}, failed at step {step}: "
                f"{type(error).__name__}: {error}"
            ) from error
        return published_of(step, said, self.name)


def stand_in_of(study: Study) -> Publisher | None:
    """What stands in for the federate that publishes a forecast; None where nothing does."""
    config = study.scenario.publisher
    return (
        None if config is None or config.stand_in is None else StandIn(study, config.name, config.stand_in)
    )
