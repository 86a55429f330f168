"""A plan held against the grid: its set-points, open loop, through OpenDSS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from dataclasses import replace as dc_replace

import numpy as np

from cosim.errors import ContractError
from cosim.experiments.open_loop import OpenLoopPlan, study_of
from cosim.feeder.plant import Feeder
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.state import StepResult
from cosim.model.voltage_band import outside_band_pu
from cosim.run.assembly import Assembly
from cosim.run.study import Study


@dataclass(frozen=True)
class Realised:
    """What the grid did under a plan, one row per step.

    Attributes:
        step_h: length of a step in hours.
        price_per_kwh, import_kw, import_kvar, losses_kw: shape (step,).
        voltage_pu: shape (step, node).
        stored_kwh: at the end of each step, shape (step, device).
        cut: set-points that the plant could not accept in full, one sentence each.
        violation_pu_h: voltage outside the limits, summed over nodes and hours.
        worst_violation_pu: largest distance outside the limits.
        limits_pu: the limits it was held against.
    """

    step_h: float
    price_per_kwh: FloatArray
    import_kw: FloatArray
    import_kvar: FloatArray
    losses_kw: FloatArray
    voltage_pu: FloatArray
    stored_kwh: FloatArray
    cut: tuple[str, ...]
    violation_pu_h: float
    worst_violation_pu: float
    limits_pu: tuple[float, float]

    @property
    def energy_cost(self) -> float:
        """Price times import."""
        return float(self.price_per_kwh @ self.import_kw) * self.step_h


@dataclass(frozen=True)
class Replay:
    """A plan beside what became of it.

    Attributes:
        planned: the plan.
        realised: what the grid did.
        period_of: period of the plan that each step lies in, shape (step,).
    """

    planned: OpenLoopPlan
    realised: Realised
    period_of: IntArray

    @property
    def voltage_error_pu(self) -> FloatArray:
        """Realised minus expected, shape (step, node)."""
        return np.asarray(self.realised.voltage_pu - self.planned.voltage_pu[self.period_of])

    @property
    def import_error_kva(self) -> FloatArray:
        """Realised minus expected complex import, shape (step,)."""
        expected = self.planned.import_kw[self.period_of] + 1j * self.planned.import_kvar[self.period_of]
        return np.asarray(self.realised.import_kw + 1j * self.realised.import_kvar - expected)

    @property
    def stored_error_kwh(self) -> FloatArray:
        """Realised minus planned energy at the end of the plan, shape (device,)."""
        return np.asarray(self.realised.stored_kwh[-1] - self.planned.plan.stored_kwh[-1])

    def figures(self) -> dict[str, float]:
        """The comparison in numbers; units are in the names."""
        planned, realised, error = self.planned, self.realised, self.voltage_error_pu
        expected_cost = planned.energy_cost
        return {
            "planned_cost": expected_cost,
            "realised_cost": realised.energy_cost,
            "cost_error_percent": 100.0
            * (realised.energy_cost - expected_cost)
            / max(abs(expected_cost), 1e-9),
            "planned_import_kwh": float(planned.import_kw @ planned.hours),
            "realised_import_kwh": float(realised.import_kw.sum()) * realised.step_h,
            "planned_losses_kwh": float(planned.losses_kw @ planned.hours),
            "realised_losses_kwh": float(realised.losses_kw.sum()) * realised.step_h,
            "planned_import_kvarh": float(planned.import_kvar @ planned.hours),
            "realised_import_kvarh": float(realised.import_kvar.sum()) * realised.step_h,
            "max_import_error_kw": float(np.abs(self.import_error_kva.real).max()),
            "max_import_error_kvar": float(np.abs(self.import_error_kva.imag).max()),
            "max_voltage_error_pu": float(np.abs(error).max()),
            "mean_voltage_error_pu": float(np.abs(error).mean()),
            "lowest_voltage_pu": float(realised.voltage_pu.min()),
            "highest_voltage_pu": float(realised.voltage_pu.max()),
            "worst_violation_pu": realised.worst_violation_pu,
            "violation_pu_h": realised.violation_pu_h,
            "max_stored_error_kwh": float(np.abs(self.stored_error_kwh).max(initial=0.0)),
            "cut_setpoints": float(len(realised.cut)),
        }


def replay(planned: OpenLoopPlan, study: Study | None = None) -> Replay:
    """Run a plan open loop through OpenDSS, regulators and capacitors acting.

    Args:
        planned: the plan.
        study: another study with the same devices and nodes; the plan's own by default.

    Raises:
        ScenarioError: the study does not fit together.
        ContractError: it has other devices or nodes than the plan.
        FeederError: the power flow does not converge under the plan.
    """
    own = study_of(planned)
    study = own if study is None else _as_long_as(own, study)
    with Assembly(study, needs=()) as assembly:
        _check_same(planned, assembly.feeder)
        return _run(planned, assembly.feeder, study)


def _as_long_as(own: Study, other: Study) -> Study:
    """Another study over the hours of a plan.

    Raises:
        ContractError: it starts at another time, or its steps do not fit into the plan's.
    """
    ours, theirs = own.grid, other.grid
    if theirs.start != ours.start or ours.step_s % theirs.step_s:
        raise ContractError(
            f"the plan starts at {ours.start.isoformat()} in steps of {ours.step_s} s, the scenario at "
            f"{theirs.start.isoformat()} in steps of {theirs.step_s} s; give both the same start, and the "
            "scenario steps that divide the plan's"
        )
    steps = ours.steps * ours.step_s // theirs.step_s
    time = other.scenario.time.model_copy(update={"steps": steps})
    return dc_replace(other, scenario=other.scenario.model_copy(update={"time": time}))


def _check_same(planned: OpenLoopPlan, feeder: Feeder) -> None:
    site = feeder.site
    for what, theirs, ours in (
        ("devices", planned.devices, tuple(device.name for device in site.devices)),
        ("nodes", planned.nodes, site.nodes),
    ):
        if theirs != ours:
            raise ContractError(
                f"the plan has {len(theirs)} {what}, the feeder {len(ours)}, or in another order; replay a "
                "plan on the feeder it was made for"
            )


def _run(planned: OpenLoopPlan, feeder: Feeder, study: Study) -> Replay:
    results: list[StepResult] = []
    cut: list[str] = []
    price: list[float] = []
    periods: list[int] = []
    for step in range(study.grid.steps):
        period = planned.plan.period_at(float(study.grid.second(step)))
        if period is None:
            break
        measurement = feeder.measure(step)
        applied = feeder.apply(planned.plan.setpoints(period))
        named = zip(planned.devices, applied.reason, strict=True)
        cut += [f"step {step}, {name}: {why}" for name, why in named if why]
        results.append(feeder.commit())
        price.append(measurement.price_per_kwh)
        periods.append(period)
    voltage = np.array([result.voltage_pu for result in results])
    limits = study.scenario.limits
    outside = outside_band_pu(voltage, limits.voltage_min_pu, limits.voltage_max_pu)
    realised = Realised(
        step_h=study.grid.step_h,
        price_per_kwh=np.array(price),
        import_kw=np.array([result.import_kw for result in results]),
        import_kvar=np.array([result.import_kvar for result in results]),
        losses_kw=np.array([result.losses_kw for result in results]),
        voltage_pu=voltage,
        stored_kwh=np.array([result.stored_kwh for result in results]),
        cut=tuple(cut),
        violation_pu_h=math.fsum(outside.ravel()) * study.grid.step_h,
        worst_violation_pu=float(outside.max()),
        limits_pu=(limits.voltage_min_pu, limits.voltage_max_pu),
    )
    return Replay(planned, realised, np.array(periods, dtype=np.int64))
