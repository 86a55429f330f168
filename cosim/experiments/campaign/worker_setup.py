"""What a process of the pool does first; dask imports it there by name."""

from __future__ import annotations

import signal
from types import FrameType


def dask_setup(_worker: object) -> None:
    """Leave Ctrl-C to the process that asked: a terminal sends it to all of its group.

    Not ignored, but answered with nothing: programs that a run starts must not inherit that.
    """
    signal.signal(signal.SIGINT, _nothing)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass
