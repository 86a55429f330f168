"""Tests that kill and stop processes leave none behind, also where they fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

OURS = ("cosim.cli", "federates")


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """End the runs and federates that this test has started and not ended itself."""
    before = set(psutil.Process().children(recursive=True))
    yield
    left = [one for one in psutil.Process().children(recursive=True) if one not in before and _is_ours(one)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=30)


def _is_ours(process: psutil.Process) -> bool:
    try:
        return any(word in OURS for word in process.cmdline())
    except psutil.Error:
        return False
