"""The kit for planners."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np

from cosim.api.study import Study
from cosim.devices.storage import StorageRating
from cosim.errors import CosimError
from cosim.model.forecast import Forecast
from cosim.model.roles import Planner
from cosim.model.site import Site
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.run import study as inner
from cosim.run.assembly import Assembly
from cosim.run.contract import sealed
from cosim.run.policy import make_forecaster, make_planner
from cosim.testing.common import SLACK, STEPS, Found, Mistakes, named, study_of


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
        study = replace(Study.of(study_of(scenario, STEPS)).with_planner(name).inner, trusted=True)
        with Assembly(study) as assembly:
            measurement = sealed(assembly.feeder.measure(0))
            forecast = _sealed_forecast(
                make_forecaster(study, assembly.knowledge).forecast(measurement, study.horizon)
            )
            plans = [_planned(study, assembly, measurement, forecast) for _ in range(2)]
            site = assembly.site
    except (Found, CosimError) as error:
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
    with named("plan"):
        found: object = planner.plan(measurement, forecast)
    if not isinstance(found, Plan | NoPlan):
        raise Found(
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
        if isinstance(device, StorageRating):
            slack = SLACK * max(device.kwh, 1.0)
            if stored.min() < device.min_kwh - slack or stored.max() > device.max_kwh + slack:
                yield (
                    f"{device.name} is planned between {stored.min():g} and {stored.max():g} kWh, its "
                    f"window is {device.min_kwh:g} to {device.max_kwh:g} kWh"
                )
        if np.abs(kw).max() > device.kw * (1 + SLACK):
            yield f"{device.name} is planned with {np.abs(kw).max():g} kW, its rating is {device.kw:g} kW"
