"""Tables and figures of an optimality-gap campaign: small real cases, and arithmetic by hand."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from itertools import pairwise

import pandas as pd
import pytest

from cosim.errors import RecordError
from cosim.experiments.gap_case import GapRow, run_case, stopped
from cosim.experiments.gap_instance import GapCase, Penetration
from cosim.report.gap.charts import OTHERS, STYLES
from cosim.report.gap.figures import draw
from cosim.report.gap.report import write_gap_report
from cosim.report.gap.sheets import GAP_FLOOR_PERCENT, sheets
from cosim.report.gap.tables import ORDER, gap_table, in_order, reach_table, summary_table
from cosim.report.gap.text import cases_listing, compact, markdown, reach_listing
from cosim.report.key_figures import ABSENT

COMMON = {
    "anchor": "none", "terminal": {"type": "hard"}, "inverter": "cone", "pv_curtail": False,
    "storage_loss_cost_per_kwh": 0.0089935, "throughput_cost_per_kwh": 0, "reactive_cost_per_kvarh": 0,
}  # fmt: skip
PLANNERS = {
    "copper_plate": {"type": "copper_plate"},
    "lindistflow_losses": {"type": "lindistflow", "objective": {"losses_at_price": 1.0}},
    "branch_flow_soc": {"type": "branch_flow_soc"},
}


def case(buses, formulation, *, seed=1, band="wide"):
    return GapCase(
        network="synthetic",
        buses=buses,
        seed=seed,
        periods=24,
        penetration="reference",
        der=Penetration(0.2, 0.35, 0.3, 0.35),
        band=band,
        limits_pu=(0.95, 1.05) if band == "wide" else (0.97, 1.03),
        formulation=formulation,
        planner=COMMON | PLANNERS.get(formulation, {"type": formulation}),
    )


@pytest.fixture(scope="module")
def real():
    """Two sizes, two seeds and two bands, and what a formulation that ran out of time leaves."""
    cases = [case(10, name, seed=seed) for name in PLANNERS for seed in (1, 2)]
    cases += [case(34, name) for name in PLANNERS]
    cases += [case(10, name, band="tight") for name in PLANNERS]
    late = stopped(case(34, "branch_flow_nl"), "time limit of 600 s")
    return [*map(run_case, cases), late]


def row(formulation, cost=None, *, planned=None, claim="optimal for its own model", **changes):
    """A case of an instance with 10 buses by hand."""
    plain = stopped(case(10, formulation), "optimal" if cost is not None else "time limit of 600 s")
    figures = {"planned_cost": planned, "realised_cost": cost, "claim": claim if cost is not None else None}
    return replace(plain, **{"worst_violation_pu": 0.0 if cost is not None else None, **figures, **changes})


def by_formulation(table, column):
    return dict(zip(table["formulation"], table[column], strict=True))


# --- arithmetic -----------------------------------------------------------------------------------


def test_the_gap_is_measured_from_the_certified_plan():
    rows = [
        row("lindistflow", 102.0, planned=99.96),
        row("branch_flow_soc", 100.0, planned=100.0, claim="globally optimal"),
        row("branch_flow_nl", 101.0, planned=101.0, claim="locally optimal"),
    ]
    table = gap_table(rows)
    assert set(table["reference_cost"]) == {100.0}
    assert by_formulation(table, "realised_gap_percent") == pytest.approx(
        {"lindistflow": 2.0, "branch_flow_soc": 0.0, "branch_flow_nl": 1.0}
    )
    # (99.96 - 102) / 102
    assert by_formulation(table, "planned_error_percent")["lindistflow"] == pytest.approx(-2.0)
    assert by_formulation(table, "certified") == {
        "lindistflow": False, "branch_flow_soc": True, "branch_flow_nl": False,
    }  # fmt: skip


def test_a_plan_that_is_not_proven_is_no_reference():
    loose = row("branch_flow_soc", 90.0, claim="within 3 % of the global optimum")
    table = gap_table([loose, row("branch_flow_nl", 100.0, claim="locally optimal")])
    assert by_formulation(table, "realised_gap_percent")["branch_flow_soc"] == pytest.approx(-10.0)
    alone = gap_table([loose, row("lindistflow", 100.0)])
    assert alone["reference_cost"].isna().all()
    assert alone["realised_gap_percent"].isna().all()


def test_a_feeder_that_earns_money_has_a_gap_of_the_right_sign():
    table = gap_table([row("lindistflow", -98.0), row("branch_flow_soc", -100.0, claim="globally optimal")])
    assert by_formulation(table, "realised_gap_percent")["lindistflow"] == pytest.approx(2.0)


def test_instances_do_not_lend_each_other_their_reference():
    other = {"instance": "another", "seed": 2}
    rows = [
        row("lindistflow", 110.0),
        row("branch_flow_soc", 100.0, claim="globally optimal"),
        row("lindistflow", 220.0, **other),
        row("branch_flow_soc", 200.0, claim="globally optimal", **other),
    ]
    gaps = gap_table(rows).query("formulation == 'lindistflow'")["realised_gap_percent"]
    assert gaps.tolist() == pytest.approx([10.0, 10.0])


def test_the_summary_is_over_the_seeds_that_were_solved():
    rows = []
    for seed, gap in ((1, 1.0), (2, 4.0), (3, 2.0)):
        own = {"seed": seed, "instance": f"i{seed}"}
        rows.append(row("lindistflow", 100.0 + gap, worst_violation_pu=gap / 1000, **own))
        rows.append(row("branch_flow_soc", 100.0, claim="globally optimal", **own))
    rows.append(row("lindistflow", seed=4, instance="i4"))
    summary = summary_table(rows).set_index("formulation")
    line = summary.loc["lindistflow"]
    assert (line["cases"], line["solved"], line["certified"]) == (4, 3, 0)
    spread = line[["gap_median_percent", "gap_min_percent", "gap_max_percent"]].tolist()
    assert spread == pytest.approx([2.0, 1.0, 4.0])
    assert line["violation_median_pu"] == pytest.approx(0.002)
    assert summary.loc["branch_flow_soc", "certified"] == 3


def test_reach_names_what_stopped_the_next_size():
    rows = [
        row("branch_flow_nl", 100.0, buses=10),
        row("branch_flow_nl", 100.0, buses=34, seed=1),
        row("branch_flow_nl", buses=34, seed=2, status="memory limit of 16 GiB"),
        row("branch_flow_nl", buses=128),
        row("copper_plate", 100.0, buses=128),
        row("branch_flow_soc_binary", buses=10, status="SolverUnsuited: no"),
    ]
    reach = reach_table(rows).set_index("formulation")
    assert reach.loc["branch_flow_nl"].tolist() == [34, 1, 2, 34, "memory limit of 16 GiB"]
    assert reach.loc["copper_plate", "why"] == ""
    assert math.isnan(reach.loc["copper_plate", "stopped_buses"])
    assert math.isnan(reach.loc["branch_flow_soc_binary", "largest_buses"])
    assert reach.loc["branch_flow_soc_binary", "why"] == "SolverUnsuited: no"
    assert reach_listing(reach.reset_index()).rows[0][-1] == "nothing larger was asked for"


def test_a_stopped_case_of_a_shipped_network_learns_its_size():
    solved = row("lindistflow", 100.0, network="ieee123_1ph", buses=128)
    late = row("branch_flow_nl", network="ieee123_1ph", buses=0)
    assert gap_table([solved, late])["buses"].tolist() == [128, 128]


def test_formulations_are_shown_from_coarse_to_exact():
    names = pd.Series(["zeta", "branch_flow_nl", "alpha", "lindistflow", "copper_plate"])
    assert in_order(names) == ["copper_plate", "lindistflow", "branch_flow_nl", "alpha", "zeta"]
    assert set(STYLES) == set(ORDER)
    looks = [*STYLES.values(), *OTHERS]
    assert len({style.colour for style in looks}) == len({style.marker for style in looks}) == len(looks)


# --- figures --------------------------------------------------------------------------------------


def test_gaps_below_the_floor_are_clipped_and_marked_and_counted():
    rows = [
        row("lindistflow", 99.0, worst_violation_pu=2e-3),
        row("branch_flow_soc", 100.0, claim="globally optimal"),
    ]
    chart = sheets(gap_table(rows))[0].charts[0]
    linear, cone = chart.curves
    assert linear.median.tolist() == cone.median.tolist() == [GAP_FLOOR_PERCENT]
    assert linear.at_floor == cone.at_floor == (True,)
    assert (linear.outside, cone.outside) == ((True,), (False,))
    assert "1 of them cost less than the reference, by up to 1 %, and 1 of these leave" in chart.caption


def test_a_stopped_case_is_a_cross_on_the_limit(real):
    (first, _) = next(sheet for sheet in sheets(gap_table(real)) if sheet.stem == "seconds").charts
    assert first.stopped == ((STYLES["branch_flow_nl"], 34.0),)
    assert "branch_flow_nl" not in [curve.formulation for curve in first.curves]
    assert [point.y for point in first.published] == [3.06, 66.8, 27.2, 209.0]


def test_only_what_was_varied_has_a_figure(real):
    settings = sheets(gap_table(real))[-1]
    assert [chart.x_title for chart in settings.charts] == ["voltage band (name)"]
    assert settings.charts[0].ticks == ("wide", "tight")
    assert [sheet.stem for sheet in sheets(gap_table(real[:6]))] == ["gap", "seconds", "memory", "voltage"]


@pytest.mark.parametrize("formulation", ["lindistflow", "of_tomorrow"])
def test_a_campaign_without_reference_or_plan_can_be_drawn(formulation, tmp_path):
    for rows in ([row(formulation, 100.0)], [row(formulation)]):
        for sheet in sheets(gap_table(rows)):
            draw(sheet, tmp_path / "one.png")


def test_networks_that_were_never_read_have_no_place_among_the_sizes():
    unread = row("tangent", network="gone", buses=0, instance="gone")
    assert sheets(gap_table([unread])) == []
    known = sheets(gap_table([row("lindistflow", 100.0), unread]))
    assert known[0].charts[0].ticks == (10,)


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(real, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gap") / "new"
    write_gap_report(real, folder, "A <small> campaign")
    return folder


def test_the_real_cases_rank_as_theory_says(folder):
    table = pd.read_csv(folder / "cases.csv")
    assert len(table) == 13
    gap = table.groupby("formulation")["realised_gap_percent"].max()
    assert gap["branch_flow_soc"] == 0.0
    assert abs(gap["lindistflow_losses"]) < 1e-2 < gap["copper_plate"]
    assert table["certified"].sum() == 4


def test_the_pictures_are_pictures(folder):
    for stem in ("gap", "seconds", "memory", "voltage", "settings"):
        assert (folder / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
        assert f"({stem}.png)" in (folder / "summary.md").read_text()


def test_the_page_holds_every_chart_with_its_axes(folder, real):
    page = (folder / "index.html").read_text()
    figures = [json.loads(text) for text in re.findall(r'class="figure">(.*?)</script>', page, re.DOTALL)]
    charts = [chart for sheet in sheets(gap_table(real)) for chart in sheet.charts]
    assert len(figures) == len(charts) == 7
    for figure, chart in zip(figures, charts, strict=True):
        assert figure["layout"]["xaxis"]["title"]["text"] == chart.x_title
        assert figure["layout"]["yaxis"]["title"]["text"] == chart.y_title
        names = [trace["name"] for trace in figure["data"] if "name" in trace]
        assert names[: len(chart.curves)] == [curve.formulation for curve in chart.curves]
    assert "A &lt;small&gt; campaign" in page
    assert "<td>time limit of 600 s</td>" in page
    assert page.count("<tr>") > len(real)


def test_the_summary_is_made_of_whole_tables(folder):
    lines = (folder / "summary.md").read_text().splitlines()
    for line, rule in pairwise(lines):
        if rule.startswith("| ---"):
            assert line.count(" | ") == rule.count(" | ")
    assert f"| branch_flow_nl | {ABSENT} | {ABSENT} | 34 | time limit of 600 s |" in lines


def test_an_error_of_many_lines_stays_in_its_cell():
    table = gap_table([row("lindistflow", status="ScenarioError: a | b\n  c")])
    text = markdown(cases_listing(table))
    assert len(text.splitlines()) == 3
    assert r"ScenarioError: a \| b c" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ABSENT),
        (float("nan"), ABSENT),
        (0.0, "0"),
        (12, "12"),
        (2787.439, "2787"),
        (1.2345e-5, "1.23e-05"),
        (0.48467, "0.485"),
    ],
)
def test_numbers_are_compact(value, text):
    assert compact(value) == text


def test_a_campaign_without_cases_is_refused(tmp_path):
    with pytest.raises(RecordError, match="no finished case"):
        write_gap_report([], tmp_path, "nothing")


@pytest.mark.parametrize("buses", [0, 10], ids=["never_read", "read"])
def test_a_campaign_in_which_every_case_fails_has_a_page_that_lists_them(tmp_path, buses):
    rows = [
        row(name, network="gone", buses=buses, instance="gone", status=f"failed: {name} of no use")
        for name in ("lindistflow", "tangent")
    ]
    write_gap_report(rows, tmp_path, "All lost")
    page, text = ((tmp_path / name).read_text() for name in ("index.html", "summary.md"))
    for name in ("lindistflow", "tangent"):
        assert f"<td>failed: {name} of no use</td>" in page
        assert f"failed: {name} of no use" in text
    assert "0 gave a plan" in text
    assert ("of unknown size" in text) == (buses == 0)
    assert len(pd.read_csv(tmp_path / "cases.csv")) == 2


def test_every_row_has_the_columns_of_a_case_but_the_history_of_a_search(folder):
    columns = set(pd.read_csv(folder / "cases.csv", nrows=0).columns)
    histories = {"history_s", "history_cost", "history_violation"}
    assert set(GapRow.__dataclass_fields__) - histories <= columns
    assert not histories & columns
