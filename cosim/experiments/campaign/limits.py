"""``accept`` of a campaign: limits on figures, for a share of the seeds of each variant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeFloat

from cosim.experiments.acceptance import KEPT_BY
from cosim.experiments.campaign.row import COLUMNS
from cosim.run.accept import Sign, WrittenLimit

SHORT = re.compile(
    r"\s*(?P<figure>[a-z][a-z0-9_]*)\s*(?P<sign><=|>=|<|>)\s*"
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*"
    r"(?:\*\s*(?P<column>[^\s=*]+)\s*=\s*(?P<value>[^\s*]+)\s*)?"
    r"(?:in\s+(?P<share>\d+\.?\d*)\s*%(?:\s+of\s+seeds)?\s*)?"
)


class CampaignLimit(WrittenLimit):
    """A limit that a share of the seeds of every variant must keep.

    ``violation_node_h <= 0 in 95 % of seeds`` stands for one, and
    ``adjusted_cost <= 1.05 * planner=oracle in 95 % of seeds`` for one against another variant.
    """

    form: ClassVar[str] = "METRIC <= NUMBER [* COLUMN=VALUE] [in SHARE % of seeds]; also >=, < and >"

    figure: str = Field(description="a metric, see the page Metrics, or a column of the table")
    sign: Sign = Field("<=", description="how the figure must compare with the bound")
    number: float = Field(description="the bound, or its factor, in the unit of the figure")
    times: dict[str, Any] = Field(
        {}, description="column and value of the variant whose figure, seed by seed, number multiplies"
    )
    share: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="of the seeds of each variant")
    tolerance: NonNegativeFloat = Field(0.0, description="by which the bound may be missed, same unit")

    @classmethod
    def parts(cls, sentence: str) -> dict[str, Any] | None:
        """See :class:`cosim.run.accept.WrittenLimit`."""
        match = SHORT.fullmatch(sentence)
        if match is None:
            return None
        return {
            "figure": match["figure"],
            "sign": match["sign"],
            "number": float(match["number"]),
            "times": {} if match["column"] is None else {match["column"]: match["value"]},
            "share": 1.0 if match["share"] is None else float(match["share"]) / 100.0,
        }

    def __str__(self) -> str:
        times = "".join(f" * {column}={value}" for column, value in self.times.items())
        share = f" in {100.0 * self.share:g} % of seeds" if self.share < 1.0 else ""
        return f"{self.figure} {self.sign} {self.number:g}{times}{share}"


@dataclass(frozen=True)
class LimitOutcome:
    """What became of a limit in one variant.

    Attributes:
        limit: as it is written.
        variant: its name.
        figure, sign: what is limited, and how.
        kept, seeds: seeds that keep it, of all that are complete.
        needed: share of them.
        value, bound, seed: where it is missed most, or kept most narrowly; None where no seed has both.
        reason: why nothing can be said, empty where it can.
    """

    limit: str
    variant: str
    figure: str
    sign: str
    kept: int
    seeds: int
    needed: float
    value: float | None
    bound: float | None
    seed: int | None
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether enough seeds keep it; never where nothing can be said."""
        return not self.reason and self.kept >= self.needed * self.seeds - 1e-9

    @property
    def sentence(self) -> str:
        """What was found."""
        if self.reason:
            return f"{self.variant}: {self.reason}"
        at = "" if self.seed is None else f", seed {self.seed}"
        word = "nearest" if self.kept == self.seeds else "worst"
        return (
            f"{self.variant}: {self.kept} of {self.seeds} seeds; {word} {self.figure} {self.value:.6g} "
            f"against {self.bound:.6g}{at}"
        )


def limit_outcomes(
    limits: Sequence[CampaignLimit], table: pd.DataFrame, columns: Sequence[str]
) -> tuple[LimitOutcome, ...]:
    """Hold the runs of a campaign against its limits, variant by variant.

    Args:
        limits: of the campaign.
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        columns: that tell variants apart.
    """
    complete = table[table["status"] == "complete"].assign(seed=table["seed"].fillna(0))
    found: list[LimitOutcome] = []
    for limit in limits:
        for variant, rows in complete.groupby("variant", sort=False):
            reference = _reference(limit, rows.iloc[0], complete, columns)
            if reference is not None and variant in set(reference["variant"]):
                continue
            found.append(_outcome(limit, str(variant), rows, reference))
    return tuple(found)


def _reference(
    limit: CampaignLimit, row: pd.Series, complete: pd.DataFrame, columns: Sequence[str]
) -> pd.DataFrame | None:
    """Runs of the variant that a limit compares with: alike in all else, or the only one there is.

    None for an absolute limit; empty where there is no such variant.
    """
    if not limit.times:
        return None
    like = complete
    for column, value in limit.times.items():
        like = like[like[column].astype(str) == str(value)] if column in columns else like.iloc[:0]
    others = [column for column in columns if column not in limit.times]
    same = like[(like[others].astype(str) == row[others].astype(str)).all(axis=1)]
    if not same.empty:
        return same
    return like if len(set(like["variant"])) == 1 else like.iloc[:0]


def _outcome(
    limit: CampaignLimit, variant: str, rows: pd.DataFrame, reference: pd.DataFrame | None
) -> LimitOutcome:
    column = COLUMNS.get(limit.figure, limit.figure)
    value = rows.set_index("seed")[column].astype(float)
    bound = value * 0.0 + limit.number
    if reference is not None:
        bound = limit.number * reference.set_index("seed")[column].astype(float).reindex(value.index)
    both = pd.DataFrame({"value": value, "bound": bound}).dropna()
    reason = ""
    if len(both) < len(value):
        reason = f"{len(value) - len(both)} of {len(value)} seeds have no such figure, or no counterpart"
    facts = (str(limit), variant, limit.figure, limit.sign)
    if both.empty:
        return LimitOutcome(*facts, 0, len(value), limit.share, None, None, None, reason or "no runs")
    up = 1.0 if limit.sign in ("<=", "<") else -1.0
    beyond = up * (both["value"] - both["bound"])
    keeps = KEPT_BY[limit.sign]
    allowed = both["bound"] + up * limit.tolerance
    kept = sum(keeps(one, most) for one, most in zip(both["value"], allowed, strict=True))
    worst = int(np.argmax(beyond.to_numpy()))
    seed = int(both.index[worst]) if len(both) > 1 else None
    at = both.iloc[worst]
    return LimitOutcome(
        *facts, int(kept), len(value), limit.share, float(at["value"]), float(at["bound"]), seed, reason
    )


def limits_of(manifest: Mapping[str, Any]) -> tuple[CampaignLimit, ...]:
    """The limits of a campaign on disk."""
    return tuple(CampaignLimit.model_validate(one) for one in manifest["campaign"].get("accept", ()))
