"""``python -m federates feeder|controller|recorder|area|broker``: one process of a federation.

The launcher starts these; a user may start one by hand, for instance a controller on another
machine or under a debugger.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from federates.address import Address

PR_SET_PDEATHSIG = 1
ROLES = ("broker", "feeder", "controller", "recorder", "area", "port")


def main() -> int:
    """Run one federate; any exception becomes a line for the launcher and exit code 1."""
    options = _parser().parse_args()
    if options.parent:
        _die_with_parent(options.parent)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)-5s %(name)s %(message)s", stream=sys.stderr
    )
    # Imported late, so that --help and a dying parent cost nothing.
    from federates.address import Address
    from federates.events import keep_to_oneself, say

    keep_to_oneself()

    address = Address(options.core, options.port, options.key)
    try:
        _run(options, address)
    except BaseException as error:  # noqa: BLE001 - whatever it was, the launcher must hear of it
        # First: the log may be on a full disk.
        say({"error": _in_words(error)})
        with suppress(OSError):
            traceback.print_exc()
        return 1
    say({"doing": "finished"})
    return 0


def _in_words(error: BaseException) -> str:
    """An error of the project by its message, any other with its type."""
    from cosim.errors import CosimError

    return str(error) if isinstance(error, CosimError) else f"{type(error).__name__}: {error}"


def _run(options: argparse.Namespace, address: Address) -> None:
    if options.role == "broker":
        from federates.broker import probe_broker, run_broker

        if options.probe:
            probe_broker()
        else:
            run_broker(address, options.federates)
        return
    if options.role == "port":
        from federates.area_port import run_port

        run_port(
            options.name,
            address,
            options.link,
            options.launcher,
            hang_limit_s=options.hang_limit,
            events=options.events,
        )
        return
    from cosim.run.study import Study, open_study

    if options.study is not None:
        study = Study.from_json(Path(options.study).read_text(encoding="utf-8"))
    else:
        study = open_study(Path(options.scenario), steps=options.steps)
    study = replace(study, trusted=study.trusted or options.trust)
    folder = _folder(options)
    if options.role == "feeder":
        from federates.feeder import run_feeder

        run_feeder(study, address, folder)
    elif options.role == "controller":
        from federates.controller import run_controller

        run_controller(study, address, folder, options.name)
    elif options.role == "area":
        from federates.area import run_area

        run_area(study, address, options.name or "area1", folder=folder)
    else:
        from federates.recorder import run_recorder

        run_recorder(study, address, folder)


def _folder(options: argparse.Namespace) -> Path:
    """The run's folder: as given, or that of the launcher's copy of the study."""
    if options.out is not None:
        return Path(options.out)
    return Path() if options.study is None else Path(options.study).parent


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m federates", description=__doc__)
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--name", help="area, and one of several controllers: its name in the scenario")
    parser.add_argument("--port", type=int, default=0, help="port of the broker")
    parser.add_argument("--probe", action="store_true", help="broker: start, say so, and end")
    key = os.environ.get("COSIM_KEY", "cosim")
    parser.add_argument("--key", default=key, help="broker key, the same for all; default $COSIM_KEY")
    parser.add_argument("--core", default="zmq", help="HELICS core type")
    parser.add_argument("--scenario", help="scenario file (all but the broker)")
    parser.add_argument("--study", help="frozen study that the launcher wrote, instead of --scenario")
    parser.add_argument("--steps", type=int, help="overrides the number of steps")
    parser.add_argument("--out", help="folder of the run; default that of --study")
    own = ["feeder", "controller", "recorder"]
    parser.add_argument("--federates", nargs="+", default=own, help="broker: names of whom it waits for")
    parser.add_argument("--trust", action="store_true", help="execute modules beside the scenario")
    parser.add_argument("--parent", type=int, help="process to die with")
    parser.add_argument("--link", type=int, help="port: number of the socket to its area")
    parser.add_argument("--launcher", type=int, help="port: process to end with")
    parser.add_argument("--events", type=int, help="port: number of the area's pipe to the launcher")
    parser.add_argument("--hang-limit", type=float, help="port: seconds after which the area is given up")
    return parser


def _die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL when the launcher is gone (Linux; elsewhere nothing happens)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the launcher is gone already")


if __name__ == "__main__":
    code = main()
    with suppress(OSError):  # a log on a full disk
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    # A thread that a user's controller left behind must not keep the process.
    os._exit(code)
