"""Events of federates, limits of time, and signals, without a federation."""

from __future__ import annotations

import importlib
import os
import queue
import signal
import time
from types import FunctionType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.errors import ControllerError
from cosim.run.patience import Patience
from cosim.run.signals import CALLBACK, Interrupted, polite_signals, reason_of, undisturbed
from cosim.twin.compilation import Compilation
from federates.events import PIPE, Listener, say


def heard(write) -> list[dict]:
    """What a listener makes of what is written to its pipe."""
    reads, writes = os.pipe()
    events: queue.Queue = queue.Queue()
    listener = Listener("somebody", reads, events)
    write(writes)
    os.close(writes)
    listener.stop()
    found = []
    while not events.empty():
        found.append(events.get()[1])
    return found


def test_events_survive_what_is_no_event(monkeypatch):
    def write(pipe: int) -> None:
        monkeypatch.setenv(PIPE, str(pipe))
        say({"step": 3, "doing": "plan"})
        os.write(pipe, b"\xff\xfe no text\n[1, 2]\n" + b"[" * 100_000 + b"\n")
        os.write(pipe, b'{"step": null, "kept": "x", "doing": 7, "error": true, "other": 1}\n')
        os.write(pipe, b'{"step": true}\n')
        say({"kept": 3})

    assert heard(write) == [{"step": 3, "doing": "plan"}, {}, {}, {"kept": 3}]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_break_the_listener(chunks):
    found = heard(lambda pipe: [os.write(pipe, chunk) for chunk in chunks if chunk])
    assert all(set(event) <= {"step", "kept", "doing", "error", "broker"} for event in found)


def test_a_helper_that_keeps_the_pipe_does_not_keep_the_listener():
    reads, writes = os.pipe()
    listener = Listener("somebody", reads, queue.Queue())
    listener.stop()
    with pytest.raises(BrokenPipeError):
        os.write(writes, b"nobody listens any more")
    os.close(writes)


def test_the_limit_follows_the_slowest_decision(monkeypatch):
    patience = Patience(None, set_up_s=1.5)
    patience.set_up(0.5)
    monkeypatch.setattr("cosim.run.patience.COMPILATION", Compilation())
    assert patience.limit_s == 60.0
    patience.set_up(10.0)
    assert patience.limit_s == 120.0, "programs grow with the feeder"
    patience.compiles()
    assert patience.limit_s == 420.0
    patience.took(40.0)
    assert patience.limit_s == 60.0, "the first decision says nothing of the others"
    patience.took(7.5)
    patience.took(2.0)
    assert patience.limit_s == 75.0
    assert patience.late_s == 3 * (7.5 + 2.0) / 2
    assert Patience(3.0).limit_s == 3.0


def test_somebody_is_told_of_a_late_decision_and_when_it_is_over(monkeypatch):
    told: list[str] = []
    patience = Patience(30.0, told.append)
    monkeypatch.setattr("cosim.run.patience.LATE_S", 20.0)
    with patience.waiting("controller", 7):
        time.sleep(0.05)
    assert told == []
    monkeypatch.setattr("cosim.run.patience.LATE_S", 0.05)
    with patience.waiting("controller", 8):
        while not told:
            time.sleep(0.01)
    assert told[0].startswith("waits for controller (step 8) since ")
    assert told[0].endswith("; the run ends after 30 s")
    assert told[1:] == [""]


def test_a_decision_that_takes_too_long_is_ended_and_named():
    patience = Patience(0.2)

    def wait(step: int | None) -> None:
        with patience.waiting("controller", step):
            while True:
                pass

    with pytest.raises(ControllerError, match=r"controller did not answer step 7 within 0\.2 s"):
        wait(7)
    with pytest.raises(ControllerError, match=r"controller did not start within 0\.2 s"):
        wait(None)
    with Patience(100.0).waiting("controller", 8):
        pass
    left_s, _ = signal.getitimer(signal.ITIMER_REAL)
    # pytest-timeout may have one, which is longer.
    assert left_s == 0.0 or left_s > 100.0, "an alarm is left over"


def test_an_alarm_of_somebody_else_goes_on():
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: None)
    left = signal.setitimer(signal.ITIMER_REAL, 50.0)
    try:
        with Patience(5.0).waiting("controller", 0):
            time.sleep(0.05)
        # It is not that of the wait, and it does not begin again.
        assert 5.0 < signal.getitimer(signal.ITIMER_REAL)[0] < 50.0
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *left)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_polite_signals_end_a_run_by_one_way(name):
    with pytest.raises(Interrupted, match=name), polite_signals():
        signal.raise_signal(getattr(signal, name))
    with undisturbed():
        signal.raise_signal(signal.SIGTERM)


def test_reasons_have_the_type_of_a_strange_error():
    assert reason_of(ValueError("no")) == "ValueError: no"
    assert reason_of(ValueError()) == "ValueError"
    assert reason_of(ControllerError("late")) == "late"
    assert reason_of(KeyboardInterrupt()) == "interrupted by the user (SIGINT)"


def test_a_decision_that_begins_to_compile_is_granted_more_time(monkeypatch):
    compilation = Compilation()
    monkeypatch.setattr("cosim.run.patience.COMPILATION", compilation)
    monkeypatch.setattr("cosim.run.patience.LEAST_S", 0.3)
    with Patience(None).waiting("controller", 0):
        compilation.begin()
        time.sleep(0.5)
    monkeypatch.setattr("cosim.run.patience.COMPILATION", Compilation())
    patience = Patience(None)
    with pytest.raises(ControllerError, match="did not answer step 0"), patience.waiting("controller", 0):
        time.sleep(5.0)


def test_a_signal_within_a_callback_of_the_engine_comes_a_little_later():
    seen: list[str] = []

    def altdss_python_util_callback():
        signal.raise_signal(signal.SIGINT)
        seen.append("whole")

    module = {"signal": signal, "__name__": CALLBACK[0]}
    code, closure = altdss_python_util_callback.__code__, altdss_python_util_callback.__closure__
    callback = FunctionType(code, module, closure=closure)
    with polite_signals(), pytest.raises(Interrupted, match="SIGINT"):
        _call_and_wait(callback)
    assert seen == ["whole"]


def _call_and_wait(callback) -> None:
    callback()
    time.sleep(5.0)


def test_the_engine_calls_python_where_signals_are_told_to_wait():
    module, function = CALLBACK
    assert callable(getattr(importlib.import_module(module), function))
