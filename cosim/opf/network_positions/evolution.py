"""Positions by an evolutionary search, integers rounded from real-coded genes.

The division of labour, evolution for taps and capacitor states and a gradient method for what is
continuous, is after Mohapatra, Bijwe and Panigrahi, 2014, whose full text could not be read.
"""

from __future__ import annotations

import numpy as np
from pymoo.algorithms.soo.nonconvex.ga import GA

from cosim.model.arrays import FloatArray
from cosim.model.search_details import SearchDetails
from cosim.opf.metaheuristics.budget import Progress
from cosim.opf.metaheuristics.options import SearchOptions
from cosim.opf.metaheuristics.search import Judged, search
from cosim.opf.network_positions.planner import FixedDispatch

NEAR = 4.0
"""First candidates are at most this far from the positions of the plan, a number of taps."""


class EvolutionaryProposal:
    """Genetic algorithm (simulated binary crossover, polynomial mutation) with Deb's rules.

    Args:
        own: population and budget of each proposal.
    """

    def __init__(self, own: SearchOptions) -> None:
        self._own = own

    def propose(
        self, flows: FixedDispatch, position: FloatArray, *, seed: int
    ) -> tuple[FloatArray, SearchDetails | None]:
        """See :class:`cosim.opf.network_positions.planner.Proposal`."""
        schedule, shape = flows.schedule, position.shape
        middle = (schedule.highest + schedule.lowest) / 2.0
        reach = np.maximum((schedule.highest - schedule.lowest) / 2.0, 0.5)

        def judge(x: FloatArray) -> Judged:
            wished = middle + reach * x.reshape(-1, *shape)
            allowed = schedule.repaired(wished)
            told = flows.evaluate(allowed)
            cost = told.cost + schedule.price(allowed)
            genes = ((allowed - middle) / reach).reshape(len(x), -1)
            return Judged(genes, cost[:, None], told.violation, cost)

        first = self._first(position, np.random.default_rng(seed))
        genes = np.clip((first - middle) / reach, -1.0, 1.0).reshape(len(first), -1)
        progress = Progress(self._own.budget(warm=True))
        found = search(
            GA(pop_size=len(genes), sampling=genes),
            judge,
            (genes.shape[1], 1, flows.bounds),
            progress=progress,
            seed=seed,
        )
        best = schedule.repaired((middle + reach * found.x.reshape(shape))[None])[0]
        return np.asarray(best), progress.details(("cost, currency",), found.front, 0, "first")

    def _first(self, position: FloatArray, rng: np.random.Generator) -> FloatArray:
        """The positions of the plan, and others that stay apart from them by a constant or by chance."""
        count = self._own.population - 1
        constant = rng.uniform(-NEAR, NEAR, (count, 1, position.shape[1]))
        varied = rng.uniform(-1.0, 1.0, (count, *position.shape)) * (rng.random((count, 1, 1)) < 0.5)
        return np.concatenate([position[None], position + constant + varied])
