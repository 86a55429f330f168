"""The command line, called in the process of the test or started as a process of its own."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from cosim.cli import _run_command
from tests.conftest import ROOT

WIDE = {"COLUMNS": "200", "PYTHONPATH": str(ROOT)}
"""Lines long enough for the sentences that tests look for, and federates that can import the tests."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


def cosim(*arguments: str | Path, folder: Path = ROOT) -> Ended:
    """Call what ``cosim`` calls, here: a process takes most of its time to import what is here already."""
    out, err = io.StringIO(), io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    interrupt = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch, chdir(folder), redirect_stdout(out), redirect_stderr(err):
        for name, value in WIDE.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["cosim", *map(str, arguments)])
        patch.setattr(sys, "excepthook", sys.excepthook)
        # The command sets up the log anew, and closes whatever it finds there.
        root.handlers[:] = []
        try:
            # Not main(), which ends the process if it finds a thread of somebody else.
            code = _run_command()
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
            signal.signal(signal.SIGINT, interrupt)
    return Ended(code, out.getvalue(), err.getvalue())


def process(*arguments: str | Path, folder: Path = ROOT, installed: Path = ROOT) -> Ended:
    """Start ``python -m cosim.cli`` with next to nothing in its environment.

    Args:
        arguments: of the command.
        folder: working directory.
        installed: a folder with packages that are installed beside those of the tests.
    """
    paths = {"PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "cosim.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=WIDE | paths | {"PATH": os.defpath, "HOME": str(folder)},
    )
    return Ended(done.returncode, done.stdout, done.stderr)
