"""Finished runs on disk: each is there as a whole, or not at all.

::

    DIR/finished/KEY.json          what became of a run; its arrival is the moment the run counts
    DIR/steps/run=KEY/steps.parquet   by choice
    DIR/records/KEY/               by choice
    DIR/runs/status=.../           the table, written anew from the above
    DIR/campaign.json              what was asked for, and of which runs the table is
"""

from __future__ import annotations

import fcntl
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cattrs
import pyarrow as pa
import pyarrow.parquet as pq

from cosim.errors import RecordError
from cosim.experiments.campaign.row import RunRow
from cosim.run.disk import full_disk_named, synced

FINISHED, STEPS, RECORDS, SCRATCH, LOCK = "finished", "steps", "records", ".scratch", ".lock"


class Store:
    """The folder of a campaign.

    Args:
        folder: of the campaign; may be shared by several campaigns, one after another.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def row(self, key: str) -> RunRow | None:
        """What became of a run; None where it is not finished."""
        try:
            text = (self.folder / FINISHED / f"{key}.json").read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cattrs.structure(json.loads(text), RunRow)

    def rows(self, keys: Iterable[str]) -> dict[str, RunRow]:
        """Rows of the runs that are finished."""
        found = {key: self.row(key) for key in keys}
        return {key: row for key, row in found.items() if row is not None}

    def record(self, key: str) -> Path:
        """Where the record of a run is, if it is kept."""
        return self.folder / RECORDS / key

    def steps(self, key: str) -> Path:
        """Where the steps of a run are, if they are kept."""
        return self.folder / STEPS / f"run={key}" / "steps.parquet"

    def keep_steps(self, key: str, table: pa.Table) -> None:
        """Write the steps of a run, before the run counts."""
        with _arriving(self.steps(key)) as side:
            pq.write_table(table, side, compression="zstd")

    def keep_record(self, key: str, finished: Path) -> None:
        """Take over the folder of a run, before the run counts; an earlier one makes room."""
        place = self.record(key)
        with full_disk_named(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            # Beside its place: the run may have been on another disk.
            side = place.with_name(f".{key}.{uuid.uuid4().hex}")
            shutil.move(finished, side)
            if place.is_dir():
                shutil.rmtree(place)
            side.rename(place)

    def commit(self, row: RunRow) -> None:
        """Let a run count.

        Raises:
            DiskFull: there is no room for its row.
        """
        with _arriving(self.folder / FINISHED / f"{row.key}.json") as side:
            side.write_text(json.dumps(cattrs.unstructure(row)) + "\n", encoding="utf-8")

    def bytes_of(self, key: str) -> int:
        """Disk that a finished run takes."""
        parts = [self.folder / FINISHED / f"{key}.json"]
        for folder in (self.steps(key).parent, self.record(key)):
            parts += folder.rglob("*")
        return sum(path.stat().st_size for path in parts if path.is_file())

    @contextmanager
    def held(self) -> Iterator[Path]:
        """Hold the folder, so that no other campaign writes to it; what is yielded is for unfinished runs.

        A killed process lets go of it.

        Raises:
            RecordError: it is no folder, or another campaign holds it.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise RecordError(f"{self.folder} is a file; choose another --out")
        with full_disk_named(self.folder / LOCK):
            (self.folder / FINISHED).mkdir(parents=True, exist_ok=True)
            file = (self.folder / LOCK).open("a", encoding="ascii")
        with file as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RecordError(f"another campaign is running in {self.folder}") from error
            scratch = self.folder / SCRATCH
            self._clear()
            scratch.mkdir()
            try:
                yield scratch
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _clear(self) -> None:
        """Take away what a killed process left half written."""
        shutil.rmtree(self.folder / SCRATCH, ignore_errors=True)
        for side in (self.folder / FINISHED).glob(".*"):
            side.unlink(missing_ok=True)
        for side in (self.folder / RECORDS).glob(".*"):
            shutil.rmtree(side, ignore_errors=True)


@contextmanager
def _arriving(path: Path) -> Iterator[Path]:
    """A side file that takes its place when it is whole, and on the disk."""
    with full_disk_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of its own name: after a lost connection two workers may finish the same run.
        side = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            yield side
            synced(side)
        except BaseException:
            side.unlink(missing_ok=True)
            raise
        side.replace(path)
        synced(path.parent)
