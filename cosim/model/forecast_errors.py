"""How wrong a forecast may be: a law of its errors, from which scenarios and quantiles are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray

LOAD, IRRADIANCE, PRICE = 0, 1, 2
"""Quantities: part of the seed of every number."""
SCENARIO_STREAM = 1
"""Part of the seed of scenarios: their errors are not those that a forecaster made."""


@dataclass(frozen=True)
class ErrorLaw:
    """Errors of several series as parts of their values: AR(1) in time, one shared factor in space.

    With innovations ``n`` of the steps, ``e(now) = 0`` and ``e(t + 1) = phi e(t) + n(t + 1)``,
    ``phi = exp(-step / correlation)``: the standard deviation grows to ``std``.

    Attributes:
        std: standard deviation that long lead times come to.
        correlation_s: lead time over which the correlation of errors falls to 1/e.
        common: correlation between the series, 0 to 1.
        heavy_tails: innovations are Laplace instead of normal.
    """

    std: float
    correlation_s: float
    common: float
    heavy_tails: bool = False

    def phi(self, step_s: int) -> float:
        """Correlation of the errors of two steps that follow each other."""
        return math.exp(-step_s / self.correlation_s)

    def innovations(self, random: np.random.Generator, shape: tuple[int, ...], step_s: int) -> FloatArray:
        """Innovations of one step, last axis the series; the shared factor is drawn first."""
        shared, own = self._unit(random, (*shape[:-1], 1)), self._unit(random, shape)
        size = self.std * math.sqrt(1.0 - self.phi(step_s) ** 2)
        return np.asarray(size * (math.sqrt(self.common) * shared + math.sqrt(1.0 - self.common) * own))

    def _unit(self, random: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Numbers of mean 0 and standard deviation 1."""
        if self.heavy_tails:
            return random.laplace(0.0, math.sqrt(0.5), shape)
        return random.standard_normal(shape)


@dataclass(frozen=True)
class ForecastErrors:
    """What a forecaster knows about the errors of one forecast.

    Attributes:
        step: of the issue.
        step_s: length of a step.
        seed: of the scenarios.
        load: of the demand of each load; None where nothing is known, which counts as no error.
        sun: of what the sun offers each device.
        price: of the price.
    """

    step: int
    step_s: int
    seed: int
    load: ErrorLaw | None = None
    sun: ErrorLaw | None = None
    price: ErrorLaw | None = None

    def factors(self, quantity: int, count: int, series: int, ahead: int) -> FloatArray:
        """What a forecast is multiplied by in each scenario, never negative.

        To first order the outcome is the forecast times ``1 - e``. Innovations belong to their step, so
        scenarios of a later forecast go on as those of an earlier one. Their mean over the scenarios is
        taken out and what is left is stretched to the same variance: the mean of the scenarios is the
        forecast, and a single scenario is the forecast itself.

        Args:
            quantity: ``LOAD``, ``IRRADIANCE`` or ``PRICE``.
            count: of scenarios.
            series: how many series the quantity has.
            ahead: how many steps, the present one included.

        Returns:
            Shape (scenario, step, series); ones where nothing is known about errors.
        """
        found, law = np.ones((count, ahead, series)), self._law(quantity)
        if law is None or count == 1:
            return found
        phi, error = law.phi(self.step_s), np.zeros((count, series))
        for lead in range(1, ahead):
            random = np.random.default_rng([self.seed, quantity, self.step + lead, SCENARIO_STREAM])
            drawn = law.innovations(random, (count, series), self.step_s)
            centred = (drawn - drawn.mean(axis=0)) * math.sqrt(count / (count - 1))
            error = phi * error + centred
            found[:, lead] = np.maximum(1.0 - error, 0.0)
        return found

    def _law(self, quantity: int) -> ErrorLaw | None:
        return {LOAD: self.load, IRRADIANCE: self.sun, PRICE: self.price}[quantity]
