"""The devices in a tangent step: their bounds and costs, and a plan in their own variables."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from cosim.devices.bounds import EnergyBounds, SourceBounds, each
from cosim.model.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, Plan
from cosim.model.timegrid import Horizon
from cosim.model.twin import TwinFlow
from cosim.opf.devices.circle import back_into_circle, reactive_limits
from cosim.opf.devices.model import AT_REST, DeviceModel
from cosim.opf.options import PlannerOptions
from cosim.opf.structured_qp.step_program import EndRule, EnergyDevices, SourceDevices, StepAnswer

SIMULTANEOUS = 1e-3
"""Charging and discharging at once counts from this part of the rated power."""
FREE_KW = 1e-5
"""Below this part of the rating nothing counts as curtailed."""

END_RULES: dict[str, EndRule] = {"hard": "fixed", "soft": "soft", "value": "value", "free": "free"}


@dataclass(frozen=True)
class Dispatch:
    """A plan in the devices' own variables, all shapes (period, device).

    Many plans at once have further axes before these.

    Attributes:
        charge_kw, discharge_kw: of energy.
        curtailed_kw: of PV systems.
        reactive_kvar: of all devices, those with energy first.
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
            [self.discharge_kw - self.charge_kw, self.available_kw - self.curtailed_kw], axis=-1
        )

    def repeated(self, count: int) -> Dispatch:
        """The same plan many times, as many plans."""
        values = {
            item.name: np.broadcast_to(getattr(self, item.name), (count, *getattr(self, item.name).shape))
            for item in fields(self)
        }
        return Dispatch(**values)

    def row(self, candidate: int) -> Dispatch:
        """One of many plans."""
        values = {item.name: getattr(self, item.name)[candidate] for item in fields(self)}
        return Dispatch(**values)

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


class DeviceDispatch:
    """The devices of a tangent step: a program's data, and a plan in the devices' own variables.

    Args:
        site: its devices.
        horizon: the periods.
        options: what they may do and what it costs.
    """

    def __init__(self, site: Site, horizon: Horizon, options: PlannerOptions) -> None:
        self.model = model = DeviceModel(site.devices, horizon, options)
        self._horizon, self._options = horizon, options
        self._target_kwh = model.target_kwh()
        self._kw, self._kva = each(model.energy, "kw"), each(model.energy, "kva")
        self._source_kva, self._source_kw = each(model.sources, "kva"), each(model.sources, "kw")
        self._blocked: tuple[BoolArray, BoolArray] | None = None

    @property
    def idles(self) -> bool:
        """Whether a device loses energy while it works."""
        return self.model.idles

    # --- data of a program --------------------------------------------------------------------------

    def devices(
        self, measurement: Measurement, available_kw: FloatArray, earlier: Plan | None
    ) -> tuple[EnergyDevices, SourceDevices]:
        """What a program may do with the devices.

        Args:
            measurement: of now.
            available_kw: forecast, shape (period, device).
            earlier: plan of an earlier step.
        """
        energy, sources = self.model.bounds(
            measurement.stored_kwh, available_kw, earlier, measurement.time_s
        )
        return self._energy_devices(energy), self._source_devices(sources)

    def _energy_devices(self, bounds: EnergyBounds | None) -> EnergyDevices:
        options, hours = self._options, self._horizon.hours[:, None]
        count = len(self.model.energy)
        full = np.ones((len(self._horizon), count))
        nothing = 0.0 * full
        if bounds is None:
            none = np.zeros(0)
            bounds = EnergyBounds(
                nothing, nothing, none, none, none, nothing, nothing, nothing, nothing, nothing,
                none, none > 0, none, none > 0,
            )  # fmt: skip
        injected, absorbed = reactive_limits(self.model.energy)
        offered = np.where(bounds.reactive, 1.0, 0.0)
        into, out, lost = bounds.charge_efficiency, bounds.discharge_efficiency, bounds.loss_cost_per_kwh
        no_take, no_give = self._blocked or (full > 1.0, full > 1.0)
        end, least, most = END_RULES[options.terminal.kind], bounds.least_kwh, bounds.most_kwh
        if end == "fixed" and not bounds.ends.all():
            # The rule holds for all or for none; windows without width say the same for some.
            end, least, most = "free", least.copy(), most.copy()
            least[-1, bounds.ends] = most[-1, bounds.ends] = self._target_kwh[bounds.ends]
        return EnergyDevices(
            charge_max_kw=np.where(no_take, 0.0, bounds.take_max_kw),
            discharge_max_kw=np.where(no_give, 0.0, bounds.give_max_kw),
            reactive_max_kvar=full * injected * offered,
            absorb_max_kvar=full * absorbed * offered,
            rating_kva=self._kva,
            charge_efficiency=bounds.charge_efficiency,
            discharge_efficiency=bounds.discharge_efficiency,
            start_kwh=bounds.start_kwh,
            least_kwh=least,
            most_kwh=most,
            drain_kwh=bounds.drain_kwh,
            charge_cost=hours * full * (bounds.take_cost_per_kwh + lost * (1.0 - into)),
            discharge_cost=hours * full * (bounds.give_cost_per_kwh + lost * (1.0 / out - 1.0)),
            reactive_cost=hours * full * options.reactive_cost_per_kvarh,
            end=end,
            end_kwh=self._target_kwh,
            end_price=np.where(bounds.ends, options.terminal.per_kwh, 0.0),
        )

    def _source_devices(self, bounds: SourceBounds | None) -> SourceDevices:
        options, hours = self._options, self._horizon.hours[:, None]
        none = np.zeros((len(self._horizon), 0))
        if bounds is None:
            bounds = SourceBounds(none, none, none, np.zeros(0, dtype=bool), np.zeros(0, dtype=bool))
        available = bounds.available_kw
        full = np.ones_like(available)
        room = np.sqrt(np.maximum(self._source_kva**2 - np.minimum(available, self._source_kva) ** 2, 0.0))
        injected, absorbed = reactive_limits(self.model.sources)
        # Where active power is data the circle is an interval.
        free = np.where(bounds.curtails, np.inf, room)
        offered = np.where(bounds.reactive, 1.0, 0.0)
        return SourceDevices(
            available_kw=available,
            curtail_max_kw=bounds.curtail_max_kw,
            reactive_max_kvar=full * np.minimum(free, injected) * offered,
            absorb_max_kvar=full * np.minimum(free, absorbed) * offered,
            rating_kva=self._source_kva,
            polygon=bounds.curtails,
            curtail_cost=hours * full * bounds.curtail_cost_per_kwh,
            reactive_cost=hours * full * options.reactive_cost_per_kvarh,
        )

    # --- what a dispatch costs and does ---------------------------------------------------------------

    def cost(self, dispatch: Dispatch, energy: EnergyDevices, sources: SourceDevices) -> float:
        """Cost of the devices' own terms, currency."""
        return float(self.cost_of_each(dispatch, energy, sources))

    def cost_of_each(self, dispatch: Dispatch, energy: EnergyDevices, sources: SourceDevices) -> FloatArray:
        """The same of many plans, shape as the first axes of the dispatch."""
        both, reactive = (-2, -1), np.concatenate([energy.reactive_cost, sources.reactive_cost], axis=1)
        cost = (energy.charge_cost * dispatch.charge_kw).sum(axis=both)
        cost += (energy.discharge_cost * dispatch.discharge_kw).sum(axis=both)
        cost += (sources.curtail_cost * dispatch.curtailed_kw).sum(axis=both)
        cost += (reactive * np.abs(dispatch.reactive_kvar)).sum(axis=both)
        terminal = self._options.terminal
        if terminal.kind in {"value", "soft"} and self.model.energy:
            cost += self._end_cost(self._final_kwh(dispatch, energy) - self._target_kwh, energy)
        return np.asarray(cost)

    def _end_cost(self, apart_kwh: FloatArray, energy: EnergyDevices) -> FloatArray:
        """Cost of energies that end apart from their targets, currency, shape as the first axes."""
        terminal, apart = self._options.terminal, apart_kwh[..., energy.end_price > 0.0]
        off = np.abs(apart).sum(axis=-1) if terminal.kind == "soft" else -apart.sum(axis=-1)
        return np.asarray(terminal.per_kwh * off)

    def _final_kwh(self, dispatch: Dispatch, energy: EnergyDevices) -> FloatArray:
        hours = self._horizon.hours[:, None]
        into = energy.charge_efficiency * dispatch.charge_kw
        out = dispatch.discharge_kw / energy.discharge_efficiency
        return np.asarray(energy.start_kwh + (hours * (into - out) - energy.drain_kwh).sum(axis=-2))

    def injection_kva(self, dispatch: Dispatch) -> ComplexArray:
        """What the devices inject; a battery at rest draws its idling loss, shape (period, device)."""
        return self.model.at_terminals(dispatch.p_kw + 1j * dispatch.reactive_kvar)

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
        """Devices with energy idle, all taken that the others' rating allows.

        ``available_kw`` is that of devices without energy, shape (period, device).
        """
        periods, count = len(available_kw), len(self.model.energy)
        none = np.zeros((periods, count))
        return Dispatch(
            charge_kw=none,
            discharge_kw=none,
            curtailed_kw=np.maximum(available_kw - self._source_kw, 0.0),
            reactive_kvar=np.zeros((periods, count + len(self.model.sources))),
            available_kw=np.maximum(available_kw, 0.0),
        )

    def as_planned(self, earlier: Plan, period: IntArray, available_kw: FloatArray) -> Dispatch:
        """What an earlier plan wants in its periods ``period``, under the sun of now."""
        count = len(self.model.energy)
        kw, limit = earlier.p_kw[period, :count], earlier.p_kw[period, count:]
        return Dispatch(
            charge_kw=np.maximum(-kw, 0.0),
            discharge_kw=np.maximum(kw, 0.0),
            curtailed_kw=np.maximum(available_kw - np.maximum(limit, 0.0), 0.0),
            reactive_kvar=earlier.q_kvar[period],
            available_kw=np.maximum(available_kw, 0.0),
        )

    def carried_out(
        self, dispatch: Dispatch, measurement: Measurement, forecast_kw: FloatArray
    ) -> Dispatch:
        """What devices with energy accept of a dispatch by their exact laws, idling losses included."""
        count, model = len(self.model.energy), self.model
        kw = model.within_window(
            measurement.stored_kwh,
            forecast_kw,
            dispatch.p_kw[:, :count],
            measurement.time_s,
            rounding=np.inf,
        )
        return replace(dispatch, charge_kw=np.maximum(-kw, 0.0), discharge_kw=np.maximum(kw, 0.0))

    def continued(
        self, dispatch: Dispatch, earlier: Plan, period: IntArray, available_kw: FloatArray
    ) -> Dispatch:
        """Where the next search begins, given the last dispatch and its plan; see :meth:`as_planned`."""
        del dispatch
        return self.as_planned(earlier, period, available_kw)

    def planned(
        self, dispatch: Dispatch, measurement: Measurement, forecast_kw: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Set-points: active and reactive power, shape (period, device).

        A part in 1e7 of the rating counts as rest; a solver's rounding beyond a window or a circle is
        taken back, so that the plant need not cut it.
        """
        count, model = len(self.model.energy), self.model
        kw = dispatch.p_kw[:, :count].copy()
        kw[np.abs(kw) < AT_REST * self._kw] = 0.0
        kw = model.within_window(measurement.stored_kwh, forecast_kw, kw, measurement.time_s)
        kvar = _tidy(dispatch.reactive_kvar[:, :count], self._kw)
        source_kw = dispatch.p_kw[:, count:]
        free = dispatch.curtailed_kw < FREE_KW * self._source_kw
        limit = np.where(free, self._source_kw, np.clip(source_kw, 0.0, self._source_kw))
        source_kvar = _tidy(dispatch.reactive_kvar[:, count:], self._source_kw)
        reactive = [
            back_into_circle(kw, kvar, self._kva),
            back_into_circle(source_kw, source_kvar, self._source_kva),
        ]
        return np.concatenate([kw, limit], axis=1), np.concatenate(reactive, axis=1)

    def plan(
        self,
        dispatch: Dispatch,
        flow: TwinFlow,
        measurement: Measurement,
        available_kw: FloatArray,
        certificate: Certificate,
    ) -> Plan:
        """The plan of a dispatch and its exact flow.

        Args:
            dispatch: of all devices.
            flow: of the network under it.
            measurement: the plan starts from.
            available_kw: shape (period, device).
            certificate: of the plan.
        """
        p_kw, q_kvar = self.planned(dispatch, measurement, available_kw)
        return Plan(
            time_s=measurement.time_s,
            period_s=np.asarray(self._horizon.period_s, dtype=np.float64),
            p_kw=p_kw,
            q_kvar=q_kvar,
            stored_kwh=self.roll_out(measurement, p_kw),
            import_kw=flow.import_kva.real.copy(),
            import_kvar=flow.import_kva.imag.copy(),
            losses_kw=flow.losses_kw,
            voltage_pu=np.ascontiguousarray(flow.voltage_pu.T),
            certificate=certificate,
        )

    def roll_out(self, measurement: Measurement, p_kw: FloatArray) -> FloatArray:
        """Stored energy along a plan by the exact laws, shape (period + 1, device)."""
        energy_kw = p_kw[:, : len(self.model.energy)]
        return self.model.roll_out(measurement.stored_kwh, energy_kw, measurement.time_s)


def _tidy(kvar: FloatArray, rated: FloatArray) -> FloatArray:
    return np.asarray(np.where(np.abs(kvar) < AT_REST * rated, 0.0, kvar))
