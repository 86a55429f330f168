"""Following the federates until all have ended well, or saying who has not.

HELICS alone notices a killed federate after seconds or never, and takes an uncaught exception for a
clean good-bye.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path

from cosim.errors import FederationError
from cosim.run.execute import Progress
from cosim.run.patience import Patience, Told
from federates.federation import Child, Federation

log = logging.getLogger(__name__)

POLL_S = 0.02
GRACE_S = 2.0
STALL_S = 900.0
"""Longest silence before the run is ended, but for a decision: see :mod:`cosim.run.patience`."""
JOIN_S = 60.0
"""Longest time from the start of a process until its federate has joined."""
SILENCE_S = 60.0
"""The same once steps are made and nobody is computing a decision."""


def watch_federation(
    federation: Federation, progress: Progress, check_interrupts: Callable[[], None], told: Told
) -> None:
    """Follow the federates until all have ended well.

    Args:
        federation: whose processes have been started.
        progress: told the number of finished steps.
        check_interrupts: raises where somebody asked the run to end.
        told: hears for whom the run waits.

    Raises:
        FederationError: one never joined, died, left early, or nothing moved for too long.
    """
    kept, steps = -1, federation.study.grid.steps
    watch = _Watch(federation, Patience(federation.study.scenario.hang_limit_s, told))
    while True:
        if federation.read_events(timeout_s=POLL_S):
            watch.moved()
        check_interrupts()
        recorder_step = federation.of_role("recorder").step
        if recorder_step is not None and recorder_step > kept:
            kept = recorder_step
            progress(kept + 1)
        running = [child for child in federation.federates() if child.process.poll() is None]
        _take_losses(federation)
        _raise_for_dead(federation, kept, steps)
        if not running:
            federation.read_events(timeout_s=POLL_S)
            last = federation.of_role("recorder").step
            kept = kept if last is None else max(kept, last)
            if kept != steps - 1:
                raise FederationError(f"all federates left after step {kept}, the run has {steps} steps")
            progress(steps)
            return
        watch.check(kept)


class _Watch:
    """Ends the wait for a federate that is silent for too long.

    Args:
        federation: whose federates are watched.
        patience: how long decisions may take.
    """

    def __init__(self, federation: Federation, patience: Patience) -> None:
        self._federation, self._patience = federation, patience
        self._began = self._moved_at = time.monotonic()
        self._deciding = self._has_decided = self._told = False

    def moved(self) -> None:
        """Somebody said something."""
        now = time.monotonic()
        # A controller that somebody else has started says nothing; one that starts has been asked already.
        controllers = set(self._federation.controllers_doing().values())
        planning = not controllers.isdisjoint({"plan", "compile", "start", ""})
        deciding = planning and self._federation.doing("feeder") == "decide"
        if deciding and not self._has_decided:
            self._has_decided = True
            self._patience.set_up(now - self._began)
        if "compile" in controllers:
            self._patience.compiles()
        if self._deciding and not deciding:
            self._patience.took(now - self._moved_at)
        if self._told:
            self._told = False
            self._patience.tell_no_more()
        self._moved_at, self._deciding = now, deciding

    def check(self, kept: int) -> None:
        """Look at the clock.

        Raises:
            FederationError: names who is late, since when, and the limit.
        """
        self._check_joined()
        silent_s = time.monotonic() - self._moved_at
        otherwise_s = STALL_S if kept < 0 else SILENCE_S
        limit_s = self._patience.limit_s if self._deciding else otherwise_s
        late = _late(self._federation)
        if silent_s > self._patience.late_s and not self._told:
            self._told = True
            child = self._federation.children.get(late)
            self._patience.tell(late if child is None else child.state(), limit_s)
        if silent_s <= limit_s:
            return
        states = ", ".join(child.state() for child in self._federation.federates())
        child = self._federation.children.get(late)
        how = "" if child is None else _stopped(child.process.pid)
        advice = "; see control.hang_limit_s" if self._deciding else ""
        raise FederationError(
            f"{late} has not moved for {silent_s:.0f} s{how}, limit {limit_s:g} s{advice} ({states})"
        )

    def _check_joined(self) -> None:
        """Look who is still not there.

        Raises:
            FederationError: names who has not joined in time.
        """
        waited_s = time.monotonic() - self._began
        for federate in self._federation.absent():
            started = federate.command is None or len(federate.command) > 0
            limit_s = federate.join_limit_s or (JOIN_S if started else STALL_S)
            if waited_s > limit_s:
                log = f"; see logs/{federate.name}.log" if started else ""
                raise FederationError(
                    f"{federate.name} has not joined the federation within {limit_s:g} s, see "
                    f"federates.join_limit_s{log}"
                )


def _stopped(process: int) -> str:
    """Whether the system has stopped a process, in words (Linux)."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return ""
    return " (stopped by a signal)" if state in {"T", "t"} else ""


def _late(federation: Federation) -> str:
    """Whose turn it is: one that the system has stopped, or by what the feeder waits for."""
    stopped = [child.name for child in federation.federates() if _stopped(child.process.pid)]
    if stopped:
        return stopped[0]
    absent = federation.absent()
    if absent:
        return absent[0].name
    if federation.doing("feeder") == "decide":
        return federation.late_controller()
    return federation.study.scenario.federate("feeder")


def _take_losses(federation: Federation) -> None:
    """Note areas that died and that the others can go on without."""
    for child in federation.federates():
        code = child.process.poll()
        if not _may_be_lost(federation, child) or child.name in federation.lost or code is None:
            continue
        if child.doing == "finished" or not (child.is_own_death or code == 0):
            continue
        # What it said last, or its port of it, may still be in the pipe.
        federation.read_events(timeout_s=POLL_S)
        federation.lost[child.name] = f"at step {child.step}: {child.error or _by_code(code)}"
        log.warning("%s died %s; the run goes on without it", child.name, federation.lost[child.name])


def _may_be_lost(federation: Federation, child: Child) -> bool:
    """Whether the others can go on without a process: an area whose first plan has begun."""
    return federation.may_lose_areas and child.role == "area" and child.step is not None


def _by_code(code: int) -> str:
    """How a process ended, in words."""
    return (
        f"was killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
    )


def _raise_for_dead(federation: Federation, kept: int, steps: int) -> None:
    broker = federation.children["broker"]
    if broker.error:
        raise FederationError(broker.error)
    dead = _dead(federation)
    if broker.process.poll() is not None and not dead and kept < steps - 1:
        dead = [broker]
    if not dead:
        return
    culprit = _first_to_die(federation)
    code = culprit.process.returncode
    if code == 0 and culprit.doing == "finished":
        return
    stopped = [child for child in federation.federates() if _stopped(child.process.pid)]
    if stopped and not culprit.is_own_death:
        # HELICS gives up after seconds where one of its cores does not answer.
        raise FederationError(
            f"{stopped[0].name} has not moved (stopped by a signal, {stopped[0].state()}), and "
            f"{culprit.name} gave up waiting (last step on record: {kept if kept >= 0 else 'none'})"
        )
    how = culprit.error or _by_code(code)
    if culprit.name in {federate.name for federate in federation.absent()}:
        raise FederationError(
            f"{culprit.name} left before it joined the federation: {how}; see its command in 'federates', "
            f"and logs/{culprit.name}.log"
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
        and not _may_be_lost(federation, child)
        and (child.process.returncode != 0 or (_must_say_finished(child) and child.doing != "finished"))
    ]


def _must_say_finished(child: Child) -> bool:
    """The broker has nothing to say, and an observer may leave when it has seen enough.

    A forecast that leaves too early is missed by the controller.
    """
    return child.role not in {"broker", "observer", "forecast"}


def _first_to_die(federation: Federation) -> Child:
    """Who began it: one that was killed or has an error of its own, not an echo of another's.

    The error of one federate reaches the others within milliseconds, and they may be gone before
    the first one is; so its last words are waited for.
    """
    deadline = time.monotonic() + GRACE_S
    while True:
        federation.read_events(timeout_s=POLL_S)
        dead = _dead(federation)
        killed = [child for child in dead if child.process.returncode < 0]
        own = [child for child in dead if child.error and child.is_own_death]
        if killed or own or time.monotonic() > deadline:
            return next(iter([*killed, *own, *dead, federation.children["broker"]]))
