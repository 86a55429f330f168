"""Controllers that tests put into real federations."""

from __future__ import annotations

import sys
import time

import numpy as np

from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, Setpoints, Source


class EchoController:
    """Asks every battery for a power that tells which measurement the decision came from."""

    def start(self, site: Site) -> None:
        self._site = site

    def step(self, measurement: Measurement) -> Decision:
        rest = Setpoints.idle(self._site)
        echo = rest.p_kw.copy()
        echo[: len(self._site.of_kind("storage"))] = kw_of(measurement.step)
        setpoints = Setpoints(echo, rest.q_kvar)
        return Decision(measurement.step, measurement.time_s, setpoints, Source.PLAN, "", None)


def kw_of(step: int) -> float:
    """The power that stands for a step; small enough for every battery."""
    return 0.25 * (step + 1)


class SlowController(EchoController):
    """Takes its time, so that a test can reach into the run."""

    def step(self, measurement: Measurement) -> Decision:
        time.sleep(0.15)
        return super().step(measurement)


class BrokenController(EchoController):
    """Raises at step 3."""

    def step(self, measurement: Measurement) -> Decision:
        if measurement.step == 3:
            raise RuntimeError("the solver met a number it did not like")
        return super().step(measurement)


class SilentlyLeavingController(EchoController):
    """Leaves at step 3 with exit code 0, which a plain federation takes for success."""

    def step(self, measurement: Measurement) -> Decision:
        if measurement.step == 3:
            raise SystemExit(0)
        return super().step(measurement)


class WrongShapeController(EchoController):
    """Sends one value too many at step 2."""

    def step(self, measurement: Measurement) -> Decision:
        decision = super().step(measurement)
        if measurement.step != 2:
            return decision
        good = decision.setpoints
        bad = Setpoints(np.append(good.p_kw, 1.0), good.q_kvar)
        return Decision(decision.step, decision.issued_at_s, bad, Source.PLAN, "", None)


class NanController(EchoController):
    """Sends a value that is no number at step 2."""

    def step(self, measurement: Measurement) -> Decision:
        decision = super().step(measurement)
        if measurement.step == 2:
            decision.setpoints.p_kw[0] = np.nan
        return decision


class StoppedClockController(EchoController):
    """Answers every step with what it thought of the first one, stamped with the first one's time."""

    def step(self, measurement: Measurement) -> Decision:
        if measurement.step == 0:
            self._first = super().step(measurement)
        return Decision(measurement.step, 0.0, self._first.setpoints, Source.PLAN, "", None)


class FrugalController(EchoController):
    """Ends the run if its process has loaded OpenDSS."""

    def start(self, site: Site) -> None:
        loaded = [name for name in ("dss", "opendssdirect", "cosim.feeder.engine") if name in sys.modules]
        if loaded:
            raise RuntimeError(f"the controller's process has loaded {', '.join(loaded)}")
        super().start(site)
