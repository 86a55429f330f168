"""The broker process: owns the HELICS broker and ends the federation when told to."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import helics as h

from cosim.errors import FederationError
from federates.address import DISTURBED, GLOBAL_ERROR_CODE, TAKEN, Address
from federates.admission import Admission
from federates.events import say

POLL_S, START_POLL_S = 0.05, 0.01
JOIN_S = 5.0
"""How long the broker's own process may take to join."""
END_S = 2.0
"""How long the federates have to leave after an error."""


def probe_broker() -> None:
    """Start a broker on a free port, say so, and end it: what a doctor wants to know."""
    from federates.launch import CORE, free_port

    address = Address(CORE, free_port(), "probe")
    broker = _create(address, 1)
    print(f"helics {h.helicsGetVersion()}, a broker starts on port {address.port}")
    h.helicsBrokerDisconnect(broker)


def run_broker(address: Address, names: Sequence[str]) -> None:
    """Serve until all federates have left, or until a line on standard input says why to stop.

    Args:
        address: of the broker.
        names: of the federates, which start together.

    Raises:
        FederationError: the broker could not start, most often because the port is taken, or somebody
            joined who is not among the federates.
    """
    # One more than the scenario has: the gate.
    broker = _create(address, len(names) + 1)
    admission = _admission(broker, address, names)
    say({"broker": "ready", "port": address.port})
    watcher = threading.Thread(target=_end_when_told, args=(broker,), daemon=True)
    watcher.start()
    told: set[str] = set()
    try:
        while h.helicsBrokerIsConnected(broker):
            admission.check()
            # The launcher must know for whom it waits, whatever their language.
            for name in sorted(admission.joined - told):
                say({"joined": name})
            told |= admission.joined
            time.sleep(POLL_S if admission.is_over else START_POLL_S)
    except FederationError as error:
        # Said before the others hear of it, so that the launcher does not take one of them for the cause.
        say({"error": str(error)})
        _end(broker, str(error))
        raise


def _admission(broker: Any, address: Address, names: Sequence[str]) -> Admission:
    """Join the broker from its own process.

    Raises:
        FederationError: it ended, or does not answer. Somebody who has waited for the port, and is refused
            before anybody else has joined, does that.
    """
    joined: list[Admission] = []

    def join() -> None:
        with contextlib.suppress(h.HelicsException):
            joined.append(Admission(broker, address, names))

    # HELICS has no limit for a join that hangs; the process ends with it.
    thread = threading.Thread(target=join, daemon=True)
    thread.start()
    thread.join(JOIN_S)
    if not joined:
        raise FederationError(
            f"the broker on port {address.port} {DISTURBED}: somebody joins with another key; leave out "
            "--port to get a free one"
        )
    return joined[0]


def _end(broker: Any, reason: str) -> None:
    # The binding takes bytes only, whatever its documentation says.
    h.helicsBrokerGlobalError(broker, GLOBAL_ERROR_CODE, reason.encode())
    deadline = time.monotonic() + END_S
    while h.helicsBrokerIsConnected(broker) and time.monotonic() < deadline:
        time.sleep(START_POLL_S)


def _create(address: Address, federates: int) -> Any:
    try:
        broker = h.helicsCreateBroker(
            address.core, f"broker_{address.port}", address.broker_options(federates)
        )
    except h.HelicsException as error:
        raise FederationError(
            f"the broker cannot start on port {address.port}: {error}; {TAKEN}"
        ) from error
    if not h.helicsBrokerIsConnected(broker):
        raise FederationError(f"the broker cannot start on port {address.port}; {TAKEN}")
    return broker


def _end_when_told(broker: object) -> None:
    """Turn a line from the launcher into an error that reaches every federate within milliseconds."""
    for line in sys.stdin:
        # The binding takes bytes only, whatever its documentation says.
        h.helicsBrokerGlobalError(broker, GLOBAL_ERROR_CODE, line.strip().encode())
