"""A controller of some devices of a feeder, beside other controllers with the rest."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, cast

from cosim.errors import ContractError, NoAnswer
from cosim.model.forecast import Forecast
from cosim.model.part import Part
from cosim.model.roles import Controller, Forecaster, Resumable, ResumesAsInner, is_resumable
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, Setpoints, Source
from cosim.model.timegrid import Horizon
from cosim.run.contract import checked, sealed

log = logging.getLogger(__name__)


class PartForecaster(ResumesAsInner):
    """A forecaster of the whole feeder, for a controller that has a part of its devices.

    Args:
        inner: forecasts the feeder, and hears all that is measured.
        part: of the controller.
    """

    def __init__(self, inner: Forecaster, part: Part) -> None:
        self._inner, self._part = inner, part
        self._heard: Measurement | None = None

    def hear(self, whole: Measurement) -> None:
        """Receive the measurement of the feeder, before each forecast."""
        self._heard = whole

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        """Forecast the feeder; devices of others are among its demand.

        Raises:
            ContractError: the feeder's measurement of this step was not heard.
        """
        whole = self._heard
        if whole is None or whole.step != measurement.step:
            heard = "none" if whole is None else f"that of step {whole.step}"
            raise ContractError(
                f"{self._part.controller} asks for a forecast at step {measurement.step}, and the last "
                f"measurement of the feeder it heard is {heard}; hear() comes before forecast()"
            )
        return self._part.forecast(self._inner.forecast(whole, horizon), whole)


class PartController(ResumesAsInner):
    """Lets a controller see and command its part of a feeder only.

    Its decisions are of the whole feeder: all other devices are in the safe state.

    Args:
        inner: sees the site, the measurements and the set-points of its part.
        part: which devices it has.
        forecaster: of ``inner``; None where it has none.
    """

    def __init__(self, inner: Controller, part: Part, forecaster: PartForecaster | None = None) -> None:
        self._inner, self._part, self._forecaster = inner, part, forecaster
        self._own = part.site()

    def start(self, site: Site) -> None:
        """Give the controller the facts of its part."""
        del site
        self._inner.start(self._own)

    def step(self, measurement: Measurement) -> Decision:
        """Let the controller decide on what it sees.

        Raises:
            ContractError: it answers with something else than set-points of its devices.
        """
        if self._forecaster is not None:
            self._forecaster.hear(measurement)
        seen = sealed(self._part.measurement(measurement))
        decision = checked(self._inner.step(seen), self._own, seen, owner=self._part.controller)
        whole = Setpoints.idle(self._part.whole)
        return replace(decision, setpoints=self._part.widened(decision.setpoints, whole))


class RestsAfterFailure:
    """A controller whose first exception ends its work: from then on its devices are in the safe state.

    The other controllers of the feeder, and the run, go on.

    Args:
        inner: the controller; its decisions are of the whole feeder.
        controller: its name.
    """

    def __init__(self, inner: Controller, controller: str) -> None:
        self._inner, self._controller = inner, controller
        self._site: Site | None = None
        self._why = ""

    def start(self, site: Site) -> None:
        """Pass the facts of the site on; a controller that does not start ends the run."""
        self._site = site
        self._inner.start(site)

    def step(self, measurement: Measurement) -> Decision:
        """Let the controller decide, or rest.

        Raises:
            ContractError: there was no ``start`` before.
            NoAnswer: it took too long.
        """
        if self._site is None:
            raise ContractError(f"{self._controller} was asked for a decision before start(site)")
        if not self._why:
            try:
                return self._inner.step(measurement)
            except NoAnswer:
                raise
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
                self._why = f"failed at step {measurement.step}: {said}; devices rest"
                log.warning("%s %s", self._controller, self._why, exc_info=True)
        rest = Setpoints.idle(self._site)
        return Decision(measurement.step, measurement.time_s, rest, Source.FALLBACK, self._why)

    @property
    def resumable(self) -> bool:
        """Whether the controller can be carried on."""
        return is_resumable(self._inner)

    def state(self) -> tuple[str, Any]:
        """See :class:`cosim.model.roles.Resumable`; a controller that has failed has no state any more."""
        return self._why, None if self._why else cast("Resumable", self._inner).state()

    def restore(self, state: tuple[str, Any]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._why = state[0]
        if not self._why:
            cast("Resumable", self._inner).restore(state[1])
