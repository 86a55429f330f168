"""Memory of a process; imports nothing, because what is imported is measured."""

from __future__ import annotations

import resource
from pathlib import Path


def peak_mb() -> float:
    """Highest memory of this process in MiB, without what the parent held at the fork."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return float(kib) / 1024.0


def reset_peak() -> bool:
    """Let :func:`peak_mb` begin anew; False where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
