"""The first plan and the control steps after it, each timed by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.opf.planned import PlannedDay, Switching, as_long_as_plan
from cosim.errors import CosimError
from cosim.model.forecast import Forecast
from cosim.model.roles import Planner
from cosim.model.state import Measurement, NoPlan, Plan, Setpoints, StepResult
from cosim.model.voltage_band import outside_band_pu
from cosim.opf.expected import Expected
from cosim.plugins import Need
from cosim.run.assembly import Assembly
from cosim.run.policy import make_forecaster
from cosim.run.study import Study

NO_PLAN = "no plan"


class NothingPlanned(CosimError):
    """A planner found no plan."""


@dataclass(frozen=True)
class PlantStep:
    """A step of the plant, regulators acting.

    Attributes:
        cost: of the imported energy.
        stored_kwh: in all batteries at its end.
        violation_pu: largest distance of a voltage beyond a limit.
        violation_pu_h: their sum over nodes, times hours.
    """

    cost: float = 0.0
    stored_kwh: float = 0.0
    violation_pu: float = 0.0
    violation_pu_h: float = 0.0


@dataclass(frozen=True)
class StepTime:
    """One plan.

    Attributes:
        cpu_s, wall_s: of ``plan`` alone.
        parts_s: seconds by part, by the planner's own clock.
        programs: iterations the certificate counts.
        status: of the certificate, or why there is no plan.
        slack_pu: violation the plan itself expects.
        plant: what the plant did with it.
    """

    cpu_s: float
    wall_s: float
    parts_s: dict[str, float]
    programs: int
    status: str
    slack_pu: float
    plant: PlantStep


@dataclass(frozen=True)
class Rolled:
    """A run.

    Attributes:
        setup_cpu_s: to build the planner: reading the feeder, writing the program.
        first: the first plan of the day.
        steps: times, the first plan included.
        cost: of the imported energy in the plant, less what was only put into the batteries, at the mean
            price: the adjusted cost of a run's report.
    """

    setup_cpu_s: float
    first: PlannedDay
    steps: tuple[StepTime, ...]
    cost: float


NEEDS: tuple[Need, ...] = ("network", "twin", "truth")
"""Planners beside the project's own are measured too, so whatever there is is opened."""
MakePlanner = Callable[[Study, Assembly], Planner]


def roll(study: Study, make: MakePlanner, *, noise: float = 0.0, seed: int = 0) -> Rolled:
    """Run a case: measure, plan, apply, commit.

    Args:
        study: as many steps as are wanted after the first.
        make: the planner.
        noise: standard deviation of the forecast's error beyond the first period, part of load and sun.
        seed: of the noise.

    Raises:
        NothingPlanned: there is no first plan; later ones may be missing.
    """
    random = np.random.default_rng(seed)
    first: PlannedDay | None = None
    plan: Plan | None = None
    steps: list[StepTime] = []
    stored_kwh, prices = 0.0, list[float]()
    with Assembly(study, NEEDS) as assembly:
        feeder = assembly.feeder
        began = time.process_time()
        planner = make(study, assembly)
        setup_s = time.process_time() - began
        forecaster = make_forecaster(study, assembly.knowledge)
        for step in range(study.grid.steps):
            measurement = feeder.measure(step)
            forecast = _noisy(forecaster.forecast(measurement, study.horizon), noise, random)
            prices.append(float(forecast.price_per_kwh[0]))
            stored_kwh = stored_kwh if steps else float(measurement.stored_kwh.sum())
            fresh, times = timed_plan(planner, measurement, forecast)
            if fresh is not None:
                plan = fresh
            if plan is None:
                raise NothingPlanned(f"the first plan after {times.cpu_s:.3g} s: {times.status}")
            if first is None:
                first = planned_day(study, planner, measurement, forecast, plan)
            # Without a plan the earlier one is followed, as the controller does.
            period = plan.period_at(measurement.time_s)
            feeder.apply(Setpoints.idle(feeder.site) if period is None else plan.setpoints(period))
            steps.append(replace(times, plant=_plant_step(study, feeder.commit(), prices[-1])))
    assert first is not None
    gained = (steps[-1].plant.stored_kwh - stored_kwh) * float(np.mean(prices))
    return Rolled(setup_s, first, tuple(steps), sum(step.plant.cost for step in steps) - gained)


def first_plan(study: Study, make: MakePlanner) -> PlannedDay:
    """The first plan of a case alone.

    Raises:
        NothingPlanned: there is none.
    """
    time_config = study.scenario.time.model_copy(update={"steps": 1})
    return roll(
        replace(study, scenario=study.scenario.model_copy(update={"time": time_config})), make
    ).first


def timed_plan(
    planner: Planner, measurement: Measurement, forecast: Forecast
) -> tuple[Plan | None, StepTime]:
    """One plan, or None, and its time."""
    wall, cpu = time.perf_counter(), time.process_time()
    plan = planner.plan(measurement, forecast)
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
    if isinstance(plan, NoPlan):
        said = f"{NO_PLAN}: {plan.status}: {plan.reason}"
        return None, StepTime(cpu_s, wall_s, {}, 0, said, 0.0, PlantStep())
    proof = plan.certificate
    parts = dict(getattr(planner, "parts_s", None) or {"build": proof.build_s, "solve": proof.solve_s})
    return plan, StepTime(cpu_s, wall_s, parts, proof.iterations, proof.status, proof.slack_pu, PlantStep())


def planned_day(
    study: Study, planner: Planner, measurement: Measurement, forecast: Forecast, plan: Plan
) -> PlannedDay:
    """The plan with what its planner expects, which the next plan would overwrite."""
    expected = Expected(plan.import_kw + 1j * plan.import_kvar, plan.losses_kw, plan.voltage_pu.T)
    copied = Expected(expected.import_kva.copy(), expected.losses_kw.copy(), expected.voltage_pu.copy())
    switching = switching_of(planner, measurement, len(study.horizon))
    return PlannedDay(as_long_as_plan(study), plan, copied, switching, forecast.price_per_kwh)


def switching_of(planner: Planner, measurement: Measurement, periods: int) -> Switching:
    """Taps and capacitors a planner counts on: its own schedule, else what was measured."""
    last = getattr(planner, "_last", None)
    if last is not None:
        return Switching(last.flow.tap.copy(), last.flow.capacitor_closed.astype(np.float64))
    own = getattr(planner, "switching", None)
    if isinstance(own, Switching):
        return own
    return Switching(
        np.repeat(measurement.tap[None, :], periods, axis=0),
        np.repeat(measurement.capacitor_closed[None, :], periods, axis=0),
    )


def _noisy(forecast: Forecast, noise: float, random: np.random.Generator) -> Forecast:
    """Wrong by a part beyond the first period: one factor per period for load, one for the sun."""
    if not noise:
        return forecast
    factors = np.maximum(1.0 + noise * random.standard_normal((2, len(forecast.horizon), 1)), 0.0)
    factors[:, 0] = 1.0
    load, sun = factors
    return replace(
        forecast,
        demand_kw=forecast.demand_kw * load,
        demand_kvar=forecast.demand_kvar * load,
        available_kw=forecast.available_kw * sun,
    )


def _plant_step(study: Study, done: StepResult, price_per_kwh: float) -> PlantStep:
    limits, hours = study.scenario.limits, study.grid.step_s / 3600.0
    outside = outside_band_pu(done.voltage_pu, limits.voltage_min_pu, limits.voltage_max_pu)
    return PlantStep(
        cost=price_per_kwh * done.import_kw * hours,
        stored_kwh=float(done.stored_kwh.sum()),
        violation_pu=float(outside.max()),
        violation_pu_h=float(outside.sum()) * hours,
    )
