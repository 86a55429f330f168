"""The devices of one area, planned at the prices of an aggregator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.forecast import Forecast
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.distributed.area_planning import AreaPlanning
from cosim.opf.distributed.area_setting import AreaSetting
from cosim.opf.distributed.dual_price_options import DualPriceOptions
from cosim.opf.distributed.messages import AreaAnswer
from cosim.opf.distributed.schedules import OwnDevices, Schedules
from cosim.opf.options import Limits, Objective, fastest_solver
from cosim.opf.problem import Solved


@dataclass(frozen=True)
class Terms:
    """What every link begins a plan with.

    Attributes:
        time_s: of the plan.
        charge: price of a kW in each period, currency.
        unit_kva: of all powers.
        periods: period of the earlier plan in which each period begins, shape (period,).
    """

    time_s: float
    charge: FloatArray
    unit_kva: float
    periods: IntArray


class OwnerLink(Protocol):
    """Where an owner gets its prices from, and what it answers."""

    @property
    def agreed(self) -> bool:
        """Whether request and answer agree, so that it need not answer again."""
        ...

    @property
    def apart(self) -> float:
        """Largest difference of request and answer, units."""
        ...

    @property
    def resting(self) -> FloatArray:
        """What an owner without a solution answers."""
        ...

    def begin(self, terms: Terms) -> None:
        """Begin with the price of energy, or with the earlier plan."""
        ...

    def state(self) -> Any:
        """What later plans depend on; see :class:`cosim.model.roles.Resumable`."""
        ...

    def restore(self, state: Any) -> None:
        """Take over what :meth:`state` gave."""
        ...

    def pull(self, schedules: Schedules) -> None:
        """Write prices and requests into the program of the owner."""
        ...

    def read(self, schedules: Schedules) -> FloatArray:
        """What the owner answers, of the last solution."""
        ...


L = TypeVar("L", bound=OwnerLink)


class Owner(Generic[L]):
    """The devices of one area, planned at the prices of the aggregator.

    Args:
        setting: what the area is made of.
        schedules: powers of the devices.
        link: to the aggregator.

    Attributes:
        copies: what it answers.
        terms: what every link begins a plan with.
    """

    def __init__(self, setting: AreaSetting[DualPriceOptions], schedules: Schedules, link: L) -> None:
        self.schedules, self.link = schedules, link
        shared, horizon = setting.shared, setting.horizon
        own = replace(shared, limits=Limits(), objective=Objective(energy_cost=0.0))
        planner = DispatchPlanner(
            "dual_price",
            partial(OwnDevices, schedules=schedules),
            setting.area.site,
            horizon,
            fastest_solver(own),
        )
        self.work = AreaPlanning(setting, planner)
        self._horizon, self._weight, self._began_s = horizon, shared.objective.energy_cost, 0.0
        self.solved: Solved | None = None

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """Begin a plan at rest, or with the earlier plan."""
        area, fed = self.work.area, len(self.work.area.feeding_kva)
        self.measurement = area.measurement(measurement, np.zeros(fed, dtype=np.complex128))
        none = np.zeros((fed, len(self._horizon)), dtype=np.complex128)
        self.forecast = area.forecast(forecast, none, None)
        self.work.begin()
        self.solved = None
        charge = self._weight * forecast.price_per_kwh * self._horizon.hours
        periods = self._horizon.periods_after(measurement.time_s - self._began_s)
        self._began_s = measurement.time_s
        self.terms = Terms(measurement.time_s, charge, self.schedules.unit_kva, periods)
        self.link.begin(self.terms)

    def solve(self, number: int) -> None:
        """Answer the prices if they have moved."""
        if self.solved is not None and self.link.agreed:
            return
        planner = self.work.planner
        build_s = planner.set_up(self.measurement, self.forecast) if self.solved is None else 0.0
        self.link.pull(self.schedules)
        self.solved = solved = planner.problem.solve()
        self.copies = self.link.read(self.schedules) if solved.found else self.link.resting
        self.work.count_solve(number, build_s=build_s, solve_s=solved.solve_s, iterations=solved.iterations)

    @property
    def resumable(self) -> bool:
        """Whether the area can be carried on."""
        return self.work.resumable

    def state(self) -> tuple[float, Any, Plan | None]:
        """See :class:`cosim.model.roles.Resumable`."""
        return self._began_s, self.link.state(), self.work.state()

    def restore(self, state: tuple[float, Any, Plan | None]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._began_s = state[0]
        self.link.restore(state[1])
        self.work.restore(state[2])

    def answer(self) -> AreaAnswer:
        """Its plan; it expects nothing of the network."""
        if self.solved is None:
            raise ContractError(f"{self.work.area.name} was asked for its plan before any round")
        work, periods = self.work, len(self._horizon)
        plan = work.planner.plan_of(self.solved, self.measurement, self.forecast, 0.0)
        apart = self.link.apart
        if isinstance(plan, NoPlan):
            return work.answer(plan, None, periods=periods, mismatch=apart)
        work.adopt(plan)
        nothing = np.zeros(periods)
        blind = replace(
            plan,
            import_kw=nothing,
            import_kvar=nothing,
            losses_kw=nothing,
            voltage_pu=np.zeros((periods, len(work.area.nodes))),
        )
        return work.answer(blind, None, periods=periods, mismatch=apart)
