"""How voltages and stored energy of the variants of a campaign went over time, over all seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.dataset import dataset

from cosim.experiments.campaign.store import Store
from cosim.model.arrays import FloatArray

Reduced = Callable[[FloatArray], float]
SUMMARIES: dict[str, tuple[str, Reduced]] = {
    "lowest_pu": ("voltage_pu", lambda values: float(np.min(values))),
    "highest_pu": ("voltage_pu", lambda values: float(np.max(values))),
    "all_stored_kwh": ("stored_kwh", lambda values: float(np.sum(values))),
}
"""Single values of a step: the list that they are made of, and how."""


@dataclass(frozen=True)
class Course:
    """A quantity of a variant over time.

    Attributes:
        time_h: since the start of the run, shape (step,).
        mean, least, most: over the seeds, same shape.
    """

    time_h: FloatArray
    mean: FloatArray
    least: FloatArray
    most: FloatArray


def with_summaries(steps: pa.Table) -> pa.Table:
    """Steps of a record with the single values of :data:`SUMMARIES`, where it has the lists."""
    for name, (column, reduced) in SUMMARIES.items():
        if column in steps.column_names:
            found = [
                None if values is None or not len(values) else reduced(np.asarray(values, dtype=np.float64))
                for values in steps[column].to_pylist()
            ]
            steps = steps.append_column(name, pa.array(found, type=pa.float64()))
    return steps


def read_courses(table: pd.DataFrame, folder: Path) -> dict[str, dict[str, Course]]:
    """Courses by quantity and variant, of the complete runs whose steps or records are kept.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        folder: of the campaign.
    """
    complete, store = table[table["status"] == "complete"], Store(folder)
    kept = {str(key): _steps(store, str(key)) for key in complete["key"].unique()}
    found: dict[str, dict[str, Course]] = {name: {} for name in SUMMARIES}
    for variant, rows in complete.groupby("variant", sort=False):
        parts = [steps for key in rows["key"] if (steps := kept[str(key)]) is not None]
        for name, courses in found.items():
            there = [part[["time_s", name]] for part in parts if name in part and part[name].notna().any()]
            if there:
                courses[str(variant)] = _over_seeds(there, name)
    return {name: courses for name, courses in found.items() if courses}


def _steps(store: Store, key: str) -> pd.DataFrame | None:
    """Time and single values of a run by step; None where neither its steps nor its record are kept."""
    if store.steps(key).is_file():
        steps = pq.read_table(store.steps(key), partitioning=None)
    elif (store.record(key) / "steps").is_dir():
        record = dataset(store.record(key) / "steps")
        lists = dict.fromkeys(column for column, _ in SUMMARIES.values())
        there = [name for name in ("step", "time_s", *lists) if name in record.schema.names]
        steps = with_summaries(record.to_table(columns=there))
    else:
        return None
    frame: pd.DataFrame = steps.select(
        [name for name in ("time_s", *SUMMARIES) if name in steps.column_names]
    ).to_pandas()
    return frame


def _over_seeds(parts: list[pd.DataFrame], name: str) -> Course:
    by_time = pd.concat(parts).groupby("time_s")[name].agg(["mean", "min", "max"])
    return Course(
        by_time.index.to_numpy(dtype=np.float64) / 3600.0,
        *(by_time[kind].to_numpy(dtype=np.float64) for kind in ("mean", "min", "max")),
    )
