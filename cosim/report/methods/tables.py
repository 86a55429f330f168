"""Rows of a comparison of methods as tables: by case, and over the seeds by feeder and method."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cosim.experiments.gap_case import GapRow
from cosim.model.arrays import BoolArray, FloatArray
from cosim.report.gap.tables import gap_table

KEPT_PU = 1e-4
"""A plan is feasible if voltages in OpenDSS leave their limits by no more than this."""
LEVELS_PERCENT = {"to_1_percent_s": 1.0, "to_01_percent_s": 0.1}
"""Gaps whose CPU seconds are shown, by column."""
NO_PLAN = "no plan"
Case = Mapping[Hashable, Any]
"""A row of a table."""


def methods_table(rows: Sequence[GapRow]) -> pd.DataFrame:
    """One row per case.

    Args:
        rows: of one campaign, also of cases that stopped.

    Returns:
        The columns of :func:`cosim.report.gap.tables.gap_table`, and

        - ``feeder``: name of the network, with its size where it is synthetic and its hours where they are
          no day;
        - ``feasible``: whether voltages keep their limits in OpenDSS;
        - ``to_feasible_s``, ``to_1_percent_s``, ``to_01_percent_s``: CPU seconds until the plan is
          feasible, and until its gap is at most so large; of a search by its history, of other planners
          those of their only answer; NaN where that is not reached.
    """
    table = gap_table(list(rows))
    table["feeder"] = [_feeder(case) for case in table.to_dict("records")]
    table["feasible"] = table["worst_violation_pu"] <= KEPT_PU
    histories = {row.key: row for row in rows if row.history_s}
    reached = [_reached(case, histories.get(str(case["key"]))) for case in table.to_dict("records")]
    for column in ("to_feasible_s", *LEVELS_PERCENT):
        table[column] = [figures[column] for figures in reached]
    return table


def gap_history_percent(row: GapRow, objective: float, cost: float) -> FloatArray:
    """Gap of the best candidate so far of a search, percent, shape (point,).

    Args:
        row: with a history.
        objective: of the reference plan.
        cost: of the reference plan in OpenDSS, currency.
    """
    return np.asarray(100.0 * (np.array(row.history_cost) - objective) / abs(cost))


def _reached(case: Case, row: GapRow | None) -> dict[str, float]:
    """CPU seconds until a case is feasible, and near the reference."""
    if row is None:
        at_s, feasible = np.array([case["cpu_s"]], dtype=np.float64), np.array([case["feasible"]])
        gap = np.array([case["realised_gap_percent"]], dtype=np.float64)
    else:
        at_s, feasible = np.array(row.history_s), np.array(row.history_violation) <= 0.0
        gap = gap_history_percent(row, case["reference_objective"], case["reference_cost"])
    figures = {"to_feasible_s": _first(at_s, feasible)}
    return figures | {
        name: _first(at_s, feasible & (gap <= level)) for name, level in LEVELS_PERCENT.items()
    }


def _first(at_s: FloatArray, holds: BoolArray) -> float:
    found = np.flatnonzero(holds)
    return float(at_s[found[0]]) if len(found) else float("nan")


def _feeder(case: Case) -> str:
    size = f" {case['buses']}" if case["network"] == "synthetic" else ""
    hours = "" if case["periods"] == 24 else f", {case['periods']} h"
    return f"{case['network']}{size}{hours}"


def in_order_of(formulations: Sequence[str], known: Sequence[str]) -> list[str]:
    """Formulations that occur: known ones in their order, others by name."""
    found = set(formulations)
    return [*(name for name in known if name in found), *sorted(found - set(known))]


def by_feeder(table: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """One row per feeder and formulation, over the seeds of networks and planners.

    Args:
        table: from :func:`methods_table`.
        order: of the formulations.

    Returns:
        ``feeder``, ``formulation``, ``nodes``; ``plans`` of ``cases``; medians ``cost``, ``gap_percent``,
        ``cpu_s``, ``compile_s``, ``peak_mb``, ``evaluations`` and the columns of :func:`methods_table` that
        end on ``_s``; ``gap_least_percent``, ``gap_most_percent``; ``violation_pu``: largest;
        ``feasible``: number of feasible plans; ``why``: why the first case without a plan has none.
        Seconds to a gap are those of the median case where every case gets there, else NaN.
    """
    groups = [
        (feeder, formulation, here[here["formulation"] == formulation])
        for feeder, here in ((name, table[table["feeder"] == name]) for name in _feeders(table))
        for formulation in in_order_of(here["formulation"].tolist(), order)
    ]
    return pd.DataFrame([_summary(cases, feeder, name) for feeder, name, cases in groups])


def _summary(cases: pd.DataFrame, feeder: str, formulation: str) -> dict[str, object]:
    planned = cases[cases["realised_cost"].notna()]
    without = cases[cases["realised_cost"].isna()]
    gap = planned["realised_gap_percent"]
    seconds = {name: _median_of_all(cases[name]) for name in ("to_feasible_s", *LEVELS_PERCENT)}
    return {
        "feeder": feeder,
        "formulation": formulation,
        "nodes": cases["buses"].max(),
        "cases": len(cases),
        "plans": len(planned),
        "feasible": int(planned["feasible"].sum()),
        "cost": planned["realised_cost"].median(),
        "gap_percent": gap.median(),
        "gap_least_percent": gap.min(),
        "gap_most_percent": gap.max(),
        "violation_pu": planned["worst_violation_pu"].max(),
        "cpu_s": planned["cpu_s"].median(),
        "compile_s": planned["compile_s"].median(),
        "peak_mb": planned["peak_mb"].median(),
        "evaluations": planned["evaluations"].median(),
        "why": "" if without.empty else str(without["status"].iloc[0]),
        **seconds,
    }


def _median_of_all(values: pd.Series) -> float:
    return float(values.median()) if values.notna().all() else float("nan")


def _feeders(table: pd.DataFrame) -> list[str]:
    """Feeders, those with a proven optimum first, each part by size."""
    known = table.groupby("feeder", sort=False)[["certified", "buses"]].max()
    order = known.sort_values(["certified", "buses"], ascending=[False, True], kind="stable")
    return [str(name) for name in order.index]
