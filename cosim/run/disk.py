"""Files of a run: whole or not there, safe from a power cut where asked for; a full disk is named."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from cosim.errors import DiskFull
from cosim.run.lean import Lean

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space, no quota, or a file beyond the largest size that is allowed."""
RESERVE_BYTES = 131_072
"""Held by a run for its last words."""

Sync = Literal["never", "end", "each_part", "each_step"]


class RecordConfig(Lean):
    """How the record is written, and what it holds."""

    later: ClassVar[frozenset[str]] = frozenset({"forecasts"})

    sync: Sync = Field(
        "never",
        description="when steps are forced onto the disk, to outlast a power cut: never (the system "
        "writes them within seconds), at the end, with each part of 96 steps, or each before the next",
    )
    forecasts: bool = Field(
        False,
        description="also keep what was forecast at each step: load, sun and price of the whole feeder",
    )


@contextmanager
def whole_file(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """A side file to write to, which takes its place when all is written: a reader never meets half a file.

    Args:
        path: of the file.
        sync: force it onto the disk first.

    Raises:
        DiskFull: names the file; nothing of it is left.
    """
    side = path.with_name(path.name + ".writing")
    try:
        with full_disk_named(path):
            yield side
            if sync:
                synced(side)
    except BaseException:
        side.unlink(missing_ok=True)
        raise
    side.replace(path)
    if sync:
        synced(path.parent)


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Tell a full disk from other failures.

    Raises:
        DiskFull: names what cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        why = os.strerror(error.errno)
        raise DiskFull(
            f"the disk is full: {path} cannot be written ({why}). Finished steps are kept; make room, then "
            "go on with 'cosim resume'"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text as a whole file."""
    with whole_file(path) as side:
        side.write_text(text, encoding="utf-8")


def synced(path: Path) -> None:
    """Force a file, or the names in a folder, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def reserve(path: Path) -> None:
    """Fill a file with room for the last words of a run.

    Raises:
        DiskFull: there is none.
    """
    with full_disk_named(path):
        path.write_bytes(bytes(RESERVE_BYTES))


def release(path: Path) -> None:
    """Give the room back; the file stays."""
    if path.is_file():
        os.truncate(path, 0)
