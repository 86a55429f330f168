"""The report of a comparison of methods: all figures as CSV, tables as Markdown, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cosim.errors import RecordError
from cosim.experiments.gap_campaign import CampaignConfig
from cosim.experiments.gap_case import GapRow
from cosim.report.gap.text import markdown
from cosim.report.methods.tables import by_feeder, methods_table
from cosim.report.methods.text import (
    feeder_listings,
    gap_matrix,
    memory_matrix,
    needs_listing,
    refusals_listing,
    seconds_matrix,
)
from cosim.report.page import Listing

PICTURES = {
    "price.png": "Gap in OpenDSS over the CPU seconds of a plan. Hollow markers: no more than 1e-4 %. Red "
    "edge: voltages leave their limits in some case.",
    "anytime.png": "Searches: gap of the best candidate so far over CPU seconds; dotted where it does not "
    "keep all limits.",
    "size.png": "CPU seconds of a plan and peak memory over the number of nodes.",
}
"""File and what it shows."""


def write_methods_report(rows: Sequence[GapRow], folder: Path, campaign: CampaignConfig) -> None:
    """Write ``cases.csv``, ``overview.md``, ``summary.md`` and the pictures.

    Args:
        rows: of the campaign, also of cases that stopped.
        folder: is made; files of an earlier report in it are replaced.
        campaign: with titles and order of the methods.

    Raises:
        RecordError: there are no rows.
    """
    if not rows:
        raise RecordError(f"{folder}: the campaign has no finished case, so there is nothing to report")
    # Takes half a second to import, which no other command should wait for.
    from cosim.report.methods.figures import draw_anytime, draw_price, draw_size

    folder.mkdir(parents=True, exist_ok=True)
    order = list(campaign.formulations)
    titles = {name: campaign.methods[name].title if name in campaign.methods else name for name in order}
    table = methods_table(rows)
    summary = by_feeder(table, order)
    table.to_csv(folder / "cases.csv", index=False)
    drawn = {
        "price.png": draw_price(summary, titles, folder / "price.png"),
        "anytime.png": draw_anytime(table, rows, titles, folder / "anytime.png", against=campaign.against),
        "size.png": draw_size(summary, titles, folder / "size.png"),
    }
    overview = [
        _facts(table),
        *map(_section, (gap_matrix(summary, titles), seconds_matrix(summary, titles))),
    ]
    (folder / "overview.md").write_text("\n".join(overview), encoding="utf-8")
    listings = [
        memory_matrix(summary, titles),
        *feeder_listings(summary, titles, _references(table)),
        needs_listing(campaign.methods),
        refusals_listing(summary, titles),
    ]
    pictures = [f"![{name}]({name})\n\n{text}\n" for name, text in PICTURES.items() if drawn[name]]
    parts = [f"# {campaign.title}\n", *overview, *pictures, *map(_section, listings)]
    (folder / "summary.md").write_text("\n".join(parts), encoding="utf-8")


def _facts(table: pd.DataFrame) -> str:
    solved, certified = int(table["realised_cost"].notna().sum()), int(table["certified"].sum())
    return (
        f"{len(table)} cases on {table['feeder'].nunique()} feeders; {solved} gave a plan that was "
        f"replayed in OpenDSS, {certified} are proven globally optimal.\n"
    )


def _references(table: pd.DataFrame) -> dict[str, str]:
    """Formulation that gaps of a feeder are from; of several instances the first one."""
    known = table[table["reference"].notna()].drop_duplicates("feeder")
    return dict(zip(known["feeder"], known["reference"], strict=True))


def _section(listing: Listing) -> str:
    note = f"{listing.note}\n\n" if listing.note else ""
    return f"## {listing.title}\n\n{note}{markdown(listing)}"
