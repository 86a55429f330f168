"""What a plan is asked to achieve, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.timegrid import Horizon
from cosim.opf.program import EmptyBlock


@dataclass(frozen=True)
class Objective:
    """Weights of the objective; zero leaves a term out.

    Attributes:
        energy_cost: weight of import times price.
        losses_per_kwh: price of network losses, by the flows of the model.
        losses_at_price: share of the energy price that losses are charged with. A lossless model is
            then no longer indifferent to reactive power: with 1 it pays for losses what they cost.
            Models whose import counts its losses ignore it.
        peak_per_kw: demand charge on the highest import of the run.
        voltage_deviation_per_pu2_h: cost of squared-voltage deviation from the middle of the band.
    """

    energy_cost: float = 1.0
    losses_per_kwh: float = 0.0
    losses_at_price: float = 0.0
    peak_per_kw: float = 0.0
    voltage_deviation_per_pu2_h: float = 0.0

    @property
    def prices_losses(self) -> bool:
        """Whether losses cost anything by themselves."""
        return bool(self.losses_per_kwh or self.losses_at_price)

    def loss_rate(self, price_per_kwh: FloatArray) -> FloatArray:
        """Cost of losses per kWh in each period, shape (period,); never negative, even where energy is."""
        return np.maximum(self.losses_per_kwh + self.losses_at_price * price_per_kwh, 0.0)


@dataclass(frozen=True)
class Limits:
    """Limits of the network. All are soft: exceeding them costs, and is reported.

    Attributes:
        voltage_min_pu, voltage_max_pu: band of every node.
        voltage_penalty_per_pu_h: cost per unit and hour outside the band, for each group of nodes whose
            voltages the devices move in step.
        import_max_kw, import_min_kw: at the substation; None is no limit.
        lines, transformers: whether their ratings hold; only some planners know transformers.
        unbalance_max_percent: negative over positive sequence voltage; only some planners know it.
        power_penalty_per_kwh: cost of energy over a power limit.
    """

    voltage_min_pu: float = 0.95
    voltage_max_pu: float = 1.05
    voltage_penalty_per_pu_h: float = 2e4
    import_max_kw: float | None = None
    import_min_kw: float | None = None
    lines: bool = False
    transformers: bool = False
    unbalance_max_percent: float | None = None
    power_penalty_per_kwh: float = 100.0


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
