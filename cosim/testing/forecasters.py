"""The kit for forecasters."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import cast

import numpy as np

from cosim.api.study import Study
from cosim.errors import CosimError
from cosim.model.arrays import FloatArray
from cosim.model.exogenous import Exogenous
from cosim.model.forecast import Forecast
from cosim.model.roles import Forecaster, Resumable, is_resumable
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.vintages import Vintages, VintageSeries
from cosim.run import study as inner
from cosim.run.assembly import Assembly
from cosim.run.contract import sealed
from cosim.run.knowledge import Knowledge
from cosim.run.policy import make_forecaster
from cosim.testing.common import STEPS, Found, Mistakes, named, same, study_of


def check_forecaster(
    name: str, scenario: str | Study = "ieee13", *, steps: int = STEPS, may_know_truth: bool = False
) -> Mistakes:
    """Ask a forecaster at every step of a run and look for mistakes.

    Found: wrong shapes, values that are no number, negative sun; measurements that are written to;
    forecasts that differ when nothing else does; a state that does not bring the same forecasts back.
    **Peeking**: forecasts up to a step that change when only the true series after it change, because the
    forecaster looks at them or was trained on them. **Early vintages**: forecasts up to a step that change
    when only vintages of others change that are issued after it (``inputs.vintages`` of the scenario).

    Args:
        name: of an installed forecaster, or ``module:Class``.
        scenario: whose feeder and series it meets.
        steps: how many.
        may_know_truth: for perfect foresight, which is meant to peek.
    """
    mistakes: list[str] = []
    try:
        study = Study.of(study_of(scenario, steps)).with_forecast(name).inner
        study = replace(study, trusted=True)
        with Assembly(study) as assembly:
            start = assembly.feeder.measure(0)
            truth = _forecasts(study, assembly, start, assembly.knowledge)
            mistakes += _forecast_mistakes(truth, assembly.site)
            if not same(_values(truth), _values(_forecasts(study, assembly, start, assembly.knowledge))):
                mistakes.append(
                    "two fresh forecasters disagree on the same measurements: take random numbers from a "
                    "generator with a seed of the scenario (cosim.plugins.seeded)"
                )
            else:
                mistakes += _state_mistakes(study, assembly, start, truth)
            mistakes += _early_mistakes(study, assembly, start, truth, may_know_truth=may_know_truth)
    except (Found, CosimError) as error:
        mistakes.append(str(error))
    return tuple(dict.fromkeys(mistakes))


def _early_mistakes(
    study: inner.Study,
    assembly: Assembly,
    start: Measurement,
    found: list[Forecast],
    *,
    may_know_truth: bool,
) -> Iterator[str]:
    """What a forecaster knows too early: the series after a step, and vintages issued after it."""
    knowledge, steps = assembly.knowledge, len(found)
    for shown in sorted({steps // 2, steps}):
        later = replace(knowledge, truth=_other_future(assembly.truth, shown))
        if not may_know_truth and _changes(study, assembly, start, found[:shown], later):
            yield (
                "it peeks: its forecasts change when only the true series after the last step it was "
                "shown change, because it looks at them or was trained on them. Forecast and train from "
                "measurements and from the history, not from the series of the run; do not declare that "
                "you need the truth"
            )
        if knowledge.vintages is None:
            continue
        last_s = study.grid.second(shown - 1)
        later = replace(knowledge, vintages=_other_vintages(knowledge.vintages, last_s))
        if _changes(study, assembly, start, found[:shown], later):
            yield (
                "it reads vintages too early: its forecasts change when only vintages change that are "
                "issued after the step. Ask cosim.model.vintages.VintageSeries with the time of the "
                "measurement: values(now_s, ...) or known_at(now_s)"
            )


def _changes(
    study: inner.Study, assembly: Assembly, start: Measurement, found: list[Forecast], knowledge: Knowledge
) -> bool:
    """Whether forecasts are others with other knowledge."""
    return not same(_values(found), _values(_forecasts(study, assembly, start, knowledge)[: len(found)]))


def _other_future(truth: Exogenous, after: int) -> Exogenous:
    """The same series up to a step, and others behind it."""
    profile, irradiance, price = truth.profile.copy(), truth.irradiance.copy(), truth.price_per_kwh.copy()
    profile[after:] = profile[after:][::-1] * 1.37 + 0.1
    irradiance[after:] = irradiance[after:][::-1] * 0.61 + 0.05
    price[after:] = price[after:][::-1] * 1.9 + 0.01
    return replace(truth, profile=profile, irradiance=irradiance, price_per_kwh=price)


def _other_vintages(vintages: Vintages, after_s: int) -> Vintages:
    """The same vintages up to a time of issue, and others after it."""
    changes: dict[str, VintageSeries] = {}
    for part in fields(vintages):
        series: VintageSeries | None = getattr(vintages, part.name)
        if series is not None:
            value = series.value.copy()
            rows = len(series.known_at(after_s).value)
            value[rows:] = 0.7 * value[rows:] + 0.1
            changes[part.name] = replace(series, value=value)
    return replace(vintages, **changes)


def _state_mistakes(
    study: inner.Study, assembly: Assembly, start: Measurement, found: list[Forecast]
) -> Iterator[str]:
    """Whether a fresh forecaster goes on from the state of another."""
    before, after = (make_forecaster(study, assembly.knowledge) for _ in range(2))
    half = len(found) // 2
    if not is_resumable(before):
        return
    for step in range(half):
        before.forecast(_measured(assembly, start, step), study.horizon)
    with named("state() and restore()"):
        cast("Resumable", after).restore(copy.deepcopy(cast("Resumable", before).state()))
    rest = [
        after.forecast(_measured(assembly, start, step), study.horizon) for step in range(half, len(found))
    ]
    if not same(_values(rest), _values(found[half:])):
        yield (
            "after restore(state()) the forecasts differ: put everything that later forecasts depend on "
            "into the state"
        )


def _forecasts(
    study: inner.Study, assembly: Assembly, start: Measurement, knowledge: Knowledge
) -> list[Forecast]:
    """Forecasts of a fresh forecaster at every step, which is shown the present only."""
    forecaster: Forecaster = make_forecaster(study, knowledge)
    found = []
    for step in range(study.grid.steps):
        with named(f"step {step}"):
            found.append(forecaster.forecast(_measured(assembly, start, step), study.horizon))
    return found


def _measured(assembly: Assembly, start: Measurement, step: int) -> Measurement:
    """What is measured at a step of the true series; voltages and energy are those of the first."""
    kw, kvar, _, price = assembly.truth.value_at(step)
    site = assembly.site
    available = site.available_kw(assembly.truth.irradiance_at(len(site.devices), step, step + 1), kw)
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
