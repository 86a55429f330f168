"""Tables of a comparison of methods as texts with units."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from cosim.experiments.gap_campaign import MethodConfig
from cosim.experiments.gap_case import REFUSED
from cosim.report.gap.text import compact
from cosim.report.key_figures import ABSENT
from cosim.report.methods.tables import KEPT_PU, NO_PLAN, Case, in_order_of
from cosim.report.page import Listing

LEAST_GAP_PERCENT = 5e-5
"""Gaps within the tolerance of solvers are shown as zero."""
COLUMNS = {
    "cost": "cost in OpenDSS",
    "gap": "gap, %",
    "violation_pu": "violation, pu",
    "cpu_s": "plan, CPU s",
    "to_feasible_s": "to feasible, CPU s",
    "to_1_percent_s": "to 1 %, CPU s",
    "to_01_percent_s": "to 0.1 %, CPU s",
    "compile_s": "build, s",
    "peak_mb": "memory, MiB",
    "evaluations": "candidates",
    "plans": "plans",
}
NOTE_OF_GAPS = (
    "Cost in OpenDSS above that of the reference, median over the seeds, percent. "
    f"An exclamation mark: voltages leave their limits in OpenDSS by more than {KEPT_PU:g} pu in some "
    "case, so the cost is not for the same service."
)
NOTE_OF_SECONDS = (
    "CPU seconds of the first plan, median over the seeds, without building the program. Searches use what "
    "they are given."
)


def gap_text(percent: float | None) -> str:
    """A gap with three digits; what solvers cannot tell from zero is zero."""
    if percent is None or pd.isna(percent):
        return ABSENT
    return "0" if abs(percent) < LEAST_GAP_PERCENT else compact(percent)


def reason(row: Case) -> str:
    """Why a method has no plan, in a word or two; empty if it has one."""
    if row["plans"]:
        return ""
    for word in (REFUSED, "time limit", "memory limit", "not tried", NO_PLAN, "planned, but"):
        if str(row["why"]).startswith(word):
            return word.removesuffix(", but")
    return "failed"


def gap_matrix(summary: pd.DataFrame, titles: Mapping[str, str]) -> Listing:
    """Gaps, methods by feeders.

    Args:
        summary: from :func:`cosim.report.methods.tables.by_feeder`.
        titles: of the formulations, in their order.
    """

    def cell(row: Case) -> str:
        outside = row["plans"] != row["feasible"]
        return reason(row) or gap_text(row["gap_percent"]) + (" !" if outside else "")

    return _matrix(("Gap in OpenDSS, %", NOTE_OF_GAPS), summary, titles, cell)


def seconds_matrix(summary: pd.DataFrame, titles: Mapping[str, str]) -> Listing:
    """CPU seconds, methods by feeders; see :func:`gap_matrix`."""

    def cell(row: Case) -> str:
        return reason(row) or compact(row["cpu_s"])

    return _matrix(("CPU seconds of a plan", NOTE_OF_SECONDS), summary, titles, cell)


def memory_matrix(summary: pd.DataFrame, titles: Mapping[str, str]) -> Listing:
    """Peak memory of the process, methods by feeders; see :func:`gap_matrix`."""

    def cell(row: Case) -> str:
        return reason(row) or compact(row["peak_mb"])

    note = "Highest memory of the process until it has its plan, MiB; median over the seeds."
    return _matrix(("Peak memory, MiB", note), summary, titles, cell)


def _matrix(
    heading: tuple[str, str],
    summary: pd.DataFrame,
    titles: Mapping[str, str],
    cell: Callable[[Case], str],
) -> Listing:
    """Methods by feeders; the heading is title and note."""
    feeders = list(dict.fromkeys(summary["feeder"]))
    cells = {(row["formulation"], row["feeder"]): cell(row) for row in summary.to_dict("records")}
    rows = [
        [titles.get(name, name), *(cells.get((name, feeder), "") for feeder in feeders)]
        for name in in_order_of(summary["formulation"].tolist(), list(titles))
    ]
    numbers = range(1, len(feeders) + 1)
    return Listing(*heading, ("method", *feeders), rows, numbers=tuple(numbers))


def feeder_listings(
    summary: pd.DataFrame, titles: Mapping[str, str], references: Mapping[str, str]
) -> list[Listing]:
    """One table of all figures for each feeder.

    Args:
        summary: from :func:`cosim.report.methods.tables.by_feeder`.
        titles: of the formulations.
        references: formulation that gaps of a feeder are from.
    """
    listings = []
    for feeder, here in summary.groupby("feeder", sort=False):
        name = str(feeder)
        against = titles.get(references.get(name, ""), references.get(name, "no plan"))
        listings.append(
            Listing(
                f"{name}, {compact(here['nodes'].max())} nodes",
                f"Gaps are from the plan of: {against}.",
                ("method", *COLUMNS.values()),
                [_feeder_row(row, titles) for row in here.to_dict("records")],
                numbers=tuple(range(1, len(COLUMNS) + 1)),
            )
        )
    return listings


def _feeder_row(row: Case, titles: Mapping[str, str]) -> list[str]:
    title = titles.get(str(row["formulation"]), str(row["formulation"]))
    cells = {name: compact(row[name]) for name in COLUMNS if name in row}
    low, high = gap_text(row["gap_least_percent"]), gap_text(row["gap_most_percent"])
    cells["gap"] = gap_text(row["gap_percent"]) + ("" if low == high else f" ({low} to {high})")
    cells["cost"] = ABSENT if pd.isna(row["cost"]) else f"{row['cost']:.2f}"
    cells["plans"] = f"{row['plans']} of {row['cases']}"
    return [title, *(cells[name] for name in COLUMNS)]


def needs_listing(methods: Mapping[str, MethodConfig]) -> Listing:
    """What each method is and needs."""
    return Listing(
        "What each method needs",
        "",
        ("method", "problem", "network model", "samples", "what its plan proves"),
        [[one.title, one.problem, one.model, one.samples, one.answer] for one in methods.values()],
    )


def refusals_listing(summary: pd.DataFrame, titles: Mapping[str, str]) -> Listing:
    """Why methods have no plan."""
    rows = [
        [titles.get(row["formulation"], row["formulation"]), row["feeder"], compact(row["why"])]
        for row in summary.to_dict("records")
        if row["why"]
    ]
    return Listing(
        "Without a plan", "The first case of each method and feeder.", ("method", "feeder", "why"), rows
    )
