"""Polite requests to end: Ctrl-C, SIGTERM, SIGHUP, SIGQUIT, all by one way out."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from cosim.errors import CosimError

POLITE = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)


CALLBACK = ("dss._cffi_api_util", "altdss_python_util_callback")
"""Module and function by which the engine calls Python: what is raised in it is printed, and lost."""
LATER_S = 0.01


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end; its text names the signal."""


class Requests:
    """Polite requests to end, noted so that none can get lost.

    A handler raises wherever the program stands. Inside a destructor the interpreter prints the exception
    and goes on; a library may take it for a failure of its own and go on too. So the request is noted, and
    whoever works in steps looks at it between them.
    """

    def __init__(self) -> None:
        self._asked = ""

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal.

        Raises:
            Interrupted: names the signal.
        """
        if _in_callback(frame):
            threading.Timer(LATER_S, os.kill, (os.getpid(), number)).start()
            return
        name = signal.Signals(number).name
        who = "by the user " if number == signal.SIGINT else ""
        self._asked = self._asked or f"interrupted {who}({name})"
        raise Interrupted(self._asked)

    def check(self) -> None:
        """Look whether somebody has asked.

        Raises:
            Interrupted: names the signal.
        """
        if self._asked:
            raise Interrupted(self._asked)


class _FirstRequest(Requests):
    """Only the first request raises: the way out has begun, and takes seconds."""

    def note(self, number: int, frame: FrameType | None) -> None:
        if not self._asked:
            super().note(number, frame)


@contextmanager
def polite_signals(*, once: bool = False) -> Iterator[Requests]:
    """Turn polite signals into :class:`Interrupted`; only the main thread can.

    Args:
        once: the first signal only; further ones change nothing.
    """
    requests = _FirstRequest() if once else Requests()
    with _handlers(requests.note):
        yield requests


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore polite signals while the last words of a run are written, however often they come."""
    with _handlers(signal.SIG_IGN):
        yield


def reason_of(error: BaseException) -> str:
    """Why a run ended, for its manifest: the message, and the type where it is no error of this package."""
    if isinstance(error, Interrupted):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted by the user (SIGINT)"
    if isinstance(error, CosimError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def _handlers(handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in POLITE}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _in_callback(frame: FrameType | None) -> bool:
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) == CALLBACK:
            return True
        frame = frame.f_back
    return False
