"""Errors of forecasts by quantity and lead time: in the row of a run, and over the seeds of a variant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cosim.experiments.forecast_skill import ForecastSkill
from cosim.model.arrays import FloatArray

SKILL = "forecast_skill"
"""The column: by quantity its unit, leads and errors, as JSON; null where a run keeps no forecasts."""
ERRORS = ("mae", "rmse", "bias", "skill")


@dataclass(frozen=True)
class LeadErrors:
    """Mean absolute errors of forecasts of one quantity, means over the seeds.

    Attributes:
        variants: that have the same ones.
        unit: of the errors.
        lead_s: start of the period after the issue, ascending, shape (lead,).
        mae: shape (lead,).
    """

    variants: tuple[str, ...]
    unit: str
    lead_s: FloatArray
    mae: FloatArray


def skill_text(found: Sequence[ForecastSkill]) -> str | None:
    """Figures of a run's forecasts as one text; None without any."""
    by_quantity: dict[str, dict[str, object]] = {}
    for quantity in dict.fromkeys(one.quantity for one in found):
        mine = [one for one in found if one.quantity == quantity]
        lists = {name: [getattr(one, name) for one in mine] for name in ("lead_s", "periods", *ERRORS)}
        by_quantity[quantity] = {"unit": mine[0].unit, **lists}
    return json.dumps(by_quantity) if by_quantity else None


def lead_errors(table: pd.DataFrame) -> dict[str, list[LeadErrors]]:
    """Mean absolute errors by quantity, one entry for all variants that have the same.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
    """
    if SKILL not in table:
        return {}
    there = table[(table["status"] == "complete") & table[SKILL].notna()]
    samples: dict[tuple[str, str, str], dict[float, list[float]]] = {}
    for variant, text in zip(there["variant"], there[SKILL], strict=True):
        for quantity, one in json.loads(str(text)).items():
            by_lead = samples.setdefault((quantity, str(variant), one["unit"]), {})
            for lead_s, mae in zip(one["lead_s"], one["mae"], strict=True):
                by_lead.setdefault(lead_s, []).append(mae)
    found: dict[str, list[LeadErrors]] = {}
    for (quantity, name, unit), by_lead in samples.items():
        leads = sorted(by_lead)
        mae = np.array([np.mean(by_lead[lead_s]) for lead_s in leads])
        _add(found.setdefault(quantity, []), LeadErrors((name,), unit, np.array(leads), mae))
    return found


def _add(found: list[LeadErrors], one: LeadErrors) -> None:
    """Put a variant beside those that have the same errors."""
    for place, other in enumerate(found):
        if np.array_equal(other.lead_s, one.lead_s) and np.allclose(
            other.mae, one.mae, rtol=1e-9, atol=1e-12
        ):
            found[place] = LeadErrors(other.variants + one.variants, one.unit, one.lead_s, one.mae)
            return
    found.append(one)
