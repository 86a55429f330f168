"""The report of an optimality-gap campaign: all figures as CSV, a summary, pictures and a page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cosim.errors import RecordError
from cosim.experiments.gap_case import GapRow
from cosim.report.gap.charts import Sheet
from cosim.report.gap.sheets import sheets
from cosim.report.gap.tables import gap_table, reach_table, summary_table
from cosim.report.gap.text import cases_listing, markdown, reach_listing, summary_listings
from cosim.report.page import Listing


def write_gap_report(rows: list[GapRow], folder: Path, title: str) -> None:
    """Write ``cases.csv``, ``summary.md``, one PNG per figure and ``index.html``.

    Args:
        rows: of one campaign, also of cases that stopped.
        folder: is made; files of an earlier report in it are replaced.
        title: of the campaign.

    Raises:
        RecordError: there are no rows.
    """
    if not rows:
        raise RecordError(f"{folder}: the campaign has no finished case, so there is nothing to report")
    # Takes half a second to import, which no other command should wait for.
    from cosim.report.gap.figures import draw
    from cosim.report.gap.page import gap_page

    folder.mkdir(parents=True, exist_ok=True)
    table, found = gap_table(rows), sheets(gap_table(rows))
    reach = reach_listing(reach_table(rows))
    summaries = summary_listings(summary_table(rows))
    table.to_csv(folder / "cases.csv", index=False)
    for sheet in found:
        draw(sheet, folder / f"{sheet.stem}.png")
    facts = _facts(table)
    text = _summary(title, facts, found, reach=reach, summaries=summaries)
    (folder / "summary.md").write_text(text, encoding="utf-8")
    cases = cases_listing(table)
    page = gap_page(title, facts, found, reach=reach, summaries=summaries, cases=cases)
    (folder / "index.html").write_text(page, encoding="utf-8")


def _facts(table: pd.DataFrame) -> str:
    solved, certified = int(table["realised_cost"].notna().sum()), int(table["certified"].sum())
    sizes = table["buses"][table["buses"] > 0]
    buses = "of unknown size" if sizes.empty else f"with {sizes.min()} to {sizes.max()} buses"
    return (
        f"{len(table)} cases of {table['instance'].nunique()} instances {buses}; {solved} gave a plan that "
        f"was replayed in OpenDSS, {certified} are proven globally optimal"
    )


def _summary(
    title: str, facts: str, found: list[Sheet], *, reach: Listing, summaries: list[Listing]
) -> str:
    """The Markdown file; pictures are beside it."""
    parts = [f"# {title}\n", f"{facts}.\n", f"## {reach.title}\n", f"{reach.note}\n", markdown(reach)]
    for sheet in found:
        parts += [f"## {sheet.title}\n", f"![{sheet.title}]({sheet.stem}.png)\n"]
        parts += [f"{chart.title}: {chart.caption}\n" for chart in sheet.charts]
    parts.append("## Over the seeds\n")
    for listing in summaries:
        parts += [f"### {listing.title}\n", f"{listing.note}\n", markdown(listing)]
    return "\n".join(parts)
