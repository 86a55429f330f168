"""The broker process: owns the HELICS broker and ends the federation when told to."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import helics as h

from cosim.errors import FederationError
from federates.events import say
from federates.session import GLOBAL_ERROR_CODE, Address

POLL_S = 0.05


def probe_broker() -> None:
    """Start a broker on a free port, say so, and end it: what a doctor wants to know."""
    from federates.launch import CORE, free_port

    address = Address(CORE, free_port(), "probe")
    broker = _create(address, 1)
    print(f"helics {h.helicsGetVersion()}, a broker starts on port {address.port}")
    h.helicsBrokerDisconnect(broker)


def run_broker(address: Address, federates: int) -> None:
    """Serve until all federates have left, or until a line on standard input says why to stop.

    Raises:
        FederationError: the broker could not start, most often because the port is taken.
    """
    broker = _create(address, federates)
    say({"broker": "ready", "port": address.port})
    watcher = threading.Thread(target=_end_when_told, args=(broker,), daemon=True)
    watcher.start()
    joined: set[str] = set()
    while h.helicsBrokerIsConnected(broker):
        if len(joined) < federates:
            joined |= _tell_newcomers(broker, joined)
        time.sleep(POLL_S)


def _create(address: Address, federates: int) -> Any:
    try:
        broker = h.helicsCreateBroker(
            address.core, f"broker_{address.port}", address.broker_options(federates)
        )
    except h.HelicsException as error:
        raise FederationError(
            f"the broker cannot start on port {address.port}: {error}; another program may use it"
        ) from error
    if not h.helicsBrokerIsConnected(broker):
        raise FederationError(f"the broker cannot start on port {address.port}; another program may use it")
    return broker


def _tell_newcomers(broker: Any, joined: set[str]) -> set[str]:
    """Say who has joined since; the launcher must know whom it waits for, whatever their language."""
    query = h.helicsCreateQuery("root", "federates")
    names = h.helicsQueryBrokerExecute(query, broker)
    h.helicsQueryFree(query)
    found = set(names if isinstance(names, list) else []) - joined
    for name in sorted(found):
        say({"joined": name})
    return found


def _end_when_told(broker: object) -> None:
    """Turn a line from the launcher into an error that reaches every federate within milliseconds."""
    for line in sys.stdin:
        # The binding takes bytes only, whatever its documentation says.
        h.helicsBrokerGlobalError(broker, GLOBAL_ERROR_CODE, line.strip().encode())
