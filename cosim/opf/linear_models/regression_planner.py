"""The planner on a learned linear power flow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import ThreadpoolController

from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.model.twin import Quantity, Twin
from cosim.opf.linear_models.planner import LinearPlanner
from cosim.opf.linear_models.training import Fit, RegressionModel, draw, fit
from cosim.opf.options import PlannerOptions
from cosim.opf.problem import Solved

if TYPE_CHECKING:
    from cosim.opf.linear_models.regression import RegressionOptions


class RegressionPlanner(LinearPlanner):
    """Learns at its first plan, and again as often as is asked; then one linear program per plan.

    Args:
        site, horizon, options, twin: see :class:`LinearPlanner`.
        own: options that no other planner takes.
        seed: of the samples.
    """

    def __init__(
        self,
        site: Site,
        horizon: Horizon,
        options: PlannerOptions,
        twin: Twin,
        own: RegressionOptions,
        seed: int,
    ) -> None:
        super().__init__("regression", site, horizon, options, twin, (Quantity.VOLTAGE,))
        self._own, self._seed, self._site = own, seed, site
        self._fit: Fit | None = None
        self._trainings, self._plans_since = 0, 0
        self._threads = ThreadpoolController()

    def state(self) -> Any:
        """See :class:`cosim.model.roles.Resumable`."""
        return {**super().state(), "fit": (self._fit, self._trainings, self._plans_since)}

    def restore(self, state: Any) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        super().restore(state)
        self._fit, self._trainings, self._plans_since = state["fit"]

    def _solve(self, measurement: Measurement, forecast: Forecast) -> Solved:
        # One thread: sums in one order, so that equal seeds give equal plans.
        with self._threads.limit(limits=1, user_api="blas"):
            return self._plan_on_fit(measurement, forecast)

    def _plan_on_fit(self, measurement: Measurement, forecast: Forecast) -> Solved:
        learned = self._learned(measurement, forecast)
        self._set_forecast(measurement, forecast)
        error, own = learned.held_out, self._own
        if error.voltage_pu > own.voltage_error_bound_pu or error.import_share > own.import_error_bound:
            return self._refused(
                "model_error",
                f"held out samples are off by {error} ({100 * error.import_share:.2g} % of the import), "
                f"more than {own.voltage_error_bound_pu:g} pu or {100 * own.import_error_bound:g} %",
            )
        model = self._model(learned, measurement, forecast)
        self._affine.set_model(model)
        self._affine.rows.extend(model, model.predict(self._operating_kva()), near=True)
        answer = self._answer_of(model)
        if answer is None:
            return self._total
        flow = self._twin.flow(answer.device_kva)
        self._words = (
            f"optimal for a linear model learned from {learned.samples} samples, off by "
            f"{learned.training} in training and {learned.held_out} held out"
        )
        return self._adopt(answer, flow if flow.converged.all() else None, keep_exact=False)

    def _learned(self, measurement: Measurement, forecast: Forecast) -> Fit:
        """The fit of now: an earlier one, or a new one where it is due."""
        due = self._own.retrain_every and self._plans_since >= self._own.retrain_every
        if self._fit is None or due:
            own = self._own
            rng = np.random.default_rng([self._seed, self._trainings])
            samples = draw(
                self._twin, self._site.devices, measurement, forecast, self._reactive(), own.samples, rng
            )
            self._fit = fit(samples, own.regressor, own.ridge, own.demand_share, rng)
            self._trainings, self._plans_since = self._trainings + 1, 0
        self._plans_since += 1
        return self._fit

    def _reactive(self) -> Any:
        """Which devices may give reactive power, shape (device,)."""
        bounds = [part.reactive for part in self._devices.constant_bounds() if part is not None]
        return np.concatenate(bounds)

    def _model(self, learned: Fit, measurement: Measurement, forecast: Forecast) -> RegressionModel:
        """The fit over the horizon, moved so that it agrees with the measurement where that is asked."""
        count = len(self._site.devices)
        constant = learned.demand_part(forecast.demand_kw + 1j * forecast.demand_kvar, count)
        model = RegressionModel(learned, constant, count)
        if self._options.anchor != "measurement":
            return model
        now = (measurement.demand_kw + 1j * measurement.demand_kvar)[None, :]
        here = RegressionModel(learned, learned.demand_part(now, count), count)
        said = here.quantities((measurement.p_kw + 1j * measurement.q_kvar)[None, :])[:, 0]
        totals = [measurement.import_kw, measurement.import_kvar, measurement.losses_kw]
        measured = np.concatenate([measurement.voltage_pu, totals])
        return replace(model, constant=constant + (measured - said)[:, None])
