"""How voltages and stored energy of the variants of a campaign went over time, over all seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.dataset import dataset

from cosim.experiments.campaign.store import Store
from cosim.model.arrays import FloatArray
from cosim.run.record import Record

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
            found = _summed_up(steps[column].to_pylist(), reduced)
            steps = steps.append_column(name, pa.array(found, type=pa.float64()))
    return steps


def _summed_up(lists: Iterable[Sequence[float] | None], reduced: Reduced) -> list[float | None]:
    """One value per list; None for a list that is missing or empty."""
    return [
        None if values is None or not len(values) else reduced(np.asarray(values, dtype=np.float64))
        for values in lists
    ]


def read_courses(table: pd.DataFrame, folder: Path) -> dict[str, dict[str, Course]]:
    """Courses by quantity and variant, of the complete runs whose steps or records are kept.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        folder: of the campaign.
    """
    complete, store = table[table["status"] == "complete"], Store(folder)
    kept = {str(key): _kept(store, str(key)) for key in complete["key"].unique()}
    return courses_of(
        {
            str(variant): [steps for key in rows["key"] if (steps := kept[str(key)]) is not None]
            for variant, rows in complete.groupby("variant", sort=False)
        }
    )


def courses_of(runs: Mapping[str, Sequence[pd.DataFrame]]) -> dict[str, dict[str, Course]]:
    """Courses by quantity and name.

    Args:
        runs: by name the runs that differ by chance alone, see :func:`steps_of`.
    """
    found: dict[str, dict[str, Course]] = {}
    for quantity in SUMMARIES:
        for name, parts in runs.items():
            there = [part for part in parts if quantity in part and part[quantity].notna().any()]
            if there:
                found.setdefault(quantity, {})[name] = _over_seeds(there, quantity)
    return found


def steps_of(record: Record) -> pd.DataFrame:
    """Time and single values of the steps of a record."""
    steps = record.steps
    found = {
        name: np.array(_summed_up(steps[column], reduced), dtype=np.float64)
        for name, (column, reduced) in SUMMARIES.items()
        if column in steps
    }
    return pd.DataFrame({"time_s": steps["time_s"], **found})


def _kept(store: Store, key: str) -> pd.DataFrame | None:
    """The same of a run of a campaign; None where neither its steps nor its record are kept."""
    if store.steps(key).is_file():
        return _frame(pq.read_table(store.steps(key), partitioning=None))
    kept = store.record(key) / "steps"
    if not kept.is_dir():
        return None
    # Of a record that is complete, only the columns that count: the plans are most of it.
    steps = dataset(kept, format="parquet")
    lists = dict.fromkeys(column for column, _ in SUMMARIES.values())
    there = [name for name in ("time_s", *lists) if name in steps.schema.names]
    return _frame(with_summaries(steps.to_table(columns=there)))


def _frame(steps: pa.Table) -> pd.DataFrame:
    names = [name for name in ("time_s", *SUMMARIES) if name in steps.column_names]
    frame: pd.DataFrame = steps.select(names).to_pandas()
    return frame


def _over_seeds(parts: Sequence[pd.DataFrame], name: str) -> Course:
    by_time = pd.concat(parts).groupby("time_s")[name].agg(["mean", "min", "max"])
    return Course(
        by_time.index.to_numpy(dtype=np.float64) / 3600.0,
        *(by_time[kind].to_numpy(dtype=np.float64) for kind in ("mean", "min", "max")),
    )
