"""Rows of an optimality-gap campaign as tables: by case, by size, and how far each formulation reaches."""

from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np
import pandas as pd

from cosim.experiments.gap_case import GapRow

ORDER = (
    "copper_plate",
    "lindistflow",
    "lindistflow_losses",
    "lindistflow_binary",
    "branch_flow_soc",
    "branch_flow_soc_binary",
    "branch_flow_nl",
)
"""Formulations from coarse to exact, as they are shown."""
SETTING = ["family", "periods", "penetration", "band"]
"""What is held while formulations and sizes are compared."""
CERTIFIED = "globally optimal"
REFERENCE = {
    "formulation": "reference",
    "objective": "reference_objective",
    "realised_cost": "reference_cost",
}
"""Columns of the case that others are held against, and what they are called in its neighbours."""

_HISTORY = [field.name for field in fields(GapRow) if str(field.type).startswith("tuple")]
_TEXTS = [field.name for field in fields(GapRow) if "str" in str(field.type)]
_NUMBERS = [field.name for field in fields(GapRow) if field.name not in (*_HISTORY, *_TEXTS)]


def in_order(formulations: pd.Series) -> list[str]:
    """The formulations that occur: known ones first, unknown ones by name."""
    found = set(formulations)
    return [*(name for name in ORDER if name in found), *sorted(found - set(ORDER))]


def gap_table(rows: list[GapRow]) -> pd.DataFrame:
    """One row per case, in the order of settings, sizes, seeds and formulations.

    Args:
        rows: of one campaign, also of cases that stopped.

    Returns:
        The columns of :class:`GapRow` but histories, NaN where there is no figure, and

        - ``reference_cost``: what the instance costs in OpenDSS under the plan that is proven optimal,
          else under the local optimum of the exact program, else under that of ``tangent``, else NaN;
        - ``reference``, ``reference_objective``: formulation and objective of that plan;
        - ``realised_gap_percent``: realised above reference cost;
        - ``planned_error_percent``: planned minus realised cost, of the realised cost;
        - ``family``: ``synthetic``, or ``feeders`` for those that are not made from a seed;
        - ``certified``: whether the plan is proven optimal.
    """
    table = pd.DataFrame([asdict(row) for row in rows]).drop(columns=_HISTORY)
    for column in _NUMBERS:
        table[column] = pd.to_numeric(table[column])
    # A stopped case of a network that is not synthetic does not know its size, but its neighbours do.
    largest = table.groupby("network")["buses"].transform("max")
    table["buses"] = table["buses"].where(table["buses"] > 0, largest)
    reference = {name: _reference(cases) for name, cases in table.groupby("instance")}
    for column in ("formulation", "objective", "realised_cost"):
        found = {name: case[column] for name, case in reference.items() if case is not None}
        table[REFERENCE[column]] = table["instance"].map(found)
    for column in ("reference_cost", "reference_objective"):
        table[column] = table[column].astype(float)
    realised, planned = table["realised_cost"], table["planned_cost"]
    above = realised - table["reference_cost"]
    table["realised_gap_percent"] = 100.0 * above / table["reference_cost"].abs()
    table["planned_error_percent"] = 100.0 * (planned - realised) / realised.abs()
    table["certified"] = table["claim"] == CERTIFIED
    rank = {name: i for i, name in enumerate(in_order(table["formulation"]))}
    table["rank"] = table["formulation"].map(rank)
    table["family"] = np.where(table["network"] == "synthetic", "synthetic", "feeders")
    by = ["family", "network", "periods", "penetration", "band", "buses", "seed", "rank"]
    return table.sort_values(by, kind="stable", ignore_index=True).drop(columns="rank")


def _reference(cases: pd.DataFrame) -> pd.Series | None:
    """The case of an instance that others are held against."""
    solved = cases[cases["realised_cost"].notna()]
    cones = solved[(solved["formulation"] == "branch_flow_soc") & (solved["claim"] == CERTIFIED)]
    exact = (solved[solved["formulation"] == name] for name in ("branch_flow_nl", "tangent"))
    return next((found.iloc[0] for found in (cones, *exact) if len(found)), None)


def summary_table(rows: list[GapRow]) -> pd.DataFrame:
    """One row per setting, size and formulation, over the seeds.

    Returns:
        ``cases``, ``solved``, ``certified``: counts; ``gap_median_percent``, ``gap_min_percent``,
        ``gap_max_percent``: realised; ``violation_median_pu``, ``violation_max_pu``: worst voltage in
        OpenDSS; ``voltage_error_median_pu``; ``first_s``, ``second_s``, ``cpu_s``, ``peak_mb``: medians.
        NaN where no case has the figure.
    """
    table = gap_table(rows)
    summary = table.groupby([*SETTING, "buses", "formulation"], sort=False).agg(
        cases=("key", "size"),
        solved=("realised_cost", "count"),
        certified=("certified", "sum"),
        gap_median_percent=("realised_gap_percent", "median"),
        gap_min_percent=("realised_gap_percent", "min"),
        gap_max_percent=("realised_gap_percent", "max"),
        violation_median_pu=("worst_violation_pu", "median"),
        violation_max_pu=("worst_violation_pu", "max"),
        voltage_error_median_pu=("max_voltage_error_pu", "median"),
        first_s=("first_s", "median"),
        second_s=("second_s", "median"),
        cpu_s=("cpu_s", "median"),
        peak_mb=("peak_mb", "median"),
    )
    return summary.reset_index()


def reach_table(rows: list[GapRow]) -> pd.DataFrame:
    """How far each formulation gets in the setting with the most sizes.

    Returns:
        One row per formulation: ``largest_buses`` that gave a plan, ``solved`` and ``cases`` there,
        ``stopped_buses``: the smallest network from that size on without a plan, ``why`` it stopped;
        NaN and an empty text where there is none.
    """
    table = gap_table(rows)
    table = at_setting(table, main_setting(table))
    reach = []
    for formulation in in_order(table["formulation"]):
        cases = table[table["formulation"] == formulation]
        solved = cases[cases["realised_cost"].notna()]
        largest = solved["buses"].max()
        there = cases[cases["buses"] == largest]
        failed = cases[cases["realised_cost"].isna()]
        stopped = failed[~(failed["buses"] < largest)].sort_values("buses", kind="stable")
        reach.append(
            {
                "formulation": formulation,
                "largest_buses": largest,
                "solved": int(there["realised_cost"].count()),
                "cases": len(there),
                "stopped_buses": stopped["buses"].min(),
                "why": "" if stopped.empty else str(stopped["status"].iloc[0]),
            }
        )
    return pd.DataFrame(reach)


def main_setting(table: pd.DataFrame) -> dict[str, object]:
    """Network, periods, penetration and band with the most sizes, and of those with the most cases."""
    found = table.groupby(SETTING, sort=False)["buses"].agg(["nunique", "size"])
    best = found.sort_values(["nunique", "size"], ascending=False, kind="stable").index[0]
    return dict(zip(SETTING, best, strict=True))


def at_setting(table: pd.DataFrame, setting: dict[str, object]) -> pd.DataFrame:
    """The cases of a setting."""
    return table[np.logical_and.reduce([table[column] == value for column, value in setting.items()])]
