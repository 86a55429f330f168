"""One case of a campaign of closed loops: a scenario with changes, run to its end, in key figures."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from cosim.errors import CosimError
from cosim.experiments.control_metrics import control_metrics
from cosim.experiments.executor import Budget, Experiment
from cosim.experiments.memory import peak_mb
from cosim.experiments.run_metrics import run_metrics
from cosim.run.execute import execute
from cosim.run.record import Record, read_record
from cosim.run.study import Study

Figures = Callable[[Record], dict[str, float]]
"""Figures of a record beyond those of every run."""


@dataclass(frozen=True)
class LoopCase:
    """A closed loop to be run.

    Attributes:
        key: name of the case.
        study: scenario, feeder and folder as JSON, see :meth:`cosim.run.study.Study.to_json`.
        over: name of the driver.
        figures: ``module:function`` of a record, for figures beyond those of every run; empty: none.
    """

    key: str
    study: str
    over: str = "local"
    figures: str = ""

    @property
    def fingerprint(self) -> str:
        """Of everything that is asked."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class LoopRow:
    """What a closed loop gave.

    Attributes:
        key, fingerprint: of the case.
        status: ``complete``, or why there are no figures.
        wall_s, cpu_s, peak_mb: of the run, start-up included; CPU seconds and memory of its process.
        run: see :class:`cosim.experiments.metrics.RunMetrics`; empty where there are no figures.
        decisions: how many decisions came from which source.
        figures: of the case's own function.
    """

    key: str
    fingerprint: str
    status: str
    wall_s: float | None = None
    cpu_s: float | None = None
    peak_mb: float | None = None
    run: dict[str, Any] = field(default_factory=dict)
    decisions: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


def loop_case(key: str, study: Study, figures: str = "") -> LoopCase:
    """A case of a study as it is now.

    Args:
        key: name of the case.
        study: without a baseline of its own: a baseline is another case.
        figures: ``module:function`` of the record, imported by the process of the case.
    """
    return LoopCase(key, study.without_baseline().to_json(), figures=figures)


def run_loop_case(case: LoopCase) -> LoopRow:
    """Run a closed loop in this process."""
    started, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        try:
            study = Study.from_json(case.study)
            execute(study, Path(folder) / "run", over=case.over, overwrite=False, progress=_silent)
            record = read_record(Path(folder) / "run")
        except CosimError as error:
            return _failed(case, f"failed: {error}")
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        control = control_metrics(record)
        return LoopRow(
            case.key,
            case.fingerprint,
            "complete",
            wall_s,
            cpu_s,
            peak_mb(),
            asdict(run_metrics(record)),
            {} if control is None else control.decisions,
            _figures(case)(record) if case.figures else {},
        )


def _figures(case: LoopCase) -> Figures:
    module, _, name = case.figures.partition(":")
    found: Figures = getattr(import_module(module), name)
    return found


def _silent(_done: int) -> None:
    pass


def _failed(case: LoopCase, why: str) -> LoopRow:
    return LoopRow(case.key, case.fingerprint, why)


def _counts(row: LoopRow, case: LoopCase, _budget: Budget) -> bool:
    return row.fingerprint == case.fingerprint and row.status == "complete"


CLOSED_LOOPS: Experiment[LoopCase, LoopRow] = Experiment(
    door="cosim.experiments.loop_case:CLOSED_LOOPS",
    case=LoopCase,
    row=LoopRow,
    run=run_loop_case,
    failed=_failed,
    counts=_counts,
)
