"""Conformance kits for plug-ins: each finds the usual mistakes and says what to do.

    from cosim import testing
    assert not testing.check_controller(MyController)

Every kit returns sentences, one per mistake; an empty tuple means that none was found. The plug-in meets a
real feeder (by default ``ieee13``, compiled in this process), not a stand-in.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import numpy as np

from cosim.api.study import Study, load
from cosim.errors import CosimError
from cosim.model.arrays import FloatArray
from cosim.model.device import Device, DeviceState
from cosim.model.exogenous import Exogenous
from cosim.model.forecast import Forecast
from cosim.model.roles import Controller, Forecaster, Planner, is_resumable
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, NoPlan, Plan
from cosim.run import study as inner
from cosim.run.assembly import Assembly
from cosim.run.contract import checked, sealed
from cosim.run.policy import make_forecaster, make_planner

STEPS = 6
SLACK = 1e-6
"""Part of a rating by which a plan may exceed it."""
REQUESTS = (-2.0, -1.0, -0.5, 0.0, 0.3, 1.0, 2.0)
"""Active and reactive requests in parts of a rating."""

Mistakes = tuple[str, ...]


class _Found(Exception):
    """A mistake after which the rest cannot be checked."""


# --- controllers ----------------------------------------------------------------------------------


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
        measurements, site = _controller_at_work(make, _study(scenario, steps), mistakes)
        first, second = (_answers(make, site, measurements) for _ in range(2))
        if not _same(first, second):
            mistakes.append(
                "two fresh controllers decide differently on the same measurements: draw random numbers "
                "from a generator with a seed of the scenario (cosim.plugins.seeded), and keep nothing in "
                "the class or the module"
            )
        elif is_resumable(make()):
            mistakes += _state_mistakes(make, site, measurements, first)
    except _Found as error:
        mistakes.append(str(error))
    return tuple(dict.fromkeys(mistakes))


def _controller_at_work(
    make: Callable[[], Controller], study: inner.Study, mistakes: list[str]
) -> tuple[list[Measurement], Site]:
    """Drive a plant with the controller; the measurements it saw."""
    controller = _made(make, "controller", ("start", "step"))
    seen: list[Measurement] = []
    with Assembly(study, ()) as assembly:
        site, plant = assembly.site, assembly.plant
        with _named("start"):
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
    with _named(f"step {measurement.step}"):
        decision = controller.step(sealed(measurement))
        checked(decision, site, measurement, owner="the controller")
    return decision


def _answers(
    make: Callable[[], Controller], site: Site, measurements: list[Measurement]
) -> list[FloatArray]:
    """Set-points of a fresh controller."""
    controller = make()
    with _named("start"):
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
    with _named("state() and restore()"):
        after.restore(copy.deepcopy(before.state()))
    found = [_setpoints_of(_decided(after, seen, site)) for seen in measurements[half:]]
    if not _same(found, answers[half:]):
        yield (
            "after restore(state()) the decisions differ: put everything that later decisions depend on "
            "into the state"
        )


# --- forecasters ----------------------------------------------------------------------------------


def check_forecaster(
    name: str, scenario: str | Study = "ieee13", *, steps: int = STEPS, may_know_truth: bool = False
) -> Mistakes:
    """Ask a forecaster at every step of a run and look for mistakes.

    Found: wrong shapes, values that are no number, negative demand or sun; measurements that are written
    to; forecasts that differ when nothing else does; **peeking**: a forecast that changes when only the
    true series after it change.

    Args:
        name: of an installed forecaster, or ``module:Class``.
        scenario: whose feeder and series it meets.
        steps: how many.
        may_know_truth: for perfect foresight, which is meant to peek.
    """
    mistakes: list[str] = []
    try:
        study = Study.of(_study(scenario, steps)).with_forecast(name).inner
        study = replace(study, trusted=True)
        with Assembly(study) as assembly:
            start = assembly.feeder.measure(0)
            truth = _forecasts(study, assembly, start, assembly.truth)
            mistakes += _forecast_mistakes(truth, assembly.site)
            if not _same(_values(truth), _values(_forecasts(study, assembly, start, assembly.truth))):
                mistakes.append(
                    "two fresh forecasters disagree on the same measurements: take random numbers from a "
                    "generator with a seed of the scenario (cosim.plugins.seeded)"
                )
            other = _forecasts(study, assembly, start, _other_future(assembly.truth, steps))
            if not may_know_truth and not _same(_values(truth), _values(other)):
                mistakes.append(
                    "it peeks: its forecasts change when only the true series after the last step it was "
                    "shown change. Forecast from measurements, not from the series of the run; do not "
                    "declare that you need the truth"
                )
    except (_Found, CosimError) as error:
        mistakes.append(str(error))
    return tuple(dict.fromkeys(mistakes))


def _other_future(truth: Exogenous, after: int) -> Exogenous:
    """The same series up to a step, and others behind it."""
    profile, irradiance, price = truth.profile.copy(), truth.irradiance.copy(), truth.price_per_kwh.copy()
    profile[after:] = profile[after:][::-1] * 1.37 + 0.1
    irradiance[after:] = irradiance[after:][::-1] * 0.61 + 0.05
    price[after:] = price[after:][::-1] * 1.9 + 0.01
    return replace(truth, profile=profile, irradiance=irradiance, price_per_kwh=price)


def _forecasts(
    study: inner.Study, assembly: Assembly, start: Measurement, truth: Exogenous
) -> list[Forecast]:
    """Forecasts of a fresh forecaster at every step, which is shown the present only."""
    forecaster: Forecaster = make_forecaster(study, replace(assembly.knowledge, truth=truth))
    found = []
    for step in range(study.grid.steps):
        with _named(f"step {step}"):
            found.append(forecaster.forecast(_measured(assembly, start, step), study.horizon))
    return found


def _measured(assembly: Assembly, start: Measurement, step: int) -> Measurement:
    """What is measured at a step of the true series; voltages and energy are those of the first."""
    kw, kvar, irradiance, price = assembly.truth.value_at(step)
    site = assembly.site
    available = np.array([device.available_kw(irradiance, kw) for device in site.devices])
    return sealed(
        replace(
            start,
            step=step,
            time_s=float(step * site.grid.step_s),
            demand_kw=kw,
            demand_kvar=kvar,
            available_kw=available,
            price_per_kwh=price,
        )
    )


def _forecast_mistakes(forecasts: list[Forecast], site: Site) -> Iterator[str]:
    for step, forecast in enumerate(forecasts):
        periods = len(forecast.horizon)
        shapes = {
            "demand_kw": (periods, len(site.loads)),
            "demand_kvar": (periods, len(site.loads)),
            "available_kw": (periods, len(site.devices)),
            "price_per_kwh": (periods,),
        }
        for name, shape in shapes.items():
            values = np.asarray(getattr(forecast, name))
            if values.shape != shape:
                yield f"{name} has shape {values.shape} at step {step}; give {shape}: a row per period"
            elif not np.isfinite(values).all():
                yield f"{name} holds values that are no numbers at step {step}"
            elif name == "available_kw" and (values < 0).any():
                yield f"{name} is negative at step {step}; the sun gives nothing at night, not less"


def _values(forecasts: list[Forecast]) -> list[FloatArray]:
    return [
        np.concatenate([np.ravel(found.demand_kw), np.ravel(found.available_kw), found.price_per_kwh])
        for found in forecasts
    ]


# --- planners -------------------------------------------------------------------------------------


def check_planner(name: str, scenario: str | Study = "ieee13") -> Mistakes:
    """Let a planner plan the first horizon of a scenario and look for mistakes.

    Found: an answer that is neither ``Plan`` nor ``NoPlan``; wrong shapes; a first stored energy that is
    not the measured one; set-points beyond ratings; stored energy outside its window; measurements or
    forecasts that are written to; plans that differ when nothing else does.

    Args:
        name: of an installed planner, or ``module:factory``.
        scenario: whose feeder and series it meets.
    """
    try:
        study = replace(Study.of(_study(scenario, STEPS)).with_planner(name).inner, trusted=True)
        with Assembly(study) as assembly:
            measurement = sealed(assembly.feeder.measure(0))
            forecast = _sealed_forecast(
                make_forecaster(study, assembly.knowledge).forecast(measurement, study.horizon)
            )
            plans = [_planned(study, assembly, measurement, forecast) for _ in range(2)]
            site = assembly.site
    except (_Found, CosimError) as error:
        return (str(error),)
    if any(isinstance(plan, NoPlan) for plan in plans):
        return tuple(f"no plan was found: {plan.reason}" for plan in plans[:1] if isinstance(plan, NoPlan))
    first, second = plans
    assert isinstance(first, Plan)
    assert isinstance(second, Plan)
    mistakes = list(_shape_mistakes(first, site))
    if not mistakes:
        mistakes += _plan_mistakes(first, measurement, site)
        if not np.array_equal(first.p_kw, second.p_kw):
            mistakes.append(
                "two fresh planners give different plans for the same state: start the solver from the "
                "same point, and take seeds from the scenario"
            )
    return tuple(mistakes)


def _planned(
    study: inner.Study, assembly: Assembly, measurement: Measurement, forecast: Forecast
) -> Plan | NoPlan:
    planner: Planner = make_planner(study, assembly.knowledge)
    with _named("plan"):
        found: object = planner.plan(measurement, forecast)
    if not isinstance(found, Plan | NoPlan):
        raise _Found(
            f"plan() returned {type(found).__name__}: return a cosim.model.state.Plan, or a NoPlan that "
            "says why there is none"
        )
    return found


def _sealed_forecast(forecast: Forecast) -> Forecast:
    changes: dict[str, Any] = {}
    for part in fields(forecast):
        value = getattr(forecast, part.name)
        if isinstance(value, np.ndarray):
            changes[part.name] = value.copy()
            changes[part.name].flags.writeable = False
    return replace(forecast, **changes)


def _shape_mistakes(plan: Plan, site: Site) -> Iterator[str]:
    periods, devices, nodes = len(plan.period_s), len(site.devices), len(site.nodes)
    shapes = {
        "p_kw": (periods, devices),
        "q_kvar": (periods, devices),
        "stored_kwh": (periods + 1, devices),
        "import_kw": (periods,),
        "losses_kw": (periods,),
        "voltage_pu": (periods, nodes),
    }
    for name, shape in shapes.items():
        values = np.asarray(getattr(plan, name))
        if values.shape != shape:
            yield f"{name} has shape {values.shape}; give {shape}"
        elif not np.isfinite(values).all():
            yield f"{name} holds values that are no numbers"


def _plan_mistakes(plan: Plan, measurement: Measurement, site: Site) -> Iterator[str]:
    for place, device in enumerate(site.devices):
        if not device.has_energy:
            continue
        kw, stored = plan.p_kw[:, place], plan.stored_kwh[:, place]
        if abs(stored[0] - measurement.stored_kwh[place]) > SLACK * max(device.kw, 1.0):
            yield (
                f"{device.name} starts the plan with {stored[0]:g} kWh, measured are "
                f"{measurement.stored_kwh[place]:g} kWh: begin with the measurement"
            )
        if np.abs(kw).max() > device.kw * (1 + SLACK):
            yield f"{device.name} is planned with {np.abs(kw).max():g} kW, its rating is {device.kw:g} kW"


# --- devices --------------------------------------------------------------------------------------


def check_device(device: Device, *, available_kw: float | None = None, step_h: float = 0.25) -> Mistakes:
    """Ask a device for all kinds of power and look for broken laws.

    Found: more accepted than the rating; a request that is cut without a reason, or kept with one; an
    accepted request that is cut when it is asked again; stored energy that is no number.

    Args:
        device: the rating of one device.
        available_kw: what is offered to it; by default its rating.
        step_h: length of a step in hours.
    """
    mistakes: list[str] = []
    offered = device.kw if available_kw is None else available_kw
    state = DeviceState(step_h, device.first_stored_kwh, offered)
    for active in REQUESTS:
        for reactive in REQUESTS:
            kw, kvar = active * device.kw, reactive * device.kva
            try:
                mistakes += _law_mistakes(device, kw, kvar, state)
            except Exception as error:  # noqa: BLE001 - any failure of a user's law is the finding
                mistakes.append(f"accept({kw:g}, {kvar:g}) raised {type(error).__name__}: {error}")
    return tuple(dict.fromkeys(mistakes))


def _law_mistakes(device: Device, kw: float, kvar: float, state: DeviceState) -> Iterator[str]:
    accepted = device.accept(kw, kvar, state)
    asked = f"asked for {kw:g} kW and {kvar:g} kvar, {device.name} accepts {accepted.kw:g} kW"
    slack = SLACK * device.kva
    if not np.isfinite([accepted.kw, accepted.kvar]).all():
        yield f"{asked} and {accepted.kvar:g} kvar: accept finite values only"
        return
    if np.hypot(accepted.kw, accepted.kvar) > max(device.kva, abs(accepted.kw)) + slack:
        yield f"{asked} and {accepted.kvar:g} kvar, beyond its {device.kva:g} kVA: cut reactive power"
    if abs(accepted.kw) > max(device.kw, state.available_kw) + slack:
        yield f"{asked}, beyond its rating of {device.kw:g} kW: cut it"
    cut = abs(accepted.kvar - kvar) > slack or abs(accepted.kw - kw) > slack
    if cut and not accepted.reason:
        yield f"{asked} and gives no reason: say what cut the request"
    again = device.accept(accepted.kw, accepted.kvar, state)
    if abs(again.kw - accepted.kw) > slack or abs(again.kvar - accepted.kvar) > slack:
        yield f"{asked}, and {again.kw:g} kW when asked for that: what is accepted must be acceptable"
    stored = device.next_stored_kwh(state.stored_kwh, accepted.kw, state.step_h, state.time_s)
    if not np.isfinite(stored):
        yield f"{asked} and stores {stored:g} kWh afterwards: the law of stored energy gives no number"


# --- parts ----------------------------------------------------------------------------------------


def _study(scenario: str | Study, steps: int) -> inner.Study:
    found = load(scenario) if isinstance(scenario, str) else scenario
    return found.with_settings({"time.steps": steps}).inner


def _made(make: Callable[[], Any], what: str, methods: tuple[str, ...]) -> Any:
    with _named(f"making the {what}"):
        made = make()
    missing = [name for name in methods if not callable(getattr(made, name, None))]
    if missing:
        raise _Found(f"the {what} has no {' and no '.join(missing)}: add {', '.join(missing)}")
    return made


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Turn what user code raises into a finding."""
    try:
        yield
    except _Found:
        raise
    except CosimError as error:
        raise _Found(str(error)) from error
    except ValueError as error:
        if "read-only" in str(error):
            raise _Found(
                f"{place}: it writes into an array that it was given ({error}): copy it first, with .copy()"
            ) from error
        raise _Found(f"{place} raised ValueError: {error}") from error
    except Exception as error:
        raise _Found(f"{place} raised {type(error).__name__}: {error}") from error


def _same(left: list[FloatArray], right: list[FloatArray]) -> bool:
    return len(left) == len(right) and all(map(np.array_equal, left, right))
