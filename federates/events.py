"""What federates tell the launcher: lines of JSON on a pipe of their own.

Standard output belongs to whoever prints: solvers, libraries, a user's controller, a helper process that
inherits it. It goes to the log.
"""

from __future__ import annotations

import json
import os
import queue
import select
import sys
import threading
from collections.abc import Mapping
from typing import Any

PIPE = "COSIM_EVENTS"
"""Environment variable with the number of the pipe; without it events are printed."""
KEY = "COSIM_KEY"
"""Environment variable with the key of the broker."""
POLL_S = 0.1
CHUNK = 65_536
KINDS = (
    ("step", int), ("kept", int), ("doing", str), ("error", str), ("broker", str), ("joined", str),
)  # fmt: skip
LONGEST = 1_000_000
"""A line that is longer is no event."""


def say(event: Mapping[str, Any]) -> None:
    """Tell the launcher, or print where a federate was started by hand."""
    number = own_pipe()
    if number is None:
        print(json.dumps(dict(event)), flush=True)
        return
    write(number, event)


def write(pipe: int, event: Mapping[str, Any]) -> None:
    """Write an event to a pipe by its number."""
    os.write(pipe, (json.dumps(dict(event)) + "\n").encode())


def own_pipe() -> int | None:
    """Number of the pipe of this process; None where it was started by hand."""
    number = os.environ.get(PIPE)
    return None if number is None else int(number)


def keep_to_oneself() -> None:
    """Keep the pipe from processes that a federate starts."""
    number = own_pipe()
    if number is not None and sys.platform != "win32":
        os.set_inheritable(number, False)


class Listener:
    """Reads the events of one process until it ends, or until it is told to stop.

    Args:
        name: of the process.
        pipe: reading end; it is closed at the end.
        events: gets pairs of the name and each event.
    """

    def __init__(self, name: str, pipe: int, events: queue.Queue[tuple[str, dict[str, Any]]]) -> None:
        self._name, self._pipe, self._events = name, pipe, events
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read what is there, then end, even if somebody else still holds the writing end."""
        self._stop.set()
        self._thread.join()

    def _listen(self) -> None:
        rest = b""
        while True:
            ready, _, _ = select.select([self._pipe], [], [], POLL_S)
            if not ready:
                if self._stop.is_set():
                    break
                continue
            chunk = os.read(self._pipe, CHUNK)
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest if len(rest) <= LONGEST else b""
            for line in lines:
                event = _event(line)
                if event is not None:
                    self._events.put((self._name, event))
        os.close(self._pipe)


def _event(line: bytes) -> dict[str, Any] | None:
    """An event, or None where a line is none; values of the wrong type are left out."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    event: dict[str, Any] = {}
    for key, kind in KINDS:
        value = found.get(key)
        if isinstance(value, kind) and not isinstance(value, bool):
            event[key] = value
    return event
