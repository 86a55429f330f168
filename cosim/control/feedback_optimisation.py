"""Online feedback optimisation: a projected gradient step on what is measured, at each step of the run.

With z the powers p and q of the devices over their inverter ratings, y(z) the measured voltages and
import, and g(y) the weighted squares of what is beyond a limit,

    g(y) = 1/2 sum over nodes of (max(v - v_max, 0, v_min - v) / V)^2
         + 1/2 (max(import - most, 0, least - import) / P)^2

the update is

    z(k+1) = projection on Z(k) of  (1 - r) (z(k) - a(k) S(k)^T grad g(y(k))) + r z_rest(k)

The measured y(k) stands where a model would stand: only the sensitivities S = dy/dz are those of the twin.
The step length a is ``gain`` over the largest eigenvalue of the Gauss-Newton matrix of the limits that are
exceeded, so that gain 1 removes what is exceeded in one step where the feeder is linear. The term r leads
back to rest: PV without curtailment, no reactive power, batteries towards their energy at the start.
Z holds ratings, the sun, and stored energy; active power goes first, as in the plant.

Sources: S. Bolognani, R. Carli, G. Cavraro, S. Zampieri, Distributed reactive power feedback control for
voltage regulation and loss minimization, IEEE Transactions on Automatic Control 60(4), 2015; M. Picallo,
L. Ortmann, S. Bolognani, F. Doerfler, Adaptive real-time grid operation via online feedback optimization
with sensitivity estimation, Electric Power Systems Research 212, 2022. The term r is a proximal step on a
quadratic cost of distance from rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from cosim.control.rule import RuleController
from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.model.arrays import BoolArray, FloatArray
from cosim.model.site import Site
from cosim.model.state import Measurement, Setpoints
from cosim.model.twin import Quantity, Twin
from cosim.plugins import Options, needs, options

VOLTAGE_UNIT_PU = 0.01
"""V of the module: an excess that weighs as much as one unit of import."""
AT_REST = 1e-4
"""A battery whose power is its standby loss to this part of its rating is at rest."""
IMPORT_SHARE = 0.01
"""P of the module is this part of all inverter ratings together."""


class FeedbackOptions(Options):
    """Limits, step length and the way back to rest."""

    voltage_min_pu: PositiveFloat = Field(0.95, description="measured voltages are brought above this")
    voltage_max_pu: PositiveFloat = Field(1.05, description="and below this")
    import_max_kw: float | None = Field(None, description="the measured import is brought below this")
    import_min_kw: float | None = Field(None, description="and above this")
    gain: float = Field(1.0, gt=0, lt=2, description="step length; below 2 a linear feeder is stable")
    to_rest: float = Field(0.05, ge=0, lt=1, description="r: part of the way back to rest in each step")
    refill_h: PositiveFloat = Field(
        6.0, description="at rest a battery goes back to its energy at the start in this time"
    )

    @model_validator(mode="after")
    def _in_order(self) -> FeedbackOptions:
        if self.voltage_min_pu >= self.voltage_max_pu:
            raise ValueError("voltage_min_pu is not below voltage_max_pu")
        least, most = self.import_min_kw, self.import_max_kw
        if least is not None and most is not None and least > most:
            raise ValueError("import_min_kw is above import_max_kw")
        return self


@needs("twin")
@options(FeedbackOptions)
class FeedbackOptimisationController(RuleController):
    """Takes one projected gradient step on the measured voltages and import in each step; no forecast.

    Measures: all voltages, import, powers and stored energy. Assumes: the twin's sensitivities at the
    measured state, taps held. It reacts to a limit that is exceeded, not before, and it knows no price.
    Batteries and PV systems act, all else rests.

    Args:
        twin: model of the feeder.
        options: limits and gains.
    """

    def __init__(self, *, twin: Twin, options: FeedbackOptions) -> None:
        super().__init__()
        self._twin, self._options = twin, options

    def state(self) -> dict[str, Any]:
        """What the twin keeps."""
        return self._twin.state()

    def restore(self, state: Any) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._twin.restore(state)

    def setpoints(self, site: Site, measurement: Measurement) -> Setpoints:
        """The update of the module, as set-points."""
        acts, sun = _kinds(site)
        kva = np.array([device.kva for device in site.devices], dtype=np.float64)
        now_kw = np.where(sun, np.minimum(measurement.p_kw, measurement.available_kw), measurement.p_kw)
        now_kw = np.where(_at_rest(site, measurement), 0.0, now_kw)
        z = np.concatenate([now_kw / kva, measurement.q_kvar / kva])
        step = self._step(measurement, np.concatenate([kva, kva]), np.concatenate([acts, acts]))
        rest = np.concatenate([self._rest_kw(site, measurement, sun) / kva, np.zeros(len(kva))])
        r = self._options.to_rest
        z = (1.0 - r) * (z - step) + r * rest
        idle = Setpoints.idle(site)
        p_kw, q_kvar = z[: len(kva)] * kva, z[len(kva) :] * kva
        # A PV system that is not curtailed gets no limit: the sun may rise within the step.
        free = sun & (p_kw >= (1.0 - 1e-6) * measurement.available_kw)
        p_kw = np.where(acts & ~free, np.where(sun, np.maximum(p_kw, 0.0), p_kw), idle.p_kw)
        return Setpoints(p_kw, np.where(acts, q_kvar, 0.0))

    def _step(self, measurement: Measurement, kva: FloatArray, acts: BoolArray) -> FloatArray:
        """The step a S^T grad g in shares of the ratings, active then reactive power, shape (2 device,)."""
        excess_pu = self._excess_pu(measurement.voltage_pu)
        over_kw = self._over_kw(measurement.import_kw)
        places = np.flatnonzero(excess_pu)
        if not places.size and not over_kw:
            return np.zeros(len(kva))
        self._twin.set_forecast(
            measurement, (measurement.demand_kw + 1j * measurement.demand_kvar)[None, :]
        )
        device_kva = (measurement.p_kw + 1j * measurement.q_kvar)[None, :]
        flow = self._twin.flow(device_kva, self._twin.at_rest(1), held=True)
        rows, residual = [], [excess_pu[places] / VOLTAGE_UNIT_PU]
        slope = self._twin.slope(flow, Quantity.VOLTAGE, places, np.zeros(len(places), dtype=np.int64))
        rows.append(np.concatenate(slope, axis=1) / VOLTAGE_UNIT_PU)
        if over_kw:
            unit_kw = IMPORT_SHARE * float(kva.sum()) / 2.0
            rows.append(np.concatenate(self._twin.import_slope(flow), axis=1) / unit_kw)
            residual.append(np.array([over_kw / unit_kw]))
        sensitivity = np.where(acts, np.concatenate(rows) * kva, 0.0)
        steepest = float(np.linalg.norm(sensitivity, 2)) ** 2
        if steepest == 0.0:
            return np.zeros(len(kva))
        return np.asarray(self._options.gain / steepest * (np.concatenate(residual) @ sensitivity))

    def _excess_pu(self, voltage_pu: FloatArray) -> FloatArray:
        """What is above the upper limit, negative below the lower one, shape (node,)."""
        low, high = self._options.voltage_min_pu, self._options.voltage_max_pu
        return np.asarray(voltage_pu - np.clip(voltage_pu, low, high))

    def _over_kw(self, import_kw: float) -> float:
        most, least = self._options.import_max_kw, self._options.import_min_kw
        if most is not None and import_kw > most:
            return import_kw - most
        return import_kw - least if least is not None and import_kw < least else 0.0

    def _rest_kw(self, site: Site, measurement: Measurement, sun: BoolArray) -> FloatArray:
        """PV without limit; batteries towards their energy at the start."""
        rest = np.where(sun, measurement.available_kw, 0.0)
        for at, device in enumerate(site.devices):
            if isinstance(device, StorageRating):
                wanted = (measurement.stored_kwh[at] - device.initial_kwh) / self._options.refill_h
                rest[at] = min(max(wanted, -device.kw), device.kw)
        return rest


def _kinds(site: Site) -> tuple[BoolArray, BoolArray]:
    """Which devices act, and which of them are PV systems."""
    sun = np.array([isinstance(device, PvRating) for device in site.devices], dtype=np.bool_)
    cells = np.array([isinstance(device, StorageRating) for device in site.devices], dtype=np.bool_)
    return sun | cells, sun


def _at_rest(site: Site, measurement: Measurement) -> BoolArray:
    """Batteries that draw nothing but their standby loss, shape (device,)."""
    return np.array(
        [
            isinstance(device, StorageRating)
            and bool(abs(measurement.p_kw[at] + device.idling_kw) <= AT_REST * device.kw)
            for at, device in enumerate(site.devices)
        ],
        dtype=np.bool_,
    )
