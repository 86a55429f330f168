"""Launch a federation, watch it, and collect it: broker, feeder, controller, recorder.

HELICS alone notices a killed federate after seconds or never, and takes an uncaught exception for a
clean good-bye. So this process watches the others and tells the broker, which tells the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from cosim.errors import FederationError
from cosim.run.assembly import Assembly
from cosim.run.execute import Progress
from cosim.run.scenario import FederateConfig, FederateRole
from cosim.run.study import Study
from federates.session import Address

CORE = "zmq"
PORT_RANGE = (20_000, 30_000)
"""Below the ephemeral range, with room above: cores bind the ports after the broker's."""
PORTS_NEEDED = 12

POLL_S = 0.02
BROKER_START_S = 15.0
STALL_S = 900.0
"""Longest silence before the run is ended; a single plan may take minutes on a large feeder."""
GRACE_S = 2.0
STUDY_FILE = "study.json"


@dataclass
class Child:
    """A process of the federation.

    Attributes:
        name: of the federate, or ``broker``.
        role: what it is for.
        process: the process.
        step: last step it spoke of.
        doing: last thing it said it does.
        error: what it said before it died.
    """

    name: str
    role: str
    process: subprocess.Popen[str]
    step: int | None = None
    doing: str = "start"
    error: str = ""

    def state(self) -> str:
        """Where it is, for a message."""
        return f"{self.name} ({self.doing}{'' if self.step is None else f', step {self.step}'})"


@dataclass
class Federation:
    """The processes and what they said.

    Attributes:
        children: by name.
        events: lines from their standard output, with the sender.
        logs: open log files.
        study: whose federates they are.
    """

    study: Study

    children: dict[str, Child] = field(default_factory=dict)
    events: queue.Queue[tuple[str, dict[str, Any]]] = field(default_factory=queue.Queue)
    logs: list[IO[str]] = field(default_factory=list)

    def federates(self) -> list[Child]:
        """All but the broker."""
        return [child for child in self.children.values() if child.role != "broker"]

    def of_role(self, role: FederateRole) -> Child:
        """The process that has a role."""
        return self.children[self.study.scenario.federate(role)]


def run_helics(study: Study, folder: Path, progress: Progress, opened: Assembly | None = None) -> None:
    """The driver over HELICS; see :class:`cosim.run.execute.Runner`.

    A study that is open here is closed first: the feeder's process opens its own.

    Raises:
        FederationError: names who died, when, and of what.
    """
    if opened is not None:
        opened.__exit__()
    address = Address(CORE, _port(study), uuid.uuid4().hex)
    federation = Federation(study)
    (folder / "logs").mkdir(exist_ok=True)
    # One frozen copy for all processes: an edit of the scenario file meanwhile changes nothing.
    (folder / STUDY_FILE).write_text(study.to_json(), encoding="utf-8")
    with _Interrupts() as interrupts:
        try:
            _start_broker(federation, address, folder)
            for federate in study.scenario.federates:
                _start_federate(federation, federate, address, folder)
            _watch(federation, study.grid.steps, progress, interrupts)
        except BaseException as error:
            _end(federation, str(error) or type(error).__name__)
            raise
        finally:
            _collect(federation)


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


class _Interrupts:
    """Ctrl-C and a polite kill, which take the same way out and cannot get lost.

    An exception that a signal raises inside a destructor is printed by the interpreter and forgotten,
    so the request is noted too, and looked at while watching.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, _number: int, _frame: object) -> None:
        self._asked = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise if a request got lost."""
        if self._asked:
            raise KeyboardInterrupt


# --- starting -------------------------------------------------------------------------------------


def _start_broker(federation: Federation, address: Address, folder: Path) -> None:
    waits_for = str(len(federation.study.scenario.federates))
    _start(federation, "broker", "broker", _own("broker", address, "--federates", waits_for), folder)
    broker = federation.children["broker"]
    deadline = time.monotonic() + BROKER_START_S
    while time.monotonic() < deadline:
        _read_events(federation, timeout_s=POLL_S)
        if broker.doing == "serve":
            return
        if broker.process.poll() is not None:
            _read_events(federation, timeout_s=0.2)
            raise FederationError(
                broker.error or "the broker ended before it was ready; see logs/broker.log"
            )
    raise FederationError(f"the broker was not ready after {BROKER_START_S:.0f} s; see logs/broker.log")


def _start_federate(
    federation: Federation, federate: FederateConfig, address: Address, folder: Path
) -> None:
    """Start a federate, by the scenario's command or the project's own; an empty command starts nothing."""
    study = str(folder / STUDY_FILE)
    if federate.command is None:
        command = _own(federate.role, address, "--study", study, "--out", str(folder))
    else:
        known = {"port": address.port, "key": address.key, "core": address.core, "study": study}
        command = [part.format(name=federate.name, **known) for part in federate.command]
    if command:
        _start(federation, federate.name, federate.role, command, folder)


def _own(role: str, address: Address, *options: str) -> list[str]:
    """The project's own process for a role."""
    return [
        sys.executable, "-m", "federates", role,
        "--port", str(address.port), "--key", address.key, "--core", address.core,
        "--parent", str(os.getpid()), *options,
    ]  # fmt: skip


def _start(federation: Federation, name: str, role: str, command: list[str], folder: Path) -> None:
    log = (folder / "logs" / f"{name}.log").open("w", encoding="utf-8")
    federation.logs.append(log)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # Ctrl-C goes to the launcher alone, which ends the others in order.
            start_new_session=True,
        )
    except OSError as error:
        raise FederationError(f"federate {name} cannot be started by {command[0]!r}: {error}") from error
    federation.children[name] = Child(name, role, process)
    reader = threading.Thread(target=_pump, args=(name, process.stdout, federation.events), daemon=True)
    reader.start()


def _pump(name: str, stream: IO[str], events: queue.Queue[tuple[str, dict[str, Any]]]) -> None:
    for line in stream:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # somebody's print is no event
        if isinstance(event, dict):
            events.put((name, event))


# --- watching -------------------------------------------------------------------------------------


def _watch(federation: Federation, steps: int, progress: Progress, interrupts: _Interrupts) -> None:
    """Follow the federates until all have ended well.

    Raises:
        FederationError: one died, left early, or nothing moved for too long.
    """
    kept = -1
    moved_at = time.monotonic()
    while True:
        if _read_events(federation, timeout_s=POLL_S):
            moved_at = time.monotonic()
        interrupts.check()
        recorder_step = federation.of_role("recorder").step
        if recorder_step is not None and recorder_step > kept:
            kept = recorder_step
            progress(kept + 1)
        running = [child for child in federation.federates() if child.process.poll() is None]
        _raise_for_dead(federation, kept, steps)
        if not running:
            _read_events(federation, timeout_s=POLL_S)
            last = federation.of_role("recorder").step
            kept = kept if last is None else max(kept, last)
            if kept != steps - 1:
                raise FederationError(f"all federates left after step {kept}, the run has {steps} steps")
            progress(steps)
            return
        if time.monotonic() - moved_at > STALL_S:
            states = ", ".join(child.state() for child in federation.federates())
            raise FederationError(
                f"nothing moved for {STALL_S:.0f} s; {_late(federation)} is late: {states}"
            )


def _late(federation: Federation) -> str:
    """Whose turn it is."""
    feeder = federation.of_role("feeder")
    names = federation.study.scenario.federate
    return names("controller") if feeder.doing == "decide" else feeder.name


def _raise_for_dead(federation: Federation, kept: int, steps: int) -> None:
    dead = _dead(federation)
    if federation.children["broker"].process.poll() is not None and not dead and kept < steps - 1:
        dead = [federation.children["broker"]]
    if not dead:
        return
    culprit = _first_to_die(federation)
    code = culprit.process.returncode
    if code == 0 and culprit.doing == "finished":
        return
    how = culprit.error or (
        f"was killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
    )
    step = max((child.step for child in federation.children.values() if child.step is not None), default=0)
    raise FederationError(
        f"{culprit.name} died at step {step}: {how} (last step on record: {kept if kept >= 0 else 'none'}; "
        f"see logs/{culprit.name}.log)"
    )


def _dead(federation: Federation) -> list[Child]:
    """Who ended badly, or before saying that it finished."""
    return [
        child
        for child in federation.children.values()
        if child.process.poll() is not None
        and (child.process.returncode != 0 or (_must_say_finished(child) and child.doing != "finished"))
    ]


def _must_say_finished(child: Child) -> bool:
    """The broker has nothing to say, and an observer may leave when it has seen enough."""
    return child.role not in {"broker", "observer"}


def _first_to_die(federation: Federation) -> Child:
    """Who began it: one that was killed or has an error of its own, not an echo of another's.

    The error of one federate reaches the others within milliseconds, and they may be gone before
    the first one is; so its last words are waited for.
    """
    deadline = time.monotonic() + GRACE_S
    while True:
        _read_events(federation, timeout_s=POLL_S)
        dead = _dead(federation)
        killed = [child for child in dead if child.process.returncode < 0]
        own = [child for child in dead if child.error and "HelicsException" not in child.error]
        if killed or own or time.monotonic() > deadline:
            return next(iter([*killed, *own, *dead, federation.children["broker"]]))


def _read_events(federation: Federation, *, timeout_s: float) -> bool:
    """Take in what the children said; waits for the first word only."""
    heard = False
    wait = timeout_s
    while True:
        try:
            name, event = federation.events.get(timeout=wait) if wait else federation.events.get_nowait()
        except queue.Empty:
            return heard
        heard, wait = True, 0.0
        child = federation.children[name]
        if "step" in event:
            child.step = int(event["step"])
        if "kept" in event:
            child.step = int(event["kept"])
        if "broker" in event:
            child.doing = "serve"
        child.doing = str(event.get("doing", child.doing))
        child.error = str(event.get("error", child.error))


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
        for stream in (child.process.stdin, child.process.stdout):
            if stream is not None:
                stream.close()
    for log in federation.logs:
        log.close()
