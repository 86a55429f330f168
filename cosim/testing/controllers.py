"""The kit for controllers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cosim.api.study import Study
from cosim.model.arrays import FloatArray
from cosim.model.roles import Controller, is_resumable
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement
from cosim.run import study as inner
from cosim.run.assembly import Assembly
from cosim.run.contract import checked, sealed
from cosim.testing.common import STEPS, Found, Mistakes, made_with, named, same, study_of


def check_controller(
    make: Callable[[], Controller], scenario: str | Study = "ieee13", *, steps: int = STEPS
) -> Mistakes:
    """Run a controller on a feeder and look for mistakes.

    Found: no ``start`` or ``step``; an answer that is no decision, or of the wrong length, kind or step;
    measurements or own arrays that are written to; decisions that differ when nothing else does; a state
    that does not bring the same decisions back.

    Args:
        make: the class, or a function that makes a new controller.
        scenario: whose feeder and series it meets.
        steps: how many.
    """
    mistakes: list[str] = []
    try:
        measurements, site = _controller_at_work(make, study_of(scenario, steps), mistakes)
        first, second = (_answers(make, site, measurements) for _ in range(2))
        if not same(first, second):
            mistakes.append(
                "two fresh controllers decide differently on the same measurements: draw random numbers "
                "from a generator with a seed of the scenario (cosim.plugins.seeded), and keep nothing in "
                "the class or the module"
            )
        elif is_resumable(make()):
            mistakes += _state_mistakes(make, site, measurements, first)
    except Found as error:
        mistakes.append(str(error))
    return tuple(dict.fromkeys(mistakes))


def _controller_at_work(
    make: Callable[[], Controller], study: inner.Study, mistakes: list[str]
) -> tuple[list[Measurement], Site]:
    """Drive a plant with the controller; the measurements it saw."""
    controller = made_with(make, "controller", ("start", "step"))
    seen: list[Measurement] = []
    with Assembly(study, ()) as assembly:
        site, plant = assembly.site, assembly.plant
        with named("start"):
            controller.start(site)
        kept: list[tuple[Decision, FloatArray]] = []
        for step in range(site.grid.steps):
            measurement = plant.measure(step)
            seen.append(measurement)
            decision = _decided(controller, measurement, site)
            kept.append((decision, np.array(decision.setpoints.p_kw, dtype=np.float64)))
            plant.act(checked(decision, site, measurement, owner="the controller"), step=step)
        if any(not np.array_equal(np.asarray(given.setpoints.p_kw), was) for given, was in kept):
            mistakes.append(
                "an array that was returned earlier is written to later: make new set-points at each "
                "step, e.g. with cosim.Setpoints.idle(site)"
            )
    return seen, site


def _decided(controller: Controller, measurement: Measurement, site: Site) -> Decision:
    with named(f"step {measurement.step}"):
        decision = controller.step(sealed(measurement))
        checked(decision, site, measurement, owner="the controller")
    return decision


def _answers(
    make: Callable[[], Controller], site: Site, measurements: list[Measurement]
) -> list[FloatArray]:
    """Set-points of a fresh controller."""
    controller = make()
    with named("start"):
        controller.start(site)
    return [_setpoints_of(_decided(controller, seen, site)) for seen in measurements]


def _setpoints_of(decision: Decision) -> FloatArray:
    setpoints = decision.setpoints
    return np.concatenate([np.asarray(setpoints.p_kw), np.asarray(setpoints.q_kvar)]).astype(np.float64)


def _state_mistakes(
    make: Callable[[], Any], site: Site, measurements: list[Measurement], answers: list[FloatArray]
) -> Iterator[str]:
    half = len(measurements) // 2
    before, after = make(), make()
    for controller in (before, after):
        controller.start(site)
    for seen in measurements[:half]:
        _decided(before, seen, site)
    with named("state() and restore()"):
        after.restore(copy.deepcopy(before.state()))
    found = [_setpoints_of(_decided(after, seen, site)) for seen in measurements[half:]]
    if not same(found, answers[half:]):
        yield (
            "after restore(state()) the decisions differ: put everything that later decisions depend on "
            "into the state"
        )
