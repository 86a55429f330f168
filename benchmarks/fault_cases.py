"""The faults of the fault table, over the drivers to which they apply."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.faulty import FAULTS, PLANNER_FAULTS

STEPS = 8
AT_STEP = 2
KILL_S, HANG_S, ANY_S = 10.0, 75.0, 90.0
HANG_LIMIT_S = 8.0
"""Given to the scenarios that hang, so that the table takes minutes and not hours; the default is 60 s."""
FEDERATES = ("feeder", "controller", "recorder", "broker")
GOES_ON = frozenset(
    {
        "slow once", "slow for 6 s", "prints 5 MB", "prints a byte that is no text",
        "prints an event without step",
        "prints an event of another", "leaves a helper with its output", "leaves a thread",
        "set-points of 1e300 kW",
    }
)  # fmt: skip
"""Faults of a controller that a run survives."""


@dataclass(frozen=True)
class Fault:
    """One row to be.

    Attributes:
        name: of the fault.
        driver: ``local`` or ``helics``.
        control: of the scenario.
        changes: of the rest of the scenario.
        signals: sent at step 2: who gets it, and which.
        ends: exit code that is right.
        says: part of the message that names the culprit.
        within_s: to the end.
        from_fault: whether seconds count from step 2, as for signals, or from the start.
        options: of the command line.
        when: signals are sent: at ``step`` 2, or as soon as the process of the ``broker`` or of the
            ``feeder`` is there.
        disk: the record is on a small disk, which is full at step 2, at the ``start``, or never.
        takes_port: another program has the broker's port.
        manifest: status in the manifest that is right; by default what the exit code implies.
    """

    name: str
    driver: str
    control: dict[str, Any]
    changes: dict[str, Any] = field(default_factory=dict)
    signals: tuple[tuple[str, int], ...] = ()
    ends: int = 1
    says: str = ""
    within_s: float = ANY_S
    from_fault: bool = False
    options: tuple[str, ...] = ()
    when: Literal["step", "broker", "feeder"] = "step"
    disk: Literal["never", "step", "start"] = "never"
    takes_port: bool = False
    manifest: str = ""


def faults() -> Iterator[Fault]:
    """All faults over all drivers to which they apply."""
    for driver in ("local", "helics"):
        yield from _controller_faults(driver)
        yield from _planner_faults(driver)
        yield from _feeder_faults(driver)
        yield from _signals_to_the_run(driver)
        yield from _full_disks(driver)
        yield from _hangs_by_default(driver)
    yield from _signals_to_federates()
    yield from _absent_federates()
    yield from _brokers()


def _controller_faults(driver: str) -> Iterator[Fault]:
    hangs = {"sleeps for ever", "computes for ever", "start hangs"}
    leaves = {"os._exit(0)", "os._exit(7)", "segmentation fault"}
    for name in FAULTS:
        if driver == "local" and name in leaves:
            continue  # the whole run is one process
        control: dict[str, Any] = {
            "type": "benchmarks.faulty:Faulty",
            "options": {"fault": name},
            "horizon_s": 3600,
        }
        if name in hangs:
            control["hang_limit_s"] = HANG_LIMIT_S
        fine = name in GOES_ON
        says = "" if fine else "controller"
        if name == "raises KeyboardInterrupt" and driver == "local":
            says = "interrupted"
        if driver == "local" and name == "start raises":
            says = "a start that fails"
        yield Fault(
            f"controller: {name}",
            driver,
            control,
            ends=0 if fine else 1,
            says=says,
            within_s=HANG_S if name in hangs else ANY_S,
        )


def _planner_faults(driver: str) -> Iterator[Fault]:
    for name in PLANNER_FAULTS:
        control: dict[str, Any] = {
            "horizon_s": 3600,
            "planner": {"type": "benchmarks.faulty:FaultyPlanner", "options": {"fault": name}},
        }
        if name == "late":
            control["deadline_s"] = 0.3
        yield Fault(f"planner: {name}", driver, control, ends=0)
    stop = {
        "horizon_s": 3600,
        "on_planner_error": "stop",
        "planner": {
            "type": "benchmarks.faulty:FaultyPlanner", "options": {"fault": "raises LinAlgError"},
        },
    }  # fmt: skip
    yield Fault("planner: raises, and shall stop", driver, stop, says="LinAlgError: singular matrix")
    for name in ("raises", "NaN"):
        control = {
            "horizon_s": 3600,
            "forecast": {"type": "benchmarks.faulty:FaultyForecaster", "options": {"fault": name}},
        }
        fine = name == "NaN"
        yield Fault(
            f"forecaster: {name}", driver, control, ends=0 if fine else 1, says="" if fine else "weather"
        )


def _feeder_faults(driver: str) -> Iterator[Fault]:
    idle = {"type": "benchmarks.faulty:Faulty", "options": {"fault": "slow once"}, "horizon_s": 3600}
    load = {"load": {"multiplier": {"file": "load.csv", "column": "load"}}}
    yield Fault("feeder: no power flow at step 2", driver, idle, load, says="did not converge")
    yield Fault("feeder: a bus that is not there", driver, idle, {"pvs": [
        {"name": "p1", "bus": "nowhere", "kw": 300},
    ]}, ends=2, says="'nowhere' is no bus")  # fmt: skip


def _signals_to_the_run(driver: str) -> Iterator[Fault]:
    slow = {"type": "benchmarks.faulty:Faulty", "options": {"fault": "slow once"}, "horizon_s": 3600}
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
        number = getattr(signal, name)
        yield Fault(f"run: {name}", driver, slow, signals=(("run", number),), says=name, within_s=KILL_S)
    many = (("run", signal.SIGINT),) * 8
    yield Fault("run: eight times SIGINT", driver, slow, signals=many, says="SIGINT", within_s=KILL_S)
    kill = (("run", signal.SIGKILL),)
    yield Fault("run: SIGKILL", driver, slow, signals=kill, ends=-9, within_s=KILL_S)


def _signals_to_federates() -> Iterator[Fault]:
    slow = {"type": "benchmarks.faulty:Faulty", "options": {"fault": "slow once"}, "horizon_s": 3600}
    for federate in FEDERATES:
        for name in ("SIGKILL", "SIGTERM", "SIGSEGV", "SIGABRT"):
            number = getattr(signal, name)
            yield Fault(
                f"{federate}: {name}", "helics", slow, signals=((federate, number),),
                says=f"{federate} died", within_s=KILL_S,
            )  # fmt: skip
        patient = slow | {"hang_limit_s": HANG_LIMIT_S}
        if federate != "broker":
            yield Fault(
                f"{federate}: SIGSTOP", "helics", patient, signals=((federate, signal.SIGSTOP),),
                says=f"{federate} has not moved", within_s=HANG_S,
            )  # fmt: skip


def _slow() -> dict[str, Any]:
    return {"type": "benchmarks.faulty:Faulty", "options": {"fault": "slow once"}, "horizon_s": 3600}


def _full_disks(driver: str) -> Iterator[Fault]:
    says = "the disk is full"
    slow = _slow() | {"options": {"fault": "slow for 6 s"}}
    yield Fault("disk: full at step 2", driver, slow, says=says, disk="step", within_s=2 * KILL_S)
    plans = {"horizon_s": 3600, "planner": {"type": "tangent"}, "deadline_s": 60.0}
    late = {"faults": {"inject": [{"kind": "controller_slow", "seconds": 6.0, "from_step": AT_STEP}]}}
    yield Fault(
        "disk: full at step 2, with plans", driver, plans, late, says=says, disk="step", within_s=2 * KILL_S
    )
    yield Fault("disk: full before the start", driver, _slow(), says=says, disk="start", manifest="none")


def _hangs_by_default(driver: str) -> Iterator[Fault]:
    for name in ("sleeps for ever", "computes for ever"):
        control = _slow() | {"options": {"fault": name}}
        yield Fault(
            f"controller: {name}, default limits", driver, control, says="controller", within_s=HANG_S,
            from_fault=True,
        )  # fmt: skip
    for name in ("start hangs", "first decision hangs"):
        control = _slow() | {"options": {"fault": name}}
        yield Fault(
            f"controller: {name}, default limits", driver, control, says="controller", within_s=HANG_S
        )


def _absent_federates() -> Iterator[Fault]:
    """Federates that are started and never join."""
    roles = ("feeder", "controller", "recorder")
    for name, command in (
        ("only sleeps", ["sleep", "600"]), ("leaves at once", ["true"]), ("fails at once", ["false"]),
    ):  # fmt: skip
        for absent in roles:
            federates = [
                {"role": role, "name": role} | ({"command": command} if role == absent else {})
                for role in roles
            ]
            yield Fault(
                f"{absent}: {name}", "helics", _slow(), {"federates": federates}, says=f"{absent} ",
            )  # fmt: skip


def _brokers() -> Iterator[Fault]:
    kill = (("broker", signal.SIGKILL),)
    yield Fault(
        "broker: killed before it is ready", "helics", _slow(), signals=kill, when="broker",
        says="broker", within_s=KILL_S,
    )  # fmt: skip
    yield Fault(
        "broker: killed before the others join", "helics", _slow(), signals=kill, when="feeder",
        says="broker died", within_s=KILL_S,
    )  # fmt: skip
    yield Fault("broker: port in use", "helics", _slow(), says="is in use", takes_port=True)
