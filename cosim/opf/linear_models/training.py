"""A linear power flow learned from samples of the twin: one regression for every quantity.

After P. Li, W. Wu, X. Wan, B. Xu, 2022 (data-driven linear optimal power flow by support-vector
regression with a ridge term). The samples here are exact flows of the twin; theirs are measurements.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVR

from cosim.model.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from cosim.model.device import Device
from cosim.model.forecast import Forecast
from cosim.model.state import Measurement
from cosim.model.twin import Quantity, Slope, Twin
from cosim.opf.devices.circle import reactive_limits
from cosim.opf.linear_models.model import Prediction
from cosim.opf.linear_models.regressors import Regressor

DEMAND_SPREAD, LOAD_SPREAD = 0.1, 0.05
"""Standard deviation of the whole demand and of each load about the forecast, as a part of it."""
TOGETHER = 0.6
"""Part of the devices' range that all of them move through together: plans move devices alike."""
LEAST_TAKEN = 0.5
"""Part of what is available that devices without energy take at least: the rest is curtailed."""
EPSILON = 1e-4
"""Half the width of the band in which support-vector regression sees no error, standard deviations."""
HELD_OUT = 0.25
"""Part of the samples that no regression sees."""


@dataclass(frozen=True)
class FitError:
    """Errors of all regressions over some samples, root of the mean square and largest.

    Attributes:
        voltage_pu, import_kw, losses_kw: root of the mean square.
        voltage_most_pu: largest of any node and sample.
        import_share: ``import_kw`` as a part of the samples' mean import, magnitude.
    """

    voltage_pu: float
    voltage_most_pu: float
    import_kw: float
    import_share: float
    losses_kw: float

    def __str__(self) -> str:
        return (
            f"{self.voltage_pu:.2g} pu (at most {self.voltage_most_pu:.2g}), "
            f"import {self.import_kw:.2g} kW, losses {self.losses_kw:.2g} kW"
        )


@dataclass(frozen=True)
class Fit:
    """All regressions: ``y = constant + slope x``; x is P and Q of the devices, then demand components.

    Attributes:
        constant: of voltages, then import kW, import kvar and losses kW, shape (quantity,).
        slope: shape (quantity, feature).
        centre: mean demand of the samples, shape (2 load,).
        axes: demand components per kW and kvar of each load: totals, then principal components, shape
            (component, 2 load).
        training, held_out: errors.
        samples: that had a power flow.
    """

    constant: FloatArray
    slope: FloatArray
    centre: FloatArray
    axes: FloatArray
    training: FitError
    held_out: FitError
    samples: int

    def demand_part(self, demand_kva: ComplexArray, devices: int) -> FloatArray:
        """Value of every quantity without devices, shape (quantity, period).

        Args:
            demand_kva: at rated voltage, shape (period, load).
            devices: how many there are.
        """
        components = (_flat(demand_kva) - self.centre) @ self.axes.T
        return np.asarray(self.constant[:, None] + self.slope[:, 2 * devices :] @ components.T)


@dataclass(frozen=True)
class RegressionModel:
    """The fit over a horizon, see :class:`cosim.opf.linear_models.model.LinearModel`.

    Attributes:
        fit: of the samples.
        constant: of every quantity and period without devices, shape (quantity, period).
        devices: how many there are.
    """

    fit: Fit
    constant: FloatArray
    devices: int

    @property
    def import_slope(self) -> Slope:
        """Of the import in kW."""
        return self._slope(-3)

    @property
    def losses_slope(self) -> Slope:
        """Of the losses in kW."""
        return self._slope(-1)

    def _slope(self, quantity: int) -> Slope:
        row = np.repeat(self.fit.slope[quantity][None, :], self.constant.shape[1], axis=0)
        return row[:, : self.devices], row[:, self.devices : 2 * self.devices]

    def quantities(self, device_kva: ComplexArray) -> FloatArray:
        """All quantities under device injections of shape (period, device), shape (quantity, period)."""
        powers = _flat(device_kva).T
        return np.asarray(self.constant + self.fit.slope[:, : 2 * self.devices] @ powers)

    def predict(self, device_kva: ComplexArray) -> Prediction:
        """What the fit says of injections; of line currents it says nothing."""
        values = self.quantities(device_kva)
        no_lines = np.zeros((0, values.shape[1]))
        return Prediction(values[-3] + 1j * values[-2], values[-1], values[:-3], no_lines)

    def slope(self, quantity: Quantity, place: IntArray, period: IntArray) -> Slope:
        """Of some voltages: the same in every period."""
        del quantity, period
        rows = self.fit.slope[place]
        return rows[:, : self.devices], rows[:, self.devices : 2 * self.devices]


@dataclass(frozen=True)
class Samples:
    """Exact flows: device injections, demand (shape (sample, load)) and quantities (sample, quantity)."""

    device_kva: ComplexArray
    demand_kva: ComplexArray
    values: FloatArray


def draw(
    twin: Twin,
    devices: tuple[Device, ...],
    measurement: Measurement,
    forecast: Forecast,
    reactive: BoolArray,
    count: int,
    rng: np.random.Generator,
) -> Samples:
    """Exact flows about what the forecast expects, taps and capacitors as measured.

    Args:
        twin: solves them; its forecast is left at the samples.
        devices: of the site.
        measurement, forecast: of now.
        reactive: which devices may give reactive power, shape (device,).
        count: how many.
        rng: of the draws.
    """
    period = rng.integers(0, len(forecast.demand_kw), count)
    whole = 1.0 + DEMAND_SPREAD * rng.standard_normal((count, 1))
    loads = 1.0 + LOAD_SPREAD * rng.standard_normal((count, forecast.demand_kw.shape[1]))
    demand = np.maximum(whole * loads, 0.0) * (forecast.demand_kw + 1j * forecast.demand_kvar)[period]
    kw, kva = (np.array([getattr(device, name) for device in devices]) for name in ("kw", "kva"))
    stores = np.array([device.has_energy for device in devices])
    shares = [_shares(rng, count, len(devices)) for _ in range(2)]
    taken = rng.uniform(LEAST_TAKEN, 1.0, (count, len(kw)))
    p = np.where(stores, shares[0] * kw, taken * np.minimum(forecast.available_kw[period], kw))
    injected, absorbed = reactive_limits(devices)
    room = np.sqrt(np.maximum(kva**2 - p**2, 0.0)) * reactive
    q = np.clip(shares[1] * room, -absorbed, injected)
    twin.set_forecast(measurement, demand, forecast.source_ratio_from(measurement.source_ratio)[period])
    flow = twin.flow(p + 1j * q, twin.at_rest(count), held=True)
    rows = [flow.voltage_pu, flow.import_kva.real[None], flow.import_kva.imag[None], flow.losses_kw[None]]
    values, solved = np.concatenate(rows).T, flow.converged
    return Samples((p + 1j * q)[solved], demand[solved], values[solved])


def _shares(rng: np.random.Generator, count: int, devices: int) -> FloatArray:
    """Parts of the devices' ranges, -1 to 1, partly in common, shape (sample, device)."""
    common, own = rng.uniform(-1.0, 1.0, (count, 1)), rng.uniform(-1.0, 1.0, (count, devices))
    # Half of the samples move all devices together, the others each for itself.
    together = TOGETHER * (rng.random((count, 1)) < 0.5)
    return np.asarray(together * common + (1.0 - together) * own)


def fit(
    samples: Samples, regressor: Regressor, ridge: float, demand_share: float, rng: np.random.Generator
) -> Fit:
    """One regression for every quantity, on standardised features and quantities.

    Args:
        samples: exact flows.
        regressor: support-vector regression (squared epsilon-insensitive loss) or least squares, both
            with the ridge term.
        ridge: weight of the squared slopes against the sum of squared errors.
        demand_share: part of the demand's variance that its principal components keep.
        rng: chooses the samples that are held out.
    """
    demand = _flat(samples.demand_kva)
    components = PCA(n_components=demand_share, svd_solver="full").fit(demand)
    totals = np.kron(np.eye(2), np.ones(samples.demand_kva.shape[1]))
    axes = np.concatenate([totals, components.components_])
    x = np.concatenate([_flat(samples.device_kva), (demand - components.mean_) @ axes.T], axis=1)
    order = rng.permutation(len(x))
    held = max(int(HELD_OUT * len(x)), 1)
    test, train = order[:held], order[held:]
    of_x, of_y = StandardScaler().fit(x[train]), StandardScaler().fit(samples.values[train])
    coefficients, intercept = _regress(
        of_x.transform(x[train]), of_y.transform(samples.values[train]), regressor, ridge
    )
    slope = coefficients / of_x.scale_ * of_y.scale_[:, None]
    constant = of_y.mean_ + of_y.scale_ * intercept - slope @ of_x.mean_
    seen, unseen = (_error(constant + x[part] @ slope.T, samples.values[part]) for part in (train, test))
    return Fit(constant, slope, components.mean_, axes, seen, unseen, len(x))


def _regress(
    x: FloatArray, y: FloatArray, regressor: Regressor, ridge: float
) -> tuple[FloatArray, FloatArray]:
    """Coefficients, shape (quantity, feature), and intercepts."""
    if regressor == "ridge":
        least = Ridge(alpha=ridge).fit(x, y)
        return np.asarray(least.coef_), np.asarray(least.intercept_)
    coefficients, intercept = [], []
    for column in y.T:
        machine = LinearSVR(
            epsilon=EPSILON, C=0.5 / ridge, loss="squared_epsilon_insensitive", dual=False, tol=1e-6
        )
        with warnings.catch_warnings():
            # Its error on samples it has not seen is what judges a fit.
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine.fit(x, column)
        coefficients.append(machine.coef_)
        intercept.append(float(np.ravel(machine.intercept_)[0]))
    return np.array(coefficients), np.array(intercept)


def _error(said: FloatArray, true: FloatArray) -> FitError:
    apart = said - true
    rms = np.sqrt((apart**2).mean(axis=0))
    return FitError(
        voltage_pu=float(np.sqrt((apart[:, :-3] ** 2).mean())),
        voltage_most_pu=float(np.abs(apart[:, :-3]).max()),
        import_kw=float(rms[-3]),
        import_share=float(rms[-3] / max(np.abs(true[:, -3]).mean(), 1e-9)),
        losses_kw=float(rms[-1]),
    )


def _flat(power: ComplexArray) -> FloatArray:
    return np.concatenate([power.real, power.imag], axis=1)
