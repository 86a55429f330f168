"""What each ingredient of a controller is worth, and how far runs are from their bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from cosim.devices.kind import Config
from cosim.experiments.campaign.statistics import Mean, differences, mean_of

COST, VIOLATION = "adjusted_cost_currency", "violation_node_h"
BOUNDS_VIOLATION = "violation_node_h_of_bound"
BOUND_TOLERANCE = 1e-6
"""A run may be cheaper than its bound by this part of the bound."""
NONE_CHEAPER = pd.DataFrame(
    {
        "seed": pd.Series(dtype=float),
        "part": pd.Series(dtype=float),
        VIOLATION: pd.Series(dtype=float),
        BOUNDS_VIOLATION: pd.Series(dtype=float),
        "variant": pd.Series(dtype=object),
    }
)


class AttributionConfig(Config):
    """Ingredients of a controller, each with the variant that lacks it."""

    reference: dict[str, Any] = Field(min_length=1, description="column and value of what has them all")
    without: dict[str, dict[str, Any]] = Field(
        min_length=1, description="by ingredient: column and value of the variant that lacks it"
    )


@dataclass(frozen=True)
class Ingredient:
    """An ingredient and the two variants that tell its worth.

    Attributes:
        name: of the ingredient.
        without: variant that lacks it.
        reference: variant that has it, and is alike in all else.
    """

    name: str
    without: str
    reference: str


@dataclass(frozen=True)
class Regret:
    """How far a variant is from its bound.

    Attributes:
        regret: cost above that of the bound, over the seeds, currency.
        score: 100 for the bound, 0 for the baseline, over the seeds; no value where there is no baseline or
            it costs no more than the bound.
        violation: voltages outside their limits, node-hours.
    """

    regret: Mean
    score: Mean
    violation: Mean


def regrets(
    table: pd.DataFrame, bound_of: Mapping[str, str], baseline_of: Mapping[str, str]
) -> dict[str, Regret]:
    """Regret and score of every variant that has a bound.

    Score after the L2RPN competitions (Marot et al., 2021): 100 (baseline - cost) / (baseline - bound).

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        bound_of, baseline_of: variants by variant.
    """
    cost, violation = _by_seed(table, COST), _by_seed(table, VIOLATION)
    found = {}
    for variant, bound in bound_of.items():
        if variant not in cost or bound not in cost:
            continue
        above = (cost[variant] - cost[bound]).dropna()
        idle = cost.get(baseline_of.get(variant, ""))
        score = np.zeros(0)
        if idle is not None:
            gain = (idle - cost[bound]).reindex(above.index)
            score = (100.0 * (1.0 - above / gain.where(gain > 0.0))).dropna().to_numpy()
        found[variant] = Regret(
            mean_of(above.to_numpy(dtype=np.float64)),
            mean_of(score),
            mean_of(violation[variant].to_numpy(dtype=np.float64)),
        )
    return found


def worths(table: pd.DataFrame, ingredients: Sequence[Ingredient], figure: str) -> list[Mean | None]:
    """What a figure rises by without each ingredient, over the seeds that both variants have.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        ingredients: in the order of the result.
        figure: name of a column.

    Returns:
        None where one of the variants has no complete run.
    """
    found = []
    for one in ingredients:
        pair = differences(table, figure, {one.without: one.reference})
        found.append(pair[one.without].mean if one.without in pair else None)
    return found


def cheaper_than_bound(table: pd.DataFrame, bound_of: Mapping[str, str]) -> pd.DataFrame:
    """Runs that cost less than their bound: variant, seed, part of the bound, violations in node-hours.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        bound_of: variants by variant.
    """
    cost, violation = _by_seed(table, COST), _by_seed(table, VIOLATION)
    rows: list[pd.DataFrame] = []
    for variant, bound in bound_of.items():
        if variant not in cost or bound not in cost:
            continue
        part = (cost[bound] - cost[variant]) / cost[bound].abs()
        of_run, of_bound = violation[variant], violation[bound]
        both = pd.DataFrame({"part": part, VIOLATION: of_run, BOUNDS_VIOLATION: of_bound}).dropna()
        beyond = both[both["part"] > BOUND_TOLERANCE]
        rows.append(beyond.rename_axis("seed").reset_index().assign(variant=variant))
    return pd.concat([NONE_CHEAPER, *rows], ignore_index=True)


def _by_seed(table: pd.DataFrame, figure: str) -> dict[str, pd.Series]:
    complete = table[table["status"] == "complete"]
    return {
        str(variant): rows.assign(seed=rows["seed"].fillna(0)).set_index("seed")[figure].astype(float)
        for variant, rows in complete.groupby("variant", sort=False)
    }
