"""How long a decision may take before the run is ended."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cosim.errors import ControllerError

FIRST_S, LEAST_S, TIMES_SLOWEST = 900.0, 60.0, 10.0
"""Limit of the first decision, which may compile kernels and programs; of the others, at least; and as a
multiple of the slowest so far."""
AT_ONCE_S = 1e-3


class Patience:
    """The time that the next decision may take.

    Args:
        limit_s: given by the scenario; None: by the rule.
    """

    def __init__(self, limit_s: float | None) -> None:
        self._given = limit_s
        self._slowest_s = 0.0
        self._decisions = 0

    @property
    def limit_s(self) -> float:
        """Seconds that the next decision may take."""
        if self._given is not None:
            return self._given
        if not self._decisions:
            return FIRST_S
        return max(LEAST_S, TIMES_SLOWEST * self._slowest_s)

    def first(self) -> Patience:
        """The same before any decision."""
        return Patience(self._given)

    def took(self, seconds: float) -> None:
        """Count a decision. The first one says nothing about the others."""
        if self._decisions:
            self._slowest_s = max(self._slowest_s, seconds)
        self._decisions += 1

    @contextmanager
    def waiting(self, who: str, step: int | None) -> Iterator[None]:
        """Wait for a decision in this process; for the start where no step is given.

        Only the main thread of a Unix process can be interrupted; elsewhere nothing ends the wait.

        Raises:
            ControllerError: it took longer than the limit.
        """
        limit_s, began = self.limit_s, time.perf_counter()
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
            yield
            self.took(time.perf_counter() - began)
            return

        def give_up(_number: int, _frame: FrameType | None) -> None:
            what = "start" if step is None else f"answer step {step}"
            raise ControllerError(f"{who} did not {what} within {limit_s:g} s; see control.hang_limit_s")

        before = signal.signal(signal.SIGALRM, give_up)
        left_s, interval_s = signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            yield
        finally:
            # An alarm of somebody else goes on; one that was due meanwhile comes at once.
            rest_s = max(left_s - (time.perf_counter() - began), AT_ONCE_S) if left_s else 0.0
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)
            signal.setitimer(signal.ITIMER_REAL, rest_s, interval_s)
        self.took(time.perf_counter() - began)
