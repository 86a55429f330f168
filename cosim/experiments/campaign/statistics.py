"""Means over seeds and differences seed by seed, with bootstrap intervals and a sign test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest, bootstrap

from cosim.model.arrays import BoolArray, FloatArray

RESAMPLES, CONFIDENCE, SEED = 9999, 0.95, 0


@dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
        value: NaN without any run.
        low, high: 95 % interval, percentile bootstrap over the seeds; NaN with fewer than two.
        count: of seeds.
    """

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class PairedDifference:
    """A variant minus its baseline, over the seeds that both have.

    Attributes:
        mean: of the differences.
        lower, higher: seeds in which the variant is below, and above; ties count for neither.
        p_value: two-sided sign test: how probable a split as uneven as this would be if both signs were
            equally likely; NaN where all seeds tie.
    """

    mean: Mean
    lower: int
    higher: int
    p_value: float


def mean_of(values: FloatArray) -> Mean:
    """A mean and its interval.

    Args:
        values: one per seed; NaN are left out.
    """
    there = values[~np.isnan(values)]
    if there.size == 0:
        return Mean(float("nan"), float("nan"), float("nan"), 0)
    if there.size == 1:
        return Mean(float(there[0]), float("nan"), float("nan"), 1)
    found = bootstrap(
        (there,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(SEED),
    ).confidence_interval
    return Mean(float(there.mean()), float(found.low), float(found.high), int(there.size))


def paired(variant: pd.Series, baseline: pd.Series) -> PairedDifference:
    """A variant against its baseline.

    Args:
        variant, baseline: a figure by seed.
    """
    both = pd.concat([variant, baseline], axis=1, join="inner").dropna().to_numpy(dtype=np.float64)
    differences = both[:, 0] - both[:, 1]
    lower, higher = int((differences < 0).sum()), int((differences > 0).sum())
    p_value = float(binomtest(lower, lower + higher).pvalue) if lower + higher else float("nan")
    return PairedDifference(mean_of(differences), lower, higher, p_value)


def means(table: pd.DataFrame, figure: str) -> dict[str, Mean]:
    """Means of a figure by variant, over complete runs.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        figure: name of a column.
    """
    return {
        str(variant): mean_of(rows[figure].to_numpy(dtype=np.float64))
        for variant, rows in _complete(table).groupby("variant", sort=False)
    }


def shares(table: pd.DataFrame, figure: str) -> dict[str, dict[str, int]]:
    """How many complete runs of each variant have each text, the most frequent first.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        figure: name of a column of texts.
    """
    return {
        str(variant): dict(Counter(sorted(rows[figure].dropna().astype(str))).most_common())
        for variant, rows in _complete(table).groupby("variant", sort=False)
    }


def differences(
    table: pd.DataFrame, figure: str, counterparts: Mapping[str, str]
) -> dict[str, PairedDifference]:
    """Differences of a figure by variant, for variants that have a baseline with runs.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        figure: name of a column.
        counterparts: the baseline of each variant.
    """
    found = by_seed(table, figure)
    return {
        variant: paired(found[variant], found[other])
        for variant, other in counterparts.items()
        if variant in found and other in found
    }


def by_seed(table: pd.DataFrame, figure: str) -> dict[str, pd.Series]:
    """A figure of the complete runs of each variant, by seed; 0 stands for none.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        figure: name of a column.
    """
    return {
        str(variant): rows.assign(seed=rows["seed"].fillna(0)).set_index("seed")[figure].astype(float)
        for variant, rows in _complete(table).groupby("variant", sort=False)
    }


def on_front(points: FloatArray) -> BoolArray:
    """Which points no other one beats in both coordinates; lower is better.

    Args:
        points: shape (point, 2).

    Returns:
        Shape (point,).
    """
    as_good = np.all(points[None, :, :] <= points[:, None, :], axis=2)
    better = np.any(points[None, :, :] < points[:, None, :], axis=2)
    return np.asarray(~np.any(as_good & better, axis=1))


def _complete(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["status"] == "complete"]
