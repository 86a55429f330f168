"""Parts of the page of a campaign that need only its rows."""

from __future__ import annotations

import re

import pandas as pd

from cosim.experiments.campaign.limits import CampaignLimit, limit_outcomes
from cosim.experiments.campaign.verdicts import verdict_rows
from cosim.report.campaign.distributions import spread_panel
from cosim.report.campaign.matrix import limits_matrix
from cosim.report.campaign.over_axis import lines_over, over_axis_panels
from cosim.report.campaign.runs import failed_listing, runs_listing
from cosim.report.campaign.statements import banner_of, statement_cards
from cosim.report.campaign.tables import asked_figures, differences_listing, variants_listing
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


def test_a_box_per_variant_has_every_seed_and_few_seeds_have_none():
    panel = spread_panel(table_of(a=[3.0, 1.0, None, 2.0], b=[1.0, 1.0, 4.0]), frozenset({"b"}))
    assert panel is not None
    cost, violation = panel.figure.data[:2], panel.figure.data[2:]
    assert [(box.name, list(box.x)) for box in cost] == [("a", [3.0, 1.0, 2.0]), ("b", [1.0, 1.0, 4.0])]
    assert [list(box.x) for box in violation] == [[0.0, 0.5, 1.5], [0.0, 0.5, 1.0]]
    assert cost[0].marker.color != cost[1].marker.color
    assert panel.figure.layout.xaxis.title.text == "energy cost<br>(currency)"
    assert panel.figure.layout.xaxis2.title.text == "voltage outside<br>limits (node-h)"
    assert spread_panel(table_of(a=[3.0, 1.0], b=[1.0]), frozenset()) is None


def test_long_names_of_boxes_are_broken_and_their_rows_are_higher():
    short, long = "control.horizon_s 3600", "control.horizon_s 3600, control.interval_s 900, perfect"
    costs = [1.0, 2.0, 3.0]
    panel, one_line = (
        spread_panel(table_of(**dict.fromkeys(names, costs)), frozenset())
        for names in ((short, long), (short, "b"))
    )
    assert panel is not None
    assert one_line is not None
    axis = panel.figure.layout.yaxis
    assert axis.tickvals == (short, long)
    assert axis.ticktext == (short, "control.horizon_s 3600,<br>control.interval_s 900, perfect")
    assert panel.figure.layout.height > one_line.figure.layout.height


def over_horizon():
    """Costs over three horizons with a short and a long rhythm, two seeds each."""
    table = table_of(
        **{f"{rhythm}{horizon}": [horizon, horizon + 2.0] for rhythm in "sl" for horizon in (2, 4, 1)}
    )
    return table.assign(
        **{"control.horizon_s": table["variant"].str[1:].astype(int), "rhythm": table["variant"].str[0]}
    )


def test_a_line_over_a_number_joins_variants_that_differ_only_there():
    lines = lines_over(over_horizon(), "control.horizon_s", ("control.horizon_s", "rhythm"))
    assert [(line.name, line.numbers) for line in lines] == [("s", (1.0, 2.0, 4.0)), ("l", (1.0, 2.0, 4.0))]
    # By hand: the mean of h and h + 2.
    assert [mean.value for mean in lines[0].cost] == [2.0, 3.0, 5.0]
    assert [mean.value for mean in lines[0].violation] == [0.25, 0.25, 0.25]


def test_only_axes_of_three_numbers_or_more_have_a_panel():
    table = over_horizon()
    (panel,) = over_axis_panels(table, ("control.horizon_s", "rhythm"))
    assert panel.title == "Cost and violation over control.horizon_s"
    assert panel.figure.layout.xaxis2.title.text == "control.horizon_s (s)"
    assert not list(
        over_axis_panels(table[table["control.horizon_s"] > 1], ("control.horizon_s", "rhythm"))
    )


def limited(*texts):
    """Statements and outcomes of a campaign with limits on costs of 1, 1, 2 and 9."""
    table = table_of(a=[1.0, 1.0, 2.0, 9.0]).assign(sound=True, accepted=None)
    limits = [CampaignLimit.model_validate(text) for text in texts]
    outcomes = limit_outcomes(limits, table, ("planner",))
    return verdict_rows(table, len(table), outcomes), outcomes


def test_few_limits_are_all_in_sight():
    verdicts, outcomes = limited("adjusted_cost <= 10", "adjusted_cost <= 8")
    assert banner_of(verdicts).headline == "1 of 2 limits are not kept"
    statements, matrix = statement_cards(verdicts, outcomes)
    assert [row[0] for row in statements.rows][2:] == ["adjusted_cost <= 10", "adjusted_cost <= 8"]
    assert not matrix.folded


def test_of_many_limits_the_broken_ones_are_in_sight_and_the_others_counted():
    kept = [f"adjusted_cost <= {bound}" for bound in range(10, 40)]
    broken = [f"adjusted_cost <= {bound}" for bound in range(5)]
    verdicts, outcomes = limited(*kept, *broken)
    banner = banner_of(verdicts)
    assert banner.headline == "5 of 35 limits are not kept"
    assert [line.partition(":")[0] for line in banner.details] == [
        *broken[:3], "and 2 more limits, see Statements",
    ]  # fmt: skip
    statements, folded, matrix = statement_cards(verdicts, outcomes)
    assert [row[0] for row in statements.rows][2:] == broken
    assert (folded.title, folded.folded, matrix.folded) == ("30 of 35 limits are kept", True, True)
    assert [row[0] for row in folded.rows] == kept
    assert banner_of(limited(*kept)[0]).headline.endswith("; all 30 limits are kept")


def test_a_metric_that_is_a_text_is_counted_and_not_subtracted():
    table = table_of(a=[1.0, 2.0, 3.0, None], b=[1.0]).assign(
        worst_excess_pu=0.0, overloaded_h=0.0, losses_kwh=0.0, peak_import_kw=0.0, fallback_decisions=0,
        decision_p95_s=0.1, peak_memory_mib=1.0,
    )  # fmt: skip
    table.loc[1, "verdict"] = "fail"
    more = asked_figures(["verdict", "forecast_skill", "import_kwh"], {})
    assert more == {"verdict": "verdict", "import_kwh": "import_kwh (kWh)"}
    table = table.assign(import_kwh=4.0)
    listing = variants_listing(table, more)
    at = listing.heads.index("verdict")
    assert [row[at] for row in listing.rows] == ["pass (2), fail (1)", "pass (1)"]
    heads = differences_listing(table, {"a": "b"}, more).heads
    assert "verdict" not in heads
    assert "import_kwh (kWh)" in heads
