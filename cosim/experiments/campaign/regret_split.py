"""Which part of a controller's regret comes from its forecast, its model, its delay, and from the rest."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cosim.experiments.campaign.attribution import COST
from cosim.experiments.campaign.statistics import Mean, by_seed, mean_of

REST, WHOLE = "rest", "regret"


@dataclass(frozen=True)
class RegretChain:
    """From a controller to its bound, with one cause of regret less at each link.

    Attributes:
        reference: variant that has all causes.
        causes: in the order in which they are taken away.
        without: for each cause the variant without it, and without those before it.
        bound: variant that no other can beat.
    """

    reference: str
    causes: tuple[str, ...]
    without: tuple[str, ...]
    bound: str


@dataclass(frozen=True)
class RegretPart:
    """What a cause adds to the regret.

    Attributes:
        cause: its name; :data:`REST` between the last cause and the bound, :data:`WHOLE` for all.
        variant, other: the cost of the first minus that of the second.
        mean: over the seeds that all variants of the chain have, currency.
        share: of the mean regret; None where that is zero.
    """

    cause: str
    variant: str
    other: str
    mean: Mean
    share: float | None


def regret_split(table: pd.DataFrame, chain: RegretChain) -> tuple[RegretPart, ...]:
    """The parts of a mean regret, which add up to it; a part may be negative.

    The split depends on the order of the causes: what two of them do together counts for the first.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        chain: variants from the reference to the bound.

    Returns:
        A part for each cause, the rest, and the whole regret; empty where no seed has all variants.
    """
    variants = (chain.reference, *chain.without, chain.bound)
    cost = by_seed(table, COST)
    if any(variant not in cost for variant in variants):
        return ()
    costs = pd.DataFrame({variant: cost[variant] for variant in variants}).dropna()
    if costs.empty:
        return ()
    links = [*zip((*chain.causes, REST), variants, variants[1:], strict=False)]
    links.append((WHOLE, chain.reference, chain.bound))
    whole = float((costs[chain.reference] - costs[chain.bound]).mean())
    return tuple(_part(costs, link, whole) for link in links)


def _part(costs: pd.DataFrame, link: tuple[str, str, str], whole: float) -> RegretPart:
    cause, variant, other = link
    mean = mean_of((costs[variant] - costs[other]).to_numpy(dtype=float))
    return RegretPart(cause, variant, other, mean, mean.value / whole if whole else None)
