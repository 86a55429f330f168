"""How much PV a feeder takes under each controller: tables of the finished campaign ``der_penetration``.

    cosim campaign der_penetration --out runs/der_penetration
    python -m benchmarks.hosting runs/der_penetration [--out DIR]

Per controller, share of load buses with a battery and share with a PV system: voltages outside their
limits, overloaded lines, curtailed energy and cost, as means over the seeds with bootstrap intervals, and
in how many seeds all limits are kept. The hosting level is the largest share of PV up to which all seeds
keep them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cosim.experiments.campaign.statistics import mean_of
from cosim.experiments.campaign.table import read_runs
from cosim.report.campaign.tables import interval

CONTROLLER, BATTERIES, PV = "controller", "siting.0.share_of_load_buses", "siting.1.share_of_load_buses"
FIGURES = {
    "violation_node_h": "voltage outside limits (node-h)",
    "highest_pu": "highest voltage (pu)",
    "overloaded_h": "line overloaded (h)",
    "pv_available_kwh": "PV offered (kWh)",
    "pv_curtailed_kwh": "PV curtailed (kWh)",
    "adjusted_cost_currency": "energy cost (currency)",
}
LIMITS = {"voltage": ("violation_node_h",), "voltage and lines": ("violation_node_h", "overloaded_h")}
"""Figures that are zero where the limits are kept."""
HEAD = """# Hosting of PV on IEEE 123

Made by `python -m benchmarks.hosting` from the campaign `der_penetration`. Means over the seeds, in
brackets the 95 % interval (percentile bootstrap over the seeds).

Largest share of load buses with a PV system up to which every seed keeps the limits:
"""


def by_share(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over the seeds, a row per controller, share of batteries and share of PV.

    Args:
        runs: complete runs, see :func:`cosim.experiments.campaign.table.read_runs`.

    Returns:
        Per figure the mean and its 95 % interval (``_low``, ``_high``); per entry of :data:`LIMITS` the
        number of seeds that keep them (``seeds within ...``).
    """
    rows = []
    for place, group in runs.groupby([CONTROLLER, BATTERIES, PV], sort=False):
        row = dict(zip((CONTROLLER, BATTERIES, PV), place, strict=True)) | {"seeds": len(group)}
        for figure in FIGURES:
            mean = mean_of(group[figure].to_numpy(dtype=float))
            row |= {figure: mean.value, f"{figure}_low": mean.low, f"{figure}_high": mean.high}
        for name, figures in LIMITS.items():
            row[f"seeds within {name}"] = int((group[list(figures)] <= 0.0).all(axis=1).sum())
        rows.append(row)
    return pd.DataFrame(rows)


def hosting_levels(table: pd.DataFrame) -> pd.DataFrame:
    """The largest share of PV up to which all seeds keep the limits, NaN where the smallest one does not.

    Args:
        table: see :func:`by_share`.
    """
    rows = []
    for place, group in table.groupby([CONTROLLER, BATTERIES], sort=False):
        row = dict(zip((CONTROLLER, BATTERIES), place, strict=True))
        ordered = group.sort_values(PV)
        for name in LIMITS:
            kept = (ordered[f"seeds within {name}"] == ordered["seeds"]).cummin()
            row[name] = ordered[PV][kept].max()
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(runs: pd.DataFrame, table: pd.DataFrame) -> str:
    """Both tables as text.

    Args:
        runs: complete runs.
        table: see :func:`by_share`.
    """
    levels = [
        (row[CONTROLLER], f"{row[BATTERIES]:g}", *(_level(row[name]) for name in LIMITS))
        for _, row in hosting_levels(table).iterrows()
    ]
    cells = []
    for place, group in runs.groupby([CONTROLLER, BATTERIES, PV], sort=False):
        kept = table[(table[[CONTROLLER, BATTERIES, PV]] == list(place)).all(axis=1)].iloc[0]
        means = (interval(mean_of(group[figure].to_numpy(dtype=float))) for figure in FIGURES)
        counts = (f"{kept[f'seeds within {name}']} of {kept['seeds']}" for name in LIMITS)
        cells.append((str(place[0]), *(f"{share:g}" for share in place[1:]), *means, *counts))
    shares = ("controller", "share of load buses with a battery")
    within = (f"within {name}" for name in LIMITS)
    heads = (*shares, "share with a PV system", *FIGURES.values(), *within)
    return "\n".join((HEAD, *_lines((*shares, *LIMITS), levels), "", *_lines(heads, cells), ""))


def _level(share: float) -> str:
    return "below the smallest" if pd.isna(share) else f"{share:g}"


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def main() -> None:
    """Read the campaign and write ``der_penetration.csv`` and ``der_penetration.md``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the finished campaign")
    parser.add_argument("--out", type=Path, default=Path("docs/results/campaigns"))
    asked = parser.parse_args()
    runs = read_runs(asked.folder)
    # Below 10 Wh curtailment is rounding of the power flow.
    complete = runs[runs["status"] == "complete"].round({"pv_curtailed_kwh": 2})
    table = by_share(complete)
    asked.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(asked.out / "der_penetration.csv", index=False, float_format="%.6g")
    (asked.out / "der_penetration.md").write_text(markdown(complete, table), encoding="utf-8")
    print(hosting_levels(table).to_string(index=False))
    if len(complete) < len(runs):
        print(f"{len(runs) - len(complete)} failed runs are left out")


if __name__ == "__main__":
    main()
