"""Finding the files that a script names, also where upper and lower case differ."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from cosim.bounded import MEBIBYTE, Unreadable, bounded_bytes, must_be_bounded

MOST_SCRIPT_BYTES = 64 * MEBIBYTE
MOST_DATA_BYTES = 1024 * MEBIBYTE


def locate(folder: Path, written: str) -> tuple[Path, bool]:
    """The file that a script means.

    Args:
        folder: that relative names begin in.
        written: as in the script; a backslash separates folders as a slash does.

    Returns:
        The file, and whether its name is spelled in another case.

    Raises:
        Unreadable: there is none, or several differ by case only, or it is no regular file.
    """
    name = PurePosixPath(written.strip().replace("\\", "/"))
    exact = folder / name
    if _is_there(exact):
        must_be_bounded(exact, MOST_DATA_BYTES)
        return exact, False
    found = Path(name.anchor) if name.is_absolute() else folder
    for part in name.parts[1:] if name.is_absolute() else name.parts:
        found = _entry(found, part)
    must_be_bounded(found, MOST_DATA_BYTES)
    return found, True


def _is_there(path: Path) -> bool:
    """Whether there is something of that name.

    Raises:
        Unreadable: no file can have it, for instance because it is too long.
    """
    try:
        return path.exists()
    except OSError as error:
        raise Unreadable(f"cannot be looked for: {error.strerror}") from error


def _entry(folder: Path, name: str) -> Path:
    """An entry of a folder, whatever its case."""
    if name == ".." or _is_there(folder / name):
        return folder / name
    try:
        alike = sorted(entry for entry in folder.iterdir() if entry.name.lower() == name.lower())
    except OSError:
        alike = []
    if not alike:
        raise Unreadable(f"does not exist: {folder} holds no {name!r}")
    if len(alike) > 1:
        names = " and ".join(repr(entry.name) for entry in alike)
        raise Unreadable(f"could be {names} in {folder}; rename one of them")
    return alike[0]


def script_lines(path: Path) -> tuple[list[str], int]:
    """Lines of a script and its size in bytes; text that is no UTF-8 is read as Windows writes it.

    Raises:
        Unreadable: it is no regular file, or too large.
    """
    content = bounded_bytes(path, MOST_SCRIPT_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [line.rstrip("\x1a") for line in lines], len(content)
