"""Each battery for itself against the price, without any look at the network."""

from __future__ import annotations

import time
from typing import cast

import numpy as np

from cosim.control.allowed import batteries_of
from cosim.control.battery_program import best_course_kw
from cosim.control.planning import FollowingController, Planning
from cosim.devices.storage import StorageRating
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, Plan, Setpoints
from cosim.model.timegrid import Horizon
from cosim.opf.options import PlannerOptions
from cosim.plugins import needs, plans_its_own_horizons

NAME = "decentralised"


class AlonePlanner:
    """Plans each battery by itself, see :mod:`cosim.control.battery_program`; all else rests.

    Args:
        site: facts of the plant.
        options: throughput cost and what stored energy is worth at the end of the horizon, where
            ``terminal`` is a value; other terminal conditions are not known here.
    """

    def __init__(self, site: Site, options: PlannerOptions) -> None:
        self._site, self._wear = site, options.throughput_cost_per_kwh
        self._worth = options.terminal.per_kwh if options.terminal.kind == "value" else 0.0

    def state(self) -> None:
        """See :class:`cosim.model.roles.Resumable`: it has none."""

    def restore(self, state: None) -> None:
        """See :class:`cosim.model.roles.Resumable`."""

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan:
        """The best course of each battery; expected import is the balance of powers as measured now."""
        began = time.perf_counter()
        horizon, devices = forecast.horizon, self._site.devices
        p_kw = np.repeat(Setpoints.idle(self._site).p_kw[None, :], len(horizon), axis=0)
        stored = np.repeat(measurement.stored_kwh[None, :], len(horizon) + 1, axis=0)
        for at in batteries_of(self._site):
            battery = cast("StorageRating", devices[at])
            p_kw[:, at] = best_course_kw(
                battery,
                float(measurement.stored_kwh[at]),
                horizon.hours,
                forecast.price_per_kwh,
                wear_per_kwh=self._wear,
                worth_per_kwh=self._worth,
            )
            stored[1:, at] = _stored_along(battery, stored[0, at], p_kw[:, at], horizon)
        return self._as_plan(measurement, forecast, p_kw, stored, time.perf_counter() - began)

    def _as_plan(
        self,
        measurement: Measurement,
        forecast: Forecast,
        p_kw: FloatArray,
        stored_kwh: FloatArray,
        seconds: float,
    ) -> Plan:
        periods = len(forecast.horizon)
        others = measurement.demand_kw.sum() - measurement.p_kw.sum()
        # What is neither demand nor device, losses above all, is expected to stay.
        rest_kw = measurement.import_kw - others
        delivered = np.minimum(p_kw, np.where(_are_sources(self._site), forecast.available_kw, np.inf))
        import_kw = forecast.demand_kw.sum(axis=1) - delivered.sum(axis=1) + rest_kw
        return Plan(
            time_s=measurement.time_s,
            period_s=np.asarray(forecast.horizon.period_s, dtype=np.float64),
            p_kw=p_kw,
            q_kvar=np.zeros_like(p_kw),
            stored_kwh=stored_kwh,
            import_kw=import_kw,
            import_kvar=np.full(periods, measurement.import_kvar),
            losses_kw=np.full(periods, measurement.losses_kw),
            voltage_pu=np.repeat(measurement.voltage_pu[None, :], periods, axis=0),
            certificate=_certificate(
                float((forecast.horizon.hours * forecast.price_per_kwh) @ import_kw), seconds
            ),
        )


def _are_sources(site: Site) -> np.ndarray:
    return np.array([not device.has_energy for device in site.devices], dtype=np.bool_)


def _stored_along(battery: StorageRating, stored: float, kw: FloatArray, horizon: Horizon) -> FloatArray:
    """Stored energy after each period by the exact law, shape (period,)."""
    course = []
    for hours, power in zip(horizon.hours.tolist(), kw.tolist(), strict=True):
        stored = battery.next_stored_kwh(stored, power, hours)
        course.append(stored)
    return np.array(course)


def _certificate(cost: float, seconds: float) -> Certificate:
    return Certificate(
        planner=NAME,
        status="optimal",
        objective=cost,
        primal_residual=0.0,
        simultaneous_kw=0.0,
        simultaneous_h=0.0,
        slack_pu=0.0,
        over_kw=0.0,
        iterations=0,
        build_s=0.0,
        solve_s=seconds,
        relaxation_gap_kva=None,
        optimality_gap=None,
        claim="optimal for each battery by itself; the network is not looked at",
    )


@needs()
@plans_its_own_horizons(brings_planner=True)
class DecentralisedController(FollowingController):
    """Every battery for itself: least cost against the forecast price, again at each step.

    Measures: stored energy. Assumes: the price comes as forecast, no limit of the network matters, and a
    battery does not move the price. PV systems run free, all else rests. Horizon, forecaster, throughput
    cost and the value of stored energy are those of the scenario.

    Args:
        planning: forecaster, rhythm and options.
    """

    def __init__(self, planning: Planning) -> None:
        planner = AlonePlanner(planning.site, planning.options)
        super().__init__(planning.forecaster, planner, planning.rhythm)
