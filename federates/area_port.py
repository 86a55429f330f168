"""A place in the federation that outlives the process of its area.

HELICS waits for a federate whose process was killed, for seconds or for ever. So where the others shall go
on without an area (``hold_s``), its process does not join itself. It starts a small process, the port,
which joins in its name and does what it is asked over a socket. If the area dies, or does not ask for
longer than ``hang_limit_s``, the port leaves the federation in order, and nobody waits for the area.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from cosim.errors import ContractError, CosimError, FederationError
from federates.address import Address
from federates.codec import Quantity, Value
from federates.events import KEY, PIPE, own_pipe, write
from federates.session import Session

ALLOWED = frozenset(
    {
        "publishes",
        "subscribes",
        "expects",
        "initialize",
        "execute",
        "advance",
        "publish",
        "receive",
        "has_news",
    }
)
"""Methods of a session that a port calls."""
LEAVE = "leave"
ORPHAN_POLL_S = 0.5


class Port:
    """The session of an area, in another process; see :class:`federates.session.Session`.

    Args:
        name: of the federate.
        address: of the broker.
        hang_limit_s: after so long without a request the area counts as dead; None: never.
    """

    def __init__(self, name: str, address: Address, *, hang_limit_s: float | None) -> None:
        ours, theirs = socket.socketpair()
        pipe = own_pipe()
        command = [
            sys.executable, "-P", "-m", "federates", "port",
            "--name", name, "--port", str(address.port), "--core", address.core,
            "--link", str(theirs.fileno()), "--launcher", str(os.getppid()),
            *([] if hang_limit_s is None else ["--hang-limit", str(hang_limit_s)]),
            *([] if pipe is None else ["--events", str(pipe)]),
        ]  # fmt: skip
        kept = (theirs.fileno(), *(() if pipe is None else (pipe,)))
        with theirs:
            self._process = subprocess.Popen(command, pass_fds=kept, env=_without_pipe(address.key))
        self._link = Connection(ours.detach())
        self._name = name

    def __enter__(self) -> Port:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError, EOFError, FederationError):
            self._ask(LEAVE)
        self._link.close()
        self._process.wait()

    def _ask(self, method: str, *values: object, **named: object) -> Any:
        """Let the port do something.

        Raises:
            ContractError: the port refuses a value.
            FederationError: the federation has ended, or the port has.
        """
        try:
            self._link.send((method, values, named))
            failed, answer = self._link.recv()
        except (OSError, EOFError) as error:
            raise FederationError(f"the port of {self._name} is gone: {error}") from error
        if not failed:
            return answer
        raise ContractError(answer) if failed == ContractError.__name__ else FederationError(answer)

    def publishes(self, quantities: Sequence[Quantity]) -> None:
        """See :class:`Session`."""
        self._ask("publishes", list(quantities))

    def subscribes(self, sender: str, quantities: Sequence[Quantity]) -> None:
        """See :class:`Session`."""
        self._ask("subscribes", sender, list(quantities))

    def expects(self, sender: str, quantities: Sequence[Quantity]) -> None:
        """See :class:`Session`."""
        self._ask("expects", sender, list(quantities))

    def initialize(self) -> None:
        """See :class:`Session`."""
        self._ask("initialize")

    def execute(self) -> None:
        """See :class:`Session`."""
        self._ask("execute")

    def advance(self, time_s: float) -> None:
        """See :class:`Session`."""
        self._ask("advance", time_s)

    def publish(self, values: Mapping[str, Value]) -> None:
        """See :class:`Session`."""
        self._ask("publish", dict(values))

    def receive(self, sender: str, *, of_step: int | None, only: str | None = None) -> dict[str, Any]:
        """See :class:`Session`."""
        found: dict[str, Any] = self._ask("receive", sender, of_step=of_step, only=only)
        return found

    def has_news(self, sender: str, name: str) -> bool:
        """See :class:`Session`."""
        return bool(self._ask("has_news", sender, name))


def _without_pipe(key: str) -> dict[str, str]:
    """The environment of a port: of itself it says nothing to the launcher, see :func:`run_port`."""
    return {name: value for name, value in os.environ.items() if name != PIPE} | {KEY: key}


# --- in the process of the port -------------------------------------------------------------------


def run_port(
    name: str,
    address: Address,
    link: int,
    launcher: int,
    *,
    hang_limit_s: float | None,
    events: int | None,
) -> None:
    """Join, and do what the area asks, until it leaves, dies, or is silent for too long.

    Args:
        name: of the federate.
        address: of the broker.
        link: number of the socket to the area.
        launcher: process without which the port ends.
        hang_limit_s: see :class:`Port`.
        events: number of the area's pipe to the launcher, which hears why the area was given up.
    """
    threading.Thread(target=_end_with, args=(launcher,), daemon=True).start()
    area, asks = os.getppid(), Connection(link)
    with Session(name, address, period_s=0.0, offset_s=0.0) as session:
        published = False
        while True:
            # Before it has published, the area sets up its programs.
            if published and hang_limit_s is not None and not asks.poll(hang_limit_s):
                why = f"has not moved for {hang_limit_s:g} s and was given up, see hang_limit_s"
                print(f"{name} {why}", file=sys.stderr)
                if events is not None:
                    write(events, {"error": why})
                with suppress(OSError):
                    os.kill(area, signal.SIGKILL)
                return
            try:
                method, values, named = asks.recv()
                if method == LEAVE:
                    asks.send(("", None))
                    return
                asks.send(_done(session, method, values, named))
            except (OSError, EOFError):
                return
            published |= method == "publish"


def _done(
    session: Session, method: str, values: Sequence[Any], named: Mapping[str, Any]
) -> tuple[str, Any]:
    """What a session answers: no error and a value, or the type of an error and its text."""
    if method not in ALLOWED:
        return FederationError.__name__, f"a port does not know {method}"
    try:
        return "", getattr(session, method)(*values, **named)
    except CosimError as error:
        return type(error).__name__, str(error)
    except Exception as error:  # noqa: BLE001 - errors of HELICS go to the process that caused them
        return type(error).__name__, f"{type(error).__name__}: {error}"


def _end_with(launcher: int) -> None:
    """End this process when the launcher is gone."""
    while True:
        try:
            os.kill(launcher, 0)
        except OSError:
            os._exit(1)
        time.sleep(ORPHAN_POLL_S)
