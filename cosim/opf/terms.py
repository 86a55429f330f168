"""What the import costs a plan of a formulation."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.timegrid import Horizon
from cosim.opf.options import Limits, Objective
from cosim.opf.program import EmptyBlock


class ImportTerms(EmptyBlock):
    """Cost of what crosses the substation: energy, peak demand, substation limits.

    The import is data plus change. Only the change is in the program, so that price times import
    stays linear in the parameters; the constant part is added to the reported objective.

    Args:
        objective, limits: weights and limits.
        horizon: the periods.
        change_kw: change of import by the devices, shape (period,).
    """

    def __init__(
        self, objective: Objective, limits: Limits, horizon: Horizon, change_kw: cp.Expression
    ) -> None:
        super().__init__()
        periods = len(horizon)
        self._hours = horizon.hours
        self._weight = objective.energy_cost
        self._base_kw = cp.Parameter(periods)
        self._price_hours = cp.Parameter(periods)
        self.cost = self._price_hours @ change_kw
        self._change_kw = change_kw
        self._over: list[tuple[cp.Variable, float, float]] = []
        self._peak: cp.Variable | None = None
        self._peak_so_far: cp.Parameter | None = None
        if objective.peak_per_kw:
            self._peak_so_far = cp.Parameter(nonneg=True)
            self._peak = cp.Variable()
            self.constraints += [self._peak >= self._base_kw + change_kw, self._peak >= self._peak_so_far]
            self.cost += objective.peak_per_kw * self._peak
        for bound, sign in ((limits.import_max_kw, 1.0), (limits.import_min_kw, -1.0)):
            if bound is not None:
                over = cp.Variable(periods, nonneg=True)
                self._over.append((over, bound, sign))
                self.constraints.append(sign * (self._base_kw + change_kw - bound) <= over)
                self.cost += limits.power_penalty_per_kwh * (self._hours @ over)

    def update(self, base_kw: FloatArray, price_per_kwh: FloatArray, peak_so_far_kw: float) -> None:
        """Set the import without change, the prices and the peak of the run so far."""
        self._base_kw.value = base_kw
        self._price_hours.value = self._weight * price_per_kwh * self._hours
        if self._peak_so_far is not None:
            self._peak_so_far.value = max(peak_so_far_kw, 0.0)

    def adopt(self) -> None:
        """Follow the import that now stands in the variables, so that limits and peak are paid in full."""
        import_kw = self._base_kw.value + np.asarray(self._change_kw.value)
        for over, bound, sign in self._over:
            over.value = np.maximum(sign * (import_kw - bound), 0.0)
        if self._peak is not None and self._peak_so_far is not None:
            self._peak.value = max(float(import_kw.max()), float(self._peak_so_far.value))

    def over_kw(self) -> float:
        """Largest violation of a limit of the import."""
        return max((float(np.max(over.value)) for over, _, _ in self._over), default=0.0)

    def constant(self) -> float:
        """Cost of the import without change."""
        return float(np.dot(self._price_hours.value, self._base_kw.value))
