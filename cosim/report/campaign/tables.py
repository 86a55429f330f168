"""Tables of a campaign as texts with units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from cosim.experiments.campaign.attribution import Ingredient, regrets, worths
from cosim.experiments.campaign.regret_split import RegretChain, regret_split
from cosim.experiments.campaign.row import COLUMNS, METRICS, TEXTS
from cosim.experiments.campaign.skill import SKILL
from cosim.experiments.campaign.statistics import Mean, PairedDifference, differences, means, shares
from cosim.experiments.metric_table import BuiltInMetrics
from cosim.report.key_figures import ABSENT
from cosim.report.page import Listing

FIGURES = {
    "adjusted_cost_currency": "energy cost (currency)",
    "violation_node_h": "voltage outside limits (node-h)",
    "worst_excess_pu": "farthest outside (pu)",
    "overloaded_h": "line overloaded (h)",
    "losses_kwh": "losses (kWh)",
    "peak_import_kw": "peak import (kW)",
    "fallback_decisions": "decisions not from the plan due",
    "decision_p95_s": "decision, 95th percentile (s)",
    "seconds": "run (s)",
    "peak_memory_mib": "peak memory (MiB)",
}
"""Columns of the table of runs that variants are compared by; energy cost counts stored energy."""
COMPARED = tuple(FIGURES)[:6]
NONE_MORE: Mapping[str, str] = {}
INTERVAL = "Mean over the seeds, in brackets its 95 % interval (percentile bootstrap over the seeds)"


def number(value: float) -> str:
    """Four digits, a dash for none."""
    if math.isnan(value):
        return ABSENT
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def interval(mean: Mean) -> str:
    """A mean with its interval, where it has one."""
    if math.isnan(mean.low):
        return number(mean.value)
    return f"{number(mean.value)} [{number(mean.low)}, {number(mean.high)}]"


def asked_figures(metrics: Sequence[str], own_units: Mapping[str, str]) -> dict[str, str]:
    """Heads with units, by column, of the metrics that a campaign asks for and that are not shown anyway.

    The errors of forecasts have a part of the page of their own.

    Args:
        metrics: their names, or names of columns.
        own_units: units of the metrics of users.
    """
    units = {metric.name: metric.unit for metric in BuiltInMetrics.metrics} | dict(own_units)
    columns = {COLUMNS.get(name, name): name for name in metrics}
    heads = {}
    for column, name in columns.items():
        unit = units.get(METRICS.get(column, column), "")
        heads[column] = f"{name} ({unit})" if unit else name
    return {column: head for column, head in heads.items() if column not in (*FIGURES, SKILL)}


def variants_listing(table: pd.DataFrame, more: Mapping[str, str] = NONE_MORE) -> Listing:
    """Means of every variant.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        more: figures beside the usual ones, see :func:`asked_figures`.
    """
    figures = FIGURES | dict(more)
    found = {name: _cells(table, name) for name in figures}
    counts = table.groupby("variant", sort=False)["status"].agg(
        runs="count", complete=lambda status: int((status == "complete").sum())
    )
    rows = []
    for variant, count in counts.iterrows():
        cells = [by_variant.get(str(variant), ABSENT) for by_variant in found.values()]
        rows.append([str(variant), f"{count['complete']} of {count['runs']}", *cells])
    return Listing(
        "Variants",
        f"{INTERVAL}; failed runs are left out. Energy cost counts stored energy at the mean price.",
        ("variant", "complete", *figures.values()),
        rows,
        numbers=range(1, len(figures) + 2),
        sortable=True,
    )


def _cells(table: pd.DataFrame, figure: str) -> dict[str, str]:
    """By variant the mean of a figure, or how often each of its texts occurs."""
    if figure not in TEXTS:
        return {variant: interval(mean) for variant, mean in means(table, figure).items()}
    return {
        variant: ", ".join(f"{text} ({count})" for text, count in counted.items()) or ABSENT
        for variant, counted in shares(table, figure).items()
    }


def differences_listing(
    table: pd.DataFrame, counterparts: Mapping[str, str], more: Mapping[str, str] = NONE_MORE
) -> Listing:
    """Every variant minus its baseline, seed by seed; see :func:`variants_listing`."""
    compared = _compared(more)
    found = {name: differences(table, name, counterparts) for name in compared}
    rows = [
        [
            variant,
            other,
            *_difference_cells([by_variant[variant] for by_variant in found.values()]),
        ]
        for variant, other in counterparts.items()
        if variant in found[COMPARED[0]]
    ]
    heads = [head for name in compared.values() for head in (name, "p")]
    return Listing(
        "Differences from the baseline",
        "Variant minus baseline, taken seed by seed: mean, 95 % interval (percentile bootstrap over the "
        "seeds), seeds below and above in brackets, and p of the two-sided sign test. With fewer than six "
        "seeds no p can be below 0.05.",
        ("variant", "baseline", *heads),
        rows,
        numbers=range(2, len(heads) + 2),
        sortable=True,
    )


def regrets_listing(
    table: pd.DataFrame, bound_of: Mapping[str, str], baseline_of: Mapping[str, str]
) -> Listing:
    """Regret and score of every variant that has a bound, the best first."""
    found = regrets(table, bound_of, baseline_of)
    ordered = sorted(found.items(), key=lambda item: item[1].regret.value)
    return Listing(
        "Regret",
        f"Energy cost above that of the bound, seed by seed. Score: 100 for the bound, 0 for the baseline. "
        f"{INTERVAL}.",
        ("variant", "bound", "regret (currency)", "score", FIGURES["violation_node_h"], "seeds"),
        [
            [
                variant,
                bound_of[variant],
                *(interval(mean) for mean in (one.regret, one.score, one.violation)),
                str(one.regret.count),
            ]
            for variant, one in ordered
        ],
        numbers=range(2, 6),
        sortable=True,
    )


def worths_listing(
    table: pd.DataFrame, ingredients: Sequence[Ingredient], more: Mapping[str, str] = NONE_MORE
) -> Listing:
    """What figures rise by without each ingredient; see :func:`variants_listing`."""
    compared = _compared(more)
    found = [worths(table, ingredients, name) for name in compared]
    rows = []
    for number_of, one in enumerate(ingredients):
        cells = [by_place[number_of] for by_place in found]
        rows.append(
            [
                one.name,
                one.without,
                one.reference,
                *(ABSENT if mean is None else interval(mean) for mean in cells),
            ]
        )
    return Listing(
        "What each ingredient is worth",
        f"The variant without the ingredient minus the one with it, seed by seed. {INTERVAL}. An interval "
        "that holds zero shows no effect.",
        ("ingredient", "without", "with", *compared.values()),
        rows,
        numbers=range(3, 3 + len(compared)),
        sortable=True,
    )


def regret_split_listing(table: pd.DataFrame, chains: Sequence[RegretChain]) -> Listing:
    """Which part of the regret comes from which cause; a chain that lacks runs has one row that says so."""
    rows = []
    for chain in chains:
        parts = regret_split(table, chain)
        rows += [
            [
                part.cause,
                part.variant,
                part.other,
                interval(part.mean),
                ABSENT if part.share is None else f"{100.0 * part.share:.1f}",
                str(part.mean.count),
            ]
            for part in parts
        ]
        if not parts:
            rows.append(["no seed has all variants", chain.reference, chain.bound, ABSENT, ABSENT, "0"])
    return Listing(
        "Regret by cause",
        "Causes are taken away one after another, in this order; each row is the cost of the first variant "
        "minus that of the second, seed by seed. What two causes do together counts for the first of them. "
        f"The rest is what separates the last variant from the bound. {INTERVAL}.",
        ("cause", "with", "without", "regret (currency)", "share (%)", "seeds"),
        rows,
        numbers=range(3, 6),
    )


def _compared(more: Mapping[str, str]) -> dict[str, str]:
    """Figures that are subtracted: texts are not."""
    numbers = {name: head for name, head in more.items() if name not in TEXTS}
    return {name: FIGURES[name] for name in COMPARED} | numbers


def _difference_cells(found: Sequence[PairedDifference]) -> list[str]:
    return [
        text
        for one in found
        for text in (f"{interval(one.mean)} ({one.lower}↓ {one.higher}↑)", number(one.p_value))
    ]
