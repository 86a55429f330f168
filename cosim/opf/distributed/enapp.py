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

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.forecast import Forecast
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.distributed.area_site import AreaSite
from cosim.opf.distributed.boundary_values import BoundaryValues
from cosim.opf.distributed.messages import BYTES_PER_VALUE, AreaAnswer, Figures, Message, of_power
from cosim.opf.formulations.network_block import AreaBlock


class EnappAgent:
    """The controller of one area.

    Args:
        area: its part of the site.
        planner: plans the area; its formulation must describe areas.
        names: names of the areas by position.
        horizon: the periods of every plan.
        tolerance: an area solves again if a boundary value moved by more, see :class:`Figures`.
        corrected: whether the model is corrected by the measurement.

    Raises:
        TypeError: the formulation of the planner cannot describe an area.
    """

    def __init__(
        self,
        area: AreaSite,
        planner: DispatchPlanner,
        names: tuple[str, ...],
        horizon: Horizon,
        *,
        tolerance: float,
        corrected: bool,
    ) -> None:
        network = planner.network
        if not isinstance(network, AreaBlock):
            raise TypeError(f"the formulation of planner {planner.name} cannot describe an area")
        self._area, self._planner, self._network = area, planner, network
        self._upstream = None if area.upstream is None else names[area.upstream.upstream]
        self._downstream = tuple(names[boundary.downstream] for boundary in area.downstream)
        self._tolerance, self._now = tolerance, int(corrected)
        self._values = BoundaryValues(area, self._upstream, self._downstream, horizon, now=self._now)
        self._plan: Plan | NoPlan = NoPlan("not_planned", "no round has begun")
        self._figures = Figures()

    @property
    def name(self) -> str:
        """Of the area."""
        return self._area.name

    @property
    def neighbours(self) -> tuple[str, ...]:
        """The area upstream, then those downstream."""
        return (*(() if self._upstream is None else (self._upstream,)), *self._downstream)

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        self._measurement, self._forecast = measurement, forecast
        self._values.begin(measurement)
        self._solved_for: FloatArray | None = None
        self._outgoing: dict[str, Message] = {}
        self._figures = Figures()

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """Solve if a boundary value has moved, and tell the neighbours what follows."""
        self._values.take(received)
        if self._mismatch() > self._tolerance:
            self._solve(number)
        figures = self._figures
        self._figures = replace(
            figures,
            messages=figures.messages + len(self._outgoing),
            message_bytes=figures.message_bytes
            + BYTES_PER_VALUE * sum(message.size for message in self._outgoing.values()),
        )
        return self._outgoing

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer:
        """See :class:`AreaAgent`."""
        self._values.take(received)
        plan, area = self._plan, self._area
        figures = replace(self._figures, mismatch=self._mismatch())
        if isinstance(plan, NoPlan):
            periods, nodes = len(self._forecast.horizon), len(area.nodes[area.own_nodes])
            none, power = np.zeros((periods, len(area.devices))), np.zeros(periods, dtype=np.complex128)
            voltage = np.zeros((periods, nodes))
            return AreaAnswer(False, none, none, voltage, power, power.real, figures, plan.reason)
        imported = plan.import_kw + 1j * plan.import_kvar
        if self._upstream is not None:
            imported = imported - self._drawn_kva[:, self._now :].sum(axis=0)
        return AreaAnswer(
            True,
            plan.p_kw,
            plan.q_kvar,
            plan.voltage_pu[:, area.own_nodes],
            imported,
            plan.losses_kw,
            figures,
        )

    def _mismatch(self) -> float:
        """Largest move of a boundary value since the last solve."""
        if self._solved_for is None:
            return float("inf")
        return float(np.max(np.abs(self._values.scaled() - self._solved_for), initial=0.0))

    def _solve(self, number: int) -> None:
        values, area = self._values, self._area
        self._solved_for = values.scaled()
        drawn = values.drawn_kva()
        measurement = area.measurement(self._measurement, drawn[:, 0])
        forecast = area.forecast(self._forecast, drawn[:, self._now :], values.head_squared_pu)
        plan = self._planner.plan(measurement, forecast)
        self._count(plan, number)
        if isinstance(plan, NoPlan):
            # Neighbours keep what they heard last; the plan of the feeder fails as a whole.
            self._plan = plan
            self._outgoing = self._outgoing or values.resting_messages()
            return
        self._plan = plan
        self._drawn_kva: ComplexArray = self._network.drawn_kva()
        squared = plan.voltage_pu.T**2
        self._outgoing = {
            name: np.ascontiguousarray(squared[nodes]).ravel()
            for name, nodes in zip(self._downstream, area.feeding, strict=True)
        }
        if self._upstream is not None:
            self._outgoing[self._upstream] = of_power(self._drawn_kva)

    def _count(self, plan: Plan | NoPlan, number: int) -> None:
        """Add a solve to the figures."""
        before = self._figures
        if isinstance(plan, NoPlan):
            self._figures = replace(
                before,
                build_s=before.build_s + plan.build_s,
                solve_s=before.solve_s + plan.solve_s,
                last_round=float(number),
            )
            return
        proof = plan.certificate
        self._figures = replace(
            before,
            primal_residual=proof.primal_residual,
            simultaneous_kw=proof.simultaneous_kw,
            simultaneous_h=proof.simultaneous_h,
            slack_pu=proof.slack_pu,
            over_kw=proof.over_kw,
            iterations=before.iterations + proof.iterations,
            build_s=before.build_s + proof.build_s,
            solve_s=before.solve_s + proof.solve_s,
            last_round=float(number),
        )
