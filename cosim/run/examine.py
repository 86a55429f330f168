"""Is a record sound: all there, undamaged, and of files that are still the same?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cosim.errors import CosimError, RecordError
from cosim.run.manifest import read_manifest
from cosim.run.record import read_record
from cosim.run.repeat import open_recorded
from cosim.run.resume import checkpoints_of

Check = tuple[str, bool, str]


def examine(folder: Path) -> Iterator[Check]:
    """Name, whether it is fine, and a detail, one after the other."""
    yield _try("manifest", lambda: _manifest(folder))
    yield _try("files of steps", lambda: _parts(folder))
    yield _try("steps", lambda: _steps(folder))
    yield _try("state to go on with", lambda: _state(folder))
    yield _try("files it was made of", lambda: _sources(folder))
    if (folder / "baseline").is_dir():
        yield _try("baseline", lambda: _steps(folder / "baseline"))


def _try(name: str, probe: Callable[[], str]) -> Check:
    try:
        return name, True, probe()
    except (CosimError, OSError) as error:
        return name, False, str(error)


def _manifest(folder: Path) -> str:
    manifest = read_manifest(folder)
    status, reason = manifest.get("status"), manifest.get("reason") or ""
    if status not in {"complete", "aborted", "running"}:
        raise RecordError(f"its status is {status!r}")
    resumed = len(manifest.get("resumed", []))
    times = f", resumed {resumed} times" if resumed else ""
    return f"{status}{f': {reason}' if reason else ''}{times}"


def _parts(folder: Path) -> str:
    damaged: list[str] = []
    files = sorted((folder / "steps").glob("*.parquet"))
    for path in files:
        try:
            pq.read_table(path)
        except (OSError, pa.ArrowException):
            damaged.append(path.name)
    if not files:
        raise RecordError("there is none")
    if damaged:
        raise RecordError(f"{len(damaged)} of {len(files)} are damaged: {', '.join(damaged[:3])}")
    return f"{len(files)}, all readable"


def _steps(folder: Path) -> str:
    record, manifest = read_record(folder), read_manifest(folder)
    steps = record.steps["step"].to_numpy()
    gaps = np.setdiff1d(np.arange(steps.max() + 1), steps)
    if gaps.size:
        raise RecordError(f"{gaps.size} are missing, the first is {gaps[0]}")
    planned = int(manifest["steps"])
    if manifest["status"] == "complete" and len(steps) != planned:
        raise RecordError(f"{len(steps)} of {planned}, though the manifest says complete")
    return f"{len(steps)} of {planned}, without a gap"


def _state(folder: Path) -> str:
    if read_manifest(folder)["status"] == "complete":
        return "none is needed"
    states = checkpoints_of(open_recorded(folder), folder)
    last = max(set[int].intersection(*(own.steps(10**9) for own in states)), default=None)
    if last is None:
        return "none; cosim resume repeats the steps of the controller"
    for own in states:
        own.read(last)
    return f"after step {last}"


def _sources(folder: Path) -> str:
    study = open_recorded(folder)
    sha256 = read_manifest(folder)["sha256"]
    count = sum(len(sha256[part]) for part in ("feeder_files", "inputs", "code"))
    return f"{count} unchanged, feeder {study.master}"
