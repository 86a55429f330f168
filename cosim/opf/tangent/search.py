"""The search of the tangent planner: program after program until the tangent says what the flow says."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.scenario_tree import ScenarioTree
from cosim.model.state import NoPlan
from cosim.model.timegrid import Horizon
from cosim.model.twin import Twin, TwinFlow
from cosim.opf.program_size import ProgramSize
from cosim.opf.structured_qp.solve import SolverName, solve
from cosim.opf.structured_qp.step_program import (
    SoftRows,
    StepAnswer,
    StepProgram,
    Tangent,
)
from cosim.opf.tangent.active_limits import ActiveLimits
from cosim.opf.tangent.device_dispatch import DeviceDispatch, Dispatch
from cosim.opf.tangent.network_cost import NetworkCost, Slopes
from cosim.opf.tangent.search_log import Devices, Iterate, SearchLog

COST_TOLERANCE = 3e-6
"""A step is the last one when the exact cost is as the program said to this part of the cost."""
LEAST_COST = 1e-6
"""What tolerances of the cost are parts of, at least: a plan may be for limits alone."""
CIRCLE_TOLERANCE = 1e-4
"""Plans whose tap schedules take turns are told apart no further than this part of the cost."""
STALLED_STEPS, STALLED_GAIN = 2, 3e-6
"""A search stands still when so many steps brought less than this part of the cost."""
NEAR_PERIODS = 1
"""Where another plan follows in a step, limits and controls are brought to agree in so many first
periods; what is further away has time: the next plans begin where this one ends."""
HURRIED, HURRIED_SCENARIOS = 4.0, 12.0
"""The cost may differ then from what the program said by so many tolerances, by more with scenarios, of
which none will come about, and limits further away be exceeded by what half a tap changes."""
MERIT_TOLERANCE = 1e-5
"""A step may make cost and violations worse by this part of the cost."""
LOSS_MODES, LOSS_MODES_LONG, LONG = 6, 3, 48
"""Modes of the losses' curvature, fewer beyond so many periods and with scenarios: each is two dense rows
per period."""


@dataclass(frozen=True)
class _TangentStep:
    """A program about a point.

    Attributes:
        program: the quadratic program.
        slopes: it was made of.
        cost: the tangent of the cost alone; the program's also has the curvature of limits.
        scale: of its rows, those of the pool first, kW per unit of the limit.
    """

    program: StepProgram
    slopes: Slopes
    cost: Tangent
    scale: FloatArray


@dataclass(frozen=True)
class _Step:
    """A step that was taken.

    Attributes:
        point: where it led.
        told: the exact flow is as the program said: there is nothing left to do.
        last: it is near enough to that.
    """

    point: Iterate
    told: bool
    last: bool


class Search:
    """Finds the best plan about an earlier one.

    Args:
        horizon: the periods.
        twin, fleet, cost, pool: feeder, devices, cost and limits.
        solver: of the programs.
        tree: of the scenarios, whose nodes then stand for the periods; None: one future.

    Attributes:
        warm: the solver's iterate, to start the next program from.
        program_size: of the last program; None before the first.
    """

    def __init__(
        self,
        horizon: Horizon,
        twin: Twin,
        fleet: DeviceDispatch,
        cost: NetworkCost,
        pool: ActiveLimits,
        solver: SolverName,
        tree: ScenarioTree | None = None,
    ) -> None:
        tree = tree or ScenarioTree(len(horizon))
        self._tree, self._twin, self._hours = tree, twin, horizon.hours[tree.period]
        many = tree.branches > 1 or tree.periods > LONG
        self._loss_modes = LOSS_MODES_LONG if many else LOSS_MODES
        self._dispatcher, self._cost, self._limits_in_force, self._solver = fleet, cost, pool, solver
        self.warm: object | None = None
        self.program_size: ProgramSize | None = None

    def evaluate(
        self,
        dispatch: Dispatch,
        devices: Devices,
        start: TwinFlow | None,
        course: SearchLog,
        *,
        held: bool = False,
    ) -> Iterate:
        """Exact flow and cost of a dispatch.

        Args:
            dispatch: the plan.
            devices: what it may do.
            start: a flow near by.
            course: counts the time.
            held: regulators and capacitors stay as in ``start``; else they react.
        """
        began = time.perf_counter()
        flow = self._twin.flow(self._dispatcher.injection_kva(dispatch), start, held=held)
        cost = self._dispatcher.cost(dispatch, devices.energy, devices.sources) + self._cost.of(flow)
        given_back = self._cost.given_back(flow) if held else 0.0
        course.parts_s["flows"] += time.perf_counter() - began
        return Iterate(dispatch, flow, cost, given_back)

    def _followed(self, point: Iterate, course: SearchLog) -> Iterate:
        """A point that taps are taken to follow from: from here on they give back what is moved."""
        began = time.perf_counter()
        self._cost.follow_taps(point.flow)
        course.parts_s["flows"] += time.perf_counter() - began
        return replace(point, given_back=0.0)

    def run(self, point: Iterate, devices: Devices, course: SearchLog) -> Iterate | NoPlan:
        """From a point to the best plan: step after step until the tangent says what the flow says."""
        if not point.flow.converged.all():
            period = int(np.flatnonzero(~point.flow.converged)[0])
            reason = f"the feeder has no power flow in period {period} with its devices at rest"
            return NoPlan("not_physical", reason)
        point = self._followed(point, course)
        # The start is no plan yet: the first step need not improve on it.
        must_improve, course.end = False, "stopped"
        best: Iterate | None = None
        progress: list[float] = []
        for _ in range(course.most_programs):
            tangent = self._tangent(point, devices, course)
            answer = self._solve(tangent.program, course)
            if answer.status not in {"optimal", "almost"}:
                status = "infeasible" if answer.status == "infeasible" else "solver_error"
                return NoPlan(status, f"the tangent program is {answer.status}: {answer.message}")
            self._limits_in_force.weigh(answer.row_price[: len(tangent.scale)] * tangent.scale)
            step = self._step(point, tangent, answer, devices, course, must_improve=must_improve)
            if step is None:
                return NoPlan("not_physical", "no step of the tangent program has a power flow")
            point, must_improve = step.point, True
            progress.append(self._guide(point))
            if step.last or self._stalled(progress, point):
                progress.clear()
                settled = self._settled(point, devices, course)
                if not settled.flow.converged.all():
                    break
                proven = step.told and _same_taps(settled.flow, point.flow)
                done = self._nothing_gained(settled, point, best)
                done = done or (course.soon_again and self._near_stays(settled, point))
                best, must_improve = self._better(settled, best), False
                if done:
                    course.end = "optimal" if proven and best is settled else "settled"
                    return best
                point = self._followed(settled, course)
            if course.out_of_time:
                break
        return self._given_up(point, best, devices, course)

    def _given_up(
        self, point: Iterate, best: Iterate | None, devices: Devices, course: SearchLog
    ) -> Iterate | NoPlan:
        """The best that was found once no program is left.

        What regulators and capacitors really do is what the plan must answer for.
        """
        settled = self._settled(point, devices, course)
        found = self._better(settled, best)
        if not found.flow.converged.all():
            return NoPlan("not_physical", "the plan has no power flow once regulators and capacitors react")
        if course.soon_again and found is settled and not course.out_of_time:
            course.end = "settled" if self._near_stays(settled, point) else "stopped"
        return found

    # --- when to stop -----------------------------------------------------------------------------

    def _settled(self, point: Iterate, devices: Devices, course: SearchLog) -> Iterate:
        """The same dispatch with regulators and capacitors free to react."""
        settled = self.evaluate(point.dispatch, devices, point.flow, course)
        self._extend(settled.flow, course)
        return settled

    def _stalled(self, progress: list[float], point: Iterate) -> bool:
        """Whether the last steps brought nothing: on the edge of a load's law they jump to and fro."""
        if len(progress) <= STALLED_STEPS:
            return False
        gain = min(progress[:-STALLED_STEPS]) - min(progress[-STALLED_STEPS:])
        return gain <= STALLED_GAIN * self._cost.turnover(point.flow)

    def _nothing_gained(self, settled: Iterate, held: Iterate, best: Iterate | None) -> bool:
        """Whether another round cannot pay: the controls stayed, or did no harm, or go in circles."""
        if _same_taps(settled.flow, held.flow):
            return True
        tolerance = CIRCLE_TOLERANCE * self._cost.turnover(settled.flow)
        merit = self._merit(settled)
        return merit <= self._guide(held) + tolerance or (
            best is not None and merit >= self._merit(best) - tolerance
        )

    def _near_stays(self, settled: Iterate, held: Iterate) -> bool:
        """Whether what is carried out before the next plan is as the search left it, the rest nearly."""
        if not _same_taps(settled.flow, held.flow, NEAR_PERIODS):
            return False
        return self._near_enough(0.0, self._limits_in_force.beyond_by(settled.flow, self._none_allowed()))

    def _none_allowed(self) -> FloatArray:
        return np.zeros(len(self._limits_in_force))

    def _better(self, point: Iterate, best: Iterate | None) -> Iterate:
        if best is None or not best.flow.converged.all():
            return point
        worse = not point.flow.converged.all() or self._merit(point) > self._merit(best)
        return best if worse else point

    def _merit(self, point: Iterate) -> float:
        """Cost with everything beyond a limit paid for."""
        _, _, _, price = self._limits_in_force.stacked()
        beyond = self._limits_in_force.values(point.flow) - self._limits_in_force.tolerances()
        return point.cost + float(price @ np.maximum(beyond, 0.0))

    def _guide(self, point: Iterate) -> float:
        """The merit that a point with held taps will have once they follow."""
        return self._merit(point) + point.given_back

    # --- one step ---------------------------------------------------------------------------------

    def _extend(self, flow: TwinFlow, course: SearchLog) -> FloatArray:
        began = time.perf_counter()
        made = self._limits_in_force.extend(flow)
        course.parts_s["slopes"] += time.perf_counter() - began
        return made

    def _tangent(self, point: Iterate, devices: Devices, course: SearchLog) -> _TangentStep:
        """The quadratic program about a point."""
        if not len(self._limits_in_force):
            self._extend(point.flow, course)
        began = time.perf_counter()
        self._limits_in_force.trim(point.flow)
        self._limits_in_force.refresh(point.flow)
        slopes = self._cost.slopes(point.flow)
        tangent = self._cost.tangent(point.flow, slopes, self._loss_modes)
        limits, scale = self._limit_rows(point.flow)
        rows, peak = self._cost.rows(point.flow, slopes)
        curved = replace(tangent, damping=tangent.damping + self._limits_in_force.curvature(point.flow))
        course.parts_s["slopes"] += time.perf_counter() - began
        program = StepProgram(
            *(self._hours, devices.energy, devices.sources, curved, limits.joined(rows), peak),
            scenarios=self._tree,
        )
        return _TangentStep(program, slopes, tangent, scale)

    def _limit_rows(self, flow: TwinFlow) -> tuple[SoftRows, FloatArray]:
        """Rows of the pool about a flow, and what each is scaled by: kW of the device it hears most."""
        period, p, q, price = self._limits_in_force.stacked()
        scale = 1.0 / np.maximum(np.abs(p).max(axis=1, initial=0.0), np.abs(q).max(axis=1, initial=0.0))
        power = flow.device_kva[period]
        there = (p * power.real + q * power.imag).sum(axis=1) - self._limits_in_force.values(flow)
        rows = SoftRows(
            period=period,
            p=p * scale[:, None],
            q=q * scale[:, None],
            limit=there * scale,
            price=price / scale,
            of_peak=np.zeros(len(period), dtype=bool),
        )
        return rows, scale

    def _solve(self, program: StepProgram, course: SearchLog) -> StepAnswer:
        began = time.perf_counter()
        answer = solve(program, solver=self._solver, warm=self.warm)
        self.warm, self.program_size = answer.warm, program.size
        course.parts_s["programs"] += time.perf_counter() - began
        course.programs += 1
        course.residual = max(course.residual, answer.primal_residual)
        if answer.solver not in course.solvers:
            course.solvers = (*course.solvers, answer.solver)
        return answer

    def _step(
        self,
        point: Iterate,
        tangent: _TangentStep,
        answer: StepAnswer,
        devices: Devices,
        course: SearchLog,
        *,
        must_improve: bool,
    ) -> _Step | None:
        """Go to the program's answer, or part of the way where the whole way makes things worse.

        Args:
            point: where the program was made.
            tangent, answer: the program and its answer.
            devices: what they may do.
            course: counts the time.
            must_improve: whether the point is a plan itself, which a worse one must not replace.
        """
        wanted = Dispatch.of(answer, devices.sources.available_kw)
        best: _Step | None = None
        for part in (1.0, 0.5, 0.25):
            dispatch = wanted if part == 1.0 else point.dispatch.towards(wanted, part)
            new = self.evaluate(dispatch, devices, point.flow, course, held=True)
            if not new.flow.converged.all():
                continue
            if best is not None:
                # Once half the way was gone, the new rows say more than another halving would.
                self._extend(new.flow, course)
                return _Step(new, told=False, last=False)
            error, beyond = self._not_as_promised(point, new, tangent, answer)
            beyond = np.maximum(beyond, self._extend(new.flow, course))
            told = part == 1.0 and error <= 1.0 and bool((beyond[0] <= 1.0).all())
            hurried = part == 1.0 and course.soon_again and self._near_enough(error, beyond)
            best = _Step(new, told, last=told or hurried)
            worse = self._guide(new) > self._guide(point) + MERIT_TOLERANCE * abs(point.cost)
            if best.last or not (must_improve and worse):
                return best
        return best

    def _near_enough(self, error: float, beyond: FloatArray) -> bool:
        """Whether a plan that the next one follows soon differs little enough from what was promised."""
        near, far = beyond[0, :NEAR_PERIODS], beyond[1, NEAR_PERIODS:]
        most = HURRIED if self._tree.branches == 1 else HURRIED_SCENARIOS
        return error <= most and bool((near <= 1.0).all() and (far <= 1.0).all())

    def _not_as_promised(
        self, old: Iterate, new: Iterate, tangent: _TangentStep, answer: StepAnswer
    ) -> tuple[float, FloatArray]:
        """How far the flow is from what the program said, in tolerances: cost, and rows by period."""
        promised = self._promised(old, tangent, answer)
        scale = max(abs(new.cost), abs(self._cost.turnover(new.flow)), LEAST_COST)
        error = abs(new.cost + new.given_back - promised) / (COST_TOLERANCE * scale)
        slack = answer.slack_kw[: len(tangent.scale)]
        allowed = np.maximum(slack, 0.0) / tangent.scale
        return error, self._limits_in_force.beyond_by(new.flow, allowed)

    def _promised(self, old: Iterate, tangent: _TangentStep, answer: StepAnswer) -> float:
        """What a program expects its answer to cost, limits of voltages and lines left out."""
        program = tangent.program
        wanted = Dispatch.of(answer, program.sources.available_kw)
        own = [
            self._dispatcher.cost(dispatch, program.energy, program.sources)
            for dispatch in (wanted, old.dispatch)
        ]
        change = self._cost.promised(old.flow, tangent.slopes, tangent.cost, answer.p_kw, answer.q_kvar)
        return old.cost + old.given_back + own[0] - own[1] + change


def _same_taps(one: TwinFlow, other: TwinFlow, periods: int | None = None) -> bool:
    """Whether regulators and capacitors stand alike in the first periods, or in all."""
    here = slice(0, periods)
    return np.array_equal(one.tap[here], other.tap[here]) and np.array_equal(
        one.capacitor_closed[here], other.capacitor_closed[here]
    )
