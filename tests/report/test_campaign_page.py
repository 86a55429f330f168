"""Parts of the page of a campaign that need only its rows."""

from __future__ import annotations

import re

import pandas as pd

from cosim.experiments.campaign.limits import CampaignLimit, limit_outcomes
from cosim.report.campaign.matrix import limits_matrix
from cosim.report.campaign.runs import failed_listing, runs_listing
from cosim.report.key_figures import ABSENT
from cosim.report.page import Link, Mark, Section, render


def table_of(**costs):
    """One run per variant and seed; None is a failed one."""
    rows = [
        {
            "key": f"{variant}{seed}", "variant": variant, "planner": variant, "seed": seed,
            "status": "failed" if cost is None else "complete", "cause": "no memory" if cost is None else "",
            "verdict": None if cost is None else "pass", "adjusted_cost_currency": cost,
            "violation_node_h": None if cost is None else 0.5 * seed, "seconds": 2.0,
        }
        for variant, values in costs.items()
        for seed, cost in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def page_of(*cards):
    return render("sections.html.j2", "T", "facts", {"banner": None, "sections": [Section("S", cards)]})


def test_every_run_is_listed_and_those_with_a_record_lead_to_their_report(tmp_path):
    kept = tmp_path / "records" / "a1"
    kept.mkdir(parents=True)
    (kept / "report.html").touch()
    listing = runs_listing(table_of(a=[3.0, None], b=[1.0]), tmp_path)
    assert listing.folded
    assert [list(row) for row in listing.rows] == [
        ["a", "0", "complete", "pass", "3", "0", "2", "a0"],
        ["a", "1", "failed", ABSENT, ABSENT, ABSENT, "2", Link("a1", "records/a1/report.html")],
        ["b", "0", "complete", "pass", "1", "0", "2", "b0"],
    ]
    page = page_of(listing)
    assert "<summary>All 3 runs</summary>" in page
    assert '<a href="records/a1/report.html">a1</a>' in page


def test_failed_runs_have_their_cause():
    table = table_of(a=[3.0, None])
    listing = failed_listing(table)
    assert listing is not None
    assert listing.rows == [["a", "1", "no memory", "a1"]]
    assert failed_listing(table.iloc[:1]) is None


def test_the_matrix_has_the_share_of_seeds_by_variant_and_limit():
    limits = [
        CampaignLimit.model_validate(text)
        for text in ("adjusted_cost <= 2 in 75 % of seeds", "adjusted_cost <= 1 * planner=b")
    ]
    table = table_of(a=[1.0, 1.0, 2.0, 9.0], b=[1.0, 2.0, 3.0])
    listing = limits_matrix(limit_outcomes(limits, table, ("planner",)))
    assert listing.heads == ("variant", *map(str, limits))
    # By hand: three of four seeds of a are enough for 75 %; b keeps it in two of three. Seed 3 of a has no
    # counterpart in b, so nothing is said of the second limit; b is what it compares with.
    assert listing.rows == [
        ["a", Mark("75 % (3 of 4)", "pass"), Mark("75 % (3 of 4)", "unjudged")],
        ["b", Mark("66.7 % (2 of 3)", "fail"), ABSENT],
    ]
    page = page_of(listing)
    assert re.search(r'<td class="mark fail"><span class="sign"[^>]*>✗</span> 66.7 % \(2 of 3\)</td>', page)
