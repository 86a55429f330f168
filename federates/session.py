"""One federate's place in a federation: join, exchange on fixed time slots, leave.

Slots inside step k, in quarters of a second: the feeder measures at ``t_k``, the controller decides at
``t_k + 1/4 s``, the feeder acts at ``t_k + 1/2 s``, the recorder keeps at ``t_k + 3/4 s``. All federates
are uninterruptible; there are no events, no wait flags and no iteration, and so there is only one
order in which things can happen.

HELICS counts integer nanoseconds and takes doubles. It converts ``t`` by rounding ``1e9 t``, so a slot
must be exact as a double, and so must its nanoseconds. A quarter of a second is 250 000 000 ns, a
multiple of 2^7: with ``t_k`` in whole seconds, every slot is exact up to 2^(53 + 7) ns, 36 years. A slot of
1 ms is exact for 48 days only, after which federates with a period wait for each other without end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import helics as h
import numpy as np
from helics.capi import ffi, lib

from cosim.errors import ContractError, FederationError
from federates.address import GLOBAL_ERROR_CODE, Address
from federates.codec import Quantity, Value, check_value

DECIDE_S, ACT_S, KEEP_S = 0.25, 0.5, 0.75
"""Slots inside a step, in seconds after its start; a step has at least one second."""
TIME_TOLERANCE_S = 1e-6
COMMAND_TIMEOUT_S = 30.0
COMMAND_POLL_S = 2e-4


class Session:
    """A federate. Use as a context manager: an exception inside ends the whole federation.

    Args:
        name: of the federate.
        address: of the broker.
        period_s, offset_s: time slots; 0 leaves them free.
    """

    def __init__(self, name: str, address: Address, *, period_s: float, offset_s: float) -> None:
        self.name = name
        info = h.helicsCreateFederateInfo()
        h.helicsFederateInfoSetCoreTypeFromString(info, address.core)
        # Without a name of its own a core may adopt another federate's and hang at start-up.
        h.helicsFederateInfoSetCoreName(info, f"{name}_core_{os.getpid()}")
        h.helicsFederateInfoSetCoreInitString(info, address.core_options())
        h.helicsFederateInfoSetFlagOption(info, h.HELICS_FLAG_UNINTERRUPTIBLE, True)
        h.helicsFederateInfoSetFlagOption(info, h.HELICS_FLAG_TERMINATE_ON_ERROR, True)
        if period_s:
            h.helicsFederateInfoSetTimeProperty(info, h.HELICS_PROPERTY_TIME_PERIOD, period_s)
            h.helicsFederateInfoSetTimeProperty(info, h.HELICS_PROPERTY_TIME_OFFSET, offset_s)
        try:
            self._federate: Any = h.helicsCreateValueFederate(name, info)
        except h.HelicsException as error:
            raise FederationError(
                f"{name} cannot join the broker on port {address.port}: {error}"
            ) from error
        self._publications: dict[str, tuple[Quantity, Any]] = {}
        self._inputs: dict[str, dict[str, tuple[Quantity, Any]]] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            h.helicsFederateDisconnect(self._federate)
        elif not isinstance(error, h.HelicsException):
            # A clean disconnect would let the others run on with stale values and succeed.
            text = f"{self.name}: {type(error).__name__}: {error}"
            h.helicsFederateGlobalError(self._federate, GLOBAL_ERROR_CODE, text)
        h.helicsFederateFree(self._federate)

    # --- set-up ---

    def publishes(self, quantities: Sequence[Quantity]) -> None:
        """Register publications."""
        kinds = {
            "vector": h.HELICS_DATA_TYPE_VECTOR,
            "double": h.HELICS_DATA_TYPE_DOUBLE,
            "int": h.HELICS_DATA_TYPE_INT,
            "json": h.HELICS_DATA_TYPE_STRING,
        }
        for quantity in quantities:
            publication = h.helicsFederateRegisterPublication(
                self._federate, quantity.name, kinds[quantity.kind], ""
            )
            # Units stand in a tag: HELICS would convert scalars, and vectors silently not.
            h.helicsPublicationSetTag(publication, "unit", quantity.unit)
            self._publications[quantity.name] = (quantity, publication)

    def subscribes(self, sender: str, quantities: Sequence[Quantity]) -> None:
        """Register inputs from one sender."""
        inputs = self._inputs.setdefault(sender, {})
        for quantity in quantities:
            target = f"{sender}/{quantity.name}"
            inputs[quantity.name] = (
                quantity,
                h.helicsFederateRegisterSubscription(self._federate, target, ""),
            )

    def expects(self, sender: str, quantities: Sequence[Quantity]) -> None:
        """Set the sizes of a sender's vectors, once they are known."""
        inputs = self._inputs[sender]
        for quantity in quantities:
            inputs[quantity.name] = (quantity, inputs[quantity.name][1])

    def initialize(self) -> None:
        """Enter initialisation: what is published now is there when execution starts."""
        h.helicsFederateEnterInitializingMode(self._federate)

    def execute(self) -> None:
        """Enter execution; returns when all federates are there."""
        h.helicsFederateEnterExecutingMode(self._federate)

    # --- running ---

    def advance(self, time_s: float) -> None:
        """Wait for a time.

        Raises:
            FederationError: another time was granted, which is how HELICS reports an ended federation.
        """
        granted = float(h.helicsFederateRequestTime(self._federate, time_s))
        if abs(granted - time_s) > TIME_TOLERANCE_S:
            raise FederationError(
                f"{self.name} asked for second {time_s} and was granted {granted}: "
                "the federation ended early"
            )

    def publish(self, values: Mapping[str, Value]) -> None:
        """Publish values by name."""
        for name, value in values.items():
            quantity, publication = self._publications[name]
            if quantity.kind == "vector":
                data = np.ascontiguousarray(value, dtype=np.float64)
                # The list interface is fifty times slower on long vectors.
                h.helicsPublicationPublishVector(publication, ffi.from_buffer("double[]", data))
            elif quantity.kind == "double":
                h.helicsPublicationPublishDouble(publication, float(value))
            elif quantity.kind == "int":
                h.helicsPublicationPublishInteger(publication, int(value))
            else:
                h.helicsPublicationPublishString(publication, str(value))

    def receive(self, sender: str, *, of_step: int | None, only: str | None = None) -> dict[str, Any]:
        """All values of one sender, checked: there, new, of the right size, finite.

        Args:
            sender: federate.
            only: just this quantity; without it, all that were subscribed but those of the start.
            of_step: for the message if something is missing.

        Raises:
            ContractError: names both sides and the quantity.
        """
        values: dict[str, Any] = {}
        for name, (quantity, handle) in self._inputs[sender].items():
            if (only is None and quantity.once) or (only is not None and name != only):
                continue
            if not h.helicsInputIsUpdated(handle):
                raise ContractError(
                    f"{self.name} waits for {sender}/{name} of step {of_step} and nothing new came"
                )
            value = self._get(quantity, handle)
            check_value(quantity, value, sender=sender, receiver=self.name)
            values[name] = value
        return values

    def has_news(self, sender: str, name: str) -> bool:
        """Whether a sender that may be silent has published a quantity since it was read last."""
        return bool(h.helicsInputIsUpdated(self._inputs[sender][name][1]))

    def _get(self, quantity: Quantity, handle: Any) -> Value:
        if quantity.kind == "vector":
            return self._get_vector(quantity, handle)
        if quantity.kind == "double":
            return float(h.helicsInputGetDouble(handle))
        if quantity.kind == "int":
            return int(h.helicsInputGetInteger(handle))
        return str(h.helicsInputGetString(handle))

    def _get_vector(self, quantity: Quantity, handle: Any) -> np.ndarray:
        size = int(h.helicsInputGetVectorSize(handle))
        data = np.zeros(size, dtype=np.float64)
        if size:
            actual = ffi.new("int *")
            error = h.helicsErrorInitialize()
            buffer = ffi.from_buffer("double[]", data, require_writable=True)
            lib.helicsInputGetVector(handle.handle, buffer, size, actual, error)
            if error.error_code:
                raise ContractError(f"{self.name} cannot read {quantity.name}: {error.message}")
        return data

    # --- beside time ---

    def tell(self, federate: str, text: str) -> None:
        """Send a command, which arrives outside the order of time and creates no dependency."""
        h.helicsFederateSendCommand(self._federate, federate, text)

    def await_told(self, text: str) -> None:
        """Wait for a command.

        Raises:
            ContractError: another command came.
            FederationError: none came in time.
        """
        deadline = time.monotonic() + COMMAND_TIMEOUT_S
        while time.monotonic() < deadline:
            heard = h.helicsFederateGetCommand(self._federate)
            if heard == text:
                return
            if heard:
                raise ContractError(f"{self.name} was told {heard!r} where {text!r} is due")
            time.sleep(COMMAND_POLL_S)
        raise FederationError(f"{self.name} was not told {text!r} within {COMMAND_TIMEOUT_S:.0f} s")


def kept(step: int) -> str:
    """The recorder's word that a step is on disk."""
    return f"kept {step}"
