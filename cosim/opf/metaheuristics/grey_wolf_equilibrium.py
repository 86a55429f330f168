"""Grey wolf optimizer with the disturbance of the equilibrium optimizer.

Sources: grey wolf optimizer after Mirjalili, Mirjalili and Lewis, 2014; equilibrium optimizer after
Faramarzi, Heidarinejad, Stephens and Mirjalili, 2020 (concentration pool, exponential term, generation
rate), both as in mealpy 3.0.3. Their combination is after Liu, Ding, Zhang and Zhu, 2024, of which only the
abstract could be read. The mixing here is our own: half of the wolves of a generation, drawn at random,
move by the equilibrium term instead of the mean of the three leaders.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pymoo.algorithms.soo.nonconvex.ga import FitnessSurvival
from pymoo.core.algorithm import Algorithm
from pymoo.core.population import Population
from pymoo.core.replacement import ImprovementReplacement

from cosim.model.arrays import FloatArray

LEADERS = 3
POOL = 4
EXPLORE, EXPLOIT, GENERATION_PROBABILITY, VOLUME = 2.0, 1.0, 0.5, 1.0
"""a1, a2, GP and V of the equilibrium optimizer, as published."""
DISTURBED = 0.5
"""Share of the wolves that follow the equilibrium term."""


class GreyWolfEquilibrium(Algorithm):  # type: ignore[misc]  # pymoo has no types
    """The optimizer as an algorithm of pymoo; a wolf is replaced only by a better one (Deb's rules).

    Args:
        wolves: first candidates, shape (wolf, decision).
        share: part of the budget that is spent, from 0 to 1.
    """

    def __init__(self, wolves: FloatArray, share: Callable[[], float]) -> None:
        super().__init__()
        self._wolves, self._share = wolves, share

    def _initialize_infill(self) -> Any:
        return Population.new(X=self._wolves)

    def _initialize_advance(self, infills: Any = None, **_: Any) -> None:
        self.pop = FitnessSurvival().do(self.problem, infills, n_survive=len(infills), algorithm=self)

    def _infill(self) -> Any:
        x, rng = self.pop.get("X").astype(np.float64), self.random_state
        share = self._share()
        moved = _hunted(x, share, rng)
        disturbed = rng.random(len(x)) < DISTURBED
        moved[disturbed] = _equilibrated(x, share, rng)[disturbed]
        return Population.new(X=np.clip(moved, -1.0, 1.0))

    def _advance(self, infills: Any = None, **_: Any) -> None:
        kept = ImprovementReplacement().do(self.problem, self.pop, infills)
        self.pop = FitnessSurvival().do(self.problem, kept, n_survive=len(kept), algorithm=self)


def _hunted(x: FloatArray, share: float, rng: np.random.Generator) -> FloatArray:
    """Mean of the moves towards the three leaders, which are the first rows."""
    a = 2.0 * (1.0 - share)
    moved = np.zeros_like(x)
    for leader in x[:LEADERS]:
        step = a * (2.0 * rng.random(x.shape) - 1.0)
        distance = np.abs(2.0 * rng.random(x.shape) * leader - x)
        moved += (leader - step * distance) / LEADERS
    return moved


def _equilibrated(x: FloatArray, share: float, rng: np.random.Generator) -> FloatArray:
    """Moves of the equilibrium optimizer about one of the four best or their mean."""
    pool = np.concatenate([x[:POOL], x[:POOL].mean(axis=0, keepdims=True)])
    centre = pool[rng.integers(len(pool), size=len(x))]
    turnover, r = rng.random(x.shape) + 1e-12, rng.random(x.shape)
    t = (1.0 - share) ** (EXPLOIT * share)
    decay = EXPLORE * np.sign(r - 0.5) * (np.exp(-turnover * t) - 1.0)
    control = np.where(
        rng.random((len(x), 1)) >= GENERATION_PROBABILITY, 0.5 * rng.random((len(x), 1)), 0.0
    )
    generation = control * (centre - turnover * x) * decay
    return np.asarray(centre + (x - centre) * decay + generation / (turnover * VOLUME) * (1.0 - decay))
