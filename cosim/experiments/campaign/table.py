"""The table of a campaign: one row per run, as a Parquet data set, with a manifest beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cosim.errors import RecordError
from cosim.experiments.campaign.plan import CampaignPlan
from cosim.experiments.campaign.points import Label
from cosim.experiments.campaign.row import FACTS, FIGURES, FigureType, RunRow
from cosim.run.disk import write_text
from cosim.run.manifest import software_versions

MANIFEST, RUNS = "campaign.json", "runs"
TYPES: Mapping[FigureType, pa.DataType] = {
    float: pa.float64(),
    int: pa.int64(),
    str: pa.string(),
    bool: pa.bool_(),
}


def write_tables(plan: CampaignPlan, rows: Mapping[str, RunRow], folder: Path) -> None:
    """Write ``runs/`` and ``campaign.json`` anew.

    Args:
        plan: of the campaign.
        rows: of the runs that are finished, by key.
        folder: of the campaign.
    """
    table = arrow_table(plan, rows)
    side = folder / f".{RUNS}"
    shutil.rmtree(side, ignore_errors=True)
    side.mkdir(parents=True)
    # As a partition, so that who reads only sound runs never opens the others.
    for status in sorted(set(table["status"].to_pylist())):
        part = table.filter(pc.equal(table["status"], status)).drop_columns(["status"])
        place = side / f"status={status}"
        place.mkdir()
        pq.write_table(part, place / "runs.parquet", compression="zstd")
    shutil.rmtree(folder / RUNS, ignore_errors=True)
    side.rename(folder / RUNS)
    write_text(folder / MANIFEST, json.dumps(_manifest(plan, rows), indent=2) + "\n")


def arrow_table(plan: CampaignPlan, rows: Mapping[str, RunRow]) -> pa.Table:
    """One row per planned run that is finished: facts, axes, figures, metrics of users; null: no value."""
    labels = {name: _label_type([run.labels.get(name) for run in plan.runs]) for name in plan.columns}
    fields = [
        *(pa.field(name, TYPES[kind]) for name, kind in FACTS.items()),
        *(pa.field(name, TYPES[kind]) for name, kind in labels.items()),
        *(pa.field(name, TYPES[kind]) for name, kind in FIGURES.items()),
        *(pa.field(name, TYPES[float]) for name in plan.own_metrics),
    ]
    found: list[dict[str, Any]] = []
    for run in plan.runs:
        row = rows.get(run.key)
        if row is None:
            continue
        facts = {
            "key": run.key,
            "variant": run.variant,
            "seed": run.seed,
            "status": row.status,
            "cause": row.cause,
            "seconds": row.seconds,
            "peak_memory_mib": row.peak_memory_mib,
            "versions": json.dumps(row.versions, sort_keys=True),
        }
        axes = {name: _as(kind, run.labels.get(name)) for name, kind in labels.items()}
        figures = {name: row.figures.get(name) for name in (*FIGURES, *plan.own_metrics)}
        found.append(facts | axes | figures)
    return pa.Table.from_pylist(found, schema=pa.schema(fields))


def read_runs(folder: Path) -> pd.DataFrame:
    """The table of a campaign, in the order of its plan where all runs are finished.

    Raises:
        RecordError: the folder holds no campaign.
    """
    if not (folder / MANIFEST).is_file() or not (folder / RUNS).is_dir():
        raise RecordError(f"{folder} holds no campaign ({MANIFEST} or {RUNS}/ is missing)")
    if not any((folder / RUNS).iterdir()):
        raise RecordError(f"{folder}: no run of the campaign is finished")
    table = pd.read_parquet(folder / RUNS)
    table["status"] = table["status"].astype(str)
    return table


def _manifest(plan: CampaignPlan, rows: Mapping[str, RunRow]) -> dict[str, Any]:
    return {
        "campaign": plan.file.model_dump(mode="json", by_alias=True),
        "columns": list(plan.columns),
        "own_metrics": plan.own_metrics,
        "baseline_of": plan.counterparts(),
        "bound_of": plan.bounds(),
        "ingredients": [asdict(one) for one in plan.ingredients()],
        "regret_chains": [asdict(one) for one in plan.regret_chains()],
        "runs": [run.key for run in plan.runs],
        "finished": len(rows),
        "failed": sorted(key for key, row in rows.items() if row.status == "failed"),
        "versions": software_versions(),
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _label_type(values: list[Label]) -> FigureType:
    """The narrowest type that holds all values of a column."""
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, bool) for value in there):
        return bool
    if there and all(isinstance(value, int) and not isinstance(value, bool) for value in there):
        return int
    if there and all(isinstance(value, int | float) and not isinstance(value, bool) for value in there):
        return float
    return str


def _as(kind: FigureType, value: Label) -> Label:
    return None if value is None else kind(value)
