"""The folder of a run: held by one run at a time, emptied only of what runs have written."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cosim.errors import DiskFull, RecordError
from cosim.run.disk import full_disk_named, release, reserve, write_text

LOCK = ".lock"
"""Held open by the run; it is also the room for its last words on a full disk."""
OWN_FILES = ("manifest.json", "scenario.yaml", "site.json", "study.json", "metrics.json", "report.html")
OWN = frozenset({LOCK, *OWN_FILES, "steps", "plans", "checkpoint", "areas", "baseline", "oracle", "logs"})
"""What a run writes into its folder; nothing else is ever deleted."""


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Hold a run's folder, so that no other run writes to it; a killed process lets go of it.

    Raises:
        RecordError: another run is writing to it.
        DiskFull: there is no room for a run.
    """
    if folder.exists() and not folder.is_dir():
        raise RecordError(f"{folder} is a file; choose another --out")
    with full_disk_named(folder / LOCK):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a", encoding="ascii")
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RecordError(f"another run is writing to {folder}; choose another --out") from error
        try:
            reserve(folder / LOCK)
            yield
        finally:
            release(folder / LOCK)
            if not (folder / "manifest.json").is_file():  # a folder of somebody else keeps nothing of ours
                (folder / LOCK).unlink(missing_ok=True)


def write_last_words(path: Path, text: str) -> None:
    """Write a text to a run's folder; on a full disk into the room that the run holds.

    Raises:
        DiskFull: not even that is enough.
    """
    try:
        write_text(path, text)
    except DiskFull:
        release(path.parent / LOCK)
        write_text(path, text)


def prepare_folder(folder: Path, *, overwrite: bool) -> None:
    """Empty a run's folder, which is held by :func:`in_use`.

    Raises:
        RecordError: it holds files already and may not be overwritten.
    """
    if any(path.name != LOCK for path in folder.iterdir()):
        if not overwrite:
            raise RecordError(f"{folder} is not empty; choose another --out or add --overwrite")
        if not (folder / "manifest.json").is_file():
            raise RecordError(f"{folder} is not a run (no manifest.json); it is not overwritten")
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in OWN)
        if foreign:
            more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
            raise RecordError(
                f"{folder} holds {', '.join(foreign[:3])}{more}, which no run has written; move that away, "
                "or choose another --out"
            )
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()
