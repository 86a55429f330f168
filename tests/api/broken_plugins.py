"""Plug-ins with one mistake each, and sound ones."""

import random
from dataclasses import replace

import numpy as np

import cosim
from cosim.control.idle import IdleController
from cosim.forecasting.persistence import PersistenceForecaster
from cosim.model.forecast import Forecast
from cosim.opf.planners import copper_plate
from cosim.plugins import needs


class PeakShaver:
    """Ten lines: batteries follow the measured import above a limit."""

    def start(self, site):
        self.site = site
        self.batteries = [i for i, device in enumerate(site.devices) if device.kind == "storage"]

    def step(self, measurement):
        rest = cosim.Setpoints.idle(self.site)
        p_kw = rest.p_kw.copy()
        p_kw[self.batteries] = (measurement.import_kw - 1500.0) / len(self.batteries)
        return cosim.Decision(measurement.step, measurement.time_s, cosim.Setpoints(p_kw, rest.q_kvar))


class WrongLength(PeakShaver):
    def step(self, measurement):
        return cosim.Decision(
            measurement.step, measurement.time_s, cosim.Setpoints(np.zeros(2), np.zeros(2))
        )


class WithoutStep:
    def start(self, site):
        self.site = site


class ReturnsADict(PeakShaver):
    def step(self, measurement):
        return {"bess_675": 100.0}


class WritesIntoTheMeasurement(PeakShaver):
    def step(self, measurement):
        measurement.demand_kw *= 2.0
        return super().step(measurement)


class ReusesItsArray(PeakShaver):
    def start(self, site):
        super().start(site)
        self.p_kw = cosim.Setpoints.idle(site).p_kw

    def step(self, measurement):
        self.p_kw[:] = 1.0 * measurement.step
        rest = cosim.Setpoints.idle(self.site)
        return cosim.Decision(measurement.step, measurement.time_s, cosim.Setpoints(self.p_kw, rest.q_kvar))


class ThrowsDice(PeakShaver):
    def step(self, measurement):
        rest = cosim.Setpoints.idle(self.site)
        p_kw = rest.p_kw + random.random()  # noqa: S311 - the mistake
        return cosim.Decision(measurement.step, measurement.time_s, cosim.Setpoints(p_kw, rest.q_kvar))


class Forgetful(IdleController):
    """Counts steps, and leaves the count out of its state."""

    def start(self, site):
        super().start(site)
        self.site, self.count = site, 0

    def step(self, measurement):
        self.count += 1
        rest = cosim.Setpoints.idle(self.site)
        return cosim.Decision(
            measurement.step, measurement.time_s, cosim.Setpoints(rest.p_kw + self.count, rest.q_kvar)
        )

    def state(self):
        return {}

    def restore(self, state):
        pass


class Raises(PeakShaver):
    def step(self, measurement):
        return 1 / 0


@needs("truth")
class Peeks:
    """Forecasts the true mean of the whole run."""

    def __init__(self, site, truth):
        self.site, self.truth = site, truth

    def forecast(self, measurement, horizon):
        periods = len(horizon)
        kw, kvar = self.truth.demand_kw(0, self.truth.steps)
        available = [device.available_kw(0.5, kw) for device in self.site.devices]
        return Forecast(
            horizon,
            np.tile(kw, (periods, 1)),
            np.tile(kvar, (periods, 1)),
            np.tile(available, (periods, 1)),
            np.full(periods, self.truth.mean_price(0, self.truth.steps)),
        )


@needs("truth")
class TrainsOnTheFuture(PersistenceForecaster):
    """Learns its factor from the whole run, and looks at nothing of it while it forecasts."""

    def __init__(self, site, truth):
        super().__init__(site)
        kw = [truth.demand_kw(step, step + 1)[0].sum() for step in range(truth.steps)]
        self.growth = 1.0 + np.polyfit(np.arange(len(kw)), kw, 1)[0] / np.mean(kw)

    def forecast(self, measurement, horizon):
        held = super().forecast(measurement, horizon)
        return replace(held, demand_kw=self.growth * held.demand_kw)


@needs("vintages")
class ReadsTooEarly(PersistenceForecaster):
    """Takes the price from the vintage that will be issued within the next half hour."""

    def __init__(self, site, *, vintages):
        super().__init__(site)
        self.prices = vintages.price_per_kwh

    def forecast(self, measurement, horizon):
        held = super().forecast(measurement, horizon)
        known = self.prices.known_at(measurement.time_s + 1800.0)
        return replace(held, price_per_kwh=np.full(len(horizon), known.value[-1]))


class ForgetsWhatItSaw(PersistenceForecaster):
    """Leaves its measurements out of its state."""

    def __init__(self, site):
        super().__init__(site)
        self.count = 0

    def forecast(self, measurement, horizon):
        self.count += 1
        held = super().forecast(measurement, horizon)
        return replace(held, demand_kw=self.count * held.demand_kw)

    def state(self):
        return []


class WrongShape(PersistenceForecaster):
    def forecast(self, measurement, horizon):
        sound = super().forecast(measurement, horizon)
        return Forecast(
            horizon, sound.demand_kw[:1], sound.demand_kvar, sound.available_kw, sound.price_per_kwh
        )


class AnswersWithText:
    def plan(self, measurement, forecast):
        return "all is well"


@needs()
def answers_with_text(site, horizon, options, open_twin):
    return AnswersWithText()


class _Changes:
    """Plans as the shipped planner does, and changes the plan in one way."""

    def __init__(self, planner, change):
        self.planner, self.change = planner, change

    def plan(self, measurement, forecast):
        plan = self.planner.plan(measurement, forecast)
        return replace(plan, **{name: change(getattr(plan, name)) for name, change in self.change.items()})


@needs("network")
def beyond_ratings(site, horizon, options, open_twin):
    return _Changes(copper_plate(site, horizon, options, open_twin), {"p_kw": lambda kw: 3.0 * kw + 1000.0})


@needs("network")
def outside_the_window(site, horizon, options, open_twin):
    def drained(stored):
        return np.vstack([stored[:1], np.zeros_like(stored[1:]) - 1.0])

    return _Changes(copper_plate(site, horizon, options, open_twin), {"stored_kwh": drained})


@needs("network")
def starts_elsewhere(site, horizon, options, open_twin):
    return _Changes(copper_plate(site, horizon, options, open_twin), {"stored_kwh": lambda kwh: kwh + 50.0})
