"""The kit for forecasters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cosim.api.study import Study
from cosim.errors import CosimError
from cosim.model.arrays import FloatArray
from cosim.model.exogenous import Exogenous
from cosim.model.forecast import Forecast
from cosim.model.roles import Forecaster
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.run import study as inner
from cosim.run.assembly import Assembly
from cosim.run.contract import sealed
from cosim.run.policy import make_forecaster
from cosim.testing.common import STEPS, Found, Mistakes, named, same, study_of


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
        study = Study.of(study_of(scenario, steps)).with_forecast(name).inner
        study = replace(study, trusted=True)
        with Assembly(study) as assembly:
            start = assembly.feeder.measure(0)
            truth = _forecasts(study, assembly, start, assembly.truth)
            mistakes += _forecast_mistakes(truth, assembly.site)
            if not same(_values(truth), _values(_forecasts(study, assembly, start, assembly.truth))):
                mistakes.append(
                    "two fresh forecasters disagree on the same measurements: take random numbers from a "
                    "generator with a seed of the scenario (cosim.plugins.seeded)"
                )
            other = _forecasts(study, assembly, start, _other_future(assembly.truth, steps))
            if not may_know_truth and not same(_values(truth), _values(other)):
                mistakes.append(
                    "it peeks: its forecasts change when only the true series after the last step it was "
                    "shown change. Forecast from measurements, not from the series of the run; do not "
                    "declare that you need the truth"
                )
    except (Found, CosimError) as error:
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
