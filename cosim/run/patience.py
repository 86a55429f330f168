"""How long a decision may take before somebody is told, and before the run is ended."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from statistics import median
from types import FrameType

from cosim.errors import NoAnswer
from cosim.twin.compilation import COMPILATION

FIRST_S, TIMES_SET_UP = 300.0, 10.0
"""The first decision builds programs, which grow with the feeder as the time to set the run up does. Where
it compiles kernels, that takes as long on every feeder (measured: 128 s with an empty cache on two cores
with ten processes at work)."""
LEAST_S, TIMES_SLOWEST = 60.0, 10.0
"""Of every decision: at least, and as a multiple of the slowest so far."""
LATE_S, TIMES_MEDIAN, REMEMBERED = 5.0, 3.0, 99
"""After the larger of these somebody is told: seconds, and a multiple of the median of some decisions."""
Told = Callable[[str], None]
"""Hears in a sentence for whom a run waits; an empty text when it goes on."""
AT_ONCE_S = 1e-3


def silent(_text: str) -> None:
    """Tell nobody."""


class Patience:
    """The time that the next decision may take.

    Args:
        limit_s: given by the scenario; None: by the rule.
        told: hears of decisions that take long.
        set_up_s: that the run took so far.
    """

    def __init__(self, limit_s: float | None, told: Told = silent, set_up_s: float = 0.0) -> None:
        self._given, self._told, self._set_up_s = limit_s, told, set_up_s
        self._slowest_s = 0.0
        self._compiles = False
        self._decisions = 0
        self._last_s: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def limit_s(self) -> float:
        """Seconds that the next decision may take."""
        if self._given is not None:
            return self._given
        if not self._decisions:
            building_s = TIMES_SET_UP * self._set_up_s
            compiles = self._compiles or COMPILATION.begun
            return FIRST_S + building_s if compiles else max(LEAST_S, building_s)
        return max(LEAST_S, TIMES_SLOWEST * self._slowest_s)

    @property
    def late_s(self) -> float:
        """Seconds after which a decision is late."""
        return max(LATE_S, TIMES_MEDIAN * median(self._last_s)) if self._last_s else LATE_S

    def set_up(self, seconds: float) -> None:
        """Count time before the first decision."""
        self._set_up_s += seconds

    def took(self, seconds: float) -> None:
        """Count a decision. The first one says nothing about the others."""
        if self._decisions:
            self._slowest_s = max(self._slowest_s, seconds)
            self._last_s.append(seconds)
        self._decisions += 1

    def compiles(self) -> None:
        """Grant the first decision the time to compile: its process says that it does."""
        self._compiles = True

    def tell(self, who: str, limit_s: float) -> None:
        """Say for whom the run has been waiting since the late time ago."""
        since = datetime.fromtimestamp(time.time() - self.late_s).astimezone()
        self._told(f"waits for {who} since {since:%H:%M:%S}; the run ends after {limit_s:.0f} s")

    def tell_no_more(self) -> None:
        """Take back what was said."""
        self._told("")

    @contextmanager
    def waiting(self, who: str, step: int | None) -> Iterator[None]:
        """Wait for a decision in this process; for the start where no step is given.

        Only the main thread of a Unix process can be interrupted; elsewhere nothing ends the wait.

        Raises:
            NoAnswer: it took longer than the limit.
        """
        limit_s, late_s, began = self.limit_s, self.late_s, time.perf_counter()
        count = self.set_up if step is None else self.took
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
            yield
            count(time.perf_counter() - began)
            return
        told = False

        def look(_number: int, _frame: FrameType | None) -> None:
            nonlocal told
            if not told and late_s < limit_s:
                told = True
                signal.setitimer(signal.ITIMER_REAL, limit_s - late_s)
                self.tell(f"{who} ({'start' if step is None else f'step {step}'})", limit_s)
                return
            # Longer than before where it has begun to compile meanwhile.
            left_s = self.limit_s - (time.perf_counter() - began)
            if left_s > AT_ONCE_S:
                signal.setitimer(signal.ITIMER_REAL, left_s)
                return
            what = "start" if step is None else f"answer step {step}"
            raise NoAnswer(f"{who} did not {what} within {self.limit_s:.3g} s; see control.hang_limit_s")

        before = signal.signal(signal.SIGALRM, look)
        left_s, interval_s = signal.setitimer(signal.ITIMER_REAL, min(late_s, limit_s))
        try:
            yield
        finally:
            # An alarm of somebody else goes on; one that was due meanwhile comes at once.
            rest_s = max(left_s - (time.perf_counter() - began), AT_ONCE_S) if left_s else 0.0
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)
            signal.setitimer(signal.ITIMER_REAL, rest_s, interval_s)
            if told:
                self.tell_no_more()
        count(time.perf_counter() - began)
