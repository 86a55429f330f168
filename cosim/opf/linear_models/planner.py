"""What planners on a linear network model share: programs about a model, and what their plans claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.model.twin import Quantity, Twin, TwinFlow
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.expected import Expected
from cosim.opf.flow_cost import FlowCost
from cosim.opf.formulations.affine import AffineNetwork
from cosim.opf.linear_models.model import LinearModel, Prediction, exact_of
from cosim.opf.options import PlannerOptions
from cosim.opf.problem import Solved
from cosim.opf.tangent.active_limits import bounds_of
from cosim.opf.tangent.warm_start import matching_periods

MOST_PASSES = 8
"""Programs about one model, until no voltage without a row is beyond its limit."""
COST_TOLERANCE = 1e-6
"""What counts as no difference in cost, as a part of what imports cost and earn."""
LEAST_COST = 1e-6
NO_ANSWER = Solved(False, "unsolved", np.nan, np.nan, np.nan, 0, 0.0)


@dataclass(frozen=True)
class ModelError:
    """Largest difference between what a model said of a plan and the exact flow.

    Attributes:
        voltage_pu: of any node and period.
        import_kw, losses_kw: of any period.
    """

    voltage_pu: float
    import_kw: float
    losses_kw: float

    @classmethod
    def between(cls, said: Expected, exact: Expected) -> ModelError:
        """The difference."""
        return cls(
            float(np.abs(said.voltage_pu - exact.voltage_pu).max()),
            float(np.abs(said.import_kva.real - exact.import_kva.real).max()),
            float(np.abs(said.losses_kw - exact.losses_kw).max()),
        )

    def __str__(self) -> str:
        return f"{self.voltage_pu:.2g} pu, import {self.import_kw:.2g} kW, losses {self.losses_kw:.2g} kW"


@dataclass(frozen=True)
class Answer:
    """The answer of a program, with all its variables.

    Attributes:
        planned_kva: of the devices, shape (period, device).
        device_kva: what they inject, same shape.
        device_cost: of their own terms, currency.
        said: by the linear model.
        values: of the program's variables, in its order.
    """

    planned_kva: ComplexArray
    device_kva: ComplexArray
    device_cost: float
    said: Prediction
    values: Sequence[FloatArray]


class LinearPlanner(DispatchPlanner):
    """Multi-period dispatch on a network that is affine in the device powers.

    A planner of this sort finds models in :meth:`_solve`, and says in ``_words`` what they are.

    Args:
        name: of the planner.
        site, horizon, options: see :class:`DispatchPlanner`.
        twin: the controller's model of the feeder.
        limited: quantities whose limits the method can keep: voltages, and currents of lines.
        boxed: whether steps can be kept short.
    """

    def __init__(
        self,
        name: str,
        site: Site,
        horizon: Horizon,
        options: PlannerOptions,
        twin: Twin,
        limited: tuple[Quantity, ...],
        *,
        boxed: bool = False,
    ) -> None:
        bounds = tuple(bound for bound in bounds_of(options.limits, twin) if bound.quantity in limited)
        line_kva = twin.rating_kva(Quantity.LINE)
        network = partial(AffineNetwork, bounds=bounds, line_kva=line_kva, boxed=boxed)
        super().__init__(name, network, site, horizon, options)
        self._affine = cast("AffineNetwork", self.network)
        self._twin, self._options = twin, options
        self._cost = FlowCost(options.objective, options.limits, horizon)
        self._foreseen: Forecast | None = None
        self._total, self._error, self._words = NO_ANSWER, cast("ModelError | None", None), ""
        self._merit_of_plan = 0.0

    def state(self) -> Any:
        """See :class:`cosim.model.roles.Resumable`: every solve begins anew, so plans say it all."""
        return {"twin": self._twin.state(), "plan": (self._earlier, self._foreseen)}

    def restore(self, state: Any) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._twin.restore(state["twin"])
        self._earlier, self._foreseen = state["plan"]

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """See :class:`cosim.model.roles.Planner`."""
        outcome = super().plan(measurement, forecast)
        if isinstance(outcome, Plan):
            self._foreseen = forecast
        return outcome

    # --- the operating point --------------------------------------------------------------------------

    def _set_forecast(self, measurement: Measurement, forecast: Forecast) -> None:
        self._now = measurement, forecast
        self._total, self._error = NO_ANSWER, None
        self._cost.update(forecast.price_per_kwh, measurement.peak_import_kw)
        self._twin.set_forecast(
            measurement,
            forecast.demand_kw + 1j * forecast.demand_kvar,
            forecast.source_ratio_from(measurement.source_ratio),
            np.asarray(self._horizon.period_s, dtype=np.float64),
        )

    def _operating_kva(self) -> ComplexArray:
        """Injections of the earlier plan under the new forecast, or of rest, shape (period, device)."""
        measurement, forecast = self._now
        available, count = forecast.available_kw, len(self._devices.energy)
        power = available.astype(np.complex128)
        power[:, :count] = 0.0
        if self._earlier is not None and self._foreseen is not None:
            passed_s = measurement.time_s - self._earlier.time_s
            origin = matching_periods(forecast, self._foreseen, passed_s)
            power = self._earlier.p_kw[origin] + 1j * self._earlier.q_kvar[origin]
            power[:, count:].real = np.minimum(power[:, count:].real, available[:, count:])
        return self._devices.at_terminals(power)

    # --- programs -------------------------------------------------------------------------------------

    def _answer_of(self, model: LinearModel) -> Answer | None:
        """The best plan by a model; None where the program has no answer, see ``_total``."""
        measurement, forecast = self._now
        rows = self._affine.rows
        for _ in range(MOST_PASSES):
            base_kw = self._affine.set_model(model)
            self._futures.first.imported.update(base_kw, forecast.price_per_kwh, measurement.peak_import_kw)
            self.problem.forget()
            self._add(self._solve_program())
            if not self._total.found:
                return None
            answer = self._read()
            if not rows.extend(model, answer.said):
                break
        return answer

    def _add(self, solved: Solved) -> None:
        """Count another program."""
        before = self._total
        self._total = replace(
            solved,
            bound=float("nan"),
            iterations=before.iterations + solved.iterations,
            solve_s=before.solve_s + solved.solve_s,
        )

    def _read(self) -> Answer:
        kw, kvar = self._futures.first.energy.planned()
        source_kw, _, source_kvar = self._futures.first.sources.planned()
        planned = np.concatenate([kw + 1j * kvar, source_kw + 1j * source_kvar], axis=1)
        injected = self._devices.at_terminals(planned)
        costs = (self._futures.first.energy.cost, self._futures.first.sources.cost)
        device_cost = sum(float(getattr(cost, "value", cost)) for cost in costs)
        values = [np.array(variable.value) for variable in self.problem.affine.variables()]
        return Answer(planned, injected, device_cost, self._affine.predict(injected), values)

    def _merit(self, device_cost: float, flow: Prediction) -> float:
        """Cost of a plan with violated limits paid for, currency."""
        return device_cost + self._cost.of(flow) + self._affine.rows.penalty(flow)

    def _tolerance(self, flow: Expected) -> float:
        return COST_TOLERANCE * max(self._cost.turnover(flow), LEAST_COST)

    def _adopt(self, answer: Answer, exact: TwinFlow | None, *, keep_exact: bool) -> Solved:
        """Make an answer the plan.

        Args:
            answer: of a program.
            exact: its flow, for the claim.
            keep_exact: whether the plan shall show that flow instead of what the model said.
        """
        for variable, value in zip(self.problem.affine.variables(), answer.values, strict=True):
            variable.value = value
        shown = answer.said
        if exact is not None:
            self._error = ModelError.between(answer.said, exact_of(self._twin, exact))
            if keep_exact:
                shown = self._affine.exact = exact_of(self._twin, exact)
        self._affine.show_import(np.asarray(shown.import_kva.real))
        self._merit_of_plan = self._merit(answer.device_cost, shown)
        return self._total

    def _refused(self, status: str, caution: str) -> Solved:
        """No plan, and why."""
        self._affine.caution = caution
        return replace(self._total, found=False, status=status)

    # --- the certificate ------------------------------------------------------------------------------

    def _objective(self, programmed: float) -> float:
        del programmed
        return self._merit_of_plan

    def _claim(self, optimality_gap: float | None, drift_kwh: float) -> str:
        """A doubt about what the devices can do comes first; what sort of model it is, is always said."""
        said, model = super()._claim(optimality_gap, drift_kwh), self._verdict(optimality_gap)
        return said if said == model else f"{said}; {model}"

    def _verdict(self, optimality_gap: float | None) -> str:
        del optimality_gap
        said = [self._words]
        if self._error is not None:
            said.append(f"its last prediction is off the exact flow by {self._error}")
        if self._twin.apart_pu:
            said.append(f"on a twin that differs from the feeder by {self._twin.apart_pu:.2g} pu")
        return "; ".join(said)
