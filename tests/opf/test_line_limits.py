"""Line ratings behind a battery: held by the plan, and as loaded in OpenDSS as planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cosim.experiments.open_loop import Day, open_day
from cosim.model.state import Plan
from cosim.model.twin import Quantity
from cosim.opf.tangent.planner import TangentPlanner
from cosim.run.policy import make_planner
from cosim.run.shipped import shipped
from cosim.run.study import Study, open_study
from tests.conftest import small_scenario

RATED_A, PROGRAMS = 156.0, 8
SERVICE = f"""
batchedit line..* normamps=5000
new transformer.service phases=1 windings=3 xhl=2.04 xht=2.04 xlt=1.36 %rs=[0.6 1.2 1.2]
~ buses=[684.3 tap.1.0 tap.0.2] kvs=[2.4 0.12 0.12] kvas=[100 100 100] conns=[wye wye wye]
new linecode.triplex nphases=2 units=kft rmatrix=[0.41 0.118 | 0.118 0.41]
~ xmatrix=[0.167 0.128 | 0.128 0.167] cmatrix=[3 -2.4 | -2.4 3] normamps={RATED_A}
new line.triplex bus1=tap.1.2 bus2=home.1.2 linecode=triplex length=50 units=ft
new load.home phases=2 bus1=home.1.2 kv=0.208 model=1 kw=30.5 pf=0.97 vminpu=0.7 vmaxpu=1.3
set voltagebases=[115 4.16 0.48 0.208]
calcvoltagebases
solve
"""
"""A centre-tapped service; without a device its two conductors are at 84 % of their rating."""


def behind_a_service(folder: Path, planner: str = "tangent", **limits: Any) -> Study:
    """A battery for which charging pays, behind the service: only the rating says how much."""
    master = folder / "service.dss"
    master.write_text(f'redirect "{shipped("dss_models") / "ieee13" / "master.dss"}"\n{SERVICE}', "utf-8")
    scenario = small_scenario(
        inputs={"irradiance": {"constant": 0.0}, "price": {"constant": 0.1}},
        storages=[{"name": "b1", "bus": "home.1.2", "kw": 45.8, "kva": 54.9, "kwh": 183.0}],
        pvs=[],
        time={"start": "2024-06-21T12:00:00+00:00", "step_s": 900, "steps": 4},
        limits={"voltage_min_pu": 0.8, "voltage_max_pu": 1.2, **limits},
        control={
            "horizon_s": 3600,
            "planner": {
                "type": planner,
                "inverter": "polygon",
                "terminal": {"type": "value", "per_kwh": 0.3},
                "reactive_cost_per_kvarh": 0,
            },
        },
    )
    path = folder / "service.yaml"
    path.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    return open_study(path, master=master)


def planned_and_real(study: Study) -> tuple[Plan, np.ndarray, np.ndarray]:
    """A plan, the loading of both conductors that it expects, and OpenDSS's, shape (conductor, period)."""
    with open_day(study) as day:
        planner = make_planner(study, day.assembly.knowledge)
        assert isinstance(planner, TangentPlanner)
        plan = planner.plan(day.measurement, day.forecast)
        assert isinstance(plan, Plan)
        ampacity = planner._twin._quantities._data.ampacity
        lines = [name for name, line in zip(ampacity.names, ampacity.line, strict=True) if line]
        at = [lines.index(f"line.triplex.{i}") for i in (1, 2)]
        expected = planner._twin.values(planner._last.flow, Quantity.LINE)[at]
        return plan, expected, carried_out(plan, day, study.grid.steps)


def carried_out(plan: Plan, day: Day, steps: int) -> np.ndarray:
    """Loading of both conductors of the service in OpenDSS under a plan, shape (conductor, period)."""
    feeder, seen = day.assembly.feeder, []
    for step in range(steps):
        if step:
            feeder.measure(step)
        feeder.apply(plan.setpoints(step))
        result = feeder.commit()
        feeder.engine.dss.Circuit.SetActiveElement("line.triplex")
        amps = np.asarray(feeder.engine.dss.CktElement.CurrentsMagAng())[0:4:2]
        assert result.loading_line == "line.triplex"
        assert result.loading == pytest.approx(amps.max() / RATED_A, abs=1e-6)
        seen.append(amps / RATED_A)
    return np.array(seen).T


def test_the_rating_of_a_service_is_held_and_both_models_agree(tmp_path: Path) -> None:
    plan, expected, seen = planned_and_real(behind_a_service(tmp_path, lines=True))
    assert seen == pytest.approx(expected, abs=1e-6)
    assert seen.max() <= 1.0
    # All of the rating is used: the limit does bind.
    assert seen.max(axis=0) == pytest.approx(1.0, abs=1e-3)
    assert plan.certificate.status == "optimal"
    assert plan.certificate.claim == "locally optimal on the exact power flow"
    assert plan.certificate.iterations <= PROGRAMS


@pytest.mark.parametrize("planner", ["sensitivity_factors", "taylor"])
def test_linear_models_hold_the_rating_and_use_all_of_it(tmp_path: Path, planner: str) -> None:
    """The plan is that of tangent: as much charging as the rating allows."""
    study = behind_a_service(tmp_path, planner, lines=True)
    with open_day(study) as day:
        plan = make_planner(study, day.assembly.knowledge).plan(day.measurement, day.forecast)
        assert isinstance(plan, Plan)
        seen = carried_out(plan, day, study.grid.steps)
    assert seen.max() <= 1.0
    assert seen.max(axis=0) == pytest.approx(1.0, abs=1e-3)
    assert plan.certificate.over_kw == 0.0
    exact, _, _ = planned_and_real(behind_a_service(tmp_path, lines=True))
    assert plan.p_kw == pytest.approx(exact.p_kw, abs=0.005)


def test_without_the_limit_the_service_is_overloaded(tmp_path: Path) -> None:
    _, expected, seen = planned_and_real(behind_a_service(tmp_path, lines=False))
    assert seen == pytest.approx(expected, abs=1e-6)
    assert seen.max() > 1.5


def test_programs_know_how_a_current_curves(tmp_path: Path) -> None:
    """Along its tangent a current grows with the square of the power; second differences say how much."""
    study = behind_a_service(tmp_path, lines=True)
    with open_day(study) as day:
        planner = make_planner(study, day.assembly.knowledge)
        assert isinstance(planner, TangentPlanner)
        assert isinstance(planner.plan(day.measurement, day.forecast), Plan)
    twin, pool, flow = planner._twin, planner._limits_in_force, planner._last.flow
    (rows,) = (rows for bound, rows in zip(pool.bounds, pool.rows, strict=True) if bound.quantity == "line")
    assert rows.multiplier.max() > 0.0
    first = np.flatnonzero(rows.period == 0)
    slope = complex(rows.p[first, 0].mean(), rows.q[first, 0].mean())
    step_kva = 4.0 * 1j * slope / abs(slope)
    beside = [
        twin.values(twin.flow(flow.device_kva + move, flow, held=True), Quantity.LINE)[rows.place[first], 0]
        for move in (-step_kva, 0.0, step_kva)
    ]
    seen = (beside[0] - 2.0 * beside[1] + beside[2]) / abs(step_kva) ** 2
    assert pool.curvature(flow)[0, 0] == pytest.approx(rows.multiplier[first] @ seen, rel=0.1)


def test_the_power_beyond_a_rating_is_that_of_the_line(tmp_path: Path) -> None:
    """Where charging pays more than the penalty the plan says how far it goes, in kVA of that service."""
    study = behind_a_service(tmp_path, lines=True, power_penalty_per_kwh=0.01)
    plan, _, seen = planned_and_real(study)
    rated_kva = RATED_A * 0.208 / np.sqrt(3.0)
    assert plan.certificate.over_kw == pytest.approx((seen.max() - 1.0) * rated_kva, rel=1e-3)
