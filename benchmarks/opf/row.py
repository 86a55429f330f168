"""One row: a case, a planner, what it costs in time and memory, and what OpenDSS says of its plan."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from benchmarks.opf.cases import Case, CaseSpec, build_case
from benchmarks.opf.judged import EXACT_PU, judged
from benchmarks.opf.planners import SINGLE, check_solver, maker, scenario_solver
from benchmarks.opf.rolling import NO_PLAN, StepTime, roll
from benchmarks.opf.row_spec import RowSpec
from cosim.errors import CosimError
from cosim.experiments.memory import peak_mb

SMALL_CASE = CaseSpec("ieee13", 2, steps=1)
"""Planned once before anything is measured: libraries are then loaded and kernels compiled."""


@contextmanager
def opened_case(spec: RowSpec) -> Iterator[Case]:
    """The case of a row, in a folder that lives as long as it is used."""
    with tempfile.TemporaryDirectory(prefix="opf-benchmark-") as folder:
        # The scenario needs the name of a planner that is installed everywhere.
        name = spec.planner if spec.planner not in SINGLE else "lindistflow"
        solver = scenario_solver(spec.solver) if spec.planner not in SINGLE else "auto"
        yield build_case(spec.case, Path(folder), planner=name, solver=solver)


def measure(spec: RowSpec) -> dict[str, object]:
    """Measure a row; use a fresh process for each, or memory is that of all rows before.

    Returns:
        The row as JSON takes it; ``error`` says what went wrong, empty if nothing did.
    """
    row: dict[str, object] = {"key": spec.key, **spec.identity(), "error": ""}
    try:
        check_solver(spec.planner, spec.solver)
        measured_by = _route(spec.planner)
        if spec.planner not in SINGLE:
            _warm_up(spec)
        with opened_case(spec) as case:
            row |= {name: value for name, value in asdict(case).items() if name != "study"}
            row |= measured_by(spec, case)
        # The exact program may stand on the edge of a load law that jumps; it is then reported, no error.
        if row.get("exact") is False and spec.planner == "tangent":
            row["error"] = f"the plan's voltages differ from OpenDSS by more than {EXACT_PU:g} pu"
    except CosimError as error:
        row["error"] = f"{type(error).__name__}: {error}"
    return {name: _plain(value) for name, value in row.items()}


def _route(planner: str) -> Callable[[RowSpec, Case], dict[str, object]]:
    """What measures the rows of a planner; imported when asked for, so that memory is that of the row."""
    if planner == "nlp":
        from benchmarks.opf.nlp_row import measure_nlp

        return measure_nlp
    if planner == "distopf":
        from benchmarks.opf.peer_distopf import measure_distopf

        return measure_distopf
    return _measure_rolling


def _plain(value: object) -> object:
    """A value as JSON knows it: what is no number is nothing."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _warm_up(spec: RowSpec) -> None:
    with opened_case(replace(spec, case=replace(SMALL_CASE, periods=spec.case.periods))) as case:
        roll(case.study, maker(spec.planner, spec.solver))


def _measure_rolling(spec: RowSpec, case: Case) -> dict[str, object]:
    before = peak_mb()
    rolled = roll(case.study, maker(spec.planner, spec.solver), noise=spec.noise, seed=spec.case.seed)
    peak = peak_mb()
    cold, *warm = rolled.steps
    row: dict[str, object] = {
        "setup_cpu_s": rolled.setup_cpu_s,
        "cold_cpu_s": cold.cpu_s,
        "cold_wall_s": cold.wall_s,
        "cold_parts_s": cold.parts_s,
        "cold_programs": cold.programs,
        "peak_mb": peak,
        "peak_before_mb": before,
        **_warm_figures(warm),
        "plant_cost": rolled.cost,
        "plant_violation_max_pu": max(step.plant.violation_pu for step in rolled.steps),
        "plant_violation_pu_h": sum(step.plant.violation_pu_h for step in rolled.steps),
        **judged(rolled.first),
    }
    if spec.planner == "tangent":
        held = row["held"]
        assert isinstance(held, dict)
        row["exact"] = bool(held["voltage_error_pu"] <= EXACT_PU)
    return row


def _warm_figures(warm: list[StepTime]) -> dict[str, object]:
    if not warm:
        return {}
    cpu = np.array([step.cpu_s for step in warm])
    wall = np.array([step.wall_s for step in warm])
    names = dict.fromkeys(name for step in warm for name in step.parts_s)
    return {
        "warm_steps": len(warm),
        "warm_cpu_median_s": float(np.median(cpu)),
        "warm_cpu_p95_s": float(np.percentile(cpu, 95)),
        "warm_cpu_max_s": float(cpu.max()),
        "warm_wall_median_s": float(np.median(wall)),
        "warm_parts_s": {
            name: float(np.median([s.parts_s.get(name, 0.0) for s in warm])) for name in names
        },
        "warm_programs_median": float(np.median([step.programs for step in warm])),
        "warm_without_plan": sum(step.status.startswith(NO_PLAN) for step in warm),
        "warm_not_optimal": sum(step.status != "optimal" for step in warm),
        "warm_slack_max_pu": max(step.slack_pu for step in warm),
    }
