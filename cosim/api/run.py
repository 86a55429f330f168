"""A run from a user's side: figures, tables, plots, report; also of one that failed or goes on."""

from __future__ import annotations

import logging
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cosim.api import tables
from cosim.experiments.acceptance import Figure
from cosim.experiments.compared import read_compared
from cosim.experiments.controllers import controller_of_device
from cosim.experiments.metrics import Report, measure_report
from cosim.experiments.score import read_bound, scores_of
from cosim.model.metric import Metric
from cosim.report.key_figures import key_figure_rows
from cosim.run.manifest import read_manifest
from cosim.run.metric_names import own_metrics
from cosim.run.record import Record

if TYPE_CHECKING:
    from cosim.api.plots import Plots

SCORE_ROWS = (
    ("Score (100 oracle, 0 no control)", "score", ""),
    ("Cost above that of the oracle", "regret", "currency"),
)
"""Label, attribute of a score, and unit."""
log = logging.getLogger(__name__)


def open_run(folder: Path | str) -> Run:
    """A run on disk.

    Raises:
        RecordError: the folder is no run, or holds no finished step.
    """
    run = Run(Path(folder))
    run.record  # noqa: B018 - fails here rather than later
    return run


def own_figures(folder: Path) -> dict[str, Figure]:
    """Metrics of users of a run on disk, by name."""
    return Run(folder).own


def write_report(folder: Path) -> Path:
    """Write the report of a run on disk, with metrics of users."""
    return Run(folder).report()


class Run:
    """A run on disk; everything is read when it is first asked for.

    Args:
        folder: of the record.
        note: why there is no baseline, if one was wanted.
    """

    def __init__(self, folder: Path, note: str = "") -> None:
        self.folder = folder
        self.note = note

    @cached_property
    def _compared(self) -> tuple[Record, Record | None, str]:
        return read_compared(self.folder)

    @property
    def record(self) -> Record:
        """The record as it was written."""
        return self._compared[0]

    @property
    def baseline(self) -> Record | None:
        """The same steps without control."""
        return self._compared[1]

    @property
    def manifest(self) -> dict[str, Any]:
        """Versions, seeds, hashes, and how the run ended."""
        return read_manifest(self.folder)

    @property
    def status(self) -> str:
        """``complete``, ``aborted`` or ``running``."""
        return str(self.manifest["status"])

    @cached_property
    def figures(self) -> Report:
        """All figures as plain values."""
        record, baseline, note = self._compared
        return measure_report(
            record, baseline, baseline_note=self.note or note, own=self.own, bound=self.bound
        )

    @cached_property
    def bound(self) -> Record | None:
        """The same scenario under the oracle, beside the run; None where it was not asked for."""
        return read_bound(self.folder)

    @cached_property
    def own(self) -> dict[str, Figure]:
        """Metrics of users; one that fails has no value, because a finished run must not be lost."""
        metrics = own_metrics()
        without = _plain(self.folder / "baseline") if metrics and self.baseline is not None else None
        this = _plain(self.folder, self.note)
        return {
            metric.name: Figure(
                _value(metric, this), None if without is None else _value(metric, without), metric.unit
            )
            for metric in metrics
        }

    @property
    def accepted(self) -> bool:
        """Whether every limit under ``accept`` of the scenario is kept."""
        return not self.figures.verdict.rejected

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The key figures: columns ``run``, ``baseline``, ``unit``."""
        rows = key_figure_rows(self.figures)
        return pd.DataFrame(
            {
                "run": [row.run for row in rows],
                "baseline": [row.baseline for row in rows],
                "unit": [row.unit for row in rows],
            },
            index=pd.Index([row.label for row in rows], name="figure"),
        )

    @cached_property
    def steps(self) -> pd.DataFrame:
        """Single values of every step by time: import, losses, price, decisions, decision times."""
        return tables.step_table(self.record)

    @cached_property
    def voltages(self) -> pd.DataFrame:
        """Voltage of every node in pu, by time."""
        return tables.voltage_table(self.record)

    @cached_property
    def devices(self) -> pd.DataFrame:
        """Power, set-points and stored energy of every device by time; columns (device, quantity)."""
        return tables.device_table(self.record)

    @cached_property
    def plans(self) -> pd.DataFrame:
        """What every plan expected; rows (made at, start of the period)."""
        return tables.plan_table(self.record)

    @cached_property
    def controllers(self) -> pd.DataFrame:
        """What each of several controllers decided; rows (step, controller). Empty for one controller."""
        return tables.controller_table(self.record)

    @property
    def controller_of_device(self) -> dict[str, str]:
        """Which of several controllers has which device; empty for one controller."""
        return controller_of_device(self.record)

    @property
    def plot(self) -> Plots:
        """The figures of the report, e.g. ``run.plot.voltages()``."""
        from cosim.api.plots import Plots

        return Plots(self.record, self.baseline)

    def compare(self, *others: Run) -> pd.DataFrame:
        """The key figures of several runs side by side; a column per run, and the unit.

        With a run under the oracle among them or beside one of them, also score and regret, see
        :mod:`cosim.experiments.score`.
        """
        runs = (self, *others)
        names = [run.folder.name for run in runs]
        if len(set(names)) < len(names):
            names = [str(run.folder) for run in runs]
        columns = {name: run.metrics["run"] for name, run in zip(names, runs, strict=True)}
        table = pd.DataFrame(columns)
        units = pd.concat([run.metrics["unit"] for run in runs])
        table["unit"] = units[~units.index.duplicated()].reindex(table.index)
        # A run without a controller lacks rows that another one has.
        table = table.reindex(list(dict.fromkeys(label for run in runs for label in run.metrics.index)))
        scores = scores_of([(run.record, run.baseline) for run in runs], [run.bound for run in runs])
        if any(score is not None for score in scores):
            for label, name, unit in SCORE_ROWS:
                values = [None if score is None else getattr(score, name) for score in scores]
                table.loc[label] = [*(float("nan") if value is None else value for value in values), unit]
        return table

    def report(self) -> Path:
        """Write the report again and tell where: one HTML file that needs no network."""
        from cosim.report.html import write_report

        write_report(self.folder, self.own)
        return self.folder / "report.html"

    def __repr__(self) -> str:
        figures = self.figures
        return (
            f"<Run {figures.name}: {figures.status}, {figures.run.steps} of {figures.planned_steps} steps, "
            f"energy cost {figures.run.energy_cost:.2f}, voltage outside the limits "
            f"{figures.run.violation_node_h:.2f} node-h, in {self.folder}>"
        )

    def _repr_html_(self) -> str:
        head = f"<p><code>{escape(repr(self)[1:-1])}</code></p>"
        return head + self.metrics.round(4).to_html(na_rep="")


def _plain(folder: Path, note: str = "") -> Run:
    """A run without metrics of users, so that they may use its other figures."""
    run = Run(folder, note)
    run.own = {}
    return run


def _value(metric: Metric, run: Run) -> float | None:
    try:
        value = metric.function(run)
        return None if value is None else float(value)
    except Exception as error:  # noqa: BLE001 - whatever a user's function raises
        log.warning("metric %s has no value: %s: %s", metric.name, type(error).__name__, error)
        return None
