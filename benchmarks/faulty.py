"""Controllers, planners and forecasters that fail in one way each, at step 2 unless they say otherwise."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Certificate, Decision, Measurement, NoPlan, Plan, Setpoints, Source
from cosim.model.timegrid import Horizon

AT_STEP = 2
LONG_S = 1200.0


class Faulty:
    """A controller that lets devices rest, and fails as named by ``control.options.fault``."""

    options = dict
    needs = frozenset[Any]()

    def __init__(self, options: dict[str, Any]) -> None:
        self._fault: str = options["fault"]

    def start(self, site: Site) -> None:
        """Take the site; some fail here."""
        self._site = site
        if self._fault == "start raises":
            raise RuntimeError("a start that fails")
        if self._fault == "start hangs":
            time.sleep(LONG_S)

    def step(self, measurement: Measurement) -> Any:
        """Rest, or fail."""
        rest = Setpoints.idle(self._site)
        decision = Decision(measurement.step, measurement.time_s, rest, Source.PLAN, "", None)
        if self._fault == "first decision hangs" and measurement.step == 0:
            time.sleep(LONG_S)
        if measurement.step != AT_STEP:
            return decision
        return FAULTS[self._fault](decision, measurement)


def _raises(error: BaseException) -> Callable[[Decision, Measurement], Decision]:
    def fail(_decision: Decision, _measurement: Measurement) -> Decision:
        raise error

    return fail


def _deep(_decision: Decision, measurement: Measurement) -> Decision:
    return _deep(_decision, measurement)


def _crash(_decision: Decision, _measurement: Measurement) -> Decision:
    ctypes.string_at(0)
    raise AssertionError


def _leave(code: int) -> Callable[[Decision, Measurement], Decision]:
    def leave(_decision: Decision, _measurement: Measurement) -> Decision:
        os._exit(code)

    return leave


def _sleep(seconds: float) -> Callable[[Decision, Measurement], Decision]:
    def sleep(decision: Decision, _measurement: Measurement) -> Decision:
        time.sleep(seconds)
        return decision

    return sleep


def _spin(decision: Decision, _measurement: Measurement) -> Decision:
    began = time.perf_counter()
    while time.perf_counter() - began < LONG_S:
        pass
    return decision


def _write(data: bytes) -> Callable[[Decision, Measurement], Decision]:
    def write(decision: Decision, _measurement: Measurement) -> Decision:
        os.write(1, data)
        return decision

    return write


def _helper(decision: Decision, _measurement: Measurement) -> Decision:
    code = f"import time; time.sleep({LONG_S})"
    subprocess.Popen([sys.executable, "-c", code], close_fds=False, start_new_session=True)
    return decision


def _thread(decision: Decision, _measurement: Measurement) -> Decision:
    threading.Thread(target=time.sleep, args=(LONG_S,)).start()
    return decision


def _kw(change: Callable[[Any], Any]) -> Callable[[Decision, Measurement], Decision]:
    def changed(decision: Decision, _measurement: Measurement) -> Decision:
        return replace(
            decision, setpoints=replace(decision.setpoints, p_kw=change(decision.setpoints.p_kw))
        )

    return changed


def _fill_logs(decision: Decision, _measurement: Measurement) -> Decision:
    print("x" * 5_000_000)
    return decision


def _write_measurement(decision: Decision, measurement: Measurement) -> Decision:
    measurement.voltage_pu[:] = 0.0
    return decision


def _unknown_source(decision: Decision, _measurement: Measurement) -> Decision:
    source: Any = "LUCK"
    return replace(decision, source=source)


FAULTS: dict[str, Callable[[Decision, Measurement], Any]] = {
    "start raises": lambda decision, _m: decision,
    "start hangs": lambda decision, _m: decision,
    "raises RuntimeError": _raises(RuntimeError("something broke")),
    "raises MemoryError": _raises(MemoryError("out of memory")),
    "raises LinAlgError": _raises(np.linalg.LinAlgError("singular matrix")),
    "raises an empty error": _raises(ValueError()),
    "raises KeyboardInterrupt": _raises(KeyboardInterrupt()),
    "recursion without end": _deep,
    "sys.exit(0)": _raises(SystemExit(0)),
    "sys.exit(3)": _raises(SystemExit(3)),
    "os._exit(0)": _leave(0),
    "os._exit(7)": _leave(7),
    "segmentation fault": _crash,
    "sleeps for ever": _sleep(LONG_S),
    "computes for ever": _spin,
    "slow once": _sleep(1.0),
    "slow for 6 s": _sleep(6.0),
    "prints 5 MB": _fill_logs,
    "prints a byte that is no text": _write(b"\xff\xfe\n"),
    "prints an event without step": _write(b'{"step": null, "error": 3}\n'),
    "prints an event of another": _write(b'{"step": 1000, "doing": "finished", "kept": 1000}\n'),
    "leaves a helper with its output": _helper,
    "leaves a thread": _thread,
    "returns None": lambda _d, _m: None,
    "returns a mapping": lambda decision, _m: vars(decision),
    "answers another step": lambda decision, _m: replace(decision, step=99),
    "set-points complex": _kw(lambda kw: kw + 1j),
    "set-points NaN": _kw(lambda kw: kw * np.nan),
    "set-points infinite": _kw(lambda kw: kw + np.inf),
    "set-points too many": _kw(lambda kw: np.append(kw, 1.0)),
    "set-points a matrix": _kw(lambda kw: kw[None, :]),
    "set-points None": _kw(lambda _kw: None),
    "set-points of 1e300 kW": _kw(lambda kw: kw + 1e300),
    "unknown source": _unknown_source,
    "time NaN": lambda decision, _m: replace(decision, issued_at_s=float("nan")),
    "time of the future": lambda decision, _m: replace(decision, issued_at_s=1e12),
    "writes to the measurement": _write_measurement,
}


# --- planners -------------------------------------------------------------------------------------


class FaultyPlanner:
    """A planner that lets devices rest for the whole horizon, and fails as named by its option."""

    options = dict
    needs = frozenset[Any]()

    def __init__(
        self, site: Site, horizon: Horizon, _common: Any, _twin: Any, *, options: dict[str, Any]
    ) -> None:
        self._site, self._horizon, self._fault = site, horizon, options["fault"]
        self._calls = 0

    def plan(self, measurement: Measurement, forecast: Forecast) -> Any:
        """Rest, or fail at every second call from the third on."""
        self._calls += 1
        plan = self._resting(measurement)
        if self._calls <= AT_STEP or self._calls % 2 == 0:
            return plan
        return PLANNER_FAULTS[self._fault](plan, forecast)

    def _resting(self, measurement: Measurement) -> Plan:
        periods, count = len(self._horizon), len(self._site.devices)
        rest = Setpoints.idle(self._site).p_kw
        none = np.zeros(periods)
        return Plan(
            measurement.time_s,
            np.asarray(self._horizon.period_s, dtype=np.float64),
            np.repeat(rest[None, :], periods, axis=0),
            np.zeros((periods, count)),
            np.repeat(measurement.stored_kwh[None, :], periods + 1, axis=0),
            none,
            none,
            none,
            np.ones((periods, len(self._site.nodes))),
            Certificate("faulty", "optimal", 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, None, None, "none"),
        )


def _planner_raises(error: Exception) -> Callable[[Plan, Forecast], Any]:
    def fail(_plan: Plan, _forecast: Forecast) -> Any:
        raise error

    return fail


def _late(plan: Plan, _forecast: Forecast) -> Plan:
    time.sleep(0.6)
    return plan


PLANNER_FAULTS: dict[str, Callable[[Plan, Forecast], Any]] = {
    "raises LinAlgError": _planner_raises(np.linalg.LinAlgError("singular matrix")),
    "raises ZeroDivisionError": _planner_raises(ZeroDivisionError("division by zero")),
    "raises MemoryError": _planner_raises(MemoryError()),
    "infeasible": lambda _plan, _f: NoPlan("infeasible", "the program is infeasible"),
    "out of time": lambda _plan, _f: NoPlan("user_limit", "the solver was stopped"),
    "late": _late,
    "plan with NaN": lambda plan, _f: replace(plan, p_kw=plan.p_kw * np.nan),
    "plan for another fleet": lambda plan, _f: replace(plan, p_kw=plan.p_kw[:, :1]),
    "returns None": lambda _plan, _f: None,
}


class FaultyForecaster:
    """A forecaster that fails at step 2."""

    options = dict
    needs = frozenset[Any]()

    def __init__(self, site: Site, options: dict[str, Any]) -> None:
        self._site, self._fault = site, options["fault"]

    def forecast(self, measurement: Measurement, horizon: Horizon) -> Forecast:
        """The present persists."""
        periods = len(horizon)
        parts = (measurement.demand_kw, measurement.demand_kvar, measurement.available_kw)
        kw, kvar, offered = (np.repeat(part[None, :], periods, axis=0) for part in parts)
        if measurement.step == AT_STEP and self._fault == "raises":
            raise RuntimeError("no weather today")
        if measurement.step == AT_STEP and self._fault == "NaN":
            kw = kw * np.nan
        return Forecast(horizon, kw, kvar, offered, np.full(periods, measurement.price_per_kwh))
