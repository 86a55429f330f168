"""The stage between plant and controller: the controller behind it sees what sensors and estimator say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from cosim.model.roles import Controller, Resumable, is_resumable
from cosim.model.site import Site
from cosim.model.state import Belief, Decision, Measurement
from cosim.sensing.estimator import TwinEstimator, believed
from cosim.sensing.sensors import Sensors

UNKNOWN_VOLTAGE_PU = 1.0
"""What a voltage that nobody measures or estimates is taken for."""


class SensingController:
    """A controller that sees the plant through sensors.

    What no sensor reports and no estimator estimates is what was last known of it, or its nominal value:
    1 pu for voltages, the nominal demand for loads.

    Args:
        inner: the controller.
        sensors: what is measured, and how well.
        estimator: fills the gaps; None leaves them.
    """

    def __init__(self, inner: Controller, sensors: Sensors, estimator: TwinEstimator | None) -> None:
        self._inner, self._sensors, self._estimator = inner, sensors, estimator
        self._known: Measurement | None = None

    def start(self, site: Site) -> None:
        """Pass the facts of the site on."""
        self._nominal = {"demand_kw": site.load_kw, "demand_kvar": site.load_kvar}
        self._inner.start(site)

    @property
    def resumable(self) -> bool:
        """Whether the controller behind the sensors can be carried on."""
        return is_resumable(self._inner)

    def state(self) -> tuple[Any, Any, Measurement | None]:
        """See :class:`cosim.model.roles.Resumable`."""
        return cast("Resumable", self._inner).state(), self._sensors.state(), self._known

    def restore(self, state: tuple[Any, Any, Measurement | None]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        cast("Resumable", self._inner).restore(state[0])
        self._sensors.restore(state[1])
        self._known = state[2]

    def step(self, measurement: Measurement) -> Decision:
        """Sense, estimate, and let the controller decide on that."""
        reported = self._sensors.sense(measurement).measurement
        filled = self._filled(reported)
        if self._estimator is None:
            seen = replace(
                filled,
                voltage_pu=np.where(np.isfinite(filled.voltage_pu), filled.voltage_pu, UNKNOWN_VOLTAGE_PU),
            )
            none = np.full(len(seen.voltage_pu), np.nan)
            belief = Belief(seen.voltage_pu, none, seen.demand_kw, seen.demand_kvar, ())
        else:
            belief = self._estimator.estimate(filled)
            seen = believed(filled, belief)
        self._known = seen
        return replace(self._inner.step(seen), belief=belief)

    def _filled(self, reported: Measurement) -> Measurement:
        """What is not reported, but for voltages, as it was last known."""
        known = self._known
        changes: dict[str, Any] = {}
        for field in ("demand_kw", "demand_kvar", "p_kw", "q_kvar", "stored_kwh", "available_kw"):
            values = getattr(reported, field)
            missing = ~np.isfinite(values)
            if missing.any():
                before = self._nominal.get(field, np.zeros_like(values))
                before = getattr(known, field) if known is not None else before
                changes[field] = np.where(missing, before, values)
        return replace(reported, **changes)
