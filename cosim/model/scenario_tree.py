"""Two stages of a plan under uncertainty: a first period that all scenarios share, then one branch each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class ScenarioTree:
    """Nodes of a two-stage scenario tree.

    Node 0 is the first period. The later periods of scenario 0 follow, then those of scenario 1, and so on.
    What is decided at node 0 is decided once for all scenarios (non-anticipativity). With one scenario the
    nodes are the periods.

    Source: Birge and Louveaux, *Introduction to Stochastic Programming*, 2nd ed., 2011, ch. 2 (two-stage
    program with recourse, in the compact form without copies of the first stage).

    Args:
        periods: of the horizon, T.
        scenarios: how many are asked for.

    Raises:
        ContractError: there is no period or no scenario.
    """

    periods: int
    scenarios: int = 1

    def __post_init__(self) -> None:
        if self.periods < 1 or self.scenarios < 1:
            raise ContractError(
                f"a scenario tree of {self.periods} periods and {self.scenarios} scenarios; "
                "give at least one of each"
            )

    def __len__(self) -> int:
        return 1 + self.branches * (self.periods - 1)

    @property
    def branches(self) -> int:
        """Branches after the first period, S; one where the horizon ends with the first period."""
        return self.scenarios if self.periods > 1 else 1

    @cached_property
    def paths(self) -> IntArray:
        """Node of each scenario in each period, shape (branch, period)."""
        later = 1 + np.arange(self.branches * (self.periods - 1)).reshape(self.branches, self.periods - 1)
        return np.concatenate([np.zeros((self.branches, 1), dtype=np.int64), later], axis=1)

    @cached_property
    def period(self) -> IntArray:
        """Period of each node, shape (node,)."""
        found = np.zeros(len(self), dtype=np.int64)
        found[self.paths] = np.arange(self.periods)
        return found

    @cached_property
    def previous(self) -> IntArray:
        """Node before each node, shape (node,); -1 for the first."""
        found = np.full(len(self), -1, dtype=np.int64)
        found[self.paths[:, 1:]] = self.paths[:, :-1]
        return found

    @property
    def last(self) -> IntArray:
        """Last node of each branch, shape (branch,)."""
        return self.paths[:, -1]

    def at(self, period: int) -> IntArray:
        """Nodes of a period, one for each branch; one in all for the first period."""
        return self.paths[:1, 0] if period == 0 else self.paths[:, period]

    def node_weight(self, weight: FloatArray) -> FloatArray:
        """Weight of each node, shape (node,): that of its branch, and their sum at the first.

        Args:
            weight: of the branches, shape (branch,).
        """
        found = np.empty(len(self))
        found[self.paths[:, 1:]] = np.asarray(weight)[:, None]
        found[0] = 1.0 if self.branches == 1 else weight.sum()
        return found

    def moved(self, origin: IntArray) -> IntArray:
        """Nodes of this tree that supply those of a later plan of the same shape, shape (node,).

        Every branch goes on as itself; what all share next is taken from the first branch.

        Args:
            origin: period that supplies each new period, shape (period,).
        """
        return self.spread(self.paths[:, origin])

    def spread(self, by_branch: IntArray) -> IntArray:
        """Values of the nodes, from values of shape (branch, period); the first branch gives the first."""
        found = np.empty(len(self), dtype=by_branch.dtype)
        found[0], found[1:] = by_branch[0, 0], by_branch[:, 1:].ravel()
        return found
