"""What planners of feeders have in common whose areas plan for themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Generic, cast

import numpy as np

from cosim.errors import ContractError, FormulationRefused
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.roles import Resumable, is_resumable
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.model.twin import OpenTwin
from cosim.opf.devices.model import DeviceModel
from cosim.opf.distributed.area_links import LinkedAgent
from cosim.opf.distributed.area_setting import AreaSetting, Chosen
from cosim.opf.distributed.areas import Areas
from cosim.opf.distributed.counted import Counted, CountedAnswers, Silence
from cosim.opf.distributed.cut import cut_at, cut_evenly
from cosim.opf.distributed.exchange import AreasInProcess
from cosim.opf.distributed.messages import AnswersOfAreas, AreaAgent, AreaAnswer, AreaPart, Slot
from cosim.opf.distributed.planner_options import AreasOptions
from cosim.opf.options import PlannerOptions


def areas_of(site: Site, chosen: AreasOptions) -> Areas:
    """The areas of a site.

    Raises:
        FormulationRefused: the feeder is meshed or cannot be cut so.
    """
    if site.network is None:
        raise FormulationRefused(f"areas need a radial feeder: {site.no_network_reason}")
    count = len(site.devices)
    if chosen.cuts:
        return cut_at(site.network, count, chosen.cuts)
    return cut_evenly(site.network, count, chosen.areas)


def check_links(chosen: AreasOptions, names: Sequence[str]) -> None:
    """Refuse links of areas that are not there.

    Raises:
        FormulationRefused: names the link and the areas.
    """
    for link in chosen.links:
        if len({*link.between} & {*names}) < len(link.between):
            raise FormulationRefused(
                f"links: there is no link between {link.between[0]} and {link.between[1]}; the areas are "
                f"{', '.join(names)}"
            )


def without_import(shared: PlannerOptions) -> PlannerOptions:
    """Options of an area that is not at the substation: limits of the import are not its own."""
    limits = replace(shared.limits, import_max_kw=None, import_min_kw=None)
    return replace(shared, limits=limits, objective=replace(shared.objective, peak_per_kw=0.0))


def without_energy_cost(shared: PlannerOptions) -> PlannerOptions:
    """Options of an area that does not pay for energy itself."""
    return replace(shared, objective=replace(shared.objective, energy_cost=0.0))


class AreasPlanner(ABC, Generic[Chosen]):
    """Areas that plan for themselves and exchange messages in slots that are agreed beforehand.

    Args:
        site: facts of the plant; needs a radial network.
        horizon: the periods of every plan.
        shared: options that planners share. Limits of the import and the demand charge are those of the
            area at the substation.
        options: of the planner.
        areas: answers of areas in processes of their own; None: they plan here.

    Raises:
        FormulationRefused: the feeder cannot be cut so, or an area has no device.
    """

    name: ClassVar[str]
    indispensable: ClassVar[tuple[int, ...]] = ()
    """Positions of areas without whose answer there is no plan."""

    def __init__(
        self,
        site: Site,
        horizon: Horizon,
        shared: PlannerOptions,
        _twin: OpenTwin | None = None,
        *,
        options: Chosen,
        areas: AnswersOfAreas | None = None,
    ) -> None:
        self.areas = areas_of(site, options)
        settings = [
            AreaSetting(site, self.areas, place, horizon, shared, options)
            for place in range(len(self.areas.areas))
        ]
        check_links(options, settings[0].names)
        self._sites = [setting.area for setting in settings]
        self._tolerance, self._hold_s = options.tolerance, options.hold_s
        self._answers = areas or AreasInProcess(
            [self._agent(setting) for setting in settings], self.slots_of(self.areas, options)
        )
        self._counted = CountedAnswers(self._sites, horizon, options.hold_s)
        self._devices = DeviceModel(site.devices, horizon, shared)
        self._horizon, self._weight, self._nodes = horizon, shared.objective.energy_cost, len(site.nodes)

    @classmethod
    @abstractmethod
    def agent_of(cls, setting: AreaSetting[Chosen]) -> AreaAgent:
        """The controller of one area.

        Raises:
            FormulationRefused: the area has no device, or cannot be planned so.
        """

    @classmethod
    def _agent(cls, setting: AreaSetting[Chosen]) -> AreaAgent:
        """The controller of one area behind its links."""
        return LinkedAgent(cls.agent_of(setting), cast("AreaSetting[AreasOptions]", setting))

    @classmethod
    @abstractmethod
    def slots_of(cls, areas: Areas, chosen: Chosen) -> tuple[Slot, ...]:
        """When areas act, the same in every plan."""

    @classmethod
    def part_of(
        cls, site: Site, horizon: Horizon, shared: PlannerOptions, position: int, *, options: Chosen
    ) -> AreaPart:
        """See :class:`cosim.opf.distributed.messages.PlannerOfAreas`."""
        areas = areas_of(site, options)
        if position >= len(areas.areas):
            raise ContractError(
                f"there is no area {position + 1}, the feeder is cut into {len(areas.areas)} areas; list "
                "one federate of role area for each"
            )
        setting = AreaSetting(site, areas, position, horizon, shared, options)
        return AreaPart(cls._agent(setting), cls.slots_of(areas, options), setting.names)

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Let the areas plan, and put their plans together; see :class:`cosim.model.roles.Planner`."""
        told = self._answers(measurement, forecast)
        build_s, solve_s = (
            sum(getattr(a.figures, name) for a in told if a is not None) for name in ("build_s", "solve_s")
        )
        for place, (area, answer) in enumerate(zip(self.areas.areas, told, strict=True)):
            if answer is None and (self._hold_s is None or place in self.indispensable):
                reason = f"{area.name} is silent, and there is no plan without it"
                return NoPlan("silent", reason, build_s, solve_s)
            if answer is not None and not answer.found:
                return NoPlan("infeasible", f"{area.name}: {answer.reason}", build_s, solve_s)
        counted = self._counted.count(told, measurement)
        answers = [item.answer for item in counted]
        shape = (len(self._horizon), self._devices.count)
        kw, kvar = np.zeros(shape), np.zeros(shape)
        for own, answer in zip(self._sites, answers, strict=True):
            kw[:, own.devices], kvar[:, own.devices] = answer.p_kw, answer.q_kvar
        import_kva = np.sum([answer.import_kva for answer in answers], axis=0)
        energy_kw = kw[:, : len(self._devices.energy)]
        return Plan(
            time_s=measurement.time_s,
            period_s=np.asarray(self._horizon.period_s, dtype=np.float64),
            p_kw=kw,
            q_kvar=kvar,
            stored_kwh=self._devices.roll_out(measurement.stored_kwh, energy_kw, measurement.time_s),
            import_kw=import_kva.real.copy(),
            import_kvar=import_kva.imag.copy(),
            losses_kw=np.sum([answer.losses_kw for answer in answers], axis=0),
            voltage_pu=self._voltage_pu(answers),
            certificate=self._certificate(counted, import_kva.real, forecast.price_per_kwh),
            caution="; ".join(item.reason for item in counted if item.reason),
        )

    @property
    def resumable(self) -> bool:
        """Whether all areas can be carried on; areas of other processes see to it themselves."""
        return is_resumable(self._answers)

    def state(self) -> tuple[Any, list[Silence]]:
        """See :class:`cosim.model.roles.Resumable`."""
        return cast("Resumable", self._answers).state(), list(self._counted.known)

    def restore(self, state: tuple[Any, list[Silence]]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        cast("Resumable", self._answers).restore(state[0])
        self._counted.known = state[1]

    def _voltage_pu(self, answers: Sequence[AreaAnswer]) -> FloatArray:
        """Voltages that the areas expect at their own nodes, shape (period, node)."""
        voltage = np.zeros((len(self._horizon), self._nodes))
        for own, answer in zip(self._sites, answers, strict=True):
            voltage[:, own.nodes[own.own_nodes]] = answer.voltage_pu
        return voltage

    def _certificate(
        self, counted: Sequence[Counted], import_kw: FloatArray, price_per_kwh: FloatArray
    ) -> Certificate:
        """Worst and total figures. The objective is the cost of energy: no area tells its own costs."""
        figures = [item.answer.figures for item in counted]
        worst = {
            name: max(getattr(item, name) for item in figures)
            for name in ("primal_residual", "simultaneous_kw", "slack_pu", "over_kw")
        }
        mismatch = max(item.mismatch for item in figures)
        unheard = sum(item.unheard for item in figures)
        agreed = mismatch <= self._tolerance and not unheard
        rounds = int(max(item.last_round for item in figures))
        return Certificate(
            planner=self.name,
            status="settled" if agreed else "stopped",
            objective=float(self._weight * np.sum(price_per_kwh * import_kw * self._horizon.hours)),
            simultaneous_h=sum(item.simultaneous_h for item in figures),
            iterations=int(sum(item.iterations for item in figures)),
            build_s=sum(item.build_s for item in figures),
            solve_s=sum(item.solve_s for item in figures),
            relaxation_gap_kva=None,
            optimality_gap=None,
            claim=f"{len(counted)} areas {'agree' if agreed else 'do not agree'}: boundary values differ "
            f"by {mismatch:.1e}" + (f", {unheard:.0f} links are silent" if unheard else ""),
            rounds=rounds,
            messages=int(sum(item.messages for item in figures)),
            message_bytes=int(sum(item.message_bytes for item in figures)),
            messages_lost=int(sum(item.lost for item in figures)),
            area_source=tuple(str(item.source) for item in counted),
            **worst,
        )
