"""The feeder federate with a clock on everything that it asks of HELICS.

    python -m benchmarks.timed_feeder --port PORT --core CORE --study FILE

Started by ``python -m benchmarks.helics_share`` instead of the project's own feeder. Leaves
``feeder_times.json`` beside the study: seconds from step ``WARM_STEPS`` to the end, and those of them spent
in HELICS, by what was asked. Waiting includes what controller and recorder do meanwhile.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from federates import __main__ as entry
from federates import feeder
from federates.codec import Value
from federates.session import ACT_S, Session

WARM_STEPS = 50
TIMES = "feeder_times.json"


class TimedSession(Session):
    """A session whose calls are timed from some step on."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._asked = 0
        self._restart()

    def _restart(self) -> None:
        self._seconds: dict[str, float] = {}
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - began

    def advance(self, time_s: float) -> None:
        """Wait for a time, that of a decision or that of the next step."""
        decision = time_s % 1.0 == ACT_S
        with self._timed("wait_for_decision" if decision else "wait_for_next_step"):
            super().advance(time_s)
        self._asked += 1
        if self._asked == 2 * WARM_STEPS:
            self._restart()

    def publish(self, values: Mapping[str, Value]) -> None:
        """Publish values."""
        with self._timed("publish"):
            super().publish(values)

    def receive(self, sender: str, *, of_step: int | None, only: str | None = None) -> dict[str, Any]:
        """Read and check values."""
        with self._timed("read"):
            return super().receive(sender, of_step=of_step, only=only)

    def await_told(self, text: str) -> None:
        """Wait for the recorder's word."""
        with self._timed("wait_for_recorder"):
            super().await_told(text)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        wall_s, cpu_s = time.perf_counter() - self._began, time.process_time() - self._cpu_began
        found = {"steps": self._asked // 2 - WARM_STEPS, "wall_s": wall_s, "cpu_s": cpu_s}
        folder = Path(sys.argv[sys.argv.index("--study") + 1]).parent
        (folder / TIMES).write_text(json.dumps(found | {"seconds": self._seconds}), encoding="utf-8")
        super().__exit__(kind, error, traceback)


def main() -> int:
    """Be the feeder, with a clock."""
    sys.argv[1:1] = ["feeder"]
    vars(feeder)["Session"] = TimedSession
    return entry.main()


if __name__ == "__main__":
    sys.exit(main())
