"""Scenarios in the objective of a tangent search: their weights, and the search for the least risk."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.scenario_tree import ScenarioTree
from cosim.model.state import NoPlan
from cosim.model.timegrid import Horizon
from cosim.opf.tangent.active_limits import ActiveLimits
from cosim.opf.tangent.device_dispatch import DeviceDispatch
from cosim.opf.tangent.network_cost import NetworkCost
from cosim.opf.tangent.scenario_dispatch import ScenarioDispatch
from cosim.opf.tangent.search import LEAST_COST, Search
from cosim.opf.tangent.search_log import Devices, Iterate, SearchLog
from cosim.opf.uncertainty import ScenarioWeights

MOST_ROUNDS, TOLERANCE = 4, 1e-4
"""Searches with other weights of bad scenarios, at most, and the part of the cost that none is worth."""


class ScenarioRisk:
    """Lets bad scenarios count more.

    Args:
        weights: of the scenarios.
        horizon: the periods.
        tree: of the scenarios.
        dispatcher, cost, limits, search: of the planner.

    Attributes:
        doubt: what is not proven about the last plan, in words; empty where nothing is open.
    """

    def __init__(
        self,
        weights: ScenarioWeights,
        horizon: Horizon,
        tree: ScenarioTree,
        dispatcher: DeviceDispatch,
        cost: NetworkCost,
        limits: ActiveLimits,
        search: Search,
    ) -> None:
        self.weights, self.doubt = weights, ""
        self._hours, self._tree = horizon.hours[tree.period], tree
        self._dispatcher = dispatcher if isinstance(dispatcher, ScenarioDispatch) else None
        self._cost, self._limits, self._search = cost, limits, search

    def weigh(self) -> None:
        """Let every scenario count by its weight, in all parts of the cost."""
        if self._dispatcher is None:
            return
        hours = self._hours * self._tree.node_weight(self.weights.weight)
        self._dispatcher.set_weight(self.weights.weight)
        self._cost.set_hours(hours)
        self._limits.set_hours(hours)

    def least(
        self, outcome: Iterate | NoPlan, devices: Callable[[], Devices], course: SearchLog
    ) -> Iterate | NoPlan:
        """Search again with the weights that the costs of the scenarios give, until both agree.

        Args:
            outcome: of the search with the present weights.
            devices: what they may do, with costs by the present weights.
            course: counts the time.

        Returns:
            The plan with the least expected cost and risk that was found.
        """
        self.doubt = ""
        if self._dispatcher is None or not self.weights.risky:
            return outcome
        best, least, left = outcome, np.inf, 0.0
        for _ in range(MOST_ROUNDS):
            if isinstance(outcome, NoPlan):
                break
            cost = self._branch_cost(self._dispatcher, outcome, devices())
            objective, gap = self.weights.objective(cost), self.weights.follow(cost)
            if objective < least:
                least, best, left = objective, outcome, gap
            self.weigh()
            worth = TOLERANCE * max(float(np.abs(cost).mean()), LEAST_COST)
            if gap <= worth or course.out_of_time:
                break
            own = devices()
            start = self._search.evaluate(outcome.dispatch, own, outcome.flow, course, held=True)
            outcome = self._search.run(start, own, course)
        if left > TOLERANCE * abs(least):
            self.doubt = f"cost and risk may be {left:.2g} above the least"
        return best

    def _branch_cost(self, dispatcher: ScenarioDispatch, point: Iterate, devices: Devices) -> FloatArray:
        """What each scenario costs, limits included, the peak of the import not; shape (branch,)."""
        own = dispatcher.branch_cost(point.dispatch, devices.energy, devices.sources)
        network = self._cost.of_each_node(point.flow) + self._limits.node_penalty(point.flow)
        by_node = network / self._tree.node_weight(self.weights.weight)
        return np.asarray(own + by_node[self._tree.paths].sum(axis=1))
