"""State estimation by weighted least squares on the twin, with pseudo-measurements of demand.

The state is the demand: a factor for each load, or for each group of neighbouring loads where there are
many. What was last known of the demand is a pseudo-measurement of it. Voltages and the import at the
substation are related to it by the exact flows of the twin, linearised by differences about the present
estimate, which are computed for all factors in one batch of flows. With H the slopes, R the covariance of
the measurements and P that of the pseudo-measurements, each iteration solves

    (H' R^-1 H + P^-1) dx = H' R^-1 (z - h(x)) + P^-1 (x0 - x)

Source: weighted least squares with prior information, e.g. Abur and Exposito, *Power System State
Estimation* (2004), chapters 2 and 4; pseudo-measurements in distribution systems: Baran and Kelley (1994).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosim.model.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from cosim.model.site import Site
from cosim.model.state import Belief, Measurement
from cosim.model.twin import Twin, TwinFlow

MOST_GROUPS = 200
"""Factors that are estimated; neighbouring loads share one where there are more loads."""
DIFFERENCE = 0.05
"""Change of a factor for the slopes."""
ITERATIONS = 3
LEAST_NOISE = 1e-4
"""Standard deviation that a voltage or the import is at least taken to have, per unit or as a part."""
LEAST_IMPORT_KVA = 1.0
REJECTED_SIGMAS, MOST_REJECTED = 4.0, 5
"""The voltage with the largest normalised residual is taken for that of a failed sensor above this many
standard deviations, one at a time (largest normalised residual test, Abur and Exposito, chapter 5)."""
LEAST_SHARE = 0.01
"""Least variance of a residual, as a part of that of the noise: a voltage that nothing else checks."""


@dataclass(frozen=True)
class EstimatorNoise:
    """What the estimator takes its inputs to be worth.

    Attributes:
        voltage_pu: standard deviation of a voltage.
        import_part: of the import, as a part of it.
        demand_part: of what was last known of the demand, as a part of it.
    """

    voltage_pu: float
    import_part: float
    demand_part: float


class TwinEstimator:
    """Estimates demand and voltages from what the sensors report.

    Args:
        site: names and order.
        twin: the controller's model of the feeder, of its own.
        noise: see :class:`EstimatorNoise`.
    """

    def __init__(self, site: Site, twin: Twin, noise: EstimatorNoise) -> None:
        self._site, self._twin, self._noise = site, twin, noise
        loads = len(site.loads)
        self._groups = min(loads, MOST_GROUPS)
        self._group: IntArray = (np.arange(loads) * self._groups) // max(loads, 1)

    def estimate(self, reported: Measurement) -> Belief:
        """Demand and voltages, with the standard deviation of the voltages.

        Args:
            reported: by the sensors, NaN where nothing is reported; its demand is what was last known, and
                must be complete.
        """
        known = reported.demand_kw + 1j * reported.demand_kvar
        present = np.isfinite(reported.voltage_pu)
        rejected: list[int] = []
        while True:
            factor, covariance, slopes, flow = self._solve(reported, known, present)
            voltage_slopes = slopes[2:]
            variance = np.einsum("ij,jk,ik->i", voltage_slopes, covariance, voltage_slopes)
            residual = np.where(present, reported.voltage_pu - flow.voltage_pu[:, 0], 0.0)
            noise = max(self._noise.voltage_pu, LEAST_NOISE) ** 2
            normalised = np.abs(residual) / np.sqrt(np.maximum(noise - variance, LEAST_SHARE * noise))
            worst = int(np.argmax(normalised))
            if normalised[worst] <= REJECTED_SIGMAS or len(rejected) == MOST_REJECTED:
                break
            rejected.append(worst)
            present[worst] = False
        demand = known * factor[self._group]
        return Belief(
            voltage_pu=flow.voltage_pu[:, 0].copy(),
            voltage_std_pu=np.sqrt(np.maximum(variance, 0.0)),
            demand_kw=demand.real.copy(),
            demand_kvar=demand.imag.copy(),
            rejected=tuple(self._site.nodes[i] for i in sorted(rejected)),
        )

    def _solve(
        self, reported: Measurement, known: ComplexArray, present: BoolArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, TwinFlow]:
        """Factors, their covariance, slopes of import and voltages, and the flow of the estimate."""
        noise = self._noise
        factor, prior = np.ones(self._groups), np.full(self._groups, noise.demand_part**-2)
        imported = np.array([reported.import_kw, reported.import_kvar])
        import_std = max(noise.import_part, LEAST_NOISE) * abs(complex(*imported)) + LEAST_IMPORT_KVA
        weight = np.concatenate(
            [
                np.full(2, import_std**-2),
                np.where(present, max(noise.voltage_pu, LEAST_NOISE) ** -2, 0.0),
            ]
        )
        z = np.concatenate([imported, np.where(present, reported.voltage_pu, 0.0)])
        for _ in range(ITERATIONS):
            slopes, here = self._linearised(reported, known, factor)
            apart = np.where(weight > 0.0, z - here, 0.0)
            information = slopes.T @ (weight[:, None] * slopes) + np.diag(prior)
            right = slopes.T @ (weight * apart) + prior * (1.0 - factor)
            step = np.linalg.solve(information, right)
            factor = np.maximum(factor + step, 0.0)
            if float(np.abs(step).max(initial=0.0)) < LEAST_NOISE:
                break
        flow = self._flow(reported, known, factor[None, :])
        return factor, np.asarray(np.linalg.inv(information)), slopes, flow

    def _linearised(
        self, reported: Measurement, known: ComplexArray, factor: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Slopes of (import kW, import kvar, voltages) per factor, and their values at the factors."""
        changed = factor + DIFFERENCE * np.eye(self._groups)
        flow = self._flow(reported, known, np.vstack([factor, changed]))
        values = np.vstack([flow.import_kva.real, flow.import_kva.imag, flow.voltage_pu])
        return (values[:, 1:] - values[:, :1]) / DIFFERENCE, values[:, 0]

    def _flow(self, reported: Measurement, known: ComplexArray, factors: FloatArray) -> TwinFlow:
        """Flows under some factors, one per column, taps and capacitors as measured."""
        demand = known[None, :] * factors[:, self._group]
        self._twin.set_forecast(reported, demand)
        device = np.repeat((reported.p_kw + 1j * reported.q_kvar)[None, :], len(factors), axis=0)
        return self._twin.flow(device, self._twin.at_rest(len(factors)), held=True)


def believed(reported: Measurement, belief: Belief) -> Measurement:
    """The measurement that a controller works with: as reported, with what was estimated."""
    return replace(
        reported,
        voltage_pu=belief.voltage_pu,
        demand_kw=belief.demand_kw,
        demand_kvar=belief.demand_kvar,
    )
