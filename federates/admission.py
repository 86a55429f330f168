"""Who may join while a federation starts, and what keeps a refused join from ending it.

HELICS 3.6.1 refuses a core whose key is wrong, or that comes too late. The refused core then says good-bye
without an identifier, and the broker takes that for the good-bye of the core that joined first: the run
loses a federate. So a core without federates joins first, and the good-byes of strangers fall on it.

A broker that counts federates starts with any of them. So a federate of the broker's own process, the
gate, joins second. HELICS waits for it too, and it goes on only when everybody of the scenario is there,
and nobody else. It must be a federate: while a federation starts, a core without federates leaves when
another leaves.

Both leave when the federation is initialised, and cost nothing afterwards.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from typing import Any

import helics as h

from cosim.errors import FederationError
from federates.address import Address

GATE = "gate of the broker"
"""Name of the gate; no federate of a scenario can have it, because of the blanks."""


class Admission:
    """Holds a federation back until it is complete.

    Args:
        broker: of HELICS; nobody else has joined it.
        address: of the broker.
        names: of the federates that may join.

    Attributes:
        joined: those of them that have joined.
        is_over: the federation has started, and the broker's own process has left it.

    Raises:
        helics.HelicsException: the broker's own process cannot join.
    """

    def __init__(self, broker: Any, address: Address, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._query = h.helicsCreateQuery("root", "federates")
        self._broker = broker
        self._waits, self.is_over = False, False
        self.joined: frozenset[str] = frozenset()
        self._first = _first_core(address)
        self._gate = _gate(address)

    def check(self) -> None:
        """Look who is there, let them start if all are, and leave when they have started.

        Raises:
            FederationError: names who joined and is not in the scenario.
        """
        if self.is_over:
            return
        there = h.helicsQueryBrokerExecute(self._query, self._broker)
        if not isinstance(there, list):  # The broker has ended.
            return
        self.joined = self._names & set(there)
        strangers, missing = set(there) - self._names - {GATE}, self._names - set(there)
        if strangers:
            raise FederationError(_intruded(sorted(strangers), sorted(missing)))
        if self._waits and h.helicsFederateIsAsyncOperationCompleted(self._gate):
            # It raises where the federation has ended meanwhile; then there is nothing to hold back.
            with contextlib.suppress(h.HelicsException):
                h.helicsFederateEnterInitializingModeComplete(self._gate)
            self.leave()
        elif not self._waits and not missing:
            h.helicsFederateEnterInitializingModeAsync(self._gate)
            self._waits = True

    def leave(self) -> None:
        """Take the broker's own process out of the federation."""
        if self.is_over:
            return
        self.is_over = True
        h.helicsFederateDisconnect(self._gate)
        h.helicsCoreDisconnect(self._first)


def _first_core(address: Address) -> Any:
    core = h.helicsCreateCore(
        address.core, f"first_core_{uuid.uuid4().hex}", address.core_options(federates=0)
    )
    h.helicsCoreConnect(core)
    h.helicsCoreSetReadyToInit(core)
    return core


def _gate(address: Address) -> Any:
    info = h.helicsCreateFederateInfo()
    h.helicsFederateInfoSetCoreTypeFromString(info, address.core)
    h.helicsFederateInfoSetCoreName(info, f"gate_core_{uuid.uuid4().hex}")
    h.helicsFederateInfoSetCoreInitString(info, address.core_options())
    return h.helicsCreateValueFederate(GATE, info)


def _intruded(strangers: Sequence[str], missing: Sequence[str]) -> str:
    waiting = f" (still missing: {', '.join(missing)})" if missing else ""
    return (
        f"{' and '.join(strangers)} joined with this federation's key while it started{waiting}, and is "
        "none of the scenario's federates; list it there as an observer, or find out who passed on the key"
    )
