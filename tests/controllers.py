"""Controllers that tests put into real federations."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from pydantic import BaseModel

from cosim.control.receding_horizon import Rhythm
from cosim.model.exogenous import Exogenous
from cosim.model.roles import Forecaster, Planner
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, Setpoints, Source
from cosim.model.twin import Twin
from cosim.plugins import Need, Options, needs, options, plans, seeded


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


# --- with declarations ----------------------------------------------------------------------------


class EchoOptions(Options):
    """Read by :class:`OptionsController`."""

    scale: float = 1.0
    shift_kw: float = 0.0


@needs("twin", "truth")
@options(EchoOptions)
@seeded
class OptionsController(EchoController):
    """Keeps everything that it was given."""

    def __init__(self, *, options: EchoOptions, seed: int, twin: Twin, truth: Exogenous) -> None:
        self.options, self.seed, self.twin, self.truth = options, seed, twin, truth


class MappingController(EchoController):
    """Takes its options as they are written, and declares so by attributes."""

    options = dict
    needs = frozenset[Need]()

    def __init__(self, options: dict[str, Any]) -> None:
        self.given = options


class CarelessOptions(BaseModel):
    """Ignores keys that it does not know, as pydantic models do by default."""

    gain: float = 1.0


class CarelessController(EchoController):
    """Has such options."""

    options = CarelessOptions

    def __init__(self, options: CarelessOptions) -> None:
        self.gain = options.gain


@needs()
@plans
class PlanningController(EchoController):
    """Is made of what the receding horizon is made of."""

    def __init__(self, forecaster: Forecaster, planner: Planner, rhythm: Rhythm) -> None:
        self.forecaster, self.planner, self.rhythm = forecaster, planner, rhythm


class WatchingController(EchoController):
    """Commands nothing."""

    commands = False


class OtherMeaningController(EchoController):
    """Has a method with the name of a declaration."""

    def plans(self) -> None:
        """Something else."""


@seeded
class DeafController(EchoController):
    """Declares that it takes a seed, and takes none."""


class MovingController(EchoController):
    """Moves every network device from end to end of its range, a position for each step."""

    def step(self, measurement: Measurement) -> Decision:
        rest = Setpoints.idle(self._site)
        devices = self._site.network_devices
        span = np.array([device.highest - device.lowest + 1 for device in devices])
        lowest = np.array([device.lowest for device in devices])
        setpoints = Setpoints(rest.p_kw, rest.q_kvar, lowest + (7.0 * measurement.step) % span)
        return Decision(measurement.step, measurement.time_s, setpoints, Source.PLAN, "", None)
