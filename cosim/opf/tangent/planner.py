"""The tangent planner: multi-period dispatch on exact flows, any feeder the twin covers.

Each step takes the exact flow of the present plan, its exact slopes and the curvature of the losses,
solves a quadratic program in the devices alone, and looks at the exact flow of the answer. Limits enter
as rows where something is near one. Regulators and capacitors react in every flow, so that a plan's tap
schedule is that of the plan. Rows, slopes, plan and flow are carried to the next plan.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from threadpoolctl import ThreadpoolController

from cosim.errors import FormulationRefused, SolverUnsuited
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.model.twin import Quantity, Twin, TwinFlow
from cosim.opf.formulations.network_block import Expected
from cosim.opf.options import PlannerOptions
from cosim.opf.tangent.fleet import Dispatch, Fleet
from cosim.opf.tangent.limits import RowPool, bounds_of
from cosim.opf.tangent.merit import NetworkCost
from cosim.opf.tangent.qp.solve import ROUTES, SolverName, solve
from cosim.opf.tangent.qp.starting_point import Warm
from cosim.opf.tangent.qp.step_program import (
    Batteries,
    PvSystems,
    SoftRows,
    StepAnswer,
    StepProgram,
)

MOST_PROGRAMS, MOST_WARM_PROGRAMS = 16, 8
"""Quadratic programs per plan; fewer where an earlier plan is at hand, and the next one soon."""
COST_TOLERANCE = 3e-6
"""A step is the last one when the exact cost is as the program said to this part of the cost."""
KEPT = 1e-4
"""A limit is kept if it is exceeded by no more than this, pu or share of a rating."""
MOST_REPAIRS = 5
CIRCLE_TOLERANCE = 1e-4
"""Plans whose tap schedules take turns are told apart no further than this part of the cost."""
STALLED_STEPS, STALLED_GAIN = 2, 3e-6
"""A search stands still when so many steps brought less than this part of the cost."""
MERIT_TOLERANCE = 1e-5
"""A step may make cost and violations worse by this part of the cost."""
LOSS_MODES, LOSS_MODES_LONG, LONG = 6, 3, 48
"""Modes of the losses' curvature, fewer beyond so many periods: each is two dense rows per period."""


@dataclass(frozen=True)
class _Point:
    """A dispatch, its exact flow and what it costs.

    Attributes:
        dispatch: the plan.
        flow: exact, regulators and capacitors at rest unless they were held.
        cost: of devices and network, currency, without limits of voltages and lines.
    """

    dispatch: Dispatch
    flow: TwinFlow
    cost: float


@dataclass(frozen=True)
class _TangentStep:
    """A program about a point.

    Attributes:
        program: the quadratic program.
        scale: of its rows, those of the pool first, kW per unit of the limit.
    """

    program: StepProgram
    scale: FloatArray


@dataclass(frozen=True)
class _Step:
    """A step that was taken.

    Attributes:
        point: where it led.
        last: the exact flow is as the program said: there is nothing left to do.
    """

    point: _Point
    last: bool


@dataclass
class _Course:
    """How the search for one plan went."""

    programs: int = 0
    solve_s: float = 0.0
    solvers: tuple[str, ...] = ()
    converged: bool = False
    residual: float = 0.0


class TangentPlanner:
    """See the module.

    Args:
        site: facts of the plant.
        horizon: the periods of every plan.
        options: see :class:`cosim.opf.options.PlannerOptions`.
        twin: the controller's model of the feeder.

    Attributes:
        expected: what the twin says of the last plan; None before the first.
        relaxation_gap: nothing is relaxed: None.
        parts_s: seconds of the last plan by part: ``flows``, ``slopes``, ``programs``, ``other``.

    Raises:
        FormulationRefused: nothing to plan, or an option that this planner does not know.
        SolverUnsuited: the solver is none for these programs.
    """

    def __init__(self, site: Site, horizon: Horizon, options: PlannerOptions, twin: Twin) -> None:
        _must_suit(site, options)
        self._horizon, self._options, self._twin = horizon, options, twin
        self._threads = ThreadpoolController()
        self._solver = cast("SolverName", options.solver)
        self._fleet = Fleet(site, horizon, options)
        self._cost = NetworkCost(options.objective, options.limits, horizon, twin)
        devices = len(site.storages) + len(site.pvs)
        self._pool = RowPool(bounds_of(options.limits, twin), twin, horizon, devices)
        self._earlier: Plan | None = None
        self._last: _Point | None = None
        self._warm: object | None = None
        self._carried_s = 0.0
        self.expected: Expected | None = None
        self.relaxation_gap: FloatArray | None = None
        self.parts_s: dict[str, float] = {}

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Plan from the measured state; see :class:`cosim.model.roles.Planner`."""
        # The matrices are small: more threads only wait for each other (measured: six times the CPU).
        with self._threads.limit(limits=1, user_api="blas"):
            return self._plan(measurement, forecast)

    def _plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        started = time.perf_counter()
        self.parts_s = dict.fromkeys(("flows", "slopes", "programs"), 0.0)
        self._twin.look_ahead(measurement, forecast.demand_kw + 1j * forecast.demand_kvar)
        self._cost.update(forecast.price_per_kwh, measurement.peak_import_kw)
        available_kw = forecast.pv_available_kw
        pvs = self._fleet.pv_systems(available_kw)
        batteries = self._fleet.batteries(measurement.stored_kwh, self._earlier, measurement.time_s)
        point = self._start(measurement, available_kw, batteries, pvs)
        course = _Course()
        outcome = self._search(point, batteries, pvs, course, started)
        for _ in range(MOST_REPAIRS):
            if isinstance(outcome, NoPlan) or self._options.complementarity != "repair":
                break
            if not self._fleet.fix_directions(outcome.dispatch):
                break
            batteries = self._fleet.batteries(measurement.stored_kwh, self._earlier, measurement.time_s)
            outcome = self._search(outcome, batteries, pvs, course, started)
        self._fleet.free_directions()
        self.parts_s["other"] = time.perf_counter() - started - sum(self.parts_s.values())
        if isinstance(outcome, NoPlan):
            return replace(
                outcome, build_s=time.perf_counter() - started - course.solve_s, solve_s=course.solve_s
            )
        self._pool.forget_slack(outcome.flow)
        plan = self._adopt(outcome, measurement, course, time.perf_counter() - started)
        first, self._earlier, self._last = self._earlier is None, plan, outcome
        # Where a battery's idling loss falls is only known once there is a plan.
        return self._plan(measurement, forecast) if first and self._fleet.idles else plan

    # --- the search -------------------------------------------------------------------------------

    def _start(
        self, measurement: Measurement, available_kw: FloatArray, batteries: Batteries, pvs: PvSystems
    ) -> _Point:
        """The earlier plan under the new forecast, or rest; rows of the earlier plan move along."""
        start = None
        if self._last is not None and self._earlier is not None:
            period = self._periods_after(measurement.time_s - self._earlier.time_s)
            start = self._twin.moved(self._last.flow, period)
        # A plan that failed in between has moved rows and iterate already, but left no flow.
        passed = measurement.time_s - self._carried_s
        self._pool.advance(passed)
        period = self._periods_after(passed)
        self._warm = self._warm.moved(period) if isinstance(self._warm, Warm) else None
        self._carried_s = measurement.time_s
        dispatch = self._fleet.start(self._earlier, measurement.time_s, available_kw)
        point = self._evaluate(dispatch, batteries, pvs, start)
        if point.flow.converged.all():
            return point
        return self._evaluate(self._fleet.start(None, 0.0, available_kw), batteries, pvs, None)

    def _periods_after(self, seconds: float) -> IntArray:
        """Period of an earlier horizon that each period of one begun later lies in; the last beyond it."""
        last = len(self._horizon) - 1
        then = [self._horizon.period_at(int(offset + seconds)) for offset in self._horizon.starts_s]
        return np.array([last if t is None else t for t in then], dtype=np.int64)

    def _evaluate(
        self,
        dispatch: Dispatch,
        batteries: Batteries,
        pvs: PvSystems,
        start: TwinFlow | None,
        *,
        held: bool = False,
    ) -> _Point:
        began = time.perf_counter()
        flow = self._twin.flow(self._fleet.injection_kva(dispatch), start, held=held)
        cost = self._fleet.cost(dispatch, batteries, pvs) + self._cost.of(flow)
        self.parts_s["flows"] += time.perf_counter() - began
        return _Point(dispatch, flow, cost)

    def _search(
        self, point: _Point, batteries: Batteries, pvs: PvSystems, course: _Course, started: float
    ) -> _Point | NoPlan:
        """From a point to the best plan: step after step until the tangent says what the flow says."""
        if not point.flow.converged.all():
            period = int(np.flatnonzero(~point.flow.converged)[0])
            reason = f"the feeder has no power flow in period {period} with its devices at rest"
            return NoPlan("not_physical", reason)
        # The start is no plan yet: the first step need not improve on it.
        must_improve, course.converged = False, False
        best: _Point | None = None
        progress: list[float] = []
        for _ in range(MOST_PROGRAMS if self._earlier is None else MOST_WARM_PROGRAMS):
            tangent = self._tangent(point, batteries, pvs)
            answer = self._solve(tangent.program, course)
            if answer.status not in {"optimal", "almost"}:
                status = "infeasible" if answer.status == "infeasible" else "solver_error"
                return NoPlan(status, f"the tangent program is {answer.status}: {answer.message}")
            step = self._step(point, tangent, answer, must_improve=must_improve)
            if step is None:
                return NoPlan("not_physical", "no step of the tangent program has a power flow")
            point, must_improve = step.point, True
            progress.append(self._merit(point))
            if step.last or self._stalled(progress, point):
                progress.clear()
                settled = self._settled(point, batteries, pvs)
                if not settled.flow.converged.all():
                    break
                course.converged = step.last and _same_taps(settled.flow, point.flow)
                done = self._nothing_gained(settled, point, best)
                best, must_improve = self._better(settled, best), False
                if done:
                    return best
                point = settled
            if self._out_of_time(started):
                break
        # What regulators and capacitors really do is what the plan must answer for.
        found = self._better(self._settled(point, batteries, pvs), best)
        if not found.flow.converged.all():
            return NoPlan("not_physical", "the plan has no power flow once regulators and capacitors react")
        return found

    def _settled(self, point: _Point, batteries: Batteries, pvs: PvSystems) -> _Point:
        """The same dispatch with regulators and capacitors free to react."""
        settled = self._evaluate(point.dispatch, batteries, pvs, point.flow)
        self._extend(settled.flow)
        return settled

    def _stalled(self, progress: list[float], point: _Point) -> bool:
        """Whether the last steps brought nothing: on the edge of a load's law they jump to and fro."""
        if len(progress) <= STALLED_STEPS:
            return False
        gain = min(progress[:-STALLED_STEPS]) - min(progress[-STALLED_STEPS:])
        return gain <= STALLED_GAIN * self._cost.turnover(point.flow)

    def _nothing_gained(self, settled: _Point, held: _Point, best: _Point | None) -> bool:
        """Whether another round cannot pay: the controls stayed, or did no harm, or go in circles."""
        if _same_taps(settled.flow, held.flow):
            return True
        tolerance = CIRCLE_TOLERANCE * self._cost.turnover(settled.flow)
        merit = self._merit(settled)
        return merit <= self._merit(held) + tolerance or (
            best is not None and merit >= self._merit(best) - tolerance
        )

    def _better(self, point: _Point, best: _Point | None) -> _Point:
        if best is None or not best.flow.converged.all():
            return point
        worse = not point.flow.converged.all() or self._merit(point) > self._merit(best)
        return best if worse else point

    def _out_of_time(self, started: float) -> bool:
        most = self._options.solver_seconds
        return most is not None and time.perf_counter() - started > most

    def _extend(self, flow: TwinFlow) -> int:
        began = time.perf_counter()
        made = self._pool.extend(flow)
        self.parts_s["slopes"] += time.perf_counter() - began
        return made

    def _tangent(self, point: _Point, batteries: Batteries, pvs: PvSystems) -> _TangentStep:
        """The quadratic program about a point."""
        if not len(self._pool):
            self._extend(point.flow)
        began = time.perf_counter()
        self._pool.trim(point.flow)
        self._pool.refresh(point.flow)
        slopes = self._cost.slopes(point.flow)
        modes = LOSS_MODES if len(self._horizon) <= LONG else LOSS_MODES_LONG
        tangent = self._cost.tangent(point.flow, slopes, modes)
        limits, scale = self._limit_rows(point.flow)
        rows, peak = self._cost.rows(point.flow, slopes)
        self.parts_s["slopes"] += time.perf_counter() - began
        program = StepProgram(self._horizon.hours, batteries, pvs, tangent, _joined(limits, rows), peak)
        return _TangentStep(program, scale)

    def _limit_rows(self, flow: TwinFlow) -> tuple[SoftRows, FloatArray]:
        """Rows of the pool about a flow, and what each is scaled by: kW of the device it hears most."""
        period, p, q, price = self._pool.stacked()
        scale = 1.0 / np.maximum(np.abs(p).max(axis=1, initial=0.0), np.abs(q).max(axis=1, initial=0.0))
        power = flow.device_kva[period]
        there = (p * power.real + q * power.imag).sum(axis=1) - self._pool.values(flow)
        rows = SoftRows(
            period=period,
            p=p * scale[:, None],
            q=q * scale[:, None],
            limit=there * scale,
            price=price / scale,
            of_peak=np.zeros(len(period), dtype=bool),
        )
        return rows, scale

    def _solve(self, program: StepProgram, course: _Course) -> StepAnswer:
        began = time.perf_counter()
        answer = solve(program, solver=self._solver, warm=self._warm)
        self._warm = answer.warm
        seconds = time.perf_counter() - began
        self.parts_s["programs"] += seconds
        course.programs += 1
        course.solve_s += seconds
        course.residual = max(course.residual, answer.primal_residual)
        if answer.solver not in course.solvers:
            course.solvers = (*course.solvers, answer.solver)
        return answer

    def _step(
        self, point: _Point, tangent: _TangentStep, answer: StepAnswer, *, must_improve: bool
    ) -> _Step | None:
        """Go to the program's answer, or part of the way where the whole way makes things worse.

        Args:
            point: where the program was made.
            tangent, answer: the program and its answer.
            must_improve: whether the point is a plan itself, which a worse one must not replace.
        """
        program = tangent.program
        wanted = Dispatch.of(answer, program.pvs.available_kw)
        best: _Step | None = None
        for part in (1.0, 0.5, 0.25):
            dispatch = wanted if part == 1.0 else point.dispatch.towards(wanted, part)
            new = self._evaluate(dispatch, program.batteries, program.pvs, point.flow, held=True)
            if not new.flow.converged.all():
                continue
            told = part == 1.0 and self._as_promised(point, new, tangent, answer)
            made = self._extend(new.flow)
            # Once half the way was gone, the new rows and slopes say more than another halving would.
            if best is not None:
                return _Step(new, last=False)
            best = _Step(new, last=told and not made)
            if (
                best.last
                or not must_improve
                or self._merit(new) <= self._merit(point) + MERIT_TOLERANCE * abs(point.cost)
            ):
                return best
        return best

    def _merit(self, point: _Point) -> float:
        """Cost with everything beyond a limit paid for."""
        _, _, _, price = self._pool.stacked()
        beyond = self._pool.values(point.flow) - self._pool.tolerances()
        return point.cost + float(price @ np.maximum(beyond, 0.0))

    def _as_promised(self, old: _Point, new: _Point, tangent: _TangentStep, answer: StepAnswer) -> bool:
        """Whether the exact flow costs what the program said and keeps what it kept."""
        promised = old.cost + self._promised_change(old, tangent.program, answer)
        scale = max(abs(new.cost), abs(self._cost.turnover(new.flow)))
        if abs(new.cost - promised) > COST_TOLERANCE * scale:
            return False
        beyond = self._pool.values(new.flow)
        allowed = np.maximum(answer.slack_kw[: len(beyond)], 0.0) / tangent.scale
        return bool((beyond <= allowed + self._pool.tolerances()).all())

    def _promised_change(self, old: _Point, program: StepProgram, answer: StepAnswer) -> float:
        """Change of the cost that a program expects, limits of voltages and lines left out."""
        tangent = program.tangent
        p, q = answer.p_kw - tangent.centre_p_kw, answer.q_kvar - tangent.centre_q_kvar
        mode = p @ tangent.mode_p.T + q @ tangent.mode_q.T
        change = (tangent.gradient_p * p + tangent.gradient_q * q).sum()
        change += (
            0.5 * (tangent.damping * (p**2 + q**2)).sum() + 0.5 * (tangent.mode_weight @ mode**2).sum()
        )
        own = [
            self._fleet.cost(dispatch, program.batteries, program.pvs)
            for dispatch in (Dispatch.of(answer, program.pvs.available_kw), old.dispatch)
        ]
        return float(own[0] - own[1] + change)

    # --- the plan ---------------------------------------------------------------------------------

    def _adopt(self, point: _Point, measurement: Measurement, course: _Course, seconds: float) -> Plan:
        dispatch, flow = point.dispatch, point.flow
        kw, kvar, limit, pv_kvar = self._fleet.planned(dispatch, measurement.stored_kwh)
        self.expected = Expected(flow.import_kva, flow.losses_kw, flow.voltage_pu)
        return Plan(
            time_s=measurement.time_s,
            period_s=np.asarray(self._horizon.period_s, dtype=np.float64),
            storage_kw=kw,
            storage_kvar=kvar,
            pv_kw_limit=limit,
            pv_kvar=pv_kvar,
            stored_kwh=self._fleet.roll_out(measurement, kw),
            import_kw=flow.import_kva.real.copy(),
            lowest_pu=flow.voltage_pu.min(axis=0),
            highest_pu=flow.voltage_pu.max(axis=0),
            next_voltage_pu=flow.voltage_pu[:, 0].copy(),
            certificate=self._certificate(point, course, seconds),
        )

    def _certificate(self, point: _Point, course: _Course, seconds: float) -> Certificate:
        worst = self._pool.worst(point.flow)
        fleet, dispatch = self._fleet, point.dispatch
        over = [max(self._cost.over_kw(point.flow), 0.0)]
        over += [
            worst[quantity] * float(self._twin.rating_kva(quantity).max(initial=0.0))
            for quantity in (Quantity.LINE, Quantity.TRANSFORMER)
            if quantity in worst
        ]
        return Certificate(
            planner="tangent",
            status="optimal" if course.converged else "stopped",
            objective=point.cost + self._pool.penalty(point.flow),
            primal_residual=course.residual,
            simultaneous_kw=float(fleet.both_kw(dispatch).max(initial=0.0)),
            simultaneous_h=fleet.simultaneous_hours(dispatch),
            slack_pu=worst.get(Quantity.VOLTAGE, 0.0),
            over_kw=max(over),
            iterations=course.programs,
            build_s=seconds - course.solve_s,
            solve_s=course.solve_s,
            relaxation_gap_kva=None,
            optimality_gap=None,
            claim=self._claim(point, course, worst),
            solver=", ".join(course.solvers),
        )

    def _claim(self, point: _Point, course: _Course, worst: dict[Quantity, float]) -> str:
        """What is proven about the plan, in words."""
        said: list[str] = []
        if self._fleet.simultaneous_hours(point.dispatch):
            said.append(
                "not realisable: a battery charges and discharges at once; use complementarity repair"
            )
        if point.flow.hunting:
            said.append(f"regulators or capacitors find no rest in {point.flow.hunting} periods")
        exceeded = [f"{quantity} by {value:.2g}" for quantity, value in worst.items() if value > KEPT]
        if exceeded:
            verdict = "unattainable, best found" if course.converged else "best found"
            said.append(f"{verdict}: {', '.join(exceeded)} (pu or share of rating) beyond a limit")
        if not course.converged:
            said.append(f"stopped after {course.programs} programs, not proven to be optimal")
        return "; ".join(said) if said else "locally optimal on the exact power flow"


def _must_suit(site: Site, options: PlannerOptions) -> None:
    if not (site.storages or site.pvs):
        raise FormulationRefused(
            "planner tangent has nothing to plan: the scenario has no battery and no PV system; "
            "add some, or use control: {type: idle}"
        )
    if options.complementarity == "binary":
        raise FormulationRefused(
            "planner tangent has no binaries; use complementarity: repair, or planner lindistflow"
        )
    if options.capability == "cone":
        raise FormulationRefused("planner tangent keeps inverters inside a polygon; use inverter: polygon")
    if options.solver not in {"auto", *ROUTES}:
        raise SolverUnsuited(
            f"planner tangent cannot use solver {options.solver}; use auto, {', '.join(ROUTES)}"
        )


def _same_taps(one: TwinFlow, other: TwinFlow) -> bool:
    return np.array_equal(one.tap, other.tap) and np.array_equal(
        one.capacitor_closed, other.capacitor_closed
    )


def _joined(first: SoftRows, second: SoftRows) -> SoftRows:
    return SoftRows(
        period=np.concatenate([first.period, second.period]),
        p=np.concatenate([first.p, second.p]),
        q=np.concatenate([first.q, second.q]),
        limit=np.concatenate([first.limit, second.limit]),
        price=np.concatenate([first.price, second.price]),
        of_peak=np.concatenate([first.of_peak, second.of_peak]),
    )
