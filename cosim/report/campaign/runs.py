"""The runs of a campaign one by one: which failed and why, and where the report of each is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cosim.experiments.campaign.store import Store
from cosim.report.campaign.tables import FIGURES, number
from cosim.report.key_figures import ABSENT
from cosim.report.page import Cell, Link, Listing

SHOWN = ("adjusted_cost_currency", "violation_node_h", "seconds")
"""Figures of every run that its row has."""


def failed_listing(table: pd.DataFrame) -> Listing | None:
    """Runs that failed, with their cause; None where all came to their end.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
    """
    failed = table[table["status"] == "failed"]
    if failed.empty:
        return None
    return Listing(
        "Failed runs",
        "They are not run again by themselves: cosim campaign does that, with --retry-failed for all and "
        "--retry KEY for one. "
        f"finished/KEY.json holds the traceback. {len(failed)} in all.",
        ("variant", "seed", "cause", "key"),
        _rows(failed, lambda row: [str(row["cause"]), str(row["key"])]),
        numbers=(1,),
        sortable=True,
    )


def runs_listing(table: pd.DataFrame, folder: Path) -> Listing:
    """All runs, failed ones too; where the record of a run is kept, with a link to its report.

    Args:
        table: see :func:`cosim.experiments.campaign.table.read_runs`.
        folder: of the campaign.
    """
    pages = {str(key): _report(folder, str(key)) for key in table["key"]}
    kept = sum(page is not None for page in pages.values())
    told = (
        f"{kept} of {len(pages)} different runs have a report of their own: follow the link of the run."
        if kept
        else "No reports of single runs are kept; keep: [records] in the campaign file keeps them."
    )
    return Listing(
        f"All {len(table)} runs",
        f"{told} Energy cost counts stored energy at the mean price.",
        ("variant", "seed", "status", "limits", *(FIGURES[name] for name in SHOWN), "run"),
        _rows(
            table,
            lambda row: [
                str(row["status"]),
                ABSENT if pd.isna(row["verdict"]) else str(row["verdict"]),
                *(number(float(row[name])) for name in SHOWN),
                pages[str(row["key"])] or str(row["key"]),
            ],
        ),
        numbers=(1, *range(4, 4 + len(SHOWN))),
        sortable=True,
        folded=True,
    )


def _rows(table: pd.DataFrame, rest: Callable[[pd.Series], list[Cell]]) -> list[list[Cell]]:
    return [
        [str(row["variant"]), "" if pd.isna(row["seed"]) else f"{row['seed']:.0f}", *rest(row)]
        for _, row in table.iterrows()
    ]


def _report(folder: Path, key: str) -> Link | None:
    """The report of a run, where its record is kept."""
    page = Store(folder).record(key) / "report.html"
    return Link(key, page.relative_to(folder).as_posix()) if page.is_file() else None
