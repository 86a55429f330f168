"""Areas that agree by the alternating direction method of multipliers (ADMM).

Every area plans its own devices, and with them its copy of the boundary values: squared voltage, active and
reactive power at each node of a boundary and in each period. Neighbours exchange their copies. A multiplier
and a penalty at each boundary value pull the copies together, see :mod:`cosim.opf.distributed.consensus`.
In the limit, what the areas agree on is the plan of one controller, also where limits of one area can only
be kept with the help of another: the price of that help is in the multipliers.

Only the area at the substation pays for energy. The first multipliers of active power are the price of
energy, so an area begins with the price that it would pay alone.

The model of an area is written about its agreed boundary values: what loads and losses make of voltages is
data of each round, as in the central planner, and the changes by devices and neighbours are variables.

Source: see :mod:`cosim.opf.distributed.consensus`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import Field

from cosim.errors import ContractError
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.forecast import Forecast
from cosim.model.state import Measurement, NoPlan
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.distributed.area_planning import AreaPlanning
from cosim.opf.distributed.area_setting import AreaSetting
from cosim.opf.distributed.areas import Areas
from cosim.opf.distributed.consensus import KVAR, KW, SQUARED, Balance, Consensus
from cosim.opf.distributed.exchange import opening_slots, slots_of
from cosim.opf.distributed.lockstep import Lockstep
from cosim.opf.distributed.messages import AreaAgent, AreaAnswer, Message, Slot, of_power, to_power
from cosim.opf.distributed.planner import AreasPlanner, without_energy_cost, without_import
from cosim.opf.distributed.planner_options import AreasOptions
from cosim.opf.formulations.branch_flow import BranchFlowNetwork
from cosim.opf.formulations.coupling import SQUARED_UNIT_PU2, Coupling
from cosim.opf.formulations.lindistflow import LinDistFlowNetwork
from cosim.opf.formulations.network_block import CoupledBlock, NetworkBlock
from cosim.opf.options import fastest_solver
from cosim.opf.problem import Solved
from cosim.plugins import needs, options

LEAST_PRICE_PER_KWH = 1e-3
"""Price of a unit of power where energy is free."""


CoupledFormulation = Literal["lindistflow", "branch_flow_soc"]
NETWORKS: dict[CoupledFormulation, Callable[..., NetworkBlock]] = {
    "lindistflow": LinDistFlowNetwork,
    "branch_flow_soc": partial(BranchFlowNetwork, tight=False),
}
LINEAR: frozenset[CoupledFormulation] = frozenset({"lindistflow"})
"""Formulations without cones of their own."""


class AdmmOptions(AreasOptions):
    """Options of planner admm."""

    formulation: CoupledFormulation = Field("lindistflow", description="of every area")
    rounds: int = Field(40, ge=1, le=240, description="largest number of rounds of every plan")
    tolerance: float = Field(
        5e-3, gt=0.0, description="difference of boundary values below which areas agree, per unit"
    )
    dual_tolerance: float = Field(
        0.1, gt=0.0, description="change of agreed values times penalty below which areas agree"
    )
    penalty: float = Field(1.0, gt=0.0, description="factor of the first penalties")
    relaxation: float = Field(1.8, ge=1.0, lt=2.0, description="over-relaxation; 1 is none")


SCALES = (0.0005, 0.05, 0.02)
"""How far multipliers of each kind move from their start, as a part of the price of a unit of power.

Measured on IEEE 123: penalties of this size let boundary values move at the pace of their multipliers. With
the price itself as the scale, areas agree early on values that are far from the best ones.
"""


@dataclass(frozen=True)
class _Link:
    """A boundary of an area: with whom, where in the arrays of the coupling, and what is agreed."""

    neighbour: str
    rows: slice
    lockstep: Lockstep

    @property
    def consensus(self) -> Consensus:
        """What is agreed."""
        return self.lockstep.consensus


class AdmmAgent:
    """The controller of one area.

    Args:
        setting: what it is made of.

    Raises:
        TypeError: the formulation has no variables at boundaries.
    """

    def __init__(self, setting: AreaSetting[AdmmOptions]) -> None:
        area, chosen, shared = setting.area, setting.chosen, setting.shared
        self._horizon, self._chosen = setting.horizon, chosen
        self._price_weight = shared.objective.energy_cost
        heads = np.arange(0 if area.upstream is None else len(area.upstream.nodes))
        feeding = np.concatenate([np.zeros(0, dtype=np.int64), *area.feeding])
        self._coupling = Coupling(heads, feeding, area.reach_kva, len(setting.horizon))
        own = shared if area.upstream is None else without_energy_cost(without_import(shared))
        linear = chosen.formulation in LINEAR
        planner = DispatchPlanner(
            chosen.formulation,
            partial(NETWORKS[chosen.formulation], coupling=self._coupling),
            area.site,
            setting.horizon,
            fastest_solver(own) if linear else own,
        )
        if not isinstance(planner.network, CoupledBlock):
            raise TypeError(f"the formulation of planner {planner.name} has no variables at boundaries")
        self._network = planner.network
        self._work = AreaPlanning(setting, planner)
        self.name, self.neighbours = setting.name, self._work.neighbours
        self._links = [self._link(name, rows) for name, rows in self._rows()]
        self._hears_all = all(chosen.always_heard(self.name, other) for other in self.neighbours)
        self._now_kva = np.zeros(len(feeding), dtype=np.complex128)
        self._began_s = 0.0
        self._solved: Solved | None = None

    def _rows(self) -> list[tuple[str, slice]]:
        """Neighbours, and where their nodes stand among the boundary nodes."""
        sizes = [len(self._coupling.heads)] if self._work.upstream is not None else []
        sizes += [len(nodes) for nodes in self._work.area.feeding]
        ends = np.cumsum(sizes).tolist()
        return [
            (name, slice(end - size, end))
            for name, size, end in zip(self._work.neighbours, sizes, ends, strict=True)
        ]

    def _link(self, name: str, rows: slice) -> _Link:
        shape = (3, rows.stop - rows.start, len(self._horizon))
        consensus = Consensus(shape, relaxation=self._chosen.relaxation, balance=Balance())
        perfect = self._chosen.always_heard(self.name, name)
        return _Link(name, rows, Lockstep(consensus, perfect=perfect, receiver=self.name, sender=name))

    # --- rounds ---------------------------------------------------------------------------------------

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        self._measurement, self._forecast = measurement, forecast
        self._work.begin()
        for link in self._links:
            link.lockstep.clear()
        self._solved, self._copies = None, np.zeros((3, len(self._coupling.nodes), len(self._horizon)))
        self._opened, self._moved = False, False

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """Say what is drawn now in round 0; later take the copies of the neighbours and plan."""
        self._hear_now(received)
        if number == 0 or not self._hears_all:
            # Else an area may hear in a later round only what is drawn behind it.
            own = self._work.area.measurement(self._measurement, self._now_kva)
            # Heads at the substation are no boundary.
            self._head_now_kva = self._network.drawn_now_kva(own)[: len(self._coupling.heads)]
        if number:
            self._open()
            self._take_copies(received)
            if self._solved is None or (self._moved and not self._agreed()):
                self._solve(number)
            for link in self._links:
                link.lockstep.offer(self._copies[:, link.rows])
        messages = {link.neighbour: self._message(link) for link in self._links}
        self._work.count_sent(messages.values())
        return messages

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer:
        """See :class:`AreaAgent`."""
        self._take_copies(received)
        work, periods = self._work, len(self._horizon)
        solved = self._solved
        if solved is None:
            raise ContractError(f"{self.name} was asked for its plan before any round")
        measurement, forecast = self._own_data()
        if solved.found:
            self._network.update(measurement, forecast)
        plan = work.planner.plan_of(solved, measurement, forecast, 0.0)
        if not isinstance(plan, NoPlan):
            work.adopt(plan)
        seen = None if work.upstream is None else self._agreed_kva()[self._coupling.at_heads]
        return work.answer(plan, seen, periods=periods, mismatch=self._apart())

    def _hear_now(self, received: Mapping[str, Message]) -> None:
        """Take what areas downstream draw now, which their messages begin with."""
        area = self._work.area
        begins = 0
        for name, nodes in zip(self._work.downstream, area.feeding, strict=True):
            rows = slice(begins, begins + len(nodes))
            begins = rows.stop
            if name in received:
                self._now_kva[rows] = to_power(received[name][: 2 * len(nodes)], len(nodes))[:, 0]

    def _message(self, link: _Link) -> Message:
        """The copies of a boundary; to the area upstream, what is drawn now comes first."""
        copies = link.lockstep.message()
        if link.neighbour != self._work.upstream:
            return copies
        return np.concatenate([of_power(self._head_now_kva[:, None]), copies])

    def _take_copies(self, received: Mapping[str, Message]) -> None:
        """Update what is agreed by the copies of a round.

        Raises:
            ContractError: a message has another length than agreed.
        """
        self._moved = False
        for link in self._links:
            message = received.get(link.neighbour)
            if message is not None and link.neighbour != self._work.upstream:
                message = message[2 * (link.rows.stop - link.rows.start) :]
            self._moved |= link.lockstep.take(message)

    # --- carrying on ----------------------------------------------------------------------------------

    @property
    def resumable(self) -> bool:
        """Whether the area can be carried on."""
        return self._work.resumable

    def state(self) -> dict[str, Any]:
        """See :class:`cosim.model.roles.Resumable`."""
        return {
            "links": [link.lockstep.state() for link in self._links],
            "now_kva": self._now_kva,
            "began_s": self._began_s,
            "earlier": self._work.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        for link, known in zip(self._links, state["links"], strict=True):
            link.lockstep.restore(known)
        self._now_kva, self._began_s = state["now_kva"].copy(), state["began_s"]
        self._work.restore(state["earlier"])

    # --- agreement ------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Begin with the earlier plan, or with the measurement and the price of energy.

        The measurement is used too where a neighbour is silent for so long that its values count no more.
        """
        if self._opened:
            return
        self._opened = True
        price = self._price_weight * self._forecast.price_per_kwh * self._horizon.hours
        now_s = self._measurement.time_s
        for link in self._links:
            unit_kva = self._coupling.unit_kva[link.rows, None]
            charged = np.zeros(link.consensus.agreed.shape)
            pays = 1.0 if link.neighbour == self._work.upstream else -1.0
            charged[KW] = pays * price * unit_kva
            if not link.consensus.started or link.lockstep.is_silent(now_s, self._chosen.hold_s):
                least = LEAST_PRICE_PER_KWH * float(self._horizon.hours.mean())
                cost = float(unit_kva.mean()) * max(float(np.abs(price).mean()), least)
                scale = cost * np.array(SCALES)
                link.consensus.start(
                    self._measured(link), charged, scale=scale, penalty=self._chosen.penalty
                )
            else:
                link.consensus.shift(self._horizon.periods_after(now_s - self._began_s), charged)
            link.lockstep.begin(now_s)
        self._began_s = now_s

    def _measured(self, link: _Link) -> FloatArray:
        """Boundary values of the measurement in all periods."""
        nodes = self._work.area.nodes[self._coupling.nodes[link.rows]]
        squared = (self._measurement.voltage_pu[nodes] ** 2 - 1.0) / SQUARED_UNIT_PU2
        now_kva = np.concatenate([self._head_now_kva, self._now_kva])[link.rows]
        now = now_kva / self._coupling.unit_kva[link.rows]
        columns = np.stack([squared, now.real, now.imag])
        return np.repeat(columns[:, :, None], len(self._horizon), axis=2)

    def _agreed_values(self) -> FloatArray:
        """What is agreed at all boundary nodes, shape (3, boundary node, period)."""
        none = np.zeros((3, 0, len(self._horizon)))
        return np.concatenate([none, *(link.consensus.agreed for link in self._links)], axis=1)

    def _agreed_kva(self) -> ComplexArray:
        """Agreed powers, shape (boundary node, period)."""
        values = self._agreed_values()
        return np.asarray((values[KW] + 1j * values[KVAR]) * self._coupling.unit_kva[:, None])

    def _agreed(self) -> bool:
        """Whether both residuals are small at all boundaries."""
        return all(
            self._apart_at(link) <= self._chosen.tolerance
            and float(link.consensus.dual.max()) <= self._chosen.dual_tolerance
            for link in self._links
        )

    def _apart(self) -> float:
        """Largest difference of boundary values from those of neighbours that were heard, per unit."""
        apart = [self._apart_at(link) for link in self._links]
        return max((value for value in apart if np.isfinite(value)), default=max(apart, default=0.0))

    @staticmethod
    def _apart_at(link: _Link) -> float:
        primal = link.consensus.primal
        return float(max(SQUARED_UNIT_PU2 * primal[SQUARED], primal[KW], primal[KVAR]))

    # --- the program ----------------------------------------------------------------------------------

    def _own_data(self) -> tuple[Measurement, Forecast]:
        """Measurement and forecast of the area, about the agreed boundary values."""
        area, heads = self._work.area, self._coupling.at_heads
        agreed = self._agreed_values()
        squared = None if self._work.upstream is None else 1.0 + SQUARED_UNIT_PU2 * agreed[SQUARED][heads]
        drawn = self._agreed_kva()[self._coupling.at_feeding]
        return (
            area.measurement(self._measurement, self._now_kva),
            area.forecast(self._forecast, drawn, squared),
        )

    def _solve(self, number: int) -> None:
        """Plan the area about what is agreed."""
        work, coupling = self._work, self._coupling
        measurement, forecast = self._own_data()
        build_s = work.planner.set_up(measurement, forecast)
        for kind, squares in enumerate(coupling.pull):
            squares.weight, squares.center = squares.weight.copy(), squares.center.copy()
            for link in self._links:
                squares.weight[link.rows] = link.consensus.weight[kind]
                squares.center[link.rows] = link.consensus.center[kind]
        self._solved = solved = work.planner.problem.solve()
        work.count_solve(number, build_s=build_s, solve_s=solved.solve_s, iterations=solved.iterations)
        # Without a plan the neighbours get what is agreed; the plan of the feeder fails as a whole.
        self._copies = coupling.values() if solved.found else self._agreed_values()


@needs("network", "areas")
@options(AdmmOptions)
class AdmmPlanner(AreasPlanner[AdmmOptions]):
    """Areas that agree by the alternating direction method of multipliers."""

    name = "admm"

    @classmethod
    def agent_of(cls, setting: AreaSetting[AdmmOptions]) -> AreaAgent:
        """See :class:`AreasPlanner`."""
        return AdmmAgent(setting)

    @classmethod
    def slots_of(cls, areas: Areas, chosen: AdmmOptions) -> tuple[Slot, ...]:
        """See :class:`AreasPlanner`."""
        return opening_slots(areas) + slots_of(areas, "jacobi", chosen.rounds)
