"""The record of a run: parquet written as it goes, and a reader.

::

    DIR/manifest.json      versions, hashes, seeds; running, complete or aborted, and why
    DIR/scenario.yaml      the scenario as it was run, see :mod:`cosim.run.manifest`
    DIR/site.json          names, ratings, network, map
    DIR/steps/*.parquet    one row per step
    DIR/plans/*.npy        node voltages that each plan expects, float32, shape (period, node)
    DIR/baseline/          the same for the run without control
    DIR/metrics.json       key figures           (written by the report)
    DIR/report.html        the report
    DIR/logs/              one log per federate  (over HELICS)
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cattrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cosim.bounded import Unreadable, bounded_text
from cosim.errors import CosimError, DiskFull, RecordError
from cosim.model.arrays import BoolArray, FloatArray
from cosim.model.site import Site
from cosim.model.state import NOT_SOLVED
from cosim.run.bounded import MOST_JSON_BYTES, STRANGE, json_of
from cosim.run.disk import RecordConfig, full_disk_named, synced, whole_file, write_text
from cosim.run.json_values import json_converter
from cosim.run.loop import StepRecord
from cosim.run.same_steps import must_be_same
from cosim.run.step_row import forecast_columns, schema_of, step_row

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

STEPS_PER_PART = 96
PLANS = "plans"
MOST_PLANNED_VOLTAGES = 100_000
"""Node voltages of a plan (periods times nodes) that are kept with the record; larger plans keep the lowest
and the highest of each period, and the nodes of the first."""


# --- writing --------------------------------------------------------------------------------------


class RecordWriter:
    """Writes the steps of a run. Each finished step is on disk before the next one starts, if not in parts.

    Args:
        folder: the run's folder; it exists already.
        site: written once, as ``site.json``.
        config: when steps are forced onto the disk, and what is kept.
        earlier: of an interrupted run that is carried on: steps that are made again must be the same.
        in_parts: write 96 steps at a time. The files are the same in the end; a run that is killed loses
            the steps of its last part.

    Raises:
        DiskFull: there is no room for them.
    """

    def __init__(
        self,
        folder: Path,
        site: Site,
        config: RecordConfig = RecordConfig(),  # noqa: B008 - frozen
        earlier: Record | None = None,
        *,
        in_parts: bool = False,
    ) -> None:
        self._folder, self._sync, self._forecasts = folder / "steps", config.sync, config.forecasts
        self._in_parts = in_parts
        with full_disk_named(self._folder):
            self._folder.mkdir(exist_ok=True)
        self._site = site
        self._recent: list[pa.Table] = []
        self._earlier = None if earlier is None else earlier.steps.set_index("step", drop=False)
        write_text(folder / "site.json", json_converter().dumps(site))

    def keep(self, record: StepRecord) -> None:
        """Write one step.

        Raises:
            RecordError: the step is on record already, and was another one.
            DiskFull: there is no room for it.
        """
        row = step_row(record, self._site)
        if self._forecasts:
            row |= forecast_columns(record.decision.outlook)
        if self._earlier is not None and record.measurement.step in self._earlier.index:
            recorded = self._earlier.loc[record.measurement.step].to_dict()
            must_be_same(row, recorded, record.measurement.step, "the run")
            return
        each = self._sync == "each_step"
        if record.decision.plan is not None:
            self._keep_voltages(record.measurement.step, record.decision.plan.voltage_pu, sync=each)
        table = pa.Table.from_pylist([row], schema=schema_of(row))
        if not self._in_parts:
            _write_parquet(self._step_file(record.measurement.step), table, sync=each)
        self._recent.append(table)
        if len(self._recent) == STEPS_PER_PART:
            self._merge()

    def _keep_voltages(self, step: int, voltage_pu: FloatArray, *, sync: bool) -> None:
        """Write the voltages that a plan expects, unless they would outgrow everything else."""
        if voltage_pu.size > MOST_PLANNED_VOLTAGES:
            return
        path = planned_voltage_file(self._folder.parent, step)
        with full_disk_named(path.parent):
            path.parent.mkdir(exist_ok=True)
        with whole_file(path, sync=sync) as side, side.open("wb") as file:
            np.save(file, voltage_pu.astype(np.float32))

    def close(self) -> None:
        """Merge what is left into one part; on a full disk it stays as it is, which is as good.

        Raises:
            DiskFull: there is no room for the last part of a record that is written in parts.
        """
        try:
            if self._recent:
                self._merge()
        except DiskFull as error:
            if self._in_parts:
                raise
            log.warning("the last steps stay in files of their own: %s", error)
        if self._sync == "end":
            for folder in (self._folder, self._folder.parent / PLANS):
                for path in folder.glob("*"):
                    synced(path)
                if folder.is_dir():
                    synced(folder)

    def _merge(self) -> None:
        # Written before the single steps go, so that a kill in between loses nothing; a reader
        # drops rows that are there twice.
        steps = [table.column("step")[0].as_py() for table in self._recent]
        part = self._folder / f"part-{steps[0]:07d}.parquet"
        sync = self._sync in {"each_part", "each_step"}
        _write_parquet(part, pa.concat_tables(self._recent), sync=sync)
        for step in steps:
            self._step_file(step).unlink(missing_ok=self._in_parts)
        self._recent.clear()

    def _step_file(self, step: int) -> Path:
        return self._folder / f"step-{step:07d}.parquet"


def _write_parquet(path: Path, table: pa.Table, *, sync: bool) -> None:
    with whole_file(path, sync=sync) as side:
        pq.write_table(table, side, compression="zstd")


# --- files of steps -------------------------------------------------------------------------------


def last_step(folder: Path) -> int | None:
    """Last step on disk, None if there is none."""
    parts = _parts(folder, columns=["step"])
    return max((int(part.column("step")[-1].as_py()) for part in parts), default=None)


def _parts(folder: Path, columns: list[str] | None = None) -> list[pa.Table]:
    """Tables of a run's steps; a damaged file is named in a warning and left out."""
    found: list[pa.Table] = []
    for path in sorted((folder / "steps").glob("*.parquet")):
        try:
            part = pq.read_table(path, columns=columns)
            names = part.column_names
        except (OSError, ValueError, pa.ArrowException) as error:
            log.warning("%s is damaged and left out: %s", path, error)
            continue
        if "step" not in names:
            log.warning("%s has no column 'step' and is left out", path)
        elif len(part):
            found.append(part)
    return found


# --- reading --------------------------------------------------------------------------------------


def planned_voltage_file(folder: Path, step: int) -> Path:
    """Where a record keeps the voltages that the plan of a step expects."""
    return folder / PLANS / f"plan-{step:07d}.npy"


@dataclass(frozen=True)
class Record:
    """A run that can be read: finished, aborted, or still going on.

    Attributes:
        folder: where it lies.
        manifest: content of ``manifest.json``.
        site: the facts of the plant.
        steps: one row per step, ordered.
    """

    folder: Path
    manifest: dict[str, Any]
    site: Site
    steps: pd.DataFrame

    def vector(self, column: str) -> FloatArray:
        """A column of lists as a matrix, shape (step, entry)."""
        return np.array(self.steps[column].tolist(), dtype=np.float64).reshape(len(self.steps), -1)

    def solved(self) -> BoolArray:
        """Which steps have a power flow of their own, shape (step,)."""
        held = [any(str(event).startswith(NOT_SOLVED) for event in found) for found in self.steps["events"]]
        return ~np.array(held, dtype=np.bool_)

    def planned_voltage_pu(self, step: int) -> FloatArray | None:
        """Voltages that the plan of a step expects, shape (period, node); None where none are kept."""
        path = planned_voltage_file(self.folder, step)
        return np.load(path).astype(np.float64) if path.is_file() else None

    @property
    def step_h(self) -> float:
        """Length of a step in hours."""
        return self.site.grid.step_h


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    """A table of steps for pandas.

    Where the HELICS library was loaded before pyarrow, pyarrow (26.0) crashes when it makes a time zone.
    """
    # A controller that carries nothing on does without pandas.
    import pandas as pd

    at = table.schema.get_field_index("timestamp")
    if at >= 0:
        table = table.set_column(at, "timestamp", table.column(at).cast(pa.int64()))
    frame: pd.DataFrame = table.to_pandas()
    if at >= 0:
        frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="us", utc=True)
    return frame


def read_record(folder: Path) -> Record:
    """Read a run's folder.

    Raises:
        RecordError: it is no run, or holds no finished step.
    """
    manifest_path, site_path = folder / "manifest.json", folder / "site.json"
    if not manifest_path.is_file():
        raise RecordError(f"{folder} is no run: it has no manifest.json")
    parts = _parts(folder)
    if not parts or not site_path.is_file():
        raise RecordError(f"{folder} holds no finished step")
    try:
        steps = _to_pandas(pa.concat_tables(parts)).drop_duplicates("step")
        steps = steps.sort_values("step").reset_index(drop=True)
    except (*STRANGE, pa.ArrowException) as error:
        raise RecordError(f"the steps of {folder} do not belong together: {str(error)[:200]}") from error
    try:
        site = json_converter().loads(bounded_text(site_path, MOST_JSON_BYTES), Site)
    except (Unreadable, *STRANGE, cattrs.BaseValidationError, CosimError) as error:
        raise RecordError(f"{site_path} holds no site: {str(error)[:200]}") from error
    try:
        manifest = json_of(bounded_text(manifest_path, MOST_JSON_BYTES))
    except Unreadable as error:
        raise RecordError(f"{manifest_path} {error}") from error
    if not isinstance(manifest, dict):
        raise RecordError(f"{manifest_path} holds no mapping")
    return Record(folder, manifest, site, steps)
