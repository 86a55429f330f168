"""The row of the exact program, beside the tangent plan on the same taps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.opf.judged import EXACT_PU, judged
from benchmarks.opf.nlp import ExactProgram, Solution, losses_kw, voltage_pu
from benchmarks.opf.nlp_network import Day, idle_switching, measured_switching, read_day
from benchmarks.opf.planned import PlannedDay, as_long_as_plan, certificate, plan_from
from benchmarks.opf.planners import maker
from benchmarks.opf.realised import realise_held
from benchmarks.opf.rolling import first_plan
from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.experiments.memory import peak_mb
from cosim.opf.devices.circle import back_into_circle
from cosim.opf.devices.model import DeviceModel
from cosim.opf.expected import Expected
from cosim.run.planner_options import planner_options

if TYPE_CHECKING:
    from benchmarks.opf.cases import Case
    from benchmarks.opf.row_spec import RowSpec
    from cosim.run.study import Study


def measure_nlp(spec: RowSpec, case: Case) -> dict[str, object]:
    """Solve the program once, from the idle flow, at given positions of regulators and capacitors."""
    study = case.study
    row: dict[str, object] = {}
    if spec.taps == "idle":
        switching = idle_switching(study)
    else:
        # With measured taps both planners solve one and the same problem: no control reacts.
        frozen = spec.taps == "measured"
        tangent = first_plan(_frozen(study) if frozen else study, maker("tangent", "auto"))
        switching = measured_switching(study) if frozen else tangent.switching
        row |= {"tangent": _compared(tangent)}
    day = read_day(study, switching)
    solution = ExactProgram(day, planner_options(study.scenario)).solve()
    planned = _planned(day, solution)
    row |= {
        "setup_cpu_s": solution.build_cpu_s,
        "cold_cpu_s": solution.solve_cpu_s,
        "cold_programs": solution.iterations,
        "passes": solution.passes,
        "loads_off_their_piece": solution.left,
        "variables": solution.variables,
        "constraints": solution.constraints,
        "peak_mb": peak_mb(),
        **judged(planned),
    }
    held = row["held"]
    assert isinstance(held, dict)
    row["exact"] = bool(held["voltage_error_pu"] <= EXACT_PU)
    other = row.get("tangent")
    if isinstance(other, dict):
        row["tangent_over_nlp"] = (other["merit"] - _merit(held, study)) / abs(_merit(held, study))
        row["tangent_cost_over_nlp"] = (other["cost"] - held["cost"]) / abs(held["cost"])
    return row


def _frozen(study: Study) -> Study:
    """The study with a controller that expects no reaction of regulators and capacitors."""
    control = study.scenario.control
    twin = control.twin.model_copy(update={"frozen_controls": True})
    frozen = control.model_copy(update={"twin": twin})
    return replace(study, scenario=study.scenario.model_copy(update={"control": frozen}))


def _compared(day: PlannedDay) -> dict[str, float | str]:
    """The tangent plan at its own taps, by OpenDSS."""
    held, proof = realise_held(day).figures(), day.plan.certificate
    return {
        **held,
        "merit": _merit(held, day.study),
        "status": proof.status,
        "claim": proof.claim,
        "programs": proof.iterations,
        "seconds": proof.build_s + proof.solve_s,
    }


def _merit(held: dict[str, float], study: Study) -> float:
    """Cost with every violation of every node paid for, as the exact program counts it."""
    penalty = study.scenario.limits.voltage_penalty_per_pu_h
    return held["cost"] + penalty * held["violation_pu_h"]


def _planned(day: Day, solution: Solution) -> PlannedDay:
    study, site, horizon = as_long_as_plan(day.study), day.site, day.forecast.horizon
    devices = DeviceModel(site.devices, horizon, planner_options(study.scenario))
    now, kwh = day.measurement.time_s, day.measurement.stored_kwh
    kw = devices.within_window(kwh, day.forecast.available_kw, solution.storage_kva.real, now)
    kva = (
        np.array([s.kva for s in site.of_type(StorageRating)]),
        np.array([p.kva for p in site.of_type(PvRating)]),
    )
    storage = kw + 1j * back_into_circle(kw, solution.storage_kva.imag, kva[0])
    pv = solution.pv_kva.real + 1j * back_into_circle(solution.pv_kva.real, solution.pv_kva.imag, kva[1])
    rated = np.array([p.kw for p in site.of_type(PvRating)])
    limit = np.where(solution.curtailed < 1e-7, rated, np.clip(pv.real, 0.0, rated))
    expected = Expected(solution.import_kva, losses_kw(day, solution), voltage_pu(day, solution.voltage))
    proof = certificate(
        "nlp", solution.cost, solution.slack_pu, solution.iterations, solution.solve_cpu_s, solution.status
    )
    plan = plan_from(
        horizon,
        now,
        devices.roll_out(kwh, kw, now),
        storage,
        pv,
        limit,
        expected,
        proof,
    )
    return PlannedDay(study, plan, expected, day.switching, day.forecast.price_per_kwh)
