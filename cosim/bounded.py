"""Reading files of strangers: regular files only, and no more of them than a bound."""

from __future__ import annotations

import stat
from pathlib import Path

MEBIBYTE = 2**20


class Unreadable(ValueError):
    """A file that cannot be read; the text says why."""


def must_be_bounded(path: Path, most_bytes: int) -> int:
    """Refuse what is no regular file, or too large.

    Returns:
        The size of the file in bytes.

    Raises:
        Unreadable: says what it is.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("is no regular file")
    if found.st_size > most_bytes:
        raise Unreadable(
            f"has {found.st_size / MEBIBYTE:.0f} MiB, at most {most_bytes / MEBIBYTE:.0f} are read"
        )
    return found.st_size


def bounded_bytes(path: Path, most_bytes: int) -> bytes:
    """The content of a file.

    Raises:
        Unreadable: it is no file, or too large.
    """
    must_be_bounded(path, most_bytes)
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error


def bounded_text(path: Path, most_bytes: int) -> str:
    """The text of a file.

    Raises:
        Unreadable: it is no file, too large, or no UTF-8.
    """
    try:
        return bounded_bytes(path, most_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"is no UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}; save it as UTF-8"
        ) from error
