"""A plan together with what its own model expects, and the taps it counts on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.state import Certificate, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.expected import Expected
from cosim.run.study import Study


@dataclass(frozen=True)
class Switching:
    """Positions of regulators and capacitors over a plan.

    Attributes:
        tap: tap ratio, shape (period, regulator), regulators in the site's order.
        closed: 1 or 0, shape (period, capacitor), capacitors in the site's order.
    """

    tap: FloatArray
    closed: FloatArray


@dataclass(frozen=True)
class PlannedDay:
    """The first plan of a case.

    Attributes:
        study: as long as the plan.
        plan: the set-points.
        expected: what the planner's model says of them.
        switching: positions that the planner counts on.
        price_per_kwh: shape (period,).
    """

    study: Study
    plan: Plan
    expected: Expected
    switching: Switching
    price_per_kwh: FloatArray

    def device_cost(self) -> float:
        """What the objective charges for throughput and reactive power, by the set-points."""
        config, plan = self.study.scenario.control.planner, self.plan
        hours = plan.period_s[:, None] / 3600.0
        batteries = len(self.study.scenario.storages)
        through = float((hours * np.abs(plan.p_kw[:, :batteries])).sum())
        reactive = float((hours * np.abs(plan.q_kvar)).sum())
        return config.throughput_cost_per_kwh * through + config.reactive_cost_per_kvarh * reactive


def as_long_as_plan(study: Study) -> Study:
    """The study over the first horizon."""
    steps = study.horizon.length_s // study.grid.step_s
    time = study.scenario.time.model_copy(update={"steps": steps})
    return replace(study, scenario=study.scenario.model_copy(update={"time": time}))


def plan_from(
    horizon: Horizon,
    time_s: float,
    stored_kwh: FloatArray,
    storage_kva: ComplexArray,
    pv_kva: ComplexArray,
    pv_limit_kw: FloatArray,
    expected: Expected,
    certificate: Certificate,
) -> Plan:
    """Set-points of a program outside the project as a plan.

    Args:
        horizon: the periods.
        time_s: start of the plan.
        stored_kwh: along the plan, shape (period + 1, device).
        storage_kva, pv_kva: shape (period, device).
        pv_limit_kw: shape (period, PV system).
        expected: by the program's own model.
        certificate: what is known of it.
    """
    return Plan(
        time_s=time_s,
        period_s=np.asarray(horizon.period_s, dtype=np.float64),
        p_kw=np.concatenate([storage_kva.real, pv_limit_kw], axis=1),
        q_kvar=np.concatenate([storage_kva.imag, pv_kva.imag], axis=1),
        stored_kwh=stored_kwh,
        import_kw=np.asarray(expected.import_kva.real),
        import_kvar=np.asarray(expected.import_kva.imag),
        losses_kw=expected.losses_kw,
        voltage_pu=np.ascontiguousarray(expected.voltage_pu.T),
        certificate=certificate,
    )


def certificate(
    planner: str,
    objective: float,
    slack_pu: float,
    iterations: int,
    solve_s: float,
    status: str = "optimal",
) -> Certificate:
    """What is known of a plan made outside the project's planners."""
    return Certificate(
        planner=planner,
        status=status,
        objective=objective,
        primal_residual=0.0,
        simultaneous_kw=0.0,
        simultaneous_h=0.0,
        slack_pu=slack_pu,
        over_kw=0.0,
        iterations=iterations,
        build_s=0.0,
        solve_s=solve_s,
        relaxation_gap_kva=None,
        optimality_gap=None,
        claim="optimal for its own model",
    )
