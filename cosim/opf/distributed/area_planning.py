"""What the controllers of areas have in common: names, figures, and their answer to the controller."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from cosim.model.arrays import ComplexArray
from cosim.model.state import NoPlan, Plan
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.distributed.area_setting import AreaSetting
from cosim.opf.distributed.messages import BYTES_PER_VALUE, AreaAnswer, Figures, Message
from cosim.opf.problem import DispatchProblem

FORGETFUL = frozenset({"piqp"})
"""Solvers of which nothing is left where they are dropped, and that can be dropped between any solves."""


def begins_anew(problem: DispatchProblem) -> bool:
    """Whether :func:`begin_anew` makes the next solves depend on their data alone."""
    return problem.solver in FORGETFUL


def begin_anew(problem: DispatchProblem) -> None:
    """Let the next solves depend on their data alone where the solver can; runs can then be carried on."""
    if begins_anew(problem):
        problem.forget()


class AreaPlanning:
    """An area, its planner, its neighbours and the figures of its plan.

    Args:
        setting: what the area is made of.
        planner: plans the area.

    Attributes:
        upstream, downstream: names of the neighbours.
        figures: of the present plan.
    """

    def __init__(self, setting: AreaSetting[Any], planner: DispatchPlanner) -> None:
        area, names = setting.area, setting.names
        self.area, self.planner = area, planner
        self.upstream = None if area.upstream is None else names[area.upstream.upstream]
        self.downstream = tuple(names[boundary.downstream] for boundary in area.downstream)
        self.figures = Figures()

    def begin(self) -> None:
        """Begin a plan, which depends on its data alone where the solver can, see :func:`begin_anew`."""
        self.figures = Figures()
        begin_anew(self.planner.problem)

    @property
    def resumable(self) -> bool:
        """Whether plans depend on nothing but their data and the earlier plan."""
        return begins_anew(self.planner.problem)

    def state(self) -> Plan | None:
        """The earlier plan of the area; see :class:`cosim.model.roles.Resumable`."""
        return self.planner.state()[1]

    def restore(self, state: Plan | None) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self.planner.restore((None, state))

    @property
    def neighbours(self) -> tuple[str, ...]:
        """The area upstream, then those downstream."""
        return (*(() if self.upstream is None else (self.upstream,)), *self.downstream)

    def count_sent(self, messages: Iterable[Message]) -> None:
        """Add messages to the figures."""
        sizes = [message.size for message in messages]
        before = self.figures
        self.figures = replace(
            before,
            messages=before.messages + len(sizes),
            message_bytes=before.message_bytes + BYTES_PER_VALUE * sum(sizes),
        )

    def count_solve(self, number: int, *, build_s: float, solve_s: float, iterations: int = 0) -> None:
        """Add a solve to the figures.

        Args:
            number: of the round.
            build_s, solve_s: seconds.
            iterations: of the solver.
        """
        before = self.figures
        self.figures = replace(
            before,
            iterations=before.iterations + iterations,
            build_s=before.build_s + build_s,
            solve_s=before.solve_s + solve_s,
            last_round=float(number),
        )

    def adopt(self, plan: Plan) -> None:
        """Take the figures that belong to a plan and not to its solves."""
        proof = plan.certificate
        self.figures = replace(
            self.figures,
            primal_residual=proof.primal_residual,
            simultaneous_kw=proof.simultaneous_kw,
            simultaneous_h=proof.simultaneous_h,
            slack_pu=proof.slack_pu,
            over_kw=proof.over_kw,
        )

    def answer(
        self, plan: Plan | NoPlan, seen_kva: ComplexArray | None, *, periods: int, mismatch: float
    ) -> AreaAnswer:
        """What the controller of the feeder gets.

        Args:
            plan: of the area.
            seen_kva: power drawn at the heads that the area upstream counts in its import, shape (head,
                period); None at the substation.
            periods: of the horizon.
            mismatch: see :class:`Figures`.
        """
        area, figures = self.area, replace(self.figures, mismatch=mismatch)
        if isinstance(plan, NoPlan):
            nodes = len(area.nodes[area.own_nodes])
            none, power = np.zeros((periods, len(area.devices))), np.zeros(periods, dtype=np.complex128)
            voltage = np.zeros((periods, nodes))
            return AreaAnswer(False, none, none, voltage, power, power.real, figures, plan.reason)
        imported = plan.import_kw + 1j * plan.import_kvar
        if seen_kva is not None:
            imported = imported - seen_kva.sum(axis=0)
        voltage = plan.voltage_pu[:, area.own_nodes]
        return AreaAnswer(True, plan.p_kw, plan.q_kvar, voltage, imported, plan.losses_kw, figures)
