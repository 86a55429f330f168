"""Equivalent network approximation: an area sees its neighbours as a load, and as a source of voltage.

The area upstream sees an area downstream as the power that it draws at the boundary. The area downstream
sees the area upstream as a source with the voltage of the boundary. Each area plans its own devices over
the whole horizon with these values, and tells its neighbours what follows at the boundaries. Areas repeat
this until the boundary values stay the same.

An area minimises the price of the energy that it draws. It does not see what its power costs the areas
upstream in losses, nor their voltage limits.

Source: after Sadnan and Dubey, "Distributed optimization using reduced network equivalents for radial power
distribution systems", 2021, arXiv 2012.02473; the abstract was read, and the stored results of a
multi-period version for feeders with batteries. No reproduction of the full text is claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field

from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.distributed.area_planning import AreaPlanning
from cosim.opf.distributed.area_setting import AreaSetting
from cosim.opf.distributed.areas import Areas
from cosim.opf.distributed.boundary_values import BoundaryValues
from cosim.opf.distributed.exchange import Order, slots_of
from cosim.opf.distributed.messages import AreaAgent, AreaAnswer, Message, Slot, of_power
from cosim.opf.distributed.planner import AreasPlanner, without_import
from cosim.opf.distributed.planner_options import AreasOptions
from cosim.opf.formulations.network_block import AreaBlock
from cosim.opf.options import PlannerOptions
from cosim.opf.planners import branch_flow_nl, branch_flow_soc, lindistflow
from cosim.plugins import needs, options

AreaFormulation = Literal["lindistflow", "branch_flow_soc", "branch_flow_nl"]
PLANNERS: dict[AreaFormulation, Callable[[Site, Horizon, PlannerOptions], DispatchPlanner]] = {
    "lindistflow": lindistflow,
    "branch_flow_soc": branch_flow_soc,
    "branch_flow_nl": branch_flow_nl,
}
CORRECTED: frozenset[AreaFormulation] = frozenset({"lindistflow"})
"""Formulations that follow the option ``anchor``."""


class EnappOptions(AreasOptions):
    """Options of planner enapp."""

    formulation: AreaFormulation = Field("lindistflow", description="of every area")
    order: Order = Field(
        "gauss_seidel",
        description="jacobi: all areas at once; gauss_seidel: from the ends to the substation",
    )
    rounds: int = Field(5, ge=1, le=50, description="number of rounds of every plan")
    tolerance: float = Field(
        1e-4, gt=0.0, description="move of a boundary value after which an area solves again, per unit"
    )


class EnappAgent:
    """The controller of one area.

    Args:
        setting: what it is made of.

    Raises:
        TypeError: the formulation cannot describe an area.
    """

    def __init__(self, setting: AreaSetting[EnappOptions]) -> None:
        area, chosen, shared = setting.area, setting.chosen, setting.shared
        own = shared if area.upstream is None else without_import(shared)
        planner = PLANNERS[chosen.formulation](area.site, setting.horizon, own)
        if not isinstance(planner.network, AreaBlock):
            raise TypeError(f"the formulation of planner {planner.name} cannot describe an area")
        self._network = planner.network
        self._work = work = AreaPlanning(setting, planner)
        self.name, self.neighbours = setting.name, work.neighbours
        corrected = chosen.formulation in CORRECTED and shared.anchor == "measurement"
        self._tolerance, self._now = chosen.tolerance, int(corrected)
        self._values = BoundaryValues(
            area, work.upstream, work.downstream, setting.horizon, now=self._now, hold_s=chosen.hold_s
        )
        self._plan: Plan | NoPlan = NoPlan("not_planned", "no round has begun")

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        self._measurement, self._forecast = measurement, forecast
        self._values.begin(measurement)
        self._solved_for: FloatArray | None = None
        self._outgoing: dict[str, Message] = {}
        self._work.begin()

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """Solve if a boundary value has moved, and tell the neighbours what follows."""
        self._values.take(received)
        if self._mismatch() > self._tolerance:
            self._solve(number)
        self._work.count_sent(self._outgoing.values())
        return self._outgoing

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer:
        """See :class:`AreaAgent`."""
        self._values.take(received)
        seen = None
        if self._work.upstream is not None and isinstance(self._plan, Plan):
            seen = self._drawn_kva[:, self._now :]
        periods = len(self._forecast.horizon)
        return self._work.answer(self._plan, seen, periods=periods, mismatch=self._mismatch())

    @property
    def resumable(self) -> bool:
        """Whether the area can be carried on."""
        return self._work.resumable or self._work.planner.resumable

    def state(self) -> tuple[dict[str, Any], Any]:
        """See :class:`cosim.model.roles.Resumable`."""
        return self._values.state(), self._work.planner.state()

    def restore(self, state: tuple[dict[str, Any], Any]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._values.restore(state[0])
        self._work.planner.restore(state[1])

    def _mismatch(self) -> float:
        """Largest move of a boundary value since the last solve."""
        if self._solved_for is None:
            return float("inf")
        return float(np.max(np.abs(self._values.scaled() - self._solved_for), initial=0.0))

    def _solve(self, number: int) -> None:
        values, work = self._values, self._work
        area = work.area
        self._solved_for = values.scaled()
        drawn = values.drawn_kva()
        measurement = area.measurement(self._measurement, drawn[:, 0])
        forecast = area.forecast(self._forecast, drawn[:, self._now :], values.head_squared_pu)
        plan = self._plan = work.planner.plan(measurement, forecast)
        if isinstance(plan, NoPlan):
            work.count_solve(number, build_s=plan.build_s, solve_s=plan.solve_s)
            # Neighbours keep what they heard last; the plan of the feeder fails as a whole.
            self._outgoing = self._outgoing or values.resting_messages()
            return
        proof = plan.certificate
        work.count_solve(number, build_s=proof.build_s, solve_s=proof.solve_s, iterations=proof.iterations)
        work.adopt(plan)
        self._drawn_kva: ComplexArray = self._network.drawn_kva()
        squared = plan.voltage_pu.T**2
        self._outgoing = {
            name: np.ascontiguousarray(squared[nodes]).ravel()
            for name, nodes in zip(work.downstream, area.feeding, strict=True)
        }
        if work.upstream is not None:
            self._outgoing[work.upstream] = of_power(self._drawn_kva)


@needs("network", "areas")
@options(EnappOptions)
class EnappPlanner(AreasPlanner[EnappOptions]):
    """Areas that plan for themselves and exchange boundary values (equivalent network approximation)."""

    name = "enapp"

    @classmethod
    def agent_of(cls, setting: AreaSetting[EnappOptions]) -> AreaAgent:
        """See :class:`AreasPlanner`; the formulation may not cover the area."""
        return EnappAgent(setting)

    @classmethod
    def slots_of(cls, areas: Areas, chosen: EnappOptions) -> tuple[Slot, ...]:
        """See :class:`AreasPlanner`."""
        return slots_of(areas, chosen.order, chosen.rounds)
