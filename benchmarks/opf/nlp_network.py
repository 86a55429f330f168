"""The feeder of an exact program: admittances, loads and a flow to start from, period by period.

Everything is read from OpenDSS at the positions the regulators are held at, so that the program shares
no assumption about switching with any planner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from benchmarks.opf.planned import Switching, as_long_as_plan
from benchmarks.opf.realised import hold, opened, silence
from cosim.devices.registry import device_kind
from cosim.feeder.elements.element import element_of, name_in_circuit
from cosim.feeder.plant import Feeder
from cosim.feeder.reading.twin_data import read_twin_data
from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement, Setpoints
from cosim.plugins import Need
from cosim.run.assembly import Assembly
from cosim.run.policy import make_forecaster
from cosim.run.study import Study
from cosim.twin.data import Legs, TwinData

FORECAST: tuple[Need, ...] = ("truth",)
"""What the forecast of a case is made of."""


@dataclass(frozen=True)
class PeriodNetwork:
    """The network of one period.

    Attributes:
        admittance: of lines, transformers, capacitors and source, siemens.
        voltage: with devices idle, volt, shape (node,).
    """

    admittance: sp.csc_matrix
    voltage: ComplexArray


@dataclass(frozen=True)
class Day:
    """All that an exact program of the first horizon needs.

    Attributes:
        study: as long as the horizon.
        site: its devices.
        measurement: before the first step.
        forecast: over the horizon.
        data: legs, laws, source and limits; its admittance is that of the first period.
        points: network of each period.
        switching: positions at which it was read.
    """

    study: Study
    site: Site
    measurement: Measurement
    forecast: Forecast
    data: TwinData
    points: tuple[PeriodNetwork, ...]
    switching: Switching

    def load_kva(self) -> ComplexArray:
        """Power of each load leg at rated voltage, shape (leg, period)."""
        demand = (self.forecast.demand_kw + 1j * self.forecast.demand_kvar).T
        period_s = np.asarray(self.forecast.horizon.period_s, dtype=np.float64)
        standing = self.data.standing_over(self.measurement.time_s, period_s).T
        legs = self.data.loads
        return np.asarray(np.concatenate([demand, standing])[legs.owner] * legs.share[:, None])

    def start(self) -> ComplexArray:
        """Voltages with devices idle, shape (node, period)."""
        return np.array([point.voltage for point in self.points]).T

    def regions(self, voltage: ComplexArray) -> IntArray:
        """Region of the load law each load leg is in, shape (leg, period)."""
        legs = self.data.loads
        m = np.abs(across(legs, voltage)) / legs.base_v[:, None]
        return np.asarray((m[:, :, None] > self.data.laws.edges[legs.law][:, None, :]).sum(axis=2))


def across(legs: Legs, voltage: ComplexArray) -> ComplexArray:
    """Voltage across legs, volt, shape (leg, period)."""
    grounded = np.concatenate([voltage, np.zeros((1, voltage.shape[1]))])
    return np.asarray(grounded[legs.a] - grounded[legs.b])


def incidence(a: IntArray, b: IntArray, nodes: int) -> sp.csr_matrix:
    """Voltage across pairs of nodes from node voltages; the number of nodes stands for ground."""
    row = np.arange(len(a))
    value = np.concatenate([np.ones(len(a)), -np.ones(len(b))])
    matrix = sp.csr_matrix((value, (np.tile(row, 2), np.concatenate([a, b]))), shape=(len(a), nodes + 1))
    return matrix[:, :nodes].tocsr()


def read_day(study: Study, switching: Switching) -> Day:
    """Read the feeder in each period of the first horizon, devices idle.

    Raises:
        CosimError: the study does not fit together, or the feeder has an element without a law.
    """
    study = as_long_as_plan(study)
    points: list[PeriodNetwork] = []
    first: tuple[Measurement, Forecast, TwinData] | None = None
    with Assembly(study, FORECAST) as assembly:
        feeder = assembly.feeder
        silence(feeder)
        idle = Setpoints.idle(feeder.site)
        for period in range(study.grid.steps):
            measurement = feeder.measure(period)
            if first is None:
                forecast = make_forecaster(study, assembly.knowledge).forecast(measurement, study.horizon)
            feeder.apply(idle)
            hold(feeder, switching, period)
            feeder.commit()
            data = _read(feeder)
            if first is None:
                first = (measurement, forecast, data)
            points.append(PeriodNetwork(data.admittance, data.voltage))
        site = feeder.site
    assert first is not None
    return Day(study, site, first[0], first[1], first[2], tuple(points), switching)


def _read(feeder: Feeder) -> TwinData:
    site = feeder.site
    return read_twin_data(
        feeder.engine,
        feeder.watched,
        loads=site.loads,
        devices=[name_in_circuit(item, element_of(device_kind(item.kind))) for item in site.devices],
        moved=feeder.regulated_windings,
    )


def idle_switching(study: Study) -> Switching:
    """Where regulators and capacitors go over the horizon if the devices stay idle."""
    study = as_long_as_plan(study)
    taps, closed = [], []
    with opened(study) as feeder:
        idle = Setpoints.idle(feeder.site)
        for period in range(study.grid.steps):
            feeder.measure(period)
            feeder.apply(idle)
            taps.append(feeder.commit().tap)
            closed.append(feeder.engine.closed_capacitors(feeder.site.capacitors))
    return Switching(np.array(taps), np.array(closed))


def measured_switching(study: Study) -> Switching:
    """Where regulators and capacitors are before the first step, in every period."""
    with opened(as_long_as_plan(study)) as feeder:
        measurement = feeder.measure(0)
    periods = len(study.horizon)
    tap: FloatArray = np.repeat(measurement.tap[None, :], periods, axis=0)
    return Switching(tap, np.repeat(measurement.capacitor_closed[None, :], periods, axis=0))
