"""Tables of an optimality-gap campaign as texts with units, for a page and for a Markdown file."""

from __future__ import annotations

import textwrap

import pandas as pd

from cosim.report.gap.tables import SETTING
from cosim.report.key_figures import ABSENT
from cosim.report.page import Listing

CASES = {
    "instance": "instance",
    "formulation": "formulation",
    "buses": "buses",
    "batteries": "batteries",
    "pvs": "PV systems",
    "status": "status",
    "claim": "claim",
    "planned_cost": "planned cost (currency)",
    "realised_cost": "realised cost (currency)",
    "realised_gap_percent": "realised gap (%)",
    "planned_error_percent": "planned − realised (%)",  # noqa: RUF001
    "optimality_gap": "above proven bound (1)",
    "relaxation_gap_kva": "relaxation gap (kVA)",
    "max_voltage_error_pu": "voltage error (pu)",
    "worst_violation_pu": "worst violation (pu)",
    "first_s": "first plan (s)",
    "second_s": "second plan (s)",
    "cpu_s": "CPU (s)",
    "peak_mb": "peak memory (MiB)",
}
SUMMARY = {
    "voltage_error_median_pu": "voltage error (pu)",
    "violation_median_pu": "worst violation (pu)",
    "first_s": "first plan (s)",
    "second_s": "second plan (s)",
    "cpu_s": "CPU (s)",
    "peak_mb": "peak memory (MiB)",
}
LONGEST = 160
TEXTS = ("instance", "formulation", "status", "claim")


def compact(value: object) -> str:
    """Three digits of a number, whole numbers in full, a dash for what is missing, the start of a text."""
    if isinstance(value, str):
        return textwrap.shorten(value, LONGEST)
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return ABSENT
    number = float(value)  # type: ignore[arg-type]
    if number == round(number) or abs(number) >= 1000:
        return f"{number:.0f}"
    return f"{number:.3g}"


def size_text(buses: object) -> str:
    """Number of buses, a dash for a network that was never read."""
    return compact(buses or None)


def cases_listing(table: pd.DataFrame) -> Listing:
    """All cases.

    Args:
        table: from :func:`cosim.report.gap.tables.gap_table`.
    """
    return Listing(
        "All cases",
        f"{len(table)} in all; click a heading to sort. The file cases.csv holds all columns.",
        tuple(CASES.values()),
        [
            [size_text(value) if column == "buses" else compact(value) for column, value in row.items()]
            for row in table[list(CASES)].to_dict("records")
        ],
        numbers=[i for i, column in enumerate(CASES) if column not in TEXTS],
        sortable=True,
    )


def reach_listing(reach: pd.DataFrame) -> Listing:
    """How far each formulation gets.

    Args:
        reach: from :func:`cosim.report.gap.tables.reach_table`.
    """
    rows = []
    for row in reach.to_dict("records"):
        solved = f"{row['solved']} of {row['cases']}" if row["cases"] else ABSENT
        why = compact(row["why"]) or "nothing larger was asked for"
        rows.append(
            [
                row["formulation"],
                compact(row["largest_buses"]),
                solved,
                size_text(row["stopped_buses"]),
                why,
            ]
        )
    return Listing(
        "How far each formulation gets",
        "The largest network that gave a plan within the limits of time and memory, and what stopped the "
        "next.",
        ("formulation", "largest (buses)", "solved there", "stopped at (buses)", "because"),
        rows,
        numbers=(1, 2, 3),
    )


def summary_listings(summary: pd.DataFrame) -> list[Listing]:
    """One table per setting.

    Args:
        summary: from :func:`cosim.report.gap.tables.summary_table`.
    """
    listings = []
    for (family, periods, penetration, band), part in summary.groupby(SETTING, sort=False):
        heads = ("buses", "formulation", "solved", "certified", "realised gap (%)", *SUMMARY.values())
        listings.append(
            Listing(
                f"{family}, {periods} h, penetration {penetration}, band {band}",
                "Medians over the seeds that gave a plan; of the gap also the lowest and highest seed.",
                heads,
                [_summary_row(row) for _, row in part.iterrows()],
                numbers=[i for i in range(len(heads)) if i != 1],
            )
        )
    return listings


def _summary_row(row: pd.Series) -> list[str]:
    lowest, highest = compact(row["gap_min_percent"]), compact(row["gap_max_percent"])
    spread = "" if lowest == highest else f" ({lowest} to {highest})"
    return [
        size_text(row["buses"]),
        str(row["formulation"]),
        f"{row['solved']} of {row['cases']}",
        compact(row["certified"]),
        compact(row["gap_median_percent"]) + spread,
        *(compact(row[column]) for column in SUMMARY),
    ]


def markdown(listing: Listing) -> str:
    """A table as GitHub draws it, without heading and note."""
    numbers = set(listing.numbers)
    rule = ["---:" if i in numbers else "---" for i in range(len(listing.heads))]
    lines = [listing.heads, rule, *listing.rows]
    return "\n".join("| " + " | ".join(_cell(str(cell)) for cell in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    """A text that cannot end its cell: errors of solvers have bars and lines."""
    return " ".join(text.replace("|", "\\|").split())
