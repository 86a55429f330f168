"""What each ingredient of a controller is worth, and how far runs are from their bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from cosim.devices.kind import Config
from cosim.experiments.campaign.statistics import Mean, by_seed, differences, mean_of
from cosim.experiments.verdict import JUDGED_WITHIN

COST, VIOLATION = "adjusted_cost_currency", "violation_node_h"
BOUND_TOLERANCE = 1e-6
"""A run may be cheaper than its bound by this part of the bound."""
VOLTAGE, LINES, LOADING = "voltage", "lines", "highest_loading_ratio"
BEYOND_LIMITS = {
    VOLTAGE: {VIOLATION: 0.0, "worst_excess_pu": JUDGED_WITHIN},
    LINES: {"overloaded_h": 0.0, LOADING: JUDGED_WITHIN},
}
"""Figures that tell how long and how far a run leaves its limits, and by how much more counts as more."""
NONE_CHEAPER = pd.DataFrame(
    {
        "seed": pd.Series(dtype=float),
        "part": pd.Series(dtype=float),
        VOLTAGE: pd.Series(dtype=bool),
        LINES: pd.Series(dtype=bool),
        "variant": pd.Series(dtype=object),
    }
)


class AttributionConfig(Config):
    """Ingredients of a controller, each with the variant that lacks it."""

    reference: dict[str, Any] = Field(min_length=1, description="column and value of what has them all")
    without: dict[str, dict[str, Any]] = Field(
        {}, description="by ingredient: column and value of the variant that lacks it"
    )
    causes: dict[str, dict[str, Any]] = Field(
        {},
        description="causes of regret in the order in which they are taken away: column and value that "
        "take this one away, beside those before",
    )

    @model_validator(mode="after")
    def _says_something(self) -> AttributionConfig:
        if not self.without and not self.causes:
            raise ValueError("give ingredients under without, or causes of regret under causes")
        return self


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
    cost, violation = by_seed(table, COST), by_seed(table, VIOLATION)
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
    """Runs that cost less than their bound.

    Such a run disproves the bound only if it leaves no limit for longer, or farther, than the bound's run.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        bound_of: variants by variant.

    Returns:
        Columns ``variant``, ``seed``, ``part`` (of the bound's cost), ``voltage`` and ``lines``: whether
        the run leaves these limits for longer or farther than the bound's run.
    """
    cost = by_seed(table, COST)
    more = {limit: _more(table, bound_of, figures) for limit, figures in BEYOND_LIMITS.items()}
    rows: list[pd.DataFrame] = []
    for variant, bound in bound_of.items():
        if variant not in cost or bound not in cost:
            continue
        part = (cost[bound] - cost[variant]) / cost[bound].abs()
        both = pd.DataFrame({"part": part} | {limit: one[variant] for limit, one in more.items()})
        both = both[both["part"].notna()].astype({VOLTAGE: bool, LINES: bool})
        beyond = both[both["part"] > BOUND_TOLERANCE]
        rows.append(beyond.rename_axis("seed").reset_index().assign(variant=variant))
    return pd.concat([NONE_CHEAPER, *rows], ignore_index=True)


def _more(
    table: pd.DataFrame, bound_of: Mapping[str, str], figures: Mapping[str, float]
) -> dict[str, pd.Series]:
    """By variant and seed: whether one of some figures is larger than that of the bound.

    A loading below the rating of its line is none, also where it is higher than that of the bound.
    """
    found: dict[str, pd.Series] = {}
    for figure, slack in figures.items():
        value = by_seed(table, figure)
        for variant, bound in bound_of.items():
            if variant in value and bound in value:
                inside = 1.0 if figure == LOADING else 0.0
                larger = value[variant].clip(lower=inside) - value[bound].clip(lower=inside) > slack
                found[variant] = larger if variant not in found else found[variant] | larger
    return found
