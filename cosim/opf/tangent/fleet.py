"""The devices in a tangent step: their bounds and costs, and a plan in their own variables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from cosim.model.ratings import PvRating, StorageRating
from cosim.model.site import Site
from cosim.model.state import Measurement, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.devices.circle import back_into_circle, reactive_limits
from cosim.opf.devices.energy import expected_drain_kwh, roll_out, within_window
from cosim.opf.options import PlannerOptions
from cosim.opf.tangent.qp.step_program import Batteries, EndRule, PvSystems, StepAnswer

AT_REST = 1e-7
"""A battery below this part of its rating rests."""
SIMULTANEOUS = 1e-3
"""Charging and discharging at once counts from this part of the rated power."""
FREE_KW = 1e-5
"""Below this part of the rating nothing counts as curtailed."""

END_RULES: dict[str, EndRule] = {"hard": "fixed", "soft": "soft", "value": "value", "free": "free"}


@dataclass(frozen=True)
class Dispatch:
    """A plan in the devices' own variables, all shapes (period, device).

    Attributes:
        charge_kw, discharge_kw: of batteries.
        curtailed_kw: of PV systems.
        reactive_kvar: of all devices, batteries first.
        available_kw: of PV systems, before curtailment.
    """

    charge_kw: FloatArray
    discharge_kw: FloatArray
    curtailed_kw: FloatArray
    reactive_kvar: FloatArray
    available_kw: FloatArray

    @classmethod
    def of(cls, answer: StepAnswer, available_kw: FloatArray) -> Dispatch:
        """The plan of a quadratic program."""
        return cls(answer.charge_kw, answer.discharge_kw, answer.curtailed_kw, answer.q_kvar, available_kw)

    @property
    def p_kw(self) -> FloatArray:
        """Active power of all devices."""
        return np.concatenate(
            [self.discharge_kw - self.charge_kw, self.available_kw - self.curtailed_kw], axis=1
        )

    def towards(self, other: Dispatch, part: float) -> Dispatch:
        """A plan on the way to another one; feasible wherever both are."""

        def mixed(mine: FloatArray, its: FloatArray) -> FloatArray:
            return (1.0 - part) * mine + part * its

        return Dispatch(
            charge_kw=mixed(self.charge_kw, other.charge_kw),
            discharge_kw=mixed(self.discharge_kw, other.discharge_kw),
            curtailed_kw=mixed(self.curtailed_kw, other.curtailed_kw),
            reactive_kvar=mixed(self.reactive_kvar, other.reactive_kvar),
            available_kw=other.available_kw,
        )


class Fleet:
    """Batteries and PV systems over a horizon.

    Args:
        site: their ratings.
        horizon: the periods.
        options: what they may do and what it costs.
    """

    def __init__(self, site: Site, horizon: Horizon, options: PlannerOptions) -> None:
        self.storages: tuple[StorageRating, ...] = site.storages
        self.pvs: tuple[PvRating, ...] = site.pvs
        self._horizon, self._options = horizon, options
        self._target_kwh = options.terminal.target_kwh(self.storages)
        self._kw = _each(self.storages, "kw")
        self._idling_kw = _each(self.storages, "idling_kw")
        self._pv_kva, self._pv_kw = _each(self.pvs, "kva"), _each(self.pvs, "kw")
        self._blocked: tuple[BoolArray, BoolArray] | None = None

    @property
    def idles(self) -> bool:
        """Whether a battery loses energy while it works."""
        return bool(self._idling_kw.any())

    # --- data of a program --------------------------------------------------------------------------

    def batteries(self, stored_kwh: FloatArray, earlier: Plan | None, time_s: float) -> Batteries:
        """Batteries of a program that starts with some stored energy."""
        options, hours = self._options, self._horizon.hours[:, None]
        periods, count = len(self._horizon), len(self.storages)
        full = np.ones((periods, count))
        efficiency_in = _each(self.storages, "efficiency_charge")
        efficiency_out = _each(self.storages, "efficiency_discharge")
        least, most = _each(self.storages, "min_kwh"), _each(self.storages, "max_kwh")
        throughput, lost = options.throughput_cost_per_kwh, options.storage_loss_cost_per_kwh
        injected, absorbed = reactive_limits(self.storages)
        no_charge, no_discharge = self._blocked or (full > 1.0, full > 1.0)
        return Batteries(
            charge_max_kw=np.where(no_charge, 0.0, full * self._kw),
            discharge_max_kw=np.where(no_discharge, 0.0, full * self._kw),
            reactive_max_kvar=full * injected if options.storage_reactive else 0.0 * full,
            absorb_max_kvar=full * absorbed if options.storage_reactive else 0.0 * full,
            rating_kva=_each(self.storages, "kva"),
            charge_efficiency=efficiency_in,
            discharge_efficiency=efficiency_out,
            # A measurement may lie a rounding outside the window; the program must stay feasible.
            start_kwh=np.clip(stored_kwh, least, most),
            least_kwh=full * least,
            most_kwh=full * most,
            drain_kwh=expected_drain_kwh(self.storages, self._horizon, earlier, time_s),
            charge_cost=hours * full * (throughput + lost * (1.0 - efficiency_in)),
            discharge_cost=hours * full * (throughput + lost * (1.0 / efficiency_out - 1.0)),
            reactive_cost=hours * full * options.reactive_cost_per_kvarh,
            end=END_RULES[options.terminal.kind],
            end_kwh=self._target_kwh,
            end_price=np.full(count, options.terminal.per_kwh),
        )

    def pv_systems(self, available_kw: FloatArray) -> PvSystems:
        """PV systems of a program under some sun, shape (period, PV system)."""
        options, hours = self._options, self._horizon.hours[:, None]
        available = np.maximum(available_kw, 0.0)
        full = np.ones_like(available)
        room = np.sqrt(np.maximum(self._pv_kva**2 - np.minimum(available, self._pv_kva) ** 2, 0.0))
        injected, absorbed = reactive_limits(self.pvs)
        if not options.pv_curtail:
            injected, absorbed = np.minimum(room, injected), np.minimum(room, absorbed)
        return PvSystems(
            available_kw=available,
            curtail_max_kw=available if options.pv_curtail else 0.0 * available,
            reactive_max_kvar=full * injected if options.pv_reactive else 0.0 * available,
            absorb_max_kvar=full * absorbed if options.pv_reactive else 0.0 * available,
            rating_kva=self._pv_kva,
            polygon=np.full(len(self.pvs), options.pv_curtail),
            curtail_cost=hours * full * options.curtailment_cost_per_kwh,
            reactive_cost=hours * full * options.reactive_cost_per_kvarh,
        )

    # --- what a dispatch costs and does ---------------------------------------------------------------

    def cost(self, dispatch: Dispatch, batteries: Batteries, pvs: PvSystems) -> float:
        """Cost of the devices' own terms, currency."""
        reactive = np.concatenate([batteries.reactive_cost, pvs.reactive_cost], axis=1)
        cost = (batteries.charge_cost * dispatch.charge_kw).sum()
        cost += (batteries.discharge_cost * dispatch.discharge_kw).sum()
        cost += (pvs.curtail_cost * dispatch.curtailed_kw).sum()
        cost += (reactive * np.abs(dispatch.reactive_kvar)).sum()
        terminal = self._options.terminal
        if terminal.kind in {"value", "soft"} and self.storages:
            apart = self._final_kwh(dispatch, batteries) - self._target_kwh
            cost += terminal.per_kwh * (np.abs(apart).sum() if terminal.kind == "soft" else -apart.sum())
        return float(cost)

    def _final_kwh(self, dispatch: Dispatch, batteries: Batteries) -> FloatArray:
        hours = self._horizon.hours[:, None]
        into = batteries.charge_efficiency * dispatch.charge_kw
        out = dispatch.discharge_kw / batteries.discharge_efficiency
        return np.asarray(batteries.start_kwh + (hours * (into - out) - batteries.drain_kwh).sum(axis=0))

    def injection_kva(self, dispatch: Dispatch) -> ComplexArray:
        """What the devices inject; a battery at rest draws its idling loss, shape (period, device)."""
        power = dispatch.p_kw + 1j * dispatch.reactive_kvar
        count = len(self.storages)
        resting = np.abs(power.real[:, :count]) < AT_REST * self._kw
        power[:, :count] -= np.where(resting, power.real[:, :count] + self._idling_kw, 0.0)
        return power

    def both_kw(self, dispatch: Dispatch) -> FloatArray:
        """Power charged and discharged at once, shape (period, battery)."""
        return np.asarray(np.minimum(dispatch.charge_kw, dispatch.discharge_kw))

    def simultaneous_hours(self, dispatch: Dispatch) -> float:
        """Battery-hours in which that exceeds a thousandth of the rating."""
        both = self.both_kw(dispatch) > SIMULTANEOUS * self._kw
        return float((both * self._horizon.hours[:, None]).sum())

    def free_directions(self) -> None:
        """Let every battery charge and discharge in every period again."""
        self._blocked = None

    def fix_directions(self, dispatch: Dispatch) -> bool:
        """Where a plan does both at once, leave the direction of the net power; whether any was fixed."""
        both = self.both_kw(dispatch) > SIMULTANEOUS * self._kw
        if not both.any():
            return False
        net = dispatch.discharge_kw - dispatch.charge_kw
        charge, discharge = self._blocked or (both & False, both & False)
        self._blocked = (charge | (both & (net >= 0.0)), discharge | (both & (net < 0.0)))
        return True

    # --- from and to plans ----------------------------------------------------------------------------

    def at_rest(self, available_kw: FloatArray) -> Dispatch:
        """Batteries idle, all sun taken that the panels' rating allows."""
        periods, count = len(self._horizon), len(self.storages)
        none = np.zeros((periods, count))
        return Dispatch(
            charge_kw=none,
            discharge_kw=none,
            curtailed_kw=np.maximum(available_kw - self._pv_kw, 0.0),
            reactive_kvar=np.zeros((periods, count + len(self.pvs))),
            available_kw=np.maximum(available_kw, 0.0),
        )

    def as_planned(self, earlier: Plan, period: IntArray, available_kw: FloatArray) -> Dispatch:
        """What an earlier plan wants in its periods ``period``, under the sun of now."""
        kw, limit = earlier.storage_kw[period], earlier.pv_kw_limit[period]
        return Dispatch(
            charge_kw=np.maximum(-kw, 0.0),
            discharge_kw=np.maximum(kw, 0.0),
            curtailed_kw=np.maximum(available_kw - np.maximum(limit, 0.0), 0.0),
            reactive_kvar=np.concatenate([earlier.storage_kvar, earlier.pv_kvar], axis=1)[period],
            available_kw=np.maximum(available_kw, 0.0),
        )

    def planned(
        self, dispatch: Dispatch, stored_kwh: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Set-points: battery kW and kvar, PV limit in kW and kvar, shape (period, device).

        A part in 1e7 of the rating counts as rest; a solver's rounding beyond a window or a circle is
        taken back, so that the plant need not cut it.
        """
        count = len(self.storages)
        kw = dispatch.p_kw[:, :count].copy()
        kw[np.abs(kw) < AT_REST * self._kw] = 0.0
        kw = within_window(self.storages, self._horizon, stored_kwh, kw)
        kvar = _tidy(dispatch.reactive_kvar[:, :count], self._kw)
        pv_kw = dispatch.p_kw[:, count:]
        free = dispatch.curtailed_kw < FREE_KW * self._pv_kw
        limit = np.where(free, self._pv_kw, np.clip(pv_kw, 0.0, self._pv_kw))
        pv_kvar = _tidy(dispatch.reactive_kvar[:, count:], self._pv_kw)
        kva = _each(self.storages, "kva")
        return kw, back_into_circle(kw, kvar, kva), limit, back_into_circle(pv_kw, pv_kvar, self._pv_kva)

    def roll_out(self, measurement: Measurement, kw: FloatArray) -> FloatArray:
        """Stored energy along a plan by the exact storage law, shape (period + 1, battery)."""
        return roll_out(self.storages, self._horizon, measurement.stored_kwh, kw)


def _each(ratings: tuple[StorageRating, ...] | tuple[PvRating, ...], name: str) -> FloatArray:
    return np.array([getattr(rating, name) for rating in ratings], dtype=np.float64)


def _tidy(kvar: FloatArray, rated: FloatArray) -> FloatArray:
    return np.asarray(np.where(np.abs(kvar) < AT_REST * rated, 0.0, kvar))
