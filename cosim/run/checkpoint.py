"""The state of a controller after a step, on disk, so that a run can be carried on by another process.

::

    DIR/checkpoint/step-0000012.state         a line of JSON (step, length, hash), then the state
    DIR/checkpoint/NAME/step-0000012.state    the same for each of several controllers

A state is a pickle that is read without executing anything: only arrays, plain values and the dataclasses
of this project are made, everything else is refused. The plant has no such file: it is brought to where it
was by repeating the recorded decisions, see :mod:`cosim.run.resume`.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import importlib
import io
import json
import logging
import pickle
import pickletools
import time
from pathlib import Path
from typing import Any, cast

from cosim.errors import DiskFull, RecordError
from cosim.model.roles import Resumable, is_resumable
from cosim.run.disk import full_disk_named, whole_file

log = logging.getLogger(__name__)

FOLDER, KEPT = "checkpoint", 3
"""Files that are kept. A controller over HELICS may be a step ahead of the record, hence not one only."""
MOST_SHARE = 0.02
"""Of the time of a run that writing states may take."""
PLAIN = {
    "builtins": frozenset({"set", "frozenset", "complex", "slice", "range"}),
    "collections": frozenset({"OrderedDict", "deque"}),
    "datetime": frozenset({"datetime", "timedelta", "timezone"}),
    "numpy": frozenset({"ndarray", "dtype"}),
    "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy._core.numeric": frozenset({"_frombuffer"}),
    "numpy.core.multiarray": frozenset({"_reconstruct", "scalar"}),
}
"""What a state may be made of beside dataclasses, named tuples and enumerations of the project."""
OWN = ("cosim.model.", "cosim.twin.", "cosim.opf.", "cosim.devices.", "cosim.sensing.", "cosim.control.")


UNREADABLE = (
    pickle.UnpicklingError, ImportError, AttributeError, TypeError, ValueError, EOFError, KeyError,
    IndexError, OverflowError, MemoryError, RecursionError,
)  # fmt: skip
"""What reading bytes that are no state can raise."""


MEMO = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"})
STRANGE_OPERATIONS = frozenset(
    {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "INST", "OBJ", "INT", "LONG"}
)
"""Operations that protocol 5 does not write."""


class Checkpoints:
    """The states of one run.

    Args:
        folder: of the run.
        controller: which of several controllers; empty for one.
        kept: number of files that are kept.
    """

    def __init__(self, folder: Path, controller: str = "", kept: int = KEPT) -> None:
        self._folder, self._kept = folder / FOLDER / controller, kept
        self._of_several = bool(controller)
        self._not_before = 0.0

    def offer(self, step: int, controller: object) -> None:
        """Keep the state of a controller after a step, if it has one; not where that takes too long.

        Writing takes at most a small share of the run: after a state that took long, the next ones are
        left out. A run that is resumed from an earlier state is the same. Each of several controllers
        writes after every step.
        """
        now = time.perf_counter()
        # States of several controllers must be of the same step, whoever is slow in writing them.
        left_out = not self._of_several and now < self._not_before
        if not is_resumable(controller) or left_out:
            return
        try:
            self.keep(step, cast("Resumable", controller).state())
        except DiskFull as error:
            # The record meets the same disk, and says so as the recorder's failure.
            log.warning("no state after step %d: %s", step, error)
        done = time.perf_counter()
        self._not_before = done + (done - now) / MOST_SHARE

    def keep(self, step: int, state: Any) -> None:
        """Write the state after a step; the oldest files go."""
        self.keep_bytes(step, pickle.dumps(state, protocol=5))

    def keep_bytes(self, step: int, body: bytes) -> None:
        """Write a state that is a pickle already."""
        with full_disk_named(self._folder):
            self._folder.mkdir(exist_ok=True, parents=True)
        head = {"step": step, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        with whole_file(self._path(step)) as side:
            side.write_bytes(json.dumps(head).encode() + b"\n" + body)
        for old in self._files()[: -self._kept]:
            old.unlink(missing_ok=True)

    def latest(self, most_step: int) -> int | None:
        """Last step, up to one, after which there is an undamaged state."""
        return max(self.steps(most_step), default=None)

    def steps(self, most_step: int) -> set[int]:
        """Steps, up to one, after which there are undamaged states."""
        found = {int(path.stem.partition("-")[2]): path for path in self._files()}
        return {step for step, path in found.items() if step <= most_step and self._body(path) is not None}

    def read(self, step: int) -> Any:
        """The state after a step.

        Raises:
            RecordError: there is none, it is damaged, or it holds what no state may hold.
        """
        path = self._path(step)
        body = self._body(path)
        if body is None:
            raise RecordError(f"{path} is missing or damaged; resume from another step")
        try:
            _must_be_modest(body)
            return _Reader(io.BytesIO(body)).load()
        except UNREADABLE as error:
            raise RecordError(f"{path} holds no state of a controller: {error}") from error

    def drop_after(self, step: int) -> None:
        """Remove states of later steps: they belong to a course that is given up."""
        for path in self._files():
            if int(path.stem.partition("-")[2]) > step:
                path.unlink()

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:07d}.state"

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("step-*.state"))

    def _body(self, path: Path) -> bytes | None:
        """What follows the head of a file, None if it is not what the head says."""
        try:
            first, _, body = path.read_bytes().partition(b"\n")
            head = json.loads(first)
            whole = head["bytes"] == len(body) and head["sha256"] == hashlib.sha256(body).hexdigest()
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return body if whole else None


def _must_be_modest(body: bytes) -> None:
    """Refuse a pickle that asks for much more memory than it is long.

    Raises:
        pickle.UnpicklingError: it does.
    """
    for operations, (operation, argument, _) in enumerate(pickletools.genops(body), start=1):
        if operation.name in MEMO and isinstance(argument, int) and argument > 2 * operations + 1000:
            raise pickle.UnpicklingError(f"{operation.name} {argument} after {operations} operations")
        if operation.name in STRANGE_OPERATIONS:
            raise pickle.UnpicklingError(f"{operation.name} is no part of a state")


class _Reader(pickle.Unpickler):
    """Makes plain values only."""

    def find_class(self, module: str, name: str) -> Any:
        """A class that a state may hold.

        Raises:
            pickle.UnpicklingError: any other.
        """
        if name in PLAIN.get(module, ()):
            return getattr(importlib.import_module(module), name)
        if module.startswith(OWN) and "." not in name:
            found = getattr(importlib.import_module(module), name, None)
            if isinstance(found, type) and _is_plain(found):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a state")


def _is_plain(kind: type) -> bool:
    """A dataclass, a named tuple or an enumeration."""
    named_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return dataclasses.is_dataclass(kind) or named_tuple or issubclass(kind, enum.Enum)
