"""Messages of the package in the terminal."""

from __future__ import annotations

import copy
import logging

from rich.logging import RichHandler

from cosim.commands.console import err


class _Terminal(RichHandler):
    """Shows messages without their tracebacks, which are in the log of the run."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one message."""
        bare = copy.copy(record)
        bare.exc_info = bare.exc_text = None
        super().emit(bare)


def show_logs(*, verbose: bool) -> None:
    """Send warnings to the terminal, and with ``verbose`` a line per step."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(name)s %(message)s",
        handlers=[_Terminal(console=err, show_path=False, show_time=False)],
        force=True,
    )
