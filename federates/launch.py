"""Launch a federation, watch it, and collect it: broker, feeder, controller, recorder.

HELICS alone notices a killed federate after seconds or never, and takes an uncaught exception for a
clean good-bye. So this process watches the others and tells the broker, which tells the rest.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from cosim.errors import FederationError
from cosim.run.area_part import may_be_silent
from cosim.run.assembly import Assembly
from cosim.run.disk import write_text
from cosim.run.execute import Progress
from cosim.run.federate_config import FederateConfig
from cosim.run.patience import Told, silent
from cosim.run.signals import polite_signals
from cosim.run.study import Study
from federates.address import DISTURBED, TAKEN, Address
from federates.events import KEY, PIPE, Listener
from federates.federation import Child, Federation
from federates.watch import GRACE_S, POLL_S, watch_federation

CORE = "zmq"
PORT_RANGE = (20_000, 30_000)
"""Below the ephemeral range, with room above: cores bind the ports after the broker's."""
PORTS_NEEDED = 64
"""Two for each core; a feeder may be cut into many areas."""

BROKER_START_S, BROKER_ATTEMPTS = 15.0, 5
STUDY_FILE = "study.json"


def run_helics(
    study: Study, folder: Path, progress: Progress, opened: Assembly | None = None, told: Told = silent
) -> dict[str, Any]:
    """The driver over HELICS; see :class:`cosim.run.execute.Runner`.

    A study that is open here is closed first: the feeder's process opens its own.

    Raises:
        FederationError: names who died, when, and of what.
    """
    if opened is not None:
        opened.__exit__()
    lossy = bool(study.scenario.area_federates) and may_be_silent(study)
    federation = Federation(study, uuid.uuid4().hex, may_lose_areas=lossy)
    (folder / "logs").mkdir(exist_ok=True)
    # One frozen copy for all processes: an edit of the scenario file meanwhile changes nothing.
    write_text(folder / STUDY_FILE, study.to_json())
    with polite_signals(once=True) as requests:
        try:
            address = _start_broker(federation, folder)
            for federate in study.scenario.federates:
                _start_federate(federation, federate, address, folder)
            watch_federation(federation, progress, requests.check, told)
        except BaseException as error:
            _end(federation, str(error) or type(error).__name__)
            raise
        finally:
            _collect(federation)
    return {"lost_federates": federation.lost} if federation.lost else {}


def _port(study: Study) -> int:
    if study.port is None:
        return free_port()
    taken = [port for port in range(study.port, study.port + 2) if not _is_free(port)]
    if taken:
        raise FederationError(
            f"the broker cannot start: port {taken[0]} is in use; leave out --port to get a free one"
        )
    return study.port


def free_port() -> int:
    """A port for the broker with free ones behind it.

    Raises:
        FederationError: none was found.
    """
    # The choice of a port is no part of the result and must differ between runs side by side.
    chooser = random.SystemRandom()
    for _ in range(200):
        port = chooser.randrange(*PORT_RANGE, PORTS_NEEDED)
        if all(_is_free(port + i) for i in range(PORTS_NEEDED)):
            return port
    raise FederationError(
        f"no {PORTS_NEEDED} free ports in a row between {PORT_RANGE[0]} and {PORT_RANGE[1]}"
    )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# --- starting -------------------------------------------------------------------------------------


def _start_broker(federation: Federation, folder: Path) -> Address:
    """Start the broker, again where a stranger disturbs its start or takes the port that was free."""
    study = federation.study
    waits_for = [federate.name for federate in study.scenario.federates]
    address = Address(CORE, _port(study), federation.key)
    for attempt in range(1, BROKER_ATTEMPTS + 1):
        _start(federation, "broker", "broker", _own("broker", address, "--federates", *waits_for), folder)
        if _is_ready(federation, last_attempt=attempt == BROKER_ATTEMPTS):
            return address
        broker = federation.children.pop("broker")
        broker.process.wait()
        if broker.process.stdin is not None:
            broker.process.stdin.close()
        if TAKEN in broker.error:
            # Where a stranger only disturbs the start, the port stays.
            address = Address(CORE, _port(study), federation.key)
        federation.listeners.pop("broker").stop()
    raise AssertionError("the last attempt either succeeds or raises")


def _is_ready(federation: Federation, *, last_attempt: bool) -> bool:
    """Wait until the broker is ready, or has ended and can be tried again."""
    broker = federation.children["broker"]
    deadline = time.monotonic() + BROKER_START_S
    while time.monotonic() < deadline:
        federation.read_events(timeout_s=POLL_S)
        if broker.doing == "serve":
            return True
        if broker.process.poll() is not None:
            federation.read_events(timeout_s=0.2)
            passing = DISTURBED in broker.error or (TAKEN in broker.error and federation.study.port is None)
            if passing and not last_attempt:
                return False
            raise FederationError(
                broker.error or "the broker ended before it was ready; see logs/broker.log"
            )
    raise FederationError(f"the broker was not ready after {BROKER_START_S:.0f} s; see logs/broker.log")


def _start_federate(
    federation: Federation, federate: FederateConfig, address: Address, folder: Path
) -> None:
    """Start a federate, by the scenario's command or the project's own; an empty command starts nothing."""
    study = str(folder / STUDY_FILE)
    several = federation.study.scenario.controllers is not None
    if federate.command is None:
        named = federate.role == "area" or (federate.role == "controller" and several)
        which = ("--name", federate.name) if named else ()
        command = _own(federate.role, address, "--study", study, "--out", str(folder), *which)
    else:
        known = {"port": address.port, "key": address.key, "core": address.core, "study": study}
        command = [part.format(name=federate.name, **known) for part in federate.command]
    if command:
        _start(federation, federate.name, federate.role, command, folder)


def _own(role: str, address: Address, *options: str) -> list[str]:
    """The project's own process for a role."""
    return [
        # -P: a module of the working directory must not stand for one of ours.
        sys.executable, "-P", "-m", "federates", role,
        "--port", str(address.port), "--core", address.core,
        "--parent", str(os.getpid()), *options,
    ]  # fmt: skip


def _start(federation: Federation, name: str, role: str, command: list[str], folder: Path) -> None:
    log = (folder / "logs" / f"{name}.log").open("w", encoding="utf-8")
    federation.logs.append(log)
    reads, writes = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            text=True,
            pass_fds=(writes,),
            # The key is not among the arguments, which every user of the machine can read.
            env={**os.environ, PIPE: str(writes), KEY: federation.key},
            # Ctrl-C goes to the launcher alone, which ends the others in order.
            start_new_session=True,
        )
    except OSError as error:
        os.close(reads)
        raise FederationError(f"federate {name} cannot be started by {command[0]!r}: {error}") from error
    finally:
        os.close(writes)
    federation.children[name] = Child(name, role, process)
    federation.listeners[name] = Listener(name, reads, federation.events)


# --- ending ---------------------------------------------------------------------------------------


def _end(federation: Federation, reason: str) -> None:
    """Tell the broker to end the federation, then make sure of it."""
    broker = federation.children.get("broker")
    if broker is not None and broker.process.poll() is None and broker.process.stdin is not None:
        try:
            broker.process.stdin.write(" ".join(reason.split()) + "\n")
            broker.process.stdin.flush()
        except OSError:
            pass
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline:
        if all(child.process.poll() is not None for child in federation.children.values()):
            return
        time.sleep(POLL_S)


def _collect(federation: Federation) -> None:
    """Leave no process and no open file."""
    for name, child in federation.children.items():
        if name == "broker" and child.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(timeout=GRACE_S)
        if child.process.poll() is None:
            child.process.kill()
        child.process.wait()
        if child.process.stdin is not None:
            with contextlib.suppress(OSError):
                child.process.stdin.close()
        federation.listeners[name].stop()
    for log in federation.logs:
        log.close()
