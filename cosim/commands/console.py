"""Where commands write."""

from __future__ import annotations

from rich.console import Console

from cosim.commands.codes import FAILED, FINE, INVALID, REJECTED

__all__ = ["FAILED", "FINE", "INVALID", "REJECTED", "err", "out"]

out = Console()
err = Console(stderr=True)
