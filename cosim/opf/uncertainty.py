"""How a plan reckons with a forecast that may be wrong: options, and the weights of scenarios."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cosim.model.arrays import FloatArray


@dataclass(frozen=True)
class ScenarioPlanning:
    """Plan for several futures at once; the first period is the same in all of them.

    The objective is the expected cost plus ``cvar_weight`` times the conditional value at risk: the mean
    cost of the worst ``1 - cvar_level`` of the scenarios.

    Source: Rockafellar and Uryasev, *Optimization of conditional value-at-risk*, Journal of Risk 2(3),
    2000 (after the abstract).

    Attributes:
        count: of scenarios.
        cvar_weight: of the conditional value at risk, at least 0.
        cvar_level: in [0, 1).
    """

    count: int
    cvar_weight: float = 0.0
    cvar_level: float = 0.9


@dataclass(frozen=True)
class ChanceLimits:
    """Keep every limit of the network with a probability, each by itself.

    Limits are tightened by quantiles of what the errors of the forecast do to voltages and currents.

    Attributes:
        violation: allowed probability, in (0, 0.5).
        sample: scenarios from which the spread is estimated.
    """

    violation: float = 0.05
    sample: int = 40


Uncertainty = ScenarioPlanning | ChanceLimits


def margin(deviation: FloatArray, violation: float) -> FloatArray:
    """Distance that a deviation exceeds, upwards or downwards, with a probability alone.

    It is the quantile of a normal distribution with the spread of the sample, whose mean is zero by
    construction of the scenarios.

    Source: deterministic form of an individual chance constraint, Charnes and Cooper, *Deterministic
    equivalents for optimizing and satisficing under chance constraints*, Operations Research 11(1), 1963;
    for power flow, Roald and Andersson, *Chance-constrained AC optimal power flow: reformulations and
    efficient algorithms*, IEEE Transactions on Power Systems 33(3), 2018 (after the abstract).

    Args:
        deviation: shape (scenario, ...).
        violation: probability, in (0, 0.5).

    Returns:
        Shape of one deviation, at least 0.
    """
    spread = np.sqrt((deviation**2).mean(axis=0))
    return np.asarray(NormalDist().inv_cdf(1.0 - violation) * spread)


def tail_share(cost: FloatArray, level: float) -> FloatArray:
    """Share of each scenario in the worst ``1 - level`` of equally probable ones, shape (scenario,).

    The shares add up to 1, and ``share @ cost`` is the conditional value at risk. They are the multipliers
    of its linear program: the largest ``share @ cost`` with ``0 <= share <= 1 / (count (1 - level))``.
    """
    most, left = 1.0 / (len(cost) * (1.0 - level)), 1.0
    share = np.zeros(len(cost))
    for worst in np.argsort(-cost, kind="stable"):
        share[worst] = min(most, left)
        left -= share[worst]
        if left <= 0.0:
            break
    return share


class ScenarioWeights:
    """What each scenario counts in the objective.

    The conditional value at risk is a maximum over shares, see :func:`tail_share`. A plan is made for
    shares that are held; then they are taken from its costs. Where both agree, the plan is optimal. The
    difference of the objectives bounds what the plan costs too much, where the program is convex.

    Args:
        planning: how scenarios count; None: one future.
        count: of scenarios.
    """

    def __init__(self, planning: ScenarioPlanning | None, count: int) -> None:
        weight = planning.cvar_weight if planning is not None and count > 1 else 0.0
        self._count, self._risk = count, weight
        self._level = planning.cvar_level if planning is not None else 0.0
        self.share: FloatArray = np.full(count, 1.0 / count)

    @property
    def risky(self) -> bool:
        """Whether bad scenarios count more than others."""
        return self._risk > 0.0

    @property
    def weight(self) -> FloatArray:
        """Of each scenario: probability, plus what it counts for the risk; shape (scenario,)."""
        probability: FloatArray = np.full(self._count, 1.0 / self._count)
        return probability + self._risk * self.share if self.risky else probability

    def objective(self, cost: FloatArray) -> float:
        """Expected cost plus the weighted risk, given the cost of each scenario."""
        return float(cost.mean() + self._risk * (tail_share(cost, self._level) @ cost))

    def follow(self, cost: FloatArray) -> float:
        """Take the shares of these costs; what the objective is more than by the shares before."""
        before, self.share = self.share, tail_share(cost, self._level)
        return float(self._risk * ((self.share - before) @ cost))
